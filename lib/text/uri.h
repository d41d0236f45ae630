/*
 * uri - the little of RFC 3986 that a request line needs.
 */
#ifndef TEXT_URI_H
#define TEXT_URI_H

#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"

/* The value of name in "a=1&b=2", percent- and plus-decoded, from the arena;
 * NULL when absent or when a decoded byte would be NUL or an escape is bad. */
const char *uri_query_get(const char *query, const char *name,
                          struct arena *arena) ATTR_MUST_CHECK;

/* The path of a request target, without query, percent-decoded, from the arena.
 * NULL when it does not begin with / or an escape is bad or means NUL. */
const char *uri_path(const char *target, struct arena *arena) ATTR_MUST_CHECK;

#endif
