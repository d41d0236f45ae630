/* http_fixture.c - see http_fixture.h. */
#include "support/http_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

struct http_fixture fixture;

int
http_fixture_begin_group(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return http_global_init(NULL);
}

int
http_fixture_end_group(void **state)
{
    (void)state;
    http_global_cleanup();
    return 0;
}

void
http_fixture_open(const struct fake_route *routes)
{
    const struct http_limits limits = { 2, 4 * MEGABYTE, false };

    fixture.server = fake_http_start(routes);
    fixture.seen = fake_http_seen(fixture.server);
    fixture.http = http_new(&limits, NULL);
    assert_non_null(fixture.http);
}

void
http_fixture_close(void)
{
    http_free(fixture.http);
    fake_http_stop(fixture.server);
    fixture = (struct http_fixture){ 0 };
}

/* ---- one call ----------------------------------------------------------- */

static enum http_sink_status
sink(void *arg, const char *bytes, size_t len)
{
    struct http_reader *reader = arg;

    if (reader->first_mono_ms == 0)
        reader->first_mono_ms = clock_mono_ms();
    reader->bytes = realloc(reader->bytes, reader->len + len + 1);
    assert_non_null(reader->bytes);
    memcpy(reader->bytes + reader->len, bytes, len);
    reader->len += len;
    reader->bytes[reader->len] = '\0';
    return reader->answer;
}

static void
on_header(void *arg, const char *line, size_t len)
{
    struct http_reader *reader = arg;

    assert_true(strlen(reader->headers) + len + 2 <= sizeof(reader->headers));
    strncat(reader->headers, line, len);
    strcat(reader->headers, "|");
}

void
http_reader_close(struct http_reader *reader)
{
    free(reader->bytes);
    *reader = (struct http_reader){ 0 };
}

struct http_request
http_fixture_request(const char *path, struct http_request request,
                     struct http_reader *reader)
{
    fake_http_url(fixture.server, path, reader->url);
    if (request.url == NULL)
        request.url = reader->url;
    if (request.deadline_mono_ms == 0)
        request.deadline_mono_ms = clock_mono_ms() + 20000;
    request.sink = sink;
    request.on_header = on_header;
    request.arg = reader;
    return request;
}

struct http_call *
http_fixture_start(const char *path, struct http_request request,
                   struct http_reader *reader)
{
    struct http_call *call;

    request = http_fixture_request(path, request, reader);
    reader->started_mono_ms = clock_mono_ms();
    call = http_start(fixture.http, &request, NULL);
    assert_non_null(call);
    return call;
}

void
http_fixture_finish(const struct http_call *call)
{
    while (!http_call_is_done(call))
        assert_int_equal(http_turn(fixture.http, NULL, 0, INT64_MAX, NULL), 0);
}

struct http_result
http_fixture_fetch(const char *path, struct http_request request,
                   struct http_reader *reader)
{
    struct http_call *call = http_fixture_start(path, request, reader);
    struct http_result result;

    http_fixture_finish(call);
    reader->took_ms = clock_mono_ms() - reader->started_mono_ms;
    result = http_call_result(call);
    snprintf(reader->reason, sizeof(reader->reason), "%s", result.reason);
    result.reason = reader->reason;
    http_call_free(call);
    return result;
}

enum http_outcome
http_fixture_outcome(const char *path, struct http_request request)
{
    struct http_reader reader = { .answer = HTTP_SINK_FIRST };
    const struct http_result result =
        http_fixture_fetch(path, request, &reader);

    http_reader_close(&reader);
    return result.outcome;
}
