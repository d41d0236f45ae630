/* selftest_drills.c - see selftest_drills.h: the list, what drills share, and
 * those of models, callers and load. */
#include "tandemctl/selftest_drills.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sys/fd.h"
#include "tandemctl/selftest_look.h"
#include "text/json.h"

#define QUERY_BYTES    40000
#define SETTLE_MS      10000
#define STALE_MS       300 /* how old a gauge may be, and a little */
#define SOON_MS        (INSTANCE_PRO_MS - 2000) /* well before a time-out */
#define ABORT_MS       200
#define ABORT_ROUNDS   3
#define OVERLOAD_MS    50
#define OVERLOAD_TRIES 20

/* ---- what drills share --------------------------------------------------- */

bool
drill_want(struct drilling *drilling, bool holds, const char *fmt, ...)
{
    va_list args;

    if (holds || drilling->failed)
        return holds;
    drilling->failed = true;
    va_start(args, fmt);
    vsnprintf(drilling->seen, sizeof(drilling->seen), fmt, args);
    va_end(args);
    return false;
}

void
drill_saw(struct drilling *drilling, const char *fmt, ...)
{
    va_list args;

    if (drilling->failed)
        return;
    va_start(args, fmt);
    vsnprintf(drilling->seen, sizeof(drilling->seen), fmt, args);
    va_end(args);
}

struct stream *
drill_ask(struct drilling *drilling, const char *sim, const char *filler)
{
    static char body[QUERY_BYTES];
    struct stream *stream = &drilling->streams[drilling->stream_count];
    struct err err = { 0 };

    if (!drill_want(drilling, drilling->stream_count < DRILL_MAX_STREAMS,
                    "more callers than expected"))
        return NULL;
    snprintf(body, sizeof(body),
             "{\"query\":\"why is the sky blue? %s[[sim chunk_ms=0 "
             "flash.delay_ms=20 %s]]\"}",
             filler, sim);
    drilling->stream_count++;
    if (stream_open(stream, drilling->instance->stream_socket,
                    &(struct stream_request){ .method = "POST",
                                              .path = "/api/reasoning/query",
                                              .body = body },
                    &err) == 0)
        return stream;
    drill_want(drilling, false, "no query is taken: %s", err.text);
    return NULL;
}

bool
drill_ask_many(struct drilling *drilling, const char *sim, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (drill_ask(drilling, sim, "") == NULL)
            return false;
    return true;
}

bool
drill_wait(struct drilling *drilling,
           bool (*is_so)(const struct stream *stream), const char *what)
{
    return drill_want(drilling,
                      stream_wait(drilling->streams, drilling->stream_count,
                                  is_so, &drilling->patience),
                      "no %s in time", what);
}

static const char *
audit_state(const struct stream *stream)
{
    const json_t *audit =
        json_object_get(stream_event(stream, "done"), "audit");
    const char *state = json_get_string(audit, "state");

    return state != NULL ? state : "none";
}

bool
drill_want_receipt(struct drilling *drilling, const struct stream *stream,
                   const char *state)
{
    const size_t count = stream_count(stream, "done");
    const char *told = audit_state(stream);

    if (!drill_want(drilling, stream->status == 200, "status %d, not 200",
                    stream->status) ||
        !drill_want(drilling, count == 1 && stream->whole,
                    "%zu x done, not one", count))
        return false;
    return drill_want(drilling, strcmp(told, state) == 0,
                      "the record is told to be %s, not %s", told, state) &&
           drill_want(drilling, look_at_receipt(drilling->instance, stream),
                      "the ledger does not have what a receipt told");
}

bool
drill_want_receipts(struct drilling *drilling, const char *state)
{
    for (size_t i = 0; i < drilling->stream_count; i++)
        if (!drill_want_receipt(drilling, &drilling->streams[i], state))
            return false;
    return true;
}

/* Whoever still waits for an answer leaves. */
static void
close_streams(struct drilling *drilling)
{
    for (size_t i = 0; i < drilling->stream_count; i++) {
        struct stream *stream = &drilling->streams[i];

        if (stream->status == 200 && stream->run_id[0] != '\0' &&
            drilling->run_count < DRILL_MAX_RUNS)
            memcpy(drilling->runs[drilling->run_count++], stream->run_id,
                   UUID_TEXT_LEN);
        stream_close(stream);
    }
    drilling->stream_count = 0;
}

