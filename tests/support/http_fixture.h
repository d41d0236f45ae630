/*
 * http_fixture - one http and one fake server, for tests that make calls.
 *
 *     http_fixture_open(routes);                     per test, group set up
 *     result = http_fixture_fetch("/path", request, &reader);
 *     http_reader_close(&reader);
 *     http_fixture_close();
 *
 * Whatever fails here fails the running cmocka test.
 */
#ifndef SUPPORT_HTTP_FIXTURE_H
#define SUPPORT_HTTP_FIXTURE_H

#include <stddef.h>

#include "client/http.h"
#include "support/fake_http.h"

#define MEGABYTE (1024 * 1024)

/* How late a time-out may be noticed on a busy machine.  Which of the limits
 * it was, the outcome says. */
#define LATE_MS 5000

/* Where the callbacks put things, and what the sink answers. */
struct http_reader {
    enum http_sink_status answer;
    char *bytes; /* owned; NULL or a string */
    size_t len;
    char headers[256]; /* each followed by "|" */
    char url[FAKE_URL_LEN];
    int64_t started_mono_ms;
    int64_t first_mono_ms; /* of body bytes; 0: none came */
    int64_t took_ms;       /* of http_fixture_fetch(), as is reason */
    char reason[256];
};

void http_reader_close(struct http_reader *reader);

struct http_fixture {
    struct fake_http *server;
    const struct fake_seen *seen;
    struct http *http; /* two calls at once, four megabytes each */
};

extern struct http_fixture fixture;

void http_fixture_open(const struct fake_route *routes);
void http_fixture_close(void);

/* For cmocka's groups. */
int http_fixture_begin_group(void **state);
int http_fixture_end_group(void **state);

/* The request with the callbacks, and, where they are missing, a url of the
 * server with this path and a deadline in twenty seconds. */
struct http_request http_fixture_request(const char *path,
                                         struct http_request request,
                                         struct http_reader *reader);

struct http_call *http_fixture_start(const char *path,
                                     struct http_request request,
                                     struct http_reader *reader);

void http_fixture_finish(const struct http_call *call);

/* Runs one call to its end.  The texts of the result are in the reader. */
struct http_result http_fixture_fetch(const char *path,
                                      struct http_request request,
                                      struct http_reader *reader);

/* The same when only the outcome matters; the sink says HTTP_SINK_FIRST. */
enum http_outcome http_fixture_outcome(const char *path,
                                       struct http_request request);

#endif
