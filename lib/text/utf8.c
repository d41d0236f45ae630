/* utf8.c - see utf8.h. */
#include "text/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* What may follow a lead byte.  The narrow first range is what keeps overlong
 * forms, surrogates and everything above U+10FFFF out. */
struct lead {
    unsigned char following; /* 0: the byte leads nothing */
    unsigned char first_min;
    unsigned char first_max;
};

static struct lead
lead_of(unsigned char byte)
{
    if (byte < 0xc2 || byte > 0xf4)
        return (struct lead){ 0, 0, 0 };
    if (byte < 0xe0)
        return (struct lead){ 1, 0x80, 0xbf };
    if (byte == 0xe0)
        return (struct lead){ 2, 0xa0, 0xbf };
    if (byte == 0xed)
        return (struct lead){ 2, 0x80, 0x9f };
    if (byte < 0xf0)
        return (struct lead){ 2, 0x80, 0xbf };
    if (byte == 0xf0)
        return (struct lead){ 3, 0x90, 0xbf };
    if (byte == 0xf4)
        return (struct lead){ 3, 0x80, 0x8f };
    return (struct lead){ 3, 0x80, 0xbf };
}

/* Without U+0000, which counts as ill-formed. */
static bool
is_ascii(char c)
{
    return c != '\0' && (unsigned char)c < 0x80;
}

static bool
is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* The length of the character that begins here, or of the maximal ill-formed
 * part.  U+0000 counts as ill-formed. */
static size_t
take_one(const char *bytes, size_t len, bool *is_good)
{
    const unsigned char *in = (const unsigned char *)bytes;
    const struct lead lead = lead_of(in[0]);
    size_t taken = 1;

    *is_good = is_ascii(bytes[0]);
    if (lead.following == 0)
        return 1;
    if (len < 2 || in[1] < lead.first_min || in[1] > lead.first_max)
        return 1;
    for (taken = 2; taken <= lead.following; taken++)
        if (taken == len || !is_continuation(bytes[taken]))
            return taken;
    *is_good = true;
    return taken;
}

/* The length of the clean text at the front; most of it is ASCII. */
static size_t
clean_length(const char *bytes, size_t len)
{
    size_t done = 0;

    for (;;) {
        bool is_good;
        size_t taken;

        while (done < len && is_ascii(bytes[done]))
            done++;
        if (done == len)
            return len;
        taken = take_one(bytes + done, len - done, &is_good);
        if (!is_good)
            return done;
        done += taken;
    }
}

bool
utf8_is_clean(const char *bytes, size_t len)
{
    return clean_length(bytes, len) == len;
}

static enum buf_status
append_clean(struct buf *out, const char *bytes, size_t len, bool *cleaned)
{
    while (len > 0) {
        const size_t clean = clean_length(bytes, len);
        enum buf_status status = buf_append(out, bytes, clean);
        size_t taken;
        bool is_good;

        if (status != BUF_OK || clean == len)
            return status;
        status = buf_append_str(out, REPLACEMENT);
        if (status != BUF_OK)
            return status;
        *cleaned = true;
        taken = clean + take_one(bytes + clean, len - clean, &is_good);
        bytes += taken;
        len -= taken;
    }
    return BUF_OK;
}

enum buf_status
utf8_append_clean(struct buf *out, const char *bytes, size_t len, bool *cleaned)
{
    const size_t before = out->len;
    bool changed = false;
    const enum buf_status status = append_clean(out, bytes, len, &changed);

    if (status != BUF_OK)
        buf_truncate(out, before);
    else if (changed)
        *cleaned = true;
    return status;
}

size_t
utf8_count(const char *bytes, size_t len)
{
    size_t count = 0;

    for (size_t i = 0; i < len; i++)
        count += !is_continuation(bytes[i]);
    return count;
}

size_t
utf8_cut(const char *bytes, size_t len)
{
    size_t begin = len;

    while (begin > 0 && is_continuation(bytes[begin - 1]))
        begin--;
    if (begin == 0)
        return 0;
    begin--;
    return begin + 1 + lead_of((unsigned char)bytes[begin]).following <= len
               ? len
               : begin;
}