/* The next drill finds all workers idle. */
static void
settle(struct drilling *drilling)
{
    struct patience *patience = &drilling->patience;

    close_streams(drilling);
    patience->deadline_mono_ms = clock_mono_ms() + SETTLE_MS;
    drill_return_ledger(drilling);
    if (drilling->instance->tandemd_pid == 0)
        return;
    patience->deadline_mono_ms = clock_mono_ms() + STALE_MS;
    while (patience_wait(patience, NULL, 0))
        continue;
    patience->deadline_mono_ms = clock_mono_ms() + SETTLE_MS;
    while (look_at_busy(drilling->instance, patience) > 0 &&
           patience_wait(patience, NULL, 0))
        continue;
}

void
drill_run(const struct drill *drill, struct drilling *drilling)
{
    drilling->failed = false;
    drilling->seen[0] = '\0';
    drilling->patience.deadline_mono_ms = clock_mono_ms() + drill->within_ms;
    drill->run(drilling, drill);
    settle(drilling);
}

/* ---- models -------------------------------------------------------------- */

static void
model_fails(struct drilling *drilling, const struct drill *drill)
{
    const struct stream *stream = drill_ask(drilling, drill->sim, "");
    const json_t *error;
    const char *code;
    int64_t took_ms;

    if (stream == NULL || !drill_wait(drilling, stream_has_ended, "end"))
        return;
    error = stream_event(stream, "error");
    code = error != NULL ? json_get_string(error, "code") : "no error";
    took_ms = stream_took_us(stream) / 1000;
    if (drill_want(drilling, stream_count(stream, "final") == 0,
                   "a broken answer was passed off as whole") &&
        drill_want(drilling, code != NULL && strcmp(code, drill->code) == 0,
                   "%s, not %s", code != NULL ? code : "no code",
                   drill->code) &&
        drill_want(drilling, took_ms < SOON_MS,
                   "noticed only after %" PRId64 " ms", took_ms) &&
        drill_want_receipt(drilling, stream, "committed"))
        drill_saw(drilling, "%s and done after %" PRId64 " ms, recorded",
                  drill->code, took_ms);
}

