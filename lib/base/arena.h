/*
 * arena - memory that dies with the request.
 *
 *     struct arena a;
 *     arena_init(&a, max_bytes);          once per worker
 *     arena_strdup(&a, text);             as often as needed
 *     arena_reset(&a);                    after each request
 *     arena_close(&a);                    repeatable
 *
 * Everything an arena hands out is borrowed until its reset.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/attr.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used_bytes;          /* in all blocks, headers included */
    size_t max_bytes;
};

void arena_init(struct arena *arena, size_t max_bytes);

/* Frees all but one ordinary block, which the next request finds warm. */
void arena_reset(struct arena *arena);
void arena_close(struct arena *arena);

/* Overwrites what it has handed out, which held secrets; then close it. */
void arena_wipe(struct arena *arena);

/* Zeroed and fit for any type.  NULL when the maximum or memory is reached. */
void *arena_alloc(struct arena *arena, size_t len) ATTR_MUST_CHECK;

char *arena_strdup(struct arena *arena, const char *text) ATTR_MUST_CHECK;
char *arena_strndup(struct arena *arena, const char *bytes,
                    size_t len) ATTR_MUST_CHECK;
char *arena_printf(struct arena *arena, const char *fmt, ...)
    ATTR_PRINTF(2, 3) ATTR_MUST_CHECK;

#endif
