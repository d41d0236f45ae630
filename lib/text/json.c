/* json.c - see json.h. */
#include "text/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/utf8.h"

#define ESCAPE_LEN  6              /* of \uXXXX */
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* ---- inside strings ------------------------------------------------------ */

#define ALL_BYTES(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether some byte of the word is below least, which is 0x80 at most: taking
 * it away borrows then, and only then, from a highest bit that was not set. */
static bool
has_byte_below(uint64_t word, uint64_t least)
{
    return ((word - ALL_BYTES(least)) & ~word & ALL_BYTES(0x80)) != 0;
}

static bool
has_byte(uint64_t word, unsigned char byte)
{
    return has_byte_below(word ^ ALL_BYTES(byte), 1);
}

static bool
is_plain(char byte)
{
    return (unsigned char)byte >= 0x20 && byte != '"' && byte != '\\';
}

/* How much of it stands for itself in a string; eight bytes at a time, for
 * answers are long and mostly plain. */
static size_t
plain_length(const char *bytes, size_t len)
{
    uint64_t word;
    size_t i = 0;

    for (; len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        if (has_byte_below(word, 0x20) || has_byte(word, '"') ||
            has_byte(word, '\\'))
            break;
    }
    while (i < len && is_plain(bytes[i]))
        i++;
    return i;
}

/* ---- parsing ------------------------------------------------------------ */

/* Counted before Jansson looks, whose own limit cannot be chosen. */
static bool
is_deeper_than(const char *bytes, size_t len, size_t max_depth)
{
    bool in_string = false;
    size_t depth = 0;

    for (size_t i = 0; i < len; i++) {
        if (in_string)
            i += plain_length(bytes + i, len - i);
        if (i == len)
            break;
        if (bytes[i] == '"')
            in_string = !in_string;
        else if (in_string && bytes[i] == '\\')
            i++;
        else if (in_string)
            continue;
        else if (bytes[i] == '{' || bytes[i] == '[')
            depth++;
        else if (bytes[i] == '}' || bytes[i] == ']')
            depth -= depth > 0;
        if (depth > max_depth)
            return true;
    }
    return false;
}

/* Jansson's own texts quote the input; these do not. */
static const char *
words_for(enum json_error_code code)
{
    if (code == json_error_invalid_utf8)
        return "invalid UTF-8";
    if (code == json_error_premature_end_of_input)
        return "it ends too early";
    if (code == json_error_end_of_input_expected)
        return "something follows the value";
    if (code == json_error_null_character ||
        code == json_error_null_byte_in_key)
        return "U+0000 in a string";
    if (code == json_error_numeric_overflow)
        return "a number is too large";
    return "syntax error";
}

/* flags are Jansson's. */
static json_t *
load(const char *bytes, size_t len, size_t flags, struct err *err)
{
    json_error_t error = { 0 }; /* Jansson sets the code on some paths only */
    json_t *value;
    enum json_error_code code;

    value =
        json_loadb(len > 0 ? bytes : "", len, JSON_DECODE_ANY | flags, &error);
    if (value != NULL)
        return value;
    code = json_error_code(&error);
    if (code == json_error_unknown || code == json_error_out_of_memory)
        err_set(err, ERR_NOMEM, "JSON value");
    else if (code == json_error_stack_overflow)
        err_set(err, ERR_LIMIT, "JSON nested too deeply");
    else
        err_set(err, ERR_INVALID, "bad JSON in line %d, column %d: %s",
                error.line, error.column, words_for(code));
    return NULL;
}

static json_t *
check_and_load(const char *bytes, size_t len, size_t max_depth, size_t flags,
               struct err *err)
{
    if (is_deeper_than(bytes, len, max_depth)) {
        err_set(err, ERR_LIMIT, "JSON nested deeper than %zu", max_depth);
        return NULL;
    }
    return load(bytes, len, flags, err);
}

json_t *
json_parse(const char *bytes, size_t len, size_t max_depth, struct err *err)
{
    return check_and_load(bytes, len, max_depth, 0, err);
}

/* ---- mending ------------------------------------------------------------ */

