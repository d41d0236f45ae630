/*
 * sse.c - see sse.h.
 *
 * Every byte is looked at once when it arrives and once when its line is
 * whole, so splitting a stream differently changes neither items nor cost.
 */
#include "text/sse.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct field {
    const char *name;
    size_t name_len;
    const char *value; /* ends in the line's NUL */
    size_t len;
};

void
sse_parser_init(struct sse_parser *parser, const struct sse_limits *limits,
                sse_on_item on_item, void *arg)
{
    *parser = (struct sse_parser){ .on_item = on_item,
                                   .arg = arg,
                                   .limits = *limits };
    buf_init(&parser->line, limits->max_line_bytes);
    buf_init(&parser->data, limits->max_event_bytes);
    buf_init(&parser->raw, limits->max_raw_bytes);
}

void
sse_parser_close(struct sse_parser *parser)
{
    buf_close(&parser->line);
    buf_close(&parser->data);
    buf_close(&parser->raw);
}

static int
append(struct buf *buf, const char *bytes, size_t len, const char *what,
       struct err *err)
{
    return buf_error(buf, buf_append(buf, bytes, len), what, err);
}

/* ---- what a line means --------------------------------------------------- */

static int
emit(const struct sse_parser *parser, enum sse_kind kind, const char *data,
     size_t len, bool unfinished)
{
    const struct sse_item item = {
        .kind = kind,
        .name = kind == SSE_EVENT ? parser->name : "",
        .data = data,
        .len = len,
        .unfinished = unfinished,
    };

    return parser->on_item(parser->arg, &item);
}

/* A blank line, or the end of the stream. */
static int
finish_event(struct sse_parser *parser, bool unfinished)
{
    int rc = 0;

    if (parser->data.len > 0)
        rc = emit(parser, SSE_EVENT, parser->data.bytes, parser->data.len,
                  unfinished);
    buf_clear(&parser->data);
    parser->has_data = false;
    parser->name[0] = '\0';
    return rc;
}

static int
add_data(struct sse_parser *parser, const struct field *field, struct err *err)
{
    static const char what[] = "SSE event";

    if (parser->has_data && append(&parser->data, "\n", 1, what, err) == -1)
        return -1;
    parser->has_data = true;
    return append(&parser->data, field->value, field->len, what, err);
}

static bool
looks_like_json(const char *line)
{
    const char first = line[strspn(line, " \t")];

    return first != '\0' && strchr("{}[]\"", first) != NULL;
}

/* The tail is cut at its maximum: a failure report is short, and what is longer
 * cannot be parsed as one. */
static int
add_raw(struct sse_parser *parser, const char *line, size_t len,
        struct err *err)
{
    struct buf *raw = &parser->raw;
    const size_t room = raw->max_bytes - raw->len;

    if (len >= room)
        return append(raw, line, room, "raw lines", err);
    if (append(raw, line, len, "raw lines", err) == -1)
        return -1;
    return append(raw, "\n", 1, "raw lines", err);
}

static bool
is_named(const struct field *field, const char *name)
{
    return field->name_len == strlen(name) &&
           memcmp(field->name, name, field->name_len) == 0;
}

/* The standard's way: at the first colon, without one blank behind it. */
static struct field
split(const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    struct field field = { line, len, line + len, 0 };

    if (colon == NULL)
        return field;
    field.name_len = (size_t)(colon - line);
    field.value = colon + 1;
    if (*field.value == ' ')
        field.value++;
    field.len = (size_t)(line + len - field.value);
    return field;
}

static int
take_field(struct sse_parser *parser, const char *line, size_t len,
           bool unfinished, struct err *err)
{
    const struct field field = split(line, len);
    const bool was_in_raw = parser->in_raw;

    parser->in_raw = false;
    if (is_named(&field, "data"))
        return add_data(parser, &field, err);
    if (is_named(&field, ""))
        return emit(parser, SSE_COMMENT, field.value, field.len, unfinished);
    if (is_named(&field, "error"))
        return emit(parser, SSE_ERROR, field.value, field.len, unfinished);
    if (is_named(&field, "event"))
        snprintf(parser->name, sizeof(parser->name), "%s", field.value);
    else if (!is_named(&field, "id") && !is_named(&field, "retry"))
        parser->in_raw = was_in_raw || looks_like_json(line);
    return parser->in_raw ? add_raw(parser, line, len, err) : 0;
}

/* The line in the buffer is whole, or the stream has ended. */
static int
finish_line(struct sse_parser *parser, bool unfinished, struct err *err)
{
    const char *line = buf_cstr(&parser->line);
    size_t len = parser->line.len;
    int rc;

    if (!parser->begun && str_starts_with(line, BYTE_ORDER_MARK)) {
        line += strlen(BYTE_ORDER_MARK);
        len -= strlen(BYTE_ORDER_MARK);
    }
    parser->begun = true;
    if (len > 0) {
        rc = take_field(parser, line, len, unfinished, err);
    } else {
        parser->in_raw = false;
        rc = finish_event(parser, unfinished);
    }
    buf_clear(&parser->line);
    return rc;
}

/* ---- from bytes to lines ------------------------------------------------- */

static size_t
length_of_line(const char *bytes, size_t len)
{
    size_t i = 0;

    while (i < len && bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\0')
        i++;
    return i;
}

/* Takes what belongs to one line, and its end when that has come. */
static int
take_part(struct sse_parser *parser, const char *bytes, size_t len,
          size_t *taken, struct err *err)
{
    const size_t part = length_of_line(bytes, len);

    if (append(&parser->line, bytes, part, "SSE line", err) == -1)
        return -1;
    *taken = part;
    if (part == len)
        return 0;
    if (bytes[part] == '\0')
        return err_set(err, ERR_INVALID, "NUL byte in an SSE line");
    *taken = part + 1;
    parser->skip_lf = bytes[part] == '\r';
    return finish_line(parser, false, err);
}

int
sse_parser_feed(struct sse_parser *parser, const char *bytes, size_t len,
                struct err *err)
{
    while (len > 0) {
        const bool is_half_of_crlf = parser->skip_lf && *bytes == '\n';
        size_t taken = 1;

        parser->skip_lf = false;
        if (!is_half_of_crlf &&
            take_part(parser, bytes, len, &taken, err) == -1)
            return -1;
        bytes += taken;
        len -= taken;
    }
    return 0;
}

int
sse_parser_end(struct sse_parser *parser, struct err *err)
{
    if (parser->line.len > 0 && finish_line(parser, true, err) == -1)
        return -1;
    return finish_event(parser, true);
}

const struct buf *
sse_parser_raw_tail(const struct sse_parser *parser)
{
    return &parser->raw;
}

/* ---- writing ------------------------------------------------------------- */

static bool
is_one_line(const char *bytes, size_t len)
{
    return memchr(bytes, '\n', len) == NULL && memchr(bytes, '\r', len) == NULL;
}

enum buf_status
sse_begin_event(struct buf *out, const char *id, const char *event)
{
    assert(is_one_line(id, strlen(id)));
    assert(is_one_line(event, strlen(event)));
    return buf_printf(out, "id: %s\nevent: %s\ndata: ", id, event);
}

enum buf_status
sse_end_event(struct buf *out, size_t data_at)
{
    assert(is_one_line(out->bytes + data_at, out->len - data_at));
    return buf_append_str(out, "\n\n");
}
