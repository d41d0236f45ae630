/*
 * http - HTTP requests side by side on one curl multi handle.
 *
 *     http = http_new(&limits, &err);             once per worker, after fork
 *     call = http_start(http, &request, &err);    per request
 *     http_turn(http, extra, n, until_mono_ms, &err);   until calls are done
 *     http_call_result(call) ...
 *     http_call_free(call);                       also cancels it
 *     http_free(http);
 *
 * The multi handle keeps connections and TLS sessions, so it lives as long as
 * the worker.  A slow, broken or oversized upstream is a result, not an error:
 * http_turn() fails only when curl or memory fails us.
 *
 * What curl 7.88 needs and gets: own deadlines for each phase (its idle
 * detection is seconds late), QUICK_EXIT (a DNS stall would freeze the
 * other call), a veto before a request goes out for the second time (so that
 * a POST is never sent twice behind our back), HTTP/1.1 by default (its
 * HTTP/2 reports cut streams as whole, and does not tell a peer that its stream
 * was given up), no "Expect:", no redirects, no proxy from the environment,
 * http and https only, one shared certificate store.
 *
 * http_global_init() is called once per process tree, before the first fork;
 * it also warms the TLS stack up so that children share those pages.  The
 * program ignores SIGPIPE.  Callbacks run inside http_turn() and may call only
 * http_call_result().  This module does not log, exit or fork.
 */
#ifndef CLIENT_HTTP_H
#define CLIENT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define HTTP_MAX_EXTRA 16 /* descriptors that one turn can watch besides */

struct http;
struct http_call;

int http_global_init(struct err *err) ATTR_MUST_CHECK;
void http_global_cleanup(void);

struct http_limits {
    size_t max_calls;          /* in flight at once */
    size_t max_response_bytes; /* per call */
    bool http2;                /* otherwise HTTP/1.1 */
};

/* What the sink says about the bytes it was given. */
enum http_sink_status {
    HTTP_SINK_MORE,  /* fine; nothing of substance yet (a comment, say) */
    HTTP_SINK_FIRST, /* fine, and the first-byte clock may stop */
    HTTP_SINK_LAST,  /* the same, and all is said: the response has a second to
                      * end, so that its connection is kept; after that the
                      * outcome is HTTP_TIMEOUT_IDLE */
    HTTP_SINK_STOP,  /* abort the transfer: outcome HTTP_STOPPED */
};

/* Called from http_turn() with body bytes of any size, not NUL-terminated. */
typedef enum http_sink_status (*http_sink)(void *arg, const char *bytes,
                                           size_t len);

/* Called for each "Name: value" line of the final response, without CRLF; not
 * for the status line, 1xx responses and trailers.  May be NULL. */
typedef void (*http_on_header)(void *arg, const char *line, size_t len);

/* url and headers are copied; body and arg are borrowed until the call is
 * freed.  All times are milliseconds; 0 means none, save the deadline. */
struct http_request {
    const char *url;
    const char *const *headers; /* "Name: value" lines, then NULL; or NULL */
    const char *body;           /* NULL for GET, else POST */
    size_t body_len;
    int64_t connect_ms;       /* name, TCP and TLS together */
    int64_t first_byte_ms;    /* from start to HTTP_SINK_FIRST */
    int64_t idle_ms;          /* between any two reads of body bytes */
    int64_t deadline_mono_ms; /* for all of it; must be set */
    http_sink sink;
    http_on_header on_header;
    void *arg;
};

enum http_outcome {
    HTTP_PENDING = 0,
    HTTP_DONE, /* a response ended as curl sees it; look at status */
    HTTP_TIMEOUT_CONNECT,
    HTTP_TIMEOUT_FIRST,
    HTTP_TIMEOUT_IDLE,
    HTTP_TIMEOUT_TOTAL,
    HTTP_STOPPED, /* the sink said stop */
    HTTP_TOO_LARGE,
    HTTP_CUT,             /* the connection broke after the response began */
    HTTP_CONNECTION_LOST, /* it broke before a byte of response */
    HTTP_UNREACHABLE,     /* name, refused, network */
    HTTP_TLS_FAILED,
};

/* While the call is pending, status and body_bytes already say what is known so
 * far. */
struct http_result {
    enum http_outcome outcome;
    long status; /* 0 when no status line arrived */
    size_t body_bytes;
    bool reused;        /* it began on a kept connection */
    const char *reason; /* never NULL; curl's words, without URL secrets */
};

/* An extra descriptor to watch in the same poll(2).  events and revents as in
 * poll(2), save that a hang-up or an error shows as POLLIN, asked for or not:
 * drop the descriptor once it said so, or every turn returns at once.  It must
 * be open; -1 is skipped. */
struct http_fd {
    int fd;
    short events;
    short revents; /* set by http_turn(), 0 when nothing happened */
};

struct http *http_new(const struct http_limits *limits,
                      struct err *err) ATTR_MUST_CHECK;
void http_free(struct http *http);

/* The call is owned; give it back with http_call_free() before http_free().
 * ERR_LIMIT when max_calls are running. */
struct http_call *http_start(struct http *http,
                             const struct http_request *request,
                             struct err *err) ATTR_MUST_CHECK;

/* One turn of the loop: let transfers work, expire clocks, and wait for
 * something to happen, at most until until_mono_ms.  Returns as soon as
 * a call made progress, an extra descriptor is ready or a signal came. */
int http_turn(struct http *http, struct http_fd *extra, size_t extra_count,
              int64_t until_mono_ms, struct err *err) ATTR_MUST_CHECK;

bool http_call_is_done(const struct http_call *call);
struct http_result http_call_result(const struct http_call *call);

/* Aborts it when it still runs: its connection is closed at once.  NULL is
 * fine. */
void http_call_free(struct http_call *call);

#endif
