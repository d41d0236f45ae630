/*
 * answer - one HTTP/1.1 response as it comes in, and when which event came.
 *
 *     answer_begin(&answer);
 *     used = answer_take(&answer, bytes, len, now_mono_us);   until whole
 *     answer_is_whole(&answer)
 *
 * An event is there when its data line is.  What the provider wrote into its
 * text as "sent_mono_us=" and sixteen digits is when it sent the answer that
 * the event carries.  Knows nothing of sockets and clocks.
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_HEAD_BYTES 8192
#define ANSWER_LINE_BYTES 65536 /* of a line; the rest of it is not looked at */

enum answer_event {
    ANSWER_PRELIMINARY,
    ANSWER_FINAL,
    ANSWER_DONE,
    ANSWER_ERROR,
    ANSWER_EVENT_COUNT, /* also: none of these */
};

enum answer_stage {
    ANSWER_HEAD,       /* up to the empty line */
    ANSWER_LENGTH,     /* `left` bytes of body */
    ANSWER_CHUNK_SIZE, /* a line in hexadecimal */
    ANSWER_CHUNK,      /* `left` bytes */
    ANSWER_CHUNK_END,  /* its CR LF */
    ANSWER_WHOLE,
    ANSWER_BAD, /* no HTTP, or a head too long */
};

/* Open because callers embed it; look, do not touch. */
struct answer {
    enum answer_stage stage;
    int status;
    bool is_last;      /* the server closes this connection afterwards */
    bool is_committed; /* `done` says that the record is durable */
    int64_t at_us[ANSWER_EVENT_COUNT];   /* when it came; 0: not yet */
    int64_t sent_us[ANSWER_EVENT_COUNT]; /* by the provider; 0: not said */
    size_t body_bytes;

    enum answer_event event; /* of the lines that come now */
    size_t left;
    size_t head_len;
    size_t line_len;
    char head[ANSWER_HEAD_BYTES];
    char line[ANSWER_LINE_BYTES];
};

const char *answer_event_name(enum answer_event event);

void answer_begin(struct answer *answer);

/* Returns how many bytes it used: fewer than len only at the end. */
size_t answer_take(struct answer *answer, const char *bytes, size_t len,
                   int64_t now_mono_us);

bool answer_is_whole(const struct answer *answer);
bool answer_is_bad(const struct answer *answer);

#endif
