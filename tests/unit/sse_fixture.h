/*
 * sse_fixture - what a parser makes of a stream, as one line of text, however
 * the stream is cut.
 */
#ifndef SSE_FIXTURE_H
#define SSE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/sse.h"

/* A literal as bytes and length, without its last NUL. */
#define BYTES(literal) literal, sizeof(literal) - 1

static const struct sse_limits limits = {
    .max_line_bytes = 8 * 1024 * 1024,
    .max_event_bytes = 16 * 1024 * 1024,
    .max_raw_bytes = 64 * 1024,
};

/* Writes an item as one word: (name|data), #comment#, !error!; a ~ behind it
 * when it is unfinished. */
static inline int
record(void *arg, const struct sse_item *item)
{
    struct buf *seen = arg;
    const char *open = item->kind == SSE_EVENT     ? "("
                       : item->kind == SSE_COMMENT ? "#"
                                                   : "!";
    const char *close = item->kind == SSE_EVENT ? ")" : open;

    assert_int_equal(item->data[item->len], '\0');
    assert_int_equal(buf_append_str(seen, open), BUF_OK);
    assert_int_equal(buf_append_str(seen, item->name), BUF_OK);
    if (item->kind == SSE_EVENT)
        assert_int_equal(buf_append_str(seen, "|"), BUF_OK);
    assert_int_equal(buf_append(seen, item->data, item->len), BUF_OK);
    assert_int_equal(buf_append_str(seen, close), BUF_OK);
    if (item->unfinished)
        assert_int_equal(buf_append_str(seen, "~"), BUF_OK);
    return 0;
}

/* Feeds the stream in pieces of the length that next_piece() tells, and adds
 * the raw tail in angle brackets. */
static inline void
read_in_pieces(const char *bytes, size_t len, size_t (*next_piece)(void),
               struct buf *seen)
{
    struct sse_parser parser;

    sse_parser_init(&parser, &limits, record, seen);
    while (len > 0) {
        size_t piece = next_piece();
        char *copy;

        if (piece > len)
            piece = len;
        copy = malloc(piece); /* so that sanitizers see an over-read */
        assert_non_null(copy);
        memcpy(copy, bytes, piece);
        assert_int_equal(sse_parser_feed(&parser, copy, piece, NULL), 0);
        free(copy);
        bytes += piece;
        len -= piece;
    }
    assert_int_equal(sse_parser_end(&parser, NULL), 0);
    if (sse_parser_raw_tail(&parser)->len > 0)
        assert_int_equal(
            buf_printf(seen, "<%s>", buf_cstr(sse_parser_raw_tail(&parser))),
            BUF_OK);
    sse_parser_close(&parser);
}

static inline size_t
all_at_once(void)
{
    return SIZE_MAX;
}

static inline size_t
byte_by_byte(void)
{
    return 1;
}

static inline size_t
one_to_nine(void)
{
    return 1 + (size_t)rand() % 9;
}

static inline void
assert_reads(const char *bytes, size_t len, const char *want)
{
    static size_t (*const ways[])(void) = { all_at_once, byte_by_byte,
                                            one_to_nine };

    srand(1);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct buf seen;

        buf_init(&seen, 1000000);
        read_in_pieces(bytes, len, ways[i], &seen);
        assert_string_equal(buf_cstr(&seen), want);
        buf_close(&seen);
    }
}

static inline int
ignore(void *arg, const struct sse_item *item)
{
    size_t *count = arg;

    (void)item;
    ++*count;
    return 0;
}

#endif
