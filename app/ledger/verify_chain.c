/*
 * verify_chain.c - the logs as a chain, each naming the one before it; see
 * verify_pass.h.
 */
#include "ledger/verify_pass.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int
compare_ids(const void *a, const void *b)
{
    const struct verify_log *one = a, *other = b;

    return memcmp(&one->head.log_id, &other->head.log_id,
                  sizeof(one->head.log_id));
}

struct verify_log *
verify_find_log(struct verify *verify, const struct uuid *log_id)
{
    const struct verify_log wanted = { .head = { .log_id = *log_id } };

    if (verify->log_count == 0)
        return NULL;
    return bsearch(&wanted, verify->logs, verify->log_count,
                   sizeof(*verify->logs), compare_ids);
}

/* The end of a host's chain: what no later log names.  Where the chain was
 * broken, or a log is not linked yet, the one that was opened last. */
const struct verify_log *
verify_newest_log(struct verify *verify, uint64_t host)
{
    const struct verify_log *newest = NULL;

    for (size_t i = 0; i < verify->log_count; i++) {
        const struct verify_log *log = &verify->logs[i];

        if (log->host == host && !log->named &&
            (newest == NULL || log->opened_unix_us >= newest->opened_unix_us))
            newest = log;
    }
    return newest;
}

static void
check_link(struct verify *verify, const struct verify_log *log,
           const struct verify_place *place)
{
    const struct column_log *says = &log->previous;
    struct verify_log *previous = verify_find_log(verify, &says->log_id);
    char text[UUID_TEXT_LEN];

    uuid_format(&says->log_id, text);
    if (previous == NULL) {
        verify_report(verify, VERIFY_FINDING, "chain", place,
                      "the log before it, %s with %" PRId64
                      " entries, is missing",
                      text, says->size);
        return;
    }
    if (previous->named)
        verify_report(verify, VERIFY_FINDING, "chain", place,
                      "another log names the same log before it, %s", text);
    previous->named = true;
    if (previous->head.size != says->size)
        verify_report(verify, VERIFY_FINDING, "chain", place,
                      "it says that log %s had %" PRId64
                      " entries, there are %" PRId64,
                      text, says->size, previous->head.size);
    if (memcmp(previous->head.root, says->root, ENTRY_HASH_LEN) != 0)
        verify_report(verify, VERIFY_FINDING, "root", place,
                      "the root it gives for log %s is not that of its "
                      "entries",
                      text);
}

/* Is this the only log of its host that names none before it? */
static bool
is_first(const struct verify *verify, const struct verify_log *log)
{
    for (const struct verify_log *other = verify->logs; other < log; other++)
        if (other->host == log->host && other->opened &&
            !other->previous.present && !other->unlinked)
            return false;
    return true;
}

static void
check_links(struct verify *verify)
{
    for (size_t i = 0; i < verify->log_count; i++) {
        const struct verify_log *log = &verify->logs[i];
        char text[UUID_TEXT_LEN];
        const struct verify_place place = { .log_id = text, .idx = 0 };

        uuid_format(&log->head.log_id, text);
        if (log->previous.present)
            check_link(verify, log, &place);
        else if (log->unlinked)
            verify_report(verify, VERIFY_NOTE, "chain", &place,
                          "it was opened while the log before it could not be "
                          "looked up, and is not linked to it yet");
        else if (log->opened && !is_first(verify, log))
            verify_report(verify, VERIFY_FINDING, "chain", &place,
                          "it names no log before it, and is not the first");
    }
}

/* May a log of this host be without a successor that names it? */
static bool
has_unlinked(const struct verify *verify, uint64_t host)
{
    for (size_t i = 0; i < verify->log_count; i++)
        if (verify->logs[i].host == host && verify->logs[i].unlinked)
            return true;
    return false;
}

static void
check_named(struct verify *verify)
{
    for (size_t i = 0; i < verify->log_count; i++) {
        const struct verify_log *log = &verify->logs[i];
        char text[UUID_TEXT_LEN];
        const struct verify_place place = { .log_id = text, .idx = -1 };

        if (log->named || log == verify_newest_log(verify, log->host))
            continue;
        uuid_format(&log->head.log_id, text);
        verify_report(verify,
                      has_unlinked(verify, log->host) ? VERIFY_NOTE
                                                      : VERIFY_FINDING,
                      "chain", &place, "no later log names it");
    }
}

/* Numbers the logs of each chain from its end back.  A log whose age is known
 * is not numbered again, so that a chain bent into a ring has an end. */
static void
number_logs(struct verify *verify)
{
    for (size_t i = 0; i < verify->log_count; i++)
        verify->logs[i].age = -1;
    for (size_t i = 0; i < verify->log_count; i++) {
        struct verify_log *log =
            verify->logs[i].named ? NULL : &verify->logs[i];
        int64_t age = 0;

        while (log != NULL && log->age == -1) {
            log->chain = (int64_t)i;
            log->age = age++;
            log = log->previous.present
                      ? verify_find_log(verify, &log->previous.log_id)
                      : NULL;
        }
    }
}

/* Roots were compared while the logs were read; here is what was too short for
 * that, or not there. */
static void
check_marks(struct verify *verify)
{
    for (size_t i = 0; i < verify->mark_count; i++) {
        const struct verify_mark *mark = &verify->marks[i];
        const struct verify_log *log = verify_find_log(verify, &mark->log_id);
        const char *check = mark->is_anchor ? "anchor" : "checkpoint";
        const char *what = mark->is_anchor ? "its head was kept elsewhere"
                                           : "its checkpoint was signed";
        char text[UUID_TEXT_LEN];
        const struct verify_place place = { .log_id = text, .idx = -1 };

        uuid_format(&mark->log_id, text);
        if (log == NULL)
            verify_report(verify, VERIFY_FINDING, check, &place,
                          "the log is missing, and had %" PRId64
                          " entries when %s",
                          mark->size, what);
        else if (log->head.size < mark->size)
            verify_report(verify, VERIFY_FINDING, check, &place,
                          "it had %" PRId64 " entries when %s, there are "
                          "%" PRId64,
                          mark->size, what, log->head.size);
    }
}

int
verify_chain(struct verify *verify, struct err *err)
{
    (void)err; /* works on what the passes before kept */
    if (verify->source->is_selection)
        return 0;
    check_links(verify);
    check_named(verify);
    number_logs(verify);
    check_marks(verify);
    return 0;
}
