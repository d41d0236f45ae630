/* http_progress.c - see http_progress.h. */
#include "client/http_progress.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"

#define MAX_HEADER_BYTES 65536
#define AFTER_LAST_MS    1000

void
http_progress_begin(struct http_progress *progress,
                    const struct http_request *request, size_t max_bytes)
{
    assert(request->sink != NULL);
    assert(request->deadline_mono_ms > 0);
    *progress = (struct http_progress){
        .sink = request->sink,
        .on_header = request->on_header,
        .arg = request->arg,
        .may_repeat = request->body == NULL,
        .max_bytes = max_bytes,
        .connect_ms = request->connect_ms,
        .first_byte_ms = request->first_byte_ms,
        .idle_ms = request->idle_ms,
        .deadline_mono_ms = request->deadline_mono_ms,
        .started_mono_ms = clock_mono_ms(),
        .result = { .reason = "" },
    };
}

/* Always returns -1. */
static int
refuse(struct http_progress *progress, enum http_outcome verdict)
{
    progress->verdict = verdict;
    return -1;
}

int
http_progress_connected(struct http_progress *progress, bool is_reused)
{
    if (progress->is_connected)
        return progress->may_repeat ? 0
                                    : refuse(progress, HTTP_CONNECTION_LOST);
    progress->is_connected = true;
    progress->result.reused = is_reused;
    return 0;
}

/* ---- headers ------------------------------------------------------------ */

/* The three digits of "HTTP/1.1 200 OK", or 0. */
static long
status_of(const char *line, size_t len)
{
    const char *blank = memchr(line, ' ', len);
    long status = 0;

    if (blank == NULL || line + len - blank < 4)
        return 0;
    for (const char *digit = blank + 1; digit <= blank + 3; digit++) {
        if (*digit < '0' || *digit > '9')
            return 0;
        status = 10 * status + (*digit - '0');
    }
    return status;
}

/* An interim response (1xx) may come before the final one; whatever it said
 * is forgotten here. */
static void
begin_response(struct http_progress *progress, const char *line, size_t len)
{
    progress->had_all_headers = false;
    progress->result.status = status_of(line, len);
}

int
http_progress_header(struct http_progress *progress, const char *line,
                     size_t len)
{
    progress->header_bytes += len;
    if (progress->header_bytes > MAX_HEADER_BYTES)
        return refuse(progress, HTTP_TOO_LARGE);
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        begin_response(progress, line, len);
        return 0;
    }
    if (progress->result.status < 200 || progress->had_all_headers)
        return 0; /* of an interim response, or a trailer */
    if (len == 0) {
        progress->had_all_headers = true;
        return 0;
    }
    if (progress->on_header != NULL)
        progress->on_header(progress->arg, line, len);
    return 0;
}

/* ---- body --------------------------------------------------------------- */

int
http_progress_body(struct http_progress *progress, const char *bytes,
                   size_t len)
{
    struct http_result *result = &progress->result;

    if (len == 0)
        return 0;
    progress->last_read_mono_ms = clock_mono_ms();
    if (len > progress->max_bytes - result->body_bytes)
        return refuse(progress, HTTP_TOO_LARGE);
    result->body_bytes += len;
    switch (progress->sink(progress->arg, bytes, len)) {
    case HTTP_SINK_MORE:
        break;
    case HTTP_SINK_FIRST:
        progress->had_first = true;
        break;
    case HTTP_SINK_LAST:
        progress->had_first = true;
        if (progress->last_said_mono_ms == 0)
            progress->last_said_mono_ms = progress->last_read_mono_ms;
        break;
    case HTTP_SINK_STOP:
        return refuse(progress, HTTP_STOPPED);
    }
    return 0;
}

/* ---- ends --------------------------------------------------------------- */

enum http_outcome
http_progress_broken(const struct http_progress *progress)
{
    if (!progress->is_connected)
        return HTTP_UNREACHABLE;
    return progress->header_bytes > 0 ? HTTP_CUT : HTTP_CONNECTION_LOST;
}

void
http_progress_end(struct http_progress *progress, enum http_outcome outcome,
                  const char *reason)
{
    progress->result.outcome = outcome;
    progress->result.reason = reason;
}

const char *
http_outcome_text(enum http_outcome outcome)
{
    static const char *const texts[] = {
        [HTTP_PENDING] = "",
        [HTTP_DONE] = "",
        [HTTP_TIMEOUT_CONNECT] = "no connection in time",
        [HTTP_TIMEOUT_FIRST] = "no first byte in time",
        [HTTP_TIMEOUT_IDLE] = "silent for too long",
        [HTTP_TIMEOUT_TOTAL] = "not finished in time",
        [HTTP_STOPPED] = "stopped by its reader",
        [HTTP_TOO_LARGE] = "response too large",
        [HTTP_CUT] = "response cut short",
        [HTTP_CONNECTION_LOST] = "connection lost before the response",
        [HTTP_UNREACHABLE] = "unreachable",
        [HTTP_TLS_FAILED] = "TLS failed",
    };

    return texts[outcome];
}

/* ---- clocks ------------------------------------------------------------- */

static void
consider(struct http_alarm *nearest, int64_t since_mono_ms, int64_t limit_ms,
         enum http_outcome outcome)
{
    if (limit_ms > 0 && since_mono_ms + limit_ms < nearest->at_mono_ms)
        *nearest = (struct http_alarm){ since_mono_ms + limit_ms, outcome };
}

struct http_alarm
http_progress_alarm(const struct http_progress *progress)
{
    struct http_alarm nearest = { progress->deadline_mono_ms,
                                  HTTP_TIMEOUT_TOTAL };

    if (!progress->is_connected)
        consider(&nearest, progress->started_mono_ms, progress->connect_ms,
                 HTTP_TIMEOUT_CONNECT);
    if (!progress->had_first)
        consider(&nearest, progress->started_mono_ms, progress->first_byte_ms,
                 HTTP_TIMEOUT_FIRST);
    if (progress->last_read_mono_ms > 0)
        consider(&nearest, progress->last_read_mono_ms, progress->idle_ms,
                 HTTP_TIMEOUT_IDLE);
    if (progress->last_said_mono_ms > 0)
        consider(&nearest, progress->last_said_mono_ms, AFTER_LAST_MS,
                 HTTP_TIMEOUT_IDLE);
    return nearest;
}
