/* buf.c - see buf.h. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define FIRST_CAPACITY 256

void
buf_init(struct buf *buf, size_t max_bytes)
{
    assert(max_bytes > 0);
    assert(max_bytes < SIZE_MAX / 4);
    *buf = (struct buf){ .max_bytes = max_bytes };
}

void
buf_close(struct buf *buf)
{
    free(buf->bytes);
    buf->bytes = NULL;
    buf->len = 0;
    buf->capacity = 0;
}

static enum buf_status
grow(struct buf *buf, size_t len)
{
    size_t capacity = buf->capacity;
    char *bytes;

    assert(buf->max_bytes > 0);
    if (len > buf->max_bytes - buf->len)
        return BUF_FULL;
    if (capacity == 0)
        capacity = FIRST_CAPACITY;
    while (capacity <= buf->len + len)
        capacity *= 2;
    if (capacity > buf->max_bytes + 1)
        capacity = buf->max_bytes + 1;
    bytes = realloc(buf->bytes, capacity);
    if (bytes == NULL)
        return BUF_NOMEM;
    buf->bytes = bytes;
    buf->capacity = capacity;
    return BUF_OK;
}

/* Room for len more bytes and the NUL.  A capacity is never above the maximum
 * and its NUL. */
static inline enum buf_status
make_room(struct buf *buf, size_t len)
{
    return len < buf->capacity - buf->len ? BUF_OK : grow(buf, len);
}

enum buf_status
buf_append(struct buf *buf, const void *bytes, size_t len)
{
    const enum buf_status status = make_room(buf, len);

    if (status != BUF_OK)
        return status;
    if (len > 0)
        memcpy(buf->bytes + buf->len, bytes, len);
    buf_commit(buf, len);
    return BUF_OK;
}

enum buf_status
buf_append_str(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

enum buf_status
buf_append_int(struct buf *buf, int64_t value)
{
    char text[STR_INT_SIZE];

    return buf_append(buf, text, str_from_int(value, text));
}

/* Most texts fit into the room there is, and are then made once. */
enum buf_status
buf_printf(struct buf *buf, const char *fmt, ...)
{
    const size_t room = buf->capacity - buf->len;
    enum buf_status status;
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(room > 0 ? buf->bytes + buf->len : NULL, room, fmt, args);
    va_end(args);
    if (len < 0)
        return BUF_NOMEM;
    if ((size_t)len >= room) {
        if (room > 0)
            buf->bytes[buf->len] = '\0';
        status = make_room(buf, (size_t)len);
        if (status != BUF_OK)
            return status;
        va_start(args, fmt);
        vsnprintf(buf->bytes + buf->len, (size_t)len + 1, fmt, args);
        va_end(args);
    }
    buf->len += (size_t)len;
    return BUF_OK;
}

char *
buf_reserve(struct buf *buf, size_t len)
{
    return make_room(buf, len) == BUF_OK ? buf->bytes + buf->len : NULL;
}

void
buf_commit(struct buf *buf, size_t len)
{
    assert(buf->len + len < buf->capacity);
    buf->len += len;
    buf->bytes[buf->len] = '\0';
}

void
buf_consume(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    if (len == 0)
        return;
    buf->len -= len;
    memmove(buf->bytes, buf->bytes + len, buf->len + 1);
}

void
buf_truncate(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    buf->len = len;
    if (buf->bytes != NULL)
        buf->bytes[len] = '\0';
}

void
buf_clear(struct buf *buf)
{
    buf_truncate(buf, 0);
}

void
buf_shrink(struct buf *buf, size_t keep_bytes)
{
    if (buf->capacity > keep_bytes)
        buf_close(buf);
    else
        buf_clear(buf);
}

const char *
buf_cstr(const struct buf *buf)
{
    return buf->bytes != NULL ? buf->bytes : "";
}

int
buf_error(const struct buf *buf, enum buf_status status, const char *what,
          struct err *err)
{
    switch (status) {
    case BUF_OK:
        return 0;
    case BUF_FULL:
        return err_set(err, ERR_LIMIT, "%s longer than %zu bytes", what,
                       buf->max_bytes);
    case BUF_NOMEM:
        break;
    }
    return err_set(err, ERR_NOMEM, "no memory for %s", what);
}
