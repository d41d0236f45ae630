/*
 * provider - how the two models' providers have been doing, for all processes.
 *
 *     provider_init(&err)                 in the master, before the first fork
 *     provider_note(role, error_class)    after each call
 *     provider_look(role)
 *     provider_hint(error_class)
 *
 * A success clears the error and its count; a failure adds one.  Before
 * provider_init(), as in unit tests, noting does nothing.
 */
#ifndef GUARD_PROVIDER_H
#define GUARD_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define PROVIDER_ROLES     2
#define PROVIDER_CLASS_LEN 32 /* with the NUL */

int provider_init(struct err *err) ATTR_MUST_CHECK;

/* error_class is "" for a success.  Anything longer than PROVIDER_CLASS_LEN is
 * cut.  True when the call before ended otherwise: worth telling once. */
bool provider_note(size_t role, const char *error_class);

/* What an operator can do about an error class, or NULL: nothing but wait. */
const char *provider_hint(const char *error_class);

struct provider_view {
    bool initialized;  /* false: the last call was not let in (key, model) */
    bool worth_trying; /* that, or so long ago that it may have been mended */
    char last_error[PROVIDER_CLASS_LEN]; /* "" after a success */
    int64_t last_attempt_unix_us;        /* 0: none yet */
    uint64_t failure_count;              /* since the last success */
};

struct provider_view provider_look(size_t role);

/* A new configuration: what the old one met says nothing any more. */
void provider_forget(void);

#endif
