/* err.c - see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void ATTR_PRINTF(3, 0)
    format(struct err *err, enum err_kind kind, const char *fmt, va_list args)
{
    err->kind = kind;
    vsnprintf(err->text, sizeof(err->text), fmt, args);
}

int
err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    va_list args;

    if (err == NULL || err->kind != ERR_NONE)
        return -1;
    va_start(args, fmt);
    format(err, kind, fmt, args);
    va_end(args);
    return -1;
}

int
err_set_errno(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    const int saved = errno;
    va_list args;
    size_t len;

    if (err == NULL || err->kind != ERR_NONE)
        return -1;
    va_start(args, fmt);
    format(err, kind, fmt, args);
    va_end(args);
    len = strlen(err->text);
    snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(saved));
    errno = saved;
    return -1;
}

void
err_prefix(struct err *err, const char *fmt, ...)
{
    char tail[sizeof(err->text)];
    va_list args;
    size_t len;

    if (err == NULL || err->kind == ERR_NONE)
        return;
    memcpy(tail, err->text, sizeof(tail));
    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    len = strlen(err->text);
    snprintf(err->text + len, sizeof(err->text) - len, ": %s", tail);
}
