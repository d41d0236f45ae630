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

const struct verify_log *
verify_newest_log(struct verify *verify)
{
    struct lite_stmt *stmt = lite_prepare(
        verify->db, "SELECT log_id FROM entry ORDER BY rowid DESC LIMIT 1",
        NULL);
    const struct verify_log *newest = NULL;
    struct uuid log_id;

    if (stmt != NULL && lite_step(stmt, NULL) == LITE_ROW) {
        const char *text = lite_text(stmt, 0, NULL);

        if (text != NULL && uuid_parse(text, &log_id) == 0)
            newest = verify_find_log(verify, &log_id);
    }
    lite_finalize(stmt);
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

static void
check_links(struct verify *verify)
{
    bool begun = false;

    for (size_t i = 0; i < verify->log_count; i++) {
        const struct verify_log *log = &verify->logs[i];
        char text[UUID_TEXT_LEN];
        const struct verify_place place = { .log_id = text, .idx = 0 };

        uuid_format(&log->head.log_id, text);
        if (log->previous.present)
            check_link(verify, log, &place);
        else if (log->opened && begun)
            verify_report(verify, VERIFY_FINDING, "chain", &place,
                          "it names no log before it, and is not the first");
        else
            begun = true;
    }
}

static void
check_named(struct verify *verify)
{
    const struct verify_log *newest = verify_newest_log(verify);

    for (size_t i = 0; i < verify->log_count; i++) {
        const struct verify_log *log = &verify->logs[i];
        char text[UUID_TEXT_LEN];
        const struct verify_place place = { .log_id = text, .idx = -1 };

        uuid_format(&log->head.log_id, text);
        if (!log->named && log != newest)
            verify_report(verify, VERIFY_FINDING, "chain", &place,
                          "no later log names it");
        if (log->named && log == newest)
            verify_report(verify, VERIFY_FINDING, "chain", &place,
                          "it was written last, but a later log names it");
    }
}

/* Numbers the logs from the newest back.  A log whose age is known is not
 * numbered again, so that a chain bent into a ring has an end. */
static void
number_logs(struct verify *verify)
{
    const struct verify_log *newest = verify_newest_log(verify);
    struct verify_log *log = NULL;
    int64_t age = 0;

    for (size_t i = 0; i < verify->log_count; i++)
        verify->logs[i].age = -1;
    if (newest != NULL)
        log = verify_find_log(verify, &newest->head.log_id);
    while (log != NULL && log->age == -1) {
        log->age = age++;
        log = log->previous.present
                  ? verify_find_log(verify, &log->previous.log_id)
                  : NULL;
    }
}

static void
check_anchors(struct verify *verify)
{
    for (size_t i = 0; i < verify->anchor_count; i++) {
        const struct verify_anchor *anchor = &verify->anchors[i];
        const struct verify_log *log = verify_find_log(verify, &anchor->log_id);
        char text[UUID_TEXT_LEN];
        const struct verify_place place = { .log_id = text, .idx = -1 };

        uuid_format(&anchor->log_id, text);
        if (log == NULL)
            verify_report(verify, VERIFY_FINDING, "anchor", &place,
                          "the log of a head kept elsewhere is missing");
        else if (log->head.size < anchor->size)
            verify_report(verify, VERIFY_FINDING, "anchor", &place,
                          "it had %" PRId64 " entries when its head was "
                          "kept, there are %" PRId64,
                          anchor->size, log->head.size);
    }
}

int
verify_chain(struct verify *verify, struct err *err)
{
    (void)err; /* works on what verify_entries() kept */
    check_links(verify);
    check_named(verify);
    number_logs(verify);
    check_anchors(verify);
    return 0;
}
