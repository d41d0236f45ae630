/*
 * reply_cases - feed one provider response to a dialect in every kind of
 * piece, and compare what it amounts to.  For cmocka tests.
 */
#ifndef SUPPORT_REPLY_CASES_H
#define SUPPORT_REPLY_CASES_H

#include <stddef.h>
#include <stdint.h>

#include "client/http.h"
#include "model/dialect.h"
#include "model/failure.h"
#include "model/reply.h"

#define REPLY_CASES_MAX_TEXT (1u << 20)

struct reply_case {
    const char *name; /* shown when it fails */
    const char *bytes;
    size_t len;                  /* 0: strlen(bytes) */
    long status;                 /* 0: 200; -1: none arrived */
    enum http_outcome transport; /* HTTP_PENDING: HTTP_DONE */

    enum model_outcome outcome;
    enum failure failure;
    const char *text;                /* NULL: "" */
    const char *finish;              /* NULL: "" */
    const struct model_usage *usage; /* NULL: any */
    const char *marks; /* NULL: any; else all of "cleaned thinks trails renamed
                        * unclean" that hold, in this order */
};

/* How a stream is cut into pieces. */
struct reply_case_split {
    const char *how;  /* shown when it fails */
    size_t max_piece; /* 0: one piece; 1: byte by byte */
    size_t first;     /* length of the first piece, when not 0 */
    uint32_t seed;    /* not 0: pieces of random lengths up to max_piece */
};

void reply_case_run_split(const struct dialect *dialect,
                          const struct reply_case *c,
                          struct reply_case_split split);

/* In one piece, byte by byte, and in 40 random splits.  A case that is
 * cancelled (outcome MODEL_CANCELLED) is never told its end. */
void reply_case_run(const struct dialect *dialect, const struct reply_case *c);

/* Feeds the bytes whole into reply, which the caller closes. */
struct reply_verdict reply_case_feed(struct reply *reply,
                                     const struct dialect *dialect,
                                     const char *bytes);

/* Damages the bytes count times in random ways, from a fixed seed, and feeds
 * each: whatever comes out, its text is clean and its verdict is in range. */
void reply_case_mutate(const struct dialect *dialect, const char *bytes,
                       size_t count);

#endif
