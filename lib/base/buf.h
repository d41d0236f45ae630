/*
 * buf - bytes that grow, up to a maximum fixed at birth.
 *
 *     struct buf b;
 *     buf_init(&b, max_bytes);            never fails, allocates nothing
 *     buf_append(&b, bytes, len);
 *     buf_close(&b);                      repeatable
 *
 * The content is always followed by a NUL that is not counted, so that it can
 * be read as a string when it holds none itself.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum buf_status {
    BUF_OK = 0,
    BUF_FULL,  /* it would pass max_bytes; nothing was added */
    BUF_NOMEM, /* an allocation failed; nothing was added */
};

/* Open because callers embed it; look at bytes and len, change neither. */
struct buf {
    char *bytes; /* owned; NULL while nothing was ever added */
    size_t len;
    size_t capacity;
    size_t max_bytes;
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_close(struct buf *buf);

enum buf_status buf_append(struct buf *buf, const void *bytes,
                           size_t len) ATTR_MUST_CHECK;
enum buf_status buf_append_str(struct buf *buf,
                               const char *text) ATTR_MUST_CHECK;
enum buf_status buf_append_int(struct buf *buf, int64_t value) ATTR_MUST_CHECK;
enum buf_status buf_printf(struct buf *buf, const char *fmt, ...)
    ATTR_PRINTF(2, 3) ATTR_MUST_CHECK;

/* Makes room for len more bytes and returns where they go, or NULL; write
 * there, then buf_commit() what was written. */
char *buf_reserve(struct buf *buf, size_t len) ATTR_MUST_CHECK;
void buf_commit(struct buf *buf, size_t len);

/* Drops the first len bytes, moving the rest to the front. */
void buf_consume(struct buf *buf, size_t len);

/* Keeps only the first len bytes, which are not more than there are. */
void buf_truncate(struct buf *buf, size_t len);

/* Forgets the content and keeps the memory. */
void buf_clear(struct buf *buf);

/* Forgets the content, and the memory too when it is above keep_bytes. */
void buf_shrink(struct buf *buf, size_t keep_bytes);

/* Never NULL. */
const char *buf_cstr(const struct buf *buf);

/* What status means for a buf that is to hold such and such: 0 for BUF_OK, else
 * -1 with ERR_LIMIT or ERR_NOMEM. */
int buf_error(const struct buf *buf, enum buf_status status, const char *what,
              struct err *err) ATTR_MUST_CHECK;

#endif
