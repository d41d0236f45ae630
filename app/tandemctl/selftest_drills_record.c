/* selftest_drills_record.c - the drills of the record: processes that are
 * killed, a ledger that is away, a stop, and what is there in the end. */
#include "tandemctl/selftest_drills.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ledger/spool.h"
#include "sys/file.h"
#include "tandemctl/selftest_look.h"
#include "text/json.h"

#define ORPHAN_MS    2000
#define FILLER_BYTES 30000
#define SPOOLERS     4
#define PATH_BYTES   (INSTANCE_NAME_BYTES + 16)

/* ---- killed -------------------------------------------------------------- */

static pid_t
worker_of(const struct drilling *drilling, const char *run_id)
{
    json_t *accepted =
        look_at_entry(drilling->instance, run_id, "accepted", NULL);
    const pid_t pid = (pid_t)json_get_int(accepted, "worker_pid", 0);

    json_decref(accepted);
    return pid;
}

static bool
kill_process(struct drilling *drilling, pid_t pid)
{
    struct err err = { 0 };

    return drill_want(drilling,
                      instance_kill(drilling->instance, pid, &err) == 0, "%s",
                      err.text);
}

static bool
has_entry(struct drilling *drilling, const char *run_id, const char *kind)
{
    size_t count;

    json_decref(look_at_entry(drilling->instance, run_id, kind, &count));
    return count == 1;
}

void
drill_worker_killed(struct drilling *drilling, const struct drill *drill)
{
    const struct stream *stream = drill_ask(drilling, "pro.delay_ms=5000", "");
    int64_t killed_mono_ms, took_ms;

    (void)drill;
    if (stream == NULL ||
        !drill_wait(drilling, stream_has_an_answer, "answer") ||
        !kill_process(drilling, worker_of(drilling, stream->run_id)))
        return;
    killed_mono_ms = clock_mono_ms();
    while (!has_entry(drilling, stream->run_id, "orphaned"))
        if (!drill_want(drilling, patience_wait(&drilling->patience, NULL, 0),
                        "the run is not orphaned in time"))
            return;
    took_ms = clock_mono_ms() - killed_mono_ms;
    if (!drill_want(drilling, took_ms <= ORPHAN_MS,
                    "orphaned after %" PRId64 " ms", took_ms) ||
        !drill_wait(drilling, stream_has_ended, "end") ||
        !drill_want(drilling, stream_count(stream, "done") == 0,
                    "done without a worker"))
        return;
    if (!drill_ask_many(drilling, "pro.delay_ms=300", INSTANCE_WORKERS) ||
        !drill_wait(drilling, stream_has_ended, "end"))
        return;
    for (size_t i = 1; i < drilling->stream_count; i++)
        if (!drill_want_receipt(drilling, &drilling->streams[i], "committed"))
            return;
    drill_saw(drilling,
              "orphaned after %" PRId64 " ms, then all %d workers served",
              took_ms, INSTANCE_WORKERS);
}

void
drill_scribe_killed(struct drilling *drilling, const struct drill *drill)
{
    const pid_t scribe = instance_scribe(drilling->instance);

    (void)drill;
    if (!drill_ask_many(drilling, "pro.delay_ms=600", INSTANCE_WORKERS) ||
        !drill_wait(drilling, stream_has_an_answer, "answer") ||
        !kill_process(drilling, scribe) ||
        !drill_wait(drilling, stream_has_ended, "end") ||
        !drill_want_receipts(drilling, "committed") ||
        !drill_want(drilling, instance_scribe(drilling->instance) != scribe,
                    "there is no new scribe"))
        return;
    drill_saw(drilling, "%d of %d ended in done, each once in the ledger",
              INSTANCE_WORKERS, INSTANCE_WORKERS);
}

/* ---- away ---------------------------------------------------------------- */

static void
name_away(const struct drilling *drilling, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s.away", drilling->instance->ledger);
}

static bool
take_ledger_away(struct drilling *drilling)
{
    char away[PATH_BYTES];

    name_away(drilling, away);
    drilling->ledger_is_away = rename(drilling->instance->ledger, away) == 0;
    return drill_want(drilling, drilling->ledger_is_away,
                      "the ledger cannot be moved");
}

bool
drill_return_ledger(struct drilling *drilling)
{
    struct err err = { 0 };
    char path[PATH_BYTES];

    if (!drilling->ledger_is_away)
        return true;
    name_away(drilling, path);
    if (rename(path, drilling->instance->ledger) == -1)
        return drill_want(drilling, false, "the ledger cannot be put back");
    drilling->ledger_is_away = false;
    snprintf(path, sizeof(path), "%s/" SPOOL_DRAIN, drilling->instance->spool);
    if (file_write_durably(path, 0600, "", 0, &err) == -1)
        return drill_want(drilling, false, "%s", err.text);
    while (look_at_spool(drilling->instance) != 0)
        if (!patience_wait(&drilling->patience, NULL, 0))
            return drill_want(drilling, false,
                              "the spool is not emptied in time");
    return true;
}

/* Afterwards all is as it was. */
static bool
is_committed_again(struct drilling *drilling)
{
    const struct stream *stream = drill_ask(drilling, "pro.delay_ms=30", "");

    return stream != NULL && drill_wait(drilling, stream_has_ended, "end") &&
           drill_want_receipt(drilling, stream, "committed");
}

