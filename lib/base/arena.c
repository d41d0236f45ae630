/* arena.c - see arena.h. */
#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 8192
#define ALIGN       _Alignof(max_align_t)

struct arena_block {
    struct arena_block *next;
    size_t size; /* of bytes */
    size_t used;
    _Alignas(max_align_t) char bytes[];
};

void
arena_init(struct arena *arena, size_t max_bytes)
{
    assert(max_bytes >= BLOCK_BYTES);
    *arena = (struct arena){ .max_bytes = max_bytes };
}

static void
free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;

        free(block);
        block = next;
    }
}

void
arena_reset(struct arena *arena)
{
    struct arena_block *keep = arena->blocks;

    if (keep == NULL)
        return;
    if (keep->size != BLOCK_BYTES) {
        arena_close(arena);
        return;
    }
    free_blocks(keep->next);
    memset(keep->bytes, 0, keep->used);
    keep->next = NULL;
    keep->used = 0;
    arena->used_bytes = sizeof(*keep) + keep->size;
}

void
arena_close(struct arena *arena)
{
    free_blocks(arena->blocks);
    arena->blocks = NULL;
    arena->used_bytes = 0;
}

void
arena_wipe(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks; block != NULL;
         block = block->next)
        explicit_bzero(block->bytes, block->used);
}

static struct arena_block *
add_block(struct arena *arena, size_t len)
{
    const size_t size = len > BLOCK_BYTES ? len : BLOCK_BYTES;
    struct arena_block *block;

    if (size > arena->max_bytes - arena->used_bytes)
        return NULL;
    block = calloc(1, sizeof(*block) + size);
    if (block == NULL)
        return NULL;
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->used_bytes += sizeof(*block) + size;
    if (arena->used_bytes > arena->max_bytes)
        arena->used_bytes = arena->max_bytes;
    return block;
}

void *
arena_alloc(struct arena *arena, size_t len)
{
    struct arena_block *block = arena->blocks;
    void *memory;

    assert(arena->max_bytes > 0);
    if (len > arena->max_bytes)
        return NULL;
    len = (len + ALIGN - 1) / ALIGN * ALIGN;
    if (block == NULL || len > block->size - block->used)
        block = add_block(arena, len);
    if (block == NULL)
        return NULL;
    memory = block->bytes + block->used;
    block->used += len;
    return memory;
}

char *
arena_strndup(struct arena *arena, const char *bytes, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);

    if (copy != NULL && len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

char *
arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *
arena_printf(struct arena *arena, const char *fmt, ...)
{
    char *text;
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        return NULL;
    text = arena_alloc(arena, (size_t)len + 1);
    if (text == NULL)
        return NULL;
    va_start(args, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, args);
    va_end(args);
    return text;
}
