/* jsonw.c - see jsonw.h. */
#include "text/jsonw.h"

#include <string.h>

#include "text/json.h"

void
jsonw_init(struct jsonw *writer, struct buf *out)
{
    *writer = (struct jsonw){ .out = out };
}

bool
jsonw_failed(const struct jsonw *writer)
{
    return writer->failed;
}

static void
put(struct jsonw *writer, const char *text)
{
    if (!writer->failed)
        writer->failed = buf_append_str(writer->out, text) != BUF_OK;
}

/* What stands before every value: a comma after the one before, its name. */
static void
lead(struct jsonw *writer, const char *name)
{
    const size_t name_len = name != NULL ? strlen(name) : 0;
    const size_t most = name_len + strlen(",\"\":");
    char *room = writer->failed ? NULL : buf_reserve(writer->out, most);
    char *at = room;

    writer->failed = room == NULL;
    if (writer->failed)
        return;
    if (writer->needs_comma)
        *at++ = ',';
    writer->needs_comma = true;
    if (name != NULL) {
        *at++ = '"';
        at = mempcpy(at, name, name_len);
        *at++ = '"';
        *at++ = ':';
    }
    buf_commit(writer->out, (size_t)(at - room));
}

static void
open_with(struct jsonw *writer, const char *name, const char *bracket)
{
    lead(writer, name);
    put(writer, bracket);
    writer->needs_comma = false;
}

static void
close_with(struct jsonw *writer, const char *bracket)
{
    put(writer, bracket);
    writer->needs_comma = true;
}

void
jsonw_object(struct jsonw *writer, const char *name)
{
    open_with(writer, name, "{");
}

void
jsonw_end_object(struct jsonw *writer)
{
    close_with(writer, "}");
}

void
jsonw_array(struct jsonw *writer, const char *name)
{
    open_with(writer, name, "[");
}

void
jsonw_end_array(struct jsonw *writer)
{
    close_with(writer, "]");
}

void
jsonw_bytes(struct jsonw *writer, const char *name, const char *bytes,
            size_t len)
{
    lead(writer, name);
    if (!writer->failed)
        writer->failed = json_append_string(writer->out, bytes, len) != BUF_OK;
}

void
jsonw_string(struct jsonw *writer, const char *name, const char *text)
{
    if (text == NULL)
        jsonw_null(writer, name);
    else
        jsonw_bytes(writer, name, text, strlen(text));
}

void
jsonw_int(struct jsonw *writer, const char *name, int64_t value)
{
    lead(writer, name);
    if (!writer->failed)
        writer->failed = buf_append_int(writer->out, value) != BUF_OK;
}

void
jsonw_count(struct jsonw *writer, const char *name, int64_t value)
{
    if (value < 0)
        jsonw_null(writer, name);
    else
        jsonw_int(writer, name, value);
}

void
jsonw_bool(struct jsonw *writer, const char *name, bool value)
{
    lead(writer, name);
    put(writer, value ? "true" : "false");
}

void
jsonw_null(struct jsonw *writer, const char *name)
{
    lead(writer, name);
    put(writer, "null");
}

void
jsonw_raw(struct jsonw *writer, const char *name, const char *json, size_t len)
{
    lead(writer, name);
    if (!writer->failed)
        writer->failed = buf_append(writer->out, json, len) != BUF_OK;
}
