/* selftest_look.c - see selftest_look.h. */
#include "tandemctl/selftest_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "client/http.h"
#include "ledger/reader.h"
#include "ledger/source.h"
#include "ledger/spool.h"
#include "text/json.h"

#define ASK_MS    2000
#define MAX_BYTES (1 << 20)
#define MAX_DEPTH 16

/* ---- the ledger ---------------------------------------------------------- */

/* All of a run, owned, or NULL. */
static json_t *
read_run(const struct instance *instance, const char *run_id)
{
    struct uuid id;
    struct reader *reader;
    json_t *run;

    if (uuid_parse(run_id, &id) == -1)
        return NULL;
    reader = reader_open(&(struct reader_place){ .path = instance->ledger,
                                                 .url = "",
                                                 .application = "tandemctl",
                                                 .request_ms = ASK_MS },
                         NULL);
    if (reader == NULL)
        return NULL;
    run = reader_get(reader, &id, NULL);
    reader_close(reader);
    return run;
}

static bool
is_of_kind(const json_t *entry, const char *kind)
{
    const char *found = json_get_string(entry, "kind");

    return found != NULL && strcmp(found, kind) == 0;
}

json_t *
look_at_entry(const struct instance *instance, const char *run_id,
              const char *kind, size_t *count)
{
    json_t *run = read_run(instance, run_id);
    json_t *body = NULL;
    size_t found = 0;
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(run, "entries"), i,
                       entry) if (is_of_kind(entry, kind) && found++ == 0)
        body = json_incref(json_object_get(entry, "body"));
    json_decref(run);
    if (count != NULL)
        *count = found;
    return body;
}

static bool
is_told_entry(const json_t *entry, const json_t *audit)
{
    const char *const told[] = { json_get_string(audit, "log"),
                                 json_get_string(audit, "leaf_hash") };
    const char *const found[] = { json_get_string(entry, "log_id"),
                                  json_get_string(entry, "leaf_hash") };

    for (size_t i = 0; i < ARRAY_LEN(told); i++)
        if (told[i] == NULL || found[i] == NULL ||
            strcmp(told[i], found[i]) != 0)
            return false;
    return json_get_int(audit, "index", -1) == json_get_int(entry, "idx", -2);
}

bool
look_at_receipt(const struct instance *instance, const struct stream *stream)
{
    const json_t *done = stream_event(stream, "done");
    const json_t *audit = json_object_get(done, "audit");
    json_t *run = read_run(instance, stream->run_id);
    size_t ends = 0, told = 0;
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(run, "entries"), i,
                       entry) if (is_of_kind(entry, "finished"))
    {
        ends++;
        told += is_told_entry(entry, audit);
    }
    json_decref(run);
    return ends == 1 && told == 1;
}

int
look_at_spool(const struct instance *instance)
{
    struct spool_counts counts;

    if (spool_look(instance->spool, &counts, NULL) == -1)
        return -1;
    return (int)(counts.batches + counts.set_aside);
}

static void
on_report(void *arg, const struct verify_report *report)
{
    (void)arg;
    (void)report; /* the counts say it */
}

static void
on_head(void *arg, const struct verify_head *newest)
{
    (void)arg;
    (void)newest;
}

static void
on_progress(void *arg, int64_t done, int64_t total)
{
    (void)arg;
    (void)done;
    (void)total;
}

int
look_at_all(const struct instance *instance, struct verify_counts *counts,
            struct err *err)
{
    const struct verify_watcher watcher = { .report = on_report,
                                            .head = on_head,
                                            .progress = on_progress };
    const struct verify_options options = { .anchors = NULL };
    struct source *source = source_lite_open(instance->ledger, err);
    int result;

    if (source == NULL)
        return -1;
    result = verify_run(source, &options, &watcher, counts, err);
    source->ops->close(source);
    return result;
}

/* ---- metrics ------------------------------------------------------------- */

int64_t
look_at_busy(const struct instance *instance, struct patience *patience)
{
    static const char series[] = "workers_busy{pool=\"stream\"} ";
    const struct stream_request request = { .method = "GET",
                                            .path = "/metrics" };
    struct stream stream;
    const char *found = NULL;
    int64_t busy = -1;

    if (stream_open(&stream, instance->control_socket, &request, NULL) == 0 &&
        stream_wait(&stream, 1, stream_has_ended, patience))
        found = strstr(buf_cstr(&stream.body), series);
    if (found != NULL)
        busy = strtoll(found + strlen(series), NULL, 10);
    stream_close(&stream);
    return busy;
}

/* ---- modelsim ------------------------------------------------------------ */

static enum http_sink_status
take_bytes(void *arg, const char *bytes, size_t len)
{
    return buf_append(arg, bytes, len) == BUF_OK ? HTTP_SINK_FIRST
                                                 : HTTP_SINK_STOP;
}

static int
run_call(struct http *http, const char *url, struct buf *answer,
         struct err *err)
{
    const struct http_request request = {
        .url = url,
        .deadline_mono_ms = clock_mono_ms() + ASK_MS,
        .sink = take_bytes,
        .arg = answer,
    };
    struct http_call *call = http_start(http, &request, err);
    int result = call == NULL ? -1 : 0;

    while (result == 0 && !http_call_is_done(call))
        result = http_turn(http, NULL, 0, request.deadline_mono_ms, err);
    if (result == 0 && http_call_result(call).status != 200)
        result = err_set(err, ERR_SYSTEM, "modelsim does not answer: %s",
                         http_call_result(call).reason);
    http_call_free(call);
    return result;
}

static void
add_role(struct look_calls *calls, const json_t *role)
{
    const int64_t abort_unix_us = json_get_int(role, "last_abort_unix_us", 0);

    calls->open += json_get_int(role, "open", 0);
    calls->aborted += json_get_int(role, "aborted", 0);
    if (abort_unix_us > calls->last_abort_unix_us)
        calls->last_abort_unix_us = abort_unix_us;
}

int
look_at_calls(const struct instance *instance, struct look_calls *calls,
              struct err *err)
{
    const struct http_limits limits = { .max_calls = 1,
                                        .max_response_bytes = MAX_BYTES };
    struct http *http = http_new(&limits, err);
    json_t *stats = NULL;
    struct buf answer;
    char url[128];

    *calls = (struct look_calls){ .open = 0 };
    buf_init(&answer, MAX_BYTES);
    snprintf(url, sizeof(url), "%s/_sim/stats", instance->sim_url);
    if (http != NULL && run_call(http, url, &answer, err) == 0)
        stats = json_parse(buf_cstr(&answer), answer.len, MAX_DEPTH, err);
    if (stats != NULL) {
        add_role(calls, json_object_get(stats, "flash"));
        add_role(calls, json_object_get(stats, "pro"));
    }
    http_free(http);
    buf_close(&answer);
    json_decref(stats);
    return stats != NULL ? 0 : -1;
}
