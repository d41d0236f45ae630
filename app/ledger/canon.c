/* canon.c - see canon.h. */
#include "ledger/canon.h"

#include <string.h>

void
canon_init(struct canon *in, const char *body, size_t len)
{
    *in = (struct canon){ .at = body, .end = body + len };
}

bool
canon_failed(const struct canon *in)
{
    return in->failed;
}

/* Everything that follows finds the end. */
static void
fail(struct canon *in)
{
    in->failed = true;
    in->at = in->end;
}

void
canon_end(struct canon *in)
{
    if (in->at != in->end || in->depth != 0)
        fail(in);
}

static bool
next_is(const struct canon *in, char byte)
{
    return in->at < in->end && *in->at == byte;
}

static bool
skip_byte(struct canon *in, char byte)
{
    if (!next_is(in, byte))
        return false;
    in->at++;
    return true;
}

static void
need_byte(struct canon *in, char byte)
{
    if (!skip_byte(in, byte))
        fail(in);
}

static void
need_word(struct canon *in, const char *word)
{
    const size_t len = strlen(word);

    if ((size_t)(in->end - in->at) < len || memcmp(in->at, word, len) != 0)
        fail(in);
    else
        in->at += len;
}

static bool
is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

enum canon_type
canon_peek(const struct canon *in)
{
    if (in->at == in->end)
        return CANON_NOTHING;
    switch (*in->at) {
    case 'n':
        return CANON_NULL;
    case 't':
    case 'f':
        return CANON_BOOL;
    case '"':
        return CANON_STRING;
    case '[':
        return CANON_ARRAY;
    case '{':
        return CANON_OBJECT;
    default:
        return is_digit(*in->at) || *in->at == '-' ? CANON_INT : CANON_NOTHING;
    }
}

/* ---- containers -------------------------------------------------------- */

static void
enter(struct canon *in, char bracket)
{
    need_byte(in, bracket);
    if (in->depth == CANON_MAX_DEPTH)
        fail(in);
    in->depth++;
}

/* Passes the closing bracket or the comma between members.  first is true
 * where no comma belongs. */
static bool
next_member(struct canon *in, char bracket, bool first)
{
    if (in->failed)
        return false;
    if (skip_byte(in, bracket)) {
        in->depth--;
        return false;
    }
    if (!first)
        need_byte(in, ',');
    return !in->failed;
}

void
canon_object(struct canon *in)
{
    enter(in, '{');
}

int
canon_key_compare(const struct canon_text *a, const struct canon_text *b)
{
    const int order =
        memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len);

    if (order != 0)
        return order;
    return a->len < b->len ? -1 : a->len > b->len;
}

bool
canon_next_key(struct canon *in, struct canon_text *key)
{
    const struct canon_text before = *key;
    const bool first = before.bytes == NULL;

    if (!next_member(in, '}', first))
        return false;
    canon_string(in, key);
    need_byte(in, ':');
    /* Names of members need no escapes, and without any the order of their
     * bytes is plain to see. */
    if (in->failed || key->escaped ||
        (!first && canon_key_compare(&before, key) >= 0))
        fail(in);
    return !in->failed;
}

void
canon_array(struct canon *in)
{
    enter(in, '[');
}

bool
canon_next_element(struct canon *in)
{
    /* No value ends in a bracket that opens. */
    const bool first = !in->failed && in->at[-1] == '[';

    return next_member(in, ']', first);
}

/* ---- values ------------------------------------------------------------ */

void
canon_int(struct canon *in, int64_t *value)
{
    const bool negative = skip_byte(in, '-');
    const char *begin = in->at;
    int64_t sum = 0;

    for (; in->at < in->end && is_digit(*in->at); in->at++) {
        const int digit = *in->at - '0';

        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_sub_overflow(sum, digit, &sum)) { /* downwards: the
                                                         * longer side */
            fail(in);
            return;
        }
    }
    if (in->at == begin || (*begin == '0' && in->at - begin > 1) ||
        (negative && sum == 0) || (!negative && sum == INT64_MIN)) {
        fail(in);
        return;
    }
    *value = negative ? sum : -sum;
}

