/*
 * http_progress - how far one HTTP call has come, without knowing curl.
 *
 *     http_progress_begin(&progress, &request, max_bytes);
 *     http_progress_connected(&progress, reused);  what curl reports,
 *     http_progress_header(&progress, line, len);  in this order
 *     http_progress_body(&progress, bytes, len);
 *     http_progress_end(&progress, outcome, reason);
 *     http_progress_alarm(&progress);              at any time
 *
 * Part of http, for http.c alone.  It says whether a request may be sent, reads
 * the header lines that matter, hands the response body to the caller's sink
 * and knows which clock runs out next.  It never allocates or waits.
 */
#ifndef CLIENT_HTTP_PROGRESS_H
#define CLIENT_HTTP_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "client/http.h"

/* Open because http.c embeds it; the fields are for reading. */
struct http_progress {
    http_sink sink;
    http_on_header on_header;
    void *arg;       /* borrowed */
    bool may_repeat; /* it asks for nothing that would be done twice */
    size_t max_bytes;
    int64_t connect_ms;
    int64_t first_byte_ms;
    int64_t idle_ms;
    int64_t deadline_mono_ms;

    int64_t started_mono_ms;
    int64_t last_read_mono_ms; /* 0 before the first body byte */
    int64_t last_said_mono_ms; /* 0 before HTTP_SINK_LAST */
    bool is_connected;
    bool had_first;            /* the sink said HTTP_SINK_FIRST */
    bool had_all_headers;      /* of the final response */
    size_t header_bytes;       /* of all responses, interim ones too */
    enum http_outcome verdict; /* why we refused to go on, or HTTP_PENDING */
    struct http_result result; /* what is known so far */
};

void http_progress_begin(struct http_progress *progress,
                         const struct http_request *request, size_t max_bytes);

/* The connection is there, its TLS handshake is over, and the request is about
 * to be sent.  When a kept connection turns out dead, curl wants to send it on
 * another one: -1 aborts the call, for a POST may have been read already.  Only
 * the first time is told by the result. */
int http_progress_connected(struct http_progress *progress,
                            bool is_reused) ATTR_MUST_CHECK;

/* One line, status and blank lines included, with or without its CRLF.
 * -1 aborts the call, and the verdict says why. */
int http_progress_header(struct http_progress *progress, const char *line,
                         size_t len) ATTR_MUST_CHECK;

int http_progress_body(struct http_progress *progress, const char *bytes,
                       size_t len) ATTR_MUST_CHECK;

struct http_alarm {
    int64_t at_mono_ms;
    enum http_outcome outcome;
};

/* The clock that runs out first if nothing more happens. */
struct http_alarm http_progress_alarm(const struct http_progress *progress);

/* Fixes the outcome; reason is borrowed. */
void http_progress_end(struct http_progress *progress,
                       enum http_outcome outcome, const char *reason);

/* What it amounts to when the connection broke at this point. */
enum http_outcome http_progress_broken(const struct http_progress *progress);

/* Our words for an end that curl has none for.  Never NULL. */
const char *http_outcome_text(enum http_outcome outcome);

#endif
