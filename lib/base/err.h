/*
 * err - what went wrong, told by the function that saw it first.
 *
 * A fallible function takes a struct err last and returns -1 or NULL.  Only
 * the first error is kept, so that clean-up which fails later cannot hide the
 * cause; NULL means the caller does not want to know.  Begin with
 * struct err err = { 0 }.  The kind says what the caller should do next, not
 * where it happened.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/attr.h"

enum err_kind {
    ERR_NONE = 0,
    ERR_NOMEM,   /* an allocation failed */
    ERR_SYSTEM,  /* a system call or library failed; later it may work */
    ERR_LIMIT,   /* a configured maximum was reached */
    ERR_INVALID, /* the input is wrong; trying again will not help */
};

struct err {
    enum err_kind kind;
    char text[240]; /* one line, no trailing newline or full stop */
};

/* Keeps the first error.  Always returns -1. */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
    ATTR_PRINTF(3, 4);

/* The same, followed by ": " and the words for errno. */
int err_set_errno(struct err *err, enum err_kind kind, const char *fmt, ...)
    ATTR_PRINTF(3, 4);

/* Puts "where: " in front of an error that is set; does nothing otherwise. */
void err_prefix(struct err *err, const char *fmt, ...) ATTR_PRINTF(2, 3);

#endif
