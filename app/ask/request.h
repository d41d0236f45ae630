/*
 * request - the body of POST /api/reasoning/query, checked.
 */
#ifndef ASK_REQUEST_H
#define ASK_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "ask/vocab.h"
#include "base/attr.h"

struct request_limits {
    size_t max_query_chars;
    enum vocab_words default_words;
};

/* Strings are borrowed from root, which is owned. */
struct request {
    json_t *root;
    const char *query;
    size_t query_len;
    json_t *context;  /* an object with members, or NULL */
    const char *user; /* NULL when not named */
    enum vocab_words words;
    bool outlives_client; /* on_disconnect is "continue" */
    bool cleaned;         /* something in it had to become U+FFFD */
};

/* Why a request is turned away. */
struct request_fault {
    int status;       /* 400 or 422; 500 when memory is short */
    const char *code; /* such as missing_query */
    const char *text; /* fixed, fit for the client */
};

/* query_events is the events= of the query string, or NULL; the member wins.
 * Returns 0, or -1 with fault filled and nothing to close. */
int request_parse(struct request *request, const char *body, size_t len,
                  const char *query_events, const struct request_limits *limits,
                  struct request_fault *fault) ATTR_MUST_CHECK;

void request_close(struct request *request); /* repeatable */

#endif