/* ---- callers ------------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

/* One slow moment of the machine is not the service's. */
static int64_t
median(int64_t *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

static bool
wait_for_calls(struct drilling *drilling, int64_t open, int64_t aborted,
               struct look_calls *calls)
{
    struct err err = { 0 };

    do {
        if (look_at_calls(drilling->instance, calls, &err) == -1)
            return drill_want(drilling, false, "%s", err.text);
        if (calls->open == open && calls->aborted >= aborted)
            return true;
    } while (patience_wait(&drilling->patience, NULL, 0));
    return drill_want(drilling, false,
                      "%" PRId64 " calls are open, not %" PRId64, calls->open,
                      open);
}

/* How far the caller got, as the record says; -1 when it does not. */
static int64_t
recorded_seq(struct drilling *drilling, const char *run_id)
{
    json_t *end = NULL;
    const json_t *client;
    const char *status;
    int64_t seq = -1;

    while ((end = look_at_entry(drilling->instance, run_id, "finished",
                                NULL)) == NULL)
        if (!patience_wait(&drilling->patience, NULL, 0))
            return -1;
    status = json_get_string(end, "status");
    client = json_object_get(end, "client");
    if (status != NULL && strcmp(status, "cancelled") == 0 &&
        json_is_true(json_object_get(client, "left")))
        seq = json_get_int(client, "last_seq", -1);
    json_decref(end);
    return seq;
}

/* One caller leaves before any answer, or after the first: *took_us until both
 * calls, or the one that was left, were dropped. */
static bool
leave(struct drilling *drilling, bool after_answer, int64_t *took_us)
{
    const char *sim = after_answer ? "pro.delay_ms=5000"
                                   : "flash.delay_ms=4000 pro.delay_ms=5000";
    const int64_t open = after_answer ? 1 : 2;
    const int64_t got = after_answer ? 1 : 0;
    struct stream *stream = drill_ask(drilling, sim, "");
    struct look_calls before, calls;
    int64_t left_unix_us, seq;

    if (stream == NULL ||
        !drill_want(
            drilling,
            stream_wait(stream, 1,
                        after_answer ? stream_has_an_answer : stream_has_status,
                        &drilling->patience),
            "no response in time") ||
        !wait_for_calls(drilling, open, 0, &before))
        return false;
    left_unix_us = clock_unix_us();
    fd_close(&stream->fd);
    if (!wait_for_calls(drilling, 0, before.aborted + open, &calls))
        return false;
    *took_us = calls.last_abort_unix_us - left_unix_us;
    seq = recorded_seq(drilling, stream->run_id);
    return drill_want(drilling, seq == got,
                      "the record says %" PRId64 " events were sent, not "
                      "%" PRId64,
                      seq, got);
}

static void
client_leaves(struct drilling *drilling, const struct drill *drill)
{
    int64_t took_us[ABORT_ROUNDS];
    int64_t usual_us;

    (void)drill;
    for (size_t i = 0; i < ABORT_ROUNDS; i++)
        if (!leave(drilling, i == ABORT_ROUNDS - 1, &took_us[i]))
            return;
    usual_us = median(took_us, ABORT_ROUNDS);
    if (drill_want(drilling, usual_us <= ABORT_MS * 1000,
                   "the calls went on for %" PRId64 " ms", usual_us / 1000))
        drill_saw(drilling,
                  "calls dropped after %.1f ms, recorded as cancelled",
                  (double)usual_us / 1000);
}

/* ---- too many ------------------------------------------------------------ */

/* -1 when it is not answered as it should be. */
static int64_t
time_refusal(struct drilling *drilling)
{
    struct stream_request request = { .method = "POST",
                                      .path = "/api/reasoning/query",
                                      .body = "{\"query\":\"me too\"}" };
    struct stream stream;
    int64_t took_us = -1;

    if (stream_open(&stream, drilling->instance->stream_socket, &request,
                    NULL) == 0 &&
        stream_wait(&stream, 1, stream_has_ended, &drilling->patience) &&
        drill_want(drilling, stream.status == 503 && stream.has_retry_after,
                   "status %d, not 503 with Retry-After", stream.status))
        took_us = stream_took_us(&stream);
    stream_close(&stream);
    return took_us;
}

static int64_t
time_health(struct drilling *drilling)
{
    const struct stream_request request = { .method = "GET", .path = "/livez" };
    struct stream stream;
    int64_t took_us = -1;

    if (stream_open(&stream, drilling->instance->control_socket, &request,
                    NULL) == 0 &&
        stream_wait(&stream, 1, stream_has_ended, &drilling->patience) &&
        stream.status == 200)
        took_us = stream_took_us(&stream);
    stream_close(&stream);
    return took_us;
}

static bool
time_many(struct drilling *drilling, int64_t (*time_one)(struct drilling *),
          const char *what, int64_t *usual_us)
{
    int64_t took_us[OVERLOAD_TRIES];

    for (size_t i = 0; i < OVERLOAD_TRIES; i++) {
        took_us[i] = time_one(drilling);
        if (!drill_want(drilling, took_us[i] >= 0, "no %s", what))
            return false;
    }
    *usual_us = median(took_us, OVERLOAD_TRIES);
    return drill_want(drilling, *usual_us <= OVERLOAD_MS * 1000,
                      "%s takes %" PRId64 " ms", what, *usual_us / 1000);
}

static void
overload(struct drilling *drilling, const struct drill *drill)
{
    int64_t refusal_us, health_us;

    (void)drill;
    if (!drill_ask_many(drilling, "pro.delay_ms=5000", INSTANCE_WORKERS) ||
        !drill_wait(drilling, stream_has_an_answer, "answer") ||
        !time_many(drilling, time_refusal, "refusal", &refusal_us) ||
        !time_many(drilling, time_health, "health", &health_us))
        return;
    drill_saw(drilling, "503 with Retry-After in %.2f ms, /livez in %.2f ms",
              (double)refusal_us / 1000, (double)health_us / 1000);
}

/* ---- the list ------------------------------------------------------------ */

/* The last two end the instance and look at what it left. */
const struct drill drills[DRILL_COUNT] = {
    { "P1", "a model's answer is cut in the middle", 10000, model_fails,
      "pro.delay_ms=30 pro.fault=cut", "pro_incomplete" },
    { "P1", "a model falls silent in the middle", 10000, model_fails,
      "pro.delay_ms=30 pro.fault=stall", "pro_timeout" },
    { "P1", "an error in place of the answer's end", 10000, model_fails,
      "pro.delay_ms=30 pro.fault=error_tail", "pro_unavailable" },
    { "P4", "the client leaves", 15000, client_leaves, NULL, NULL },
    { "P7", "all workers are busy", 10000, overload, NULL, NULL },
    { "P3", "a worker is killed", 10000, drill_worker_killed, NULL, NULL },
    { "P3", "the scribe is killed, runs under way", 15000, drill_scribe_killed,
      NULL, NULL },
    { "P2", "the database is away", 20000, drill_ledger_away, NULL, NULL },
    { "P3", "and the disk is full", 25000, drill_spool_full, NULL, NULL },
    { "P1", "SIGTERM with streams open", 20000, drill_stop, NULL, NULL },
    { "P3", "afterwards: the whole record", 10000, drill_verify, NULL, NULL },
};
