/*
 * resolve - host names to addresses, not later than a deadline.
 *
 *     resolve = resolve_start(name, &err);
 *     resolve_wait(resolve, deadline, &err);      as often as needed
 *     resolve_address(resolve, i, text);
 *     resolve_free(resolve);
 *
 * getaddrinfo(3) waits for as long as the name servers are configured to stay
 * silent, so it runs in a thread of the C library's.  Start it after fork(2).
 */
#ifndef SYS_RESOLVE_H
#define SYS_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define RESOLVE_TEXT_LEN 80 /* an IPv6 address with its scope, and a NUL */

struct resolve;

/* name is copied.  NULL on ERR_NOMEM, ERR_SYSTEM. */
struct resolve *resolve_start(const char *name,
                              struct err *err) ATTR_MUST_CHECK;

/* How many addresses there are, at least 1; 0 when the deadline came first and
 * the lookup goes on; -1 on ERR_SYSTEM when there are none. */
int resolve_wait(struct resolve *resolve, int64_t deadline_mono_ms,
                 struct err *err) ATTR_MUST_CHECK;

/* The address of this index as numbers; "" beyond the last. */
void resolve_address(const struct resolve *resolve, size_t index,
                     char text[RESOLVE_TEXT_LEN]);

/* A lookup that goes on keeps its memory.  NULL is fine. */
void resolve_free(struct resolve *resolve);

#endif