/* The UTF-16 unit that a whole \uXXXX at the front stands for, or -1. */
static int
escaped_unit(const char *bytes, size_t len)
{
    int unit = 0;

    if (len < ESCAPE_LEN || bytes[0] != '\\' || bytes[1] != 'u')
        return -1;
    for (size_t i = 2; i < ESCAPE_LEN; i++) {
        const int digit = str_hex_digit(bytes[i]);

        if (digit == -1)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* The length of the escape at the front; a surrogate pair is one. */
static size_t
take_escape(const char *bytes, size_t len, bool *is_bad)
{
    const int unit = escaped_unit(bytes, len);
    int second;

    *is_bad = false;
    if (unit == -1)
        return len < 2 ? len : 2;
    *is_bad = unit == 0 || (unit >= 0xd800 && unit <= 0xdfff);
    if (unit < 0xd800 || unit > 0xdbff)
        return ESCAPE_LEN;
    second = escaped_unit(bytes + ESCAPE_LEN, len - ESCAPE_LEN);
    if (second < 0xdc00 || second > 0xdfff)
        return ESCAPE_LEN;
    *is_bad = false;
    return 2 * ESCAPE_LEN;
}

/* Appends a copy in which the escapes that Jansson refuses are U+FFFD. */
static enum buf_status
append_mended(struct buf *out, const char *bytes, size_t len, bool *mended)
{
    enum buf_status status = BUF_OK;
    bool in_string = false;
    size_t copied = 0;
    size_t at = 0;

    while (at < len && status == BUF_OK) {
        bool is_bad;
        size_t taken;

        in_string ^= bytes[at] == '"';
        if (!in_string || bytes[at] != '\\') {
            at++;
            continue;
        }
        taken = take_escape(bytes + at, len - at, &is_bad);
        if (is_bad) {
            *mended = true;
            status = buf_append(out, bytes + copied, at - copied);
            if (status == BUF_OK)
                status = buf_append_str(out, REPLACEMENT);
            copied = at + taken;
        }
        at += taken;
    }
    if (status != BUF_OK)
        return status;
    return buf_append(out, bytes + copied, len - copied);
}

/* NULL and no error when there is nothing to mend. */
static json_t *
mend_and_load(const char *bytes, size_t len, size_t flags, struct err *err)
{
    json_t *value = NULL;
    bool mended = false;
    struct buf clean, text;

    buf_init(&clean, 3 * len + 1); /* a bad byte becomes three */
    buf_init(&text, 3 * len + 1);
    if (utf8_append_clean(&clean, bytes, len, &mended) != BUF_OK ||
        append_mended(&text, buf_cstr(&clean), clean.len, &mended) != BUF_OK)
        err_set(err, ERR_NOMEM, "mending JSON");
    else if (mended)
        value = load(buf_cstr(&text), text.len, flags, err);
    buf_close(&text);
    buf_close(&clean);
    return value;
}

static json_t *
parse_mending(const char *bytes, size_t len, size_t max_depth, size_t flags,
              bool *cleaned, struct err *err)
{
    struct err first = { 0 };
    json_t *value = check_and_load(bytes, len, max_depth, flags, &first);

    if (value != NULL)
        return value;
    if (first.kind == ERR_INVALID)
        value = mend_and_load(bytes, len, flags, err);
    if (value != NULL)
        *cleaned = true;
    else
        err_set(err, first.kind, "%s", first.text);
    return value;
}

json_t *
json_parse_lenient(const char *bytes, size_t len, size_t max_depth,
                   bool *cleaned, struct err *err)
{
    return parse_mending(bytes, len, max_depth, 0, cleaned, err);
}

json_t *
json_parse_inexact(const char *bytes, size_t len, size_t max_depth,
                   bool *cleaned, struct err *err)
{
    return parse_mending(bytes, len, max_depth, JSON_DECODE_INT_AS_REAL,
                         cleaned, err);
}

/* ---- writing ------------------------------------------------------------ */

struct sink {
    struct buf *out;
    enum buf_status status;
};

static int
sink_take(const char *bytes, size_t len, void *arg)
{
    struct sink *sink = arg;

    sink->status = buf_append(sink->out, bytes, len);
    return sink->status == BUF_OK ? 0 : -1;
}

int
json_write(const json_t *value, struct buf *out, struct err *err)
{
    struct sink sink = { out, BUF_OK };
    const size_t before = out->len;

    if (json_dump_callback(value, sink_take, &sink,
                           JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        return 0;
    buf_truncate(out, before);
    /* Jansson has failed by itself when the sink did not. */
    return buf_error(out, sink.status != BUF_OK ? sink.status : BUF_NOMEM,
                     "JSON text", err);
}

/* The same forms as Jansson's, so that both ways of writing agree. */
static enum buf_status
append_escape(struct buf *out, char byte)
{
    static const char special[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *found = memchr(special, byte, sizeof(special) - 1);

    if (found == NULL)
        return buf_printf(out, "\\u%04X", (unsigned)byte);
    return buf_printf(out, "\\%c", letters[found - special]);
}

static enum buf_status
append_escaped(struct buf *out, const char *bytes, size_t len)
{
    enum buf_status status = BUF_OK;

    while (len > 0 && status == BUF_OK) {
        const size_t plain = plain_length(bytes, len);

        if (plain > 0) {
            status = buf_append(out, bytes, plain);
            bytes += plain;
            len -= plain;
        } else {
            status = append_escape(out, *bytes);
            bytes++;
            len--;
        }
    }
    return status;
}

enum buf_status
json_append_string(struct buf *out, const char *bytes, size_t len)
{
    const size_t before = out->len;
    enum buf_status status = buf_append(out, "\"", 1);

    if (status == BUF_OK)
        status = append_escaped(out, bytes, len);
    if (status == BUF_OK)
        status = buf_append(out, "\"", 1);
    if (status != BUF_OK)
        buf_truncate(out, before);
    return status;
}

/* ---- reading ------------------------------------------------------------ */

/* Jansson's iterators ask for a value they may change, and do not change it. */
static json_t *
iterable(const json_t *value)
{
    json_t *same;

    memcpy(&same, &value, sizeof(same));
    return same;
}

size_t
json_count(const json_t *value)
{
    json_t *member;
    const char *key;
    size_t count = 1;
    size_t index;

    json_object_foreach(iterable(value), key, member) count +=
        json_count(member);
    json_array_foreach(value, index, member) count += json_count(member);
    return count;
}

const char *
json_get_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

int64_t
json_get_int(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(object, key);
    double real;

    if (json_is_integer(value))
        return json_integer_value(value);
    real = json_real_value(value);
    if (json_is_real(value) && real >= -0x1p63 && real < 0x1p63 &&
        (double)(int64_t)real == real)
        return (int64_t)real;
    return otherwise;
}