/* The letter that the shortest escape of a control character has, or 'u'. */
static char
escape_letter(unsigned code)
{
    static const char letters[] = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu";

    return letters[code];
}

static int
hex_digit(char byte)
{
    if (is_digit(byte))
        return byte - '0';
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* The code of \u00XX, whose digits begin at hex; -1 when it is no character
 * that needs this form. */
static int
long_escape(const char *hex, size_t left)
{
    int high, low, code;

    if (left < 4 || hex[0] != '0' || hex[1] != '0')
        return -1;
    high = hex_digit(hex[2]);
    low = hex_digit(hex[3]);
    code = high * 16 + low;
    if (high < 0 || high > 1 || low < 0 || code == 0 ||
        escape_letter((unsigned)code) != 'u')
        return -1;
    return code;
}

/* The length of the escape at the backslash, 0 when it is not canonical. */
static size_t
escape_len(const struct canon *in)
{
    const size_t left = (size_t)(in->end - in->at);

    if (left < 2 || in->at[1] == '\0')
        return 0;
    if (strchr("\"\\bfnrt", in->at[1]) != NULL)
        return 2;
    if (in->at[1] == 'u' && long_escape(in->at + 2, left - 2) != -1)
        return 6;
    return 0;
}

/* Where the first byte is that may not stand for itself, or the end. */
static const char *
end_of_plain(const char *at, const char *end)
{
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

void
canon_string(struct canon *in, struct canon_text *text)
{
    bool escaped = false;
    const char *begin;

    need_byte(in, '"');
    begin = in->at;
    for (;;) {
        size_t len;

        in->at = end_of_plain(in->at, in->end);
        if (!next_is(in, '\\'))
            break;
        escaped = true;
        len = escape_len(in);
        if (len == 0)
            break;
        in->at += len;
    }
    *text = (struct canon_text){ .bytes = begin,
                                 .len = (size_t)(in->at - begin),
                                 .escaped = escaped };
    need_byte(in, '"');
}

void
canon_bool(struct canon *in, bool *value)
{
    *value = next_is(in, 't');
    need_word(in, *value ? "true" : "false");
}

static void
skip_object(struct canon *in)
{
    struct canon_text key = { 0 };

    canon_object(in);
    while (canon_next_key(in, &key))
        canon_skip(in);
}

static void
skip_array(struct canon *in)
{
    canon_array(in);
    while (canon_next_element(in))
        canon_skip(in);
}

void
canon_skip(struct canon *in)
{
    struct canon_text text;
    int64_t number;
    bool truth;

    switch (canon_peek(in)) {
    case CANON_NULL:
        need_word(in, "null");
        break;
    case CANON_BOOL:
        canon_bool(in, &truth);
        break;
    case CANON_INT:
        canon_int(in, &number);
        break;
    case CANON_STRING:
        canon_string(in, &text);
        break;
    case CANON_ARRAY:
        skip_array(in);
        break;
    case CANON_OBJECT:
        skip_object(in);
        break;
    case CANON_NOTHING:
        fail(in);
        break;
    }
}

void
canon_raw(struct canon *in, struct canon_text *raw)
{
    const char *begin = in->at;

    canon_skip(in);
    *raw =
        (struct canon_text){ .bytes = begin, .len = (size_t)(in->at - begin) };
}

size_t
canon_unescape(const struct canon_text *text, char *out)
{
    static const char letters[] = "bfnrt";
    static const char meanings[] = "\b\f\n\r\t";
    const char *at = text->bytes;
    const char *end = at + text->len;
    char *to = out;

    while (at < end) {
        const char *letter;

        if (*at != '\\') {
            *to++ = *at++;
        } else if (at[1] == 'u') {
            *to++ = (char)long_escape(at + 2, (size_t)(end - at) - 2);
            at += 6;
        } else {
            letter = strchr(letters, at[1]);
            *to++ = letter != NULL ? meanings[letter - letters] : at[1];
            at += 2;
        }
    }
    return (size_t)(to - out);
}
