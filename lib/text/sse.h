/*
 * sse - server-sent events (HTML Living Standard, section 9.2), both ways.
 *
 *     sse_parser_init(&p, &limits, on_item, arg);
 *     sse_parser_feed(&p, bytes, len, &err);     per network read
 *     sse_parser_end(&p, &err);                  once, at end of stream
 *     sse_parser_close(&p);
 *
 * Lines end in LF, CR or CRLF, also when a read splits CR from LF.  One byte
 * order mark is skipped at the start.  A last line or event without its line
 * end is delivered by sse_parser_end() (llama.cpp ends "data: [DONE]" so), with
 * `unfinished` set, because it may also have been cut.
 *
 * Google reports a failure in mid-stream as raw JSON lines without "data:".
 * Lines that are no field the standard knows and look like, or continue, JSON
 * are collected; sse_parser_raw_tail() shows them after the end.
 *
 * An event whose data is empty is ignored, as are id, retry and unknown fields.
 * After a failure only sse_parser_close() makes sense.
 */
#ifndef TEXT_SSE_H
#define TEXT_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

enum sse_kind {
    SSE_EVENT,   /* data (lines joined by LF) and name ("" when none) */
    SSE_COMMENT, /* a line that began with a colon: a sign of life */
    SSE_ERROR,   /* an "error:" field, as llama.cpp sends; data is its value */
};

/* Borrowed from the parser during the call. */
struct sse_item {
    enum sse_kind kind;
    const char *name; /* at most 63 bytes of it */
    const char *data; /* followed by a NUL */
    size_t len;
    bool unfinished;
};

/* Returns 0, or -1 to stop: sse_parser_feed() then returns -1 too. */
typedef int (*sse_on_item)(void *arg, const struct sse_item *item);

struct sse_limits {
    size_t max_line_bytes;
    size_t max_event_bytes;
    size_t max_raw_bytes; /* more raw tail than this is dropped */
};

/* Open because callers embed it; touch nothing inside. */
struct sse_parser {
    sse_on_item on_item;
    void *arg;
    struct sse_limits limits;
    struct buf line;
    struct buf data;
    struct buf raw;
    char name[64];
    bool has_data;
    bool in_raw; /* the line before went to the raw tail */
    bool begun;
    bool skip_lf;
};

void sse_parser_init(struct sse_parser *parser, const struct sse_limits *limits,
                     sse_on_item on_item, void *arg);
void sse_parser_close(struct sse_parser *parser);

/* -1 on ERR_LIMIT (line or event too long), ERR_NOMEM, ERR_INVALID (a NUL byte
 * in a line), or when on_item said stop (err then untouched).  Time is linear
 * in len however it is split. */
int sse_parser_feed(struct sse_parser *parser, const char *bytes, size_t len,
                    struct err *err) ATTR_MUST_CHECK;
int sse_parser_end(struct sse_parser *parser, struct err *err) ATTR_MUST_CHECK;

/* Borrowed; may be empty. */
const struct buf *sse_parser_raw_tail(const struct sse_parser *parser);

/* One frame: id and event, then the caller appends one line of data, then its
 * end.  data_at is where the data begins.  None of the three holds CR or LF
 * (JSON on one line never does), which is asserted. */
enum buf_status sse_begin_event(struct buf *out, const char *id,
                                const char *event) ATTR_MUST_CHECK;
enum buf_status sse_end_event(struct buf *out, size_t data_at) ATTR_MUST_CHECK;

#endif