void
drill_ledger_away(struct drilling *drilling, const struct drill *drill)
{
    (void)drill;
    if (!take_ledger_away(drilling) ||
        !drill_ask_many(drilling, "pro.delay_ms=30", SPOOLERS) ||
        !drill_wait(drilling, stream_has_ended, "end") ||
        !drill_return_ledger(drilling) ||
        !drill_want_receipts(drilling, "spooled") ||
        !is_committed_again(drilling))
        return;
    drill_saw(drilling, "%d records spooled, then in the ledger where told",
              SPOOLERS);
}

/* Until one is refused; the last stream is that one. */
static bool
fill_spool(struct drilling *drilling)
{
    static char filler[FILLER_BYTES];

    memset(filler, 'x', sizeof(filler) - 2);
    filler[sizeof(filler) - 2] = ' ';
    while (drilling->stream_count < DRILL_MAX_STREAMS - 1) {
        struct stream *stream = drill_ask(drilling, "pro.delay_ms=30", filler);

        if (stream == NULL ||
            !drill_want(
                drilling,
                stream_wait(stream, 1, stream_has_ended, &drilling->patience),
                "no end in time"))
            return false;
        if (stream->status != 200)
            return drill_want(drilling, stream->status == 503,
                              "status %d, not 503", stream->status);
    }
    return drill_want(drilling, false, "nobody is refused");
}

void
drill_spool_full(struct drilling *drilling, const struct drill *drill)
{
    struct stream *under_way;
    size_t refused;

    (void)drill;
    if (!take_ledger_away(drilling) ||
        drill_ask(drilling, "pro.delay_ms=30", "") == NULL ||
        !drill_wait(drilling, stream_has_ended, "end") ||
        !drill_want(drilling, stream_count(drilling->streams, "done") == 1,
                    "no run is taken while there is room"))
        return;
    under_way = drill_ask(drilling, "pro.delay_ms=4000", "");
    if (under_way == NULL ||
        !drill_wait(drilling, stream_has_an_answer, "answer") ||
        !fill_spool(drilling))
        return;
    refused = drilling->stream_count - 1;
    if (!drill_want(drilling, !stream_has_ended(under_way),
                    "this machine is too slow to tell") ||
        !drill_wait(drilling, stream_has_ended, "end") ||
        !drill_return_ledger(drilling))
        return;
    for (size_t i = 0; i < refused; i++)
        if (!drill_want_receipt(drilling, &drilling->streams[i], "spooled"))
            return;
    if (is_committed_again(drilling))
        drill_saw(drilling, "503 after %zu runs, which all ended, none is lost",
                  refused);
}

/* ---- the end ------------------------------------------------------------- */

void
drill_stop(struct drilling *drilling, const struct drill *drill)
{
    const int64_t begun_mono_ms = clock_mono_ms();
    int code;

    (void)drill;
    if (!drill_ask_many(drilling, "pro.delay_ms=1500", INSTANCE_WORKERS) ||
        !drill_wait(drilling, stream_has_an_answer, "answer"))
        return;
    code = instance_end_tandemd(drilling->instance, &drilling->patience);
    if (!drill_want(drilling, code != -2, "it does not stop in time") ||
        !drill_wait(drilling, stream_has_ended, "end") ||
        !drill_want_receipts(drilling, "committed") ||
        !drill_want(drilling, code == 0, "exit code %d, not 0", code))
        return;
    for (size_t i = 0; i < drilling->stream_count; i++)
        if (!drill_want(drilling,
                        stream_count(&drilling->streams[i], "final") == 1,
                        "a query was cut short"))
            return;
    drill_saw(drilling, "%d of %d ended in done, exit 0 after %" PRId64 " ms",
              INSTANCE_WORKERS, INSTANCE_WORKERS,
              clock_mono_ms() - begun_mono_ms);
}

static size_t
count_ends(const struct drilling *drilling, size_t *orphaned)
{
    size_t complete = 0;

    *orphaned = 0;
    for (size_t i = 0; i < drilling->run_count; i++) {
        const char *run_id = drilling->runs[i];
        size_t accepted, finished, lost;

        json_decref(
            look_at_entry(drilling->instance, run_id, "accepted", &accepted));
        json_decref(
            look_at_entry(drilling->instance, run_id, "finished", &finished));
        json_decref(
            look_at_entry(drilling->instance, run_id, "orphaned", &lost));
        *orphaned += lost;
        complete += accepted == 1 && finished + lost == 1;
    }
    return complete;
}

void
drill_verify(struct drilling *drilling, const struct drill *drill)
{
    struct verify_counts counts = { 0 };
    struct err err = { 0 };
    size_t complete, orphaned;

    (void)drill;
    if (!drill_want(drilling, look_at_spool(drilling->instance) == 0,
                    "the spool is not empty") ||
        !drill_want(drilling,
                    look_at_all(drilling->instance, &counts, &err) == 0, "%s",
                    err.text))
        return;
    complete = count_ends(drilling, &orphaned);
    if (!drill_want(drilling, complete == drilling->run_count,
                    "%zu of %zu accepted runs have one end", complete,
                    drilling->run_count) ||
        !drill_want(drilling, counts.open_runs == 0,
                    "%" PRId64 " runs have no end", counts.open_runs) ||
        !drill_want(drilling, counts.findings == 0, "%" PRId64 " findings",
                    counts.findings))
        return;
    drill_saw(drilling,
              "%" PRId64 " accepted = %" PRId64
              " finished + %zu orphaned; verified",
              counts.runs, counts.runs - (int64_t)orphaned, orphaned);
}
