/*
 * verify_runs.c - every run begins once and ends once, is left after that if at
 * all, and every text belongs to an entry; see verify_pass.h.
 */
#include "ledger/verify_pass.h"

#include <string.h>

#include "base/clock.h"

/* A worker that outlives its scribe may end its run in the next log: so long a
 * run of an older log may be open while the newest is being written. */
#define GRACE_US (5 * 60 * INT64_C(1000000))

/* ---- beginnings and ends ----------------------------------------------- */

static struct verify_place
place_of(struct lite_stmt *rows)
{
    return (struct verify_place){ .run_id = lite_text(rows, 0, NULL),
                                  .log_id = lite_text(rows, 1, NULL),
                                  .idx = lite_int(rows, 2) };
}

static bool
may_still_end(const struct verify_log *newest, const char *log_id)
{
    struct uuid id;

    if (newest == NULL || newest->head.closed || log_id == NULL ||
        uuid_parse(log_id, &id) == -1)
        return false;
    return memcmp(&id, &newest->head.log_id, sizeof(id)) == 0 ||
           clock_unix_us() - newest->opened_unix_us < GRACE_US;
}

static void
report_open(struct verify *verify, const struct verify_log *newest,
            const struct verify_place *place)
{
    verify->counts.open_runs++;
    if (may_still_end(newest, place->log_id))
        verify_report(verify, VERIFY_NOTE, "open", place,
                      "the run is open: accepted, and its end not recorded "
                      "yet");
    else
        verify_report(verify, VERIFY_FINDING, "open", place,
                      "the run was accepted and has no end");
}

#define NO_END \
    "NOT EXISTS (SELECT 1 FROM entry AS ended " \
    "WHERE ended.run_id = accepted.run_id " \
    "AND ended.kind IN ('finished', 'orphaned'))"

static int
check_open(struct verify *verify, struct err *err)
{
    const struct verify_log *newest = verify_newest_log(verify);
    struct lite_stmt *rows = lite_prepare(
        verify->db,
        "SELECT run_id, log_id, idx, run_id IN (SELECT run_id FROM open_run) "
        "FROM entry AS accepted WHERE kind = 'accepted' AND " NO_END,
        err);
    enum lite_step step = LITE_FAILED;

    while (rows != NULL && (step = lite_step(rows, err)) == LITE_ROW) {
        const struct verify_place place = place_of(rows);

        report_open(verify, newest, &place);
        if (lite_int(rows, 3) == 0)
            verify_report(verify, VERIFY_FINDING, "open", &place,
                          "the table open_run lacks this run");
    }
    lite_finalize(rows);
    return step == LITE_DONE ? 0 : -1;
}

/* Reports every row of a query for run_id, log_id, idx. */
static int
report_rows(struct verify *verify, const char *sql, const char *check,
            const char *text, struct err *err)
{
    struct lite_stmt *rows = lite_prepare(verify->db, sql, err);
    enum lite_step step = LITE_FAILED;

    while (rows != NULL && (step = lite_step(rows, err)) == LITE_ROW) {
        const struct verify_place place = place_of(rows);

        verify_report(verify, VERIFY_FINDING, check, &place, "%s", text);
    }
    lite_finalize(rows);
    return step == LITE_DONE ? 0 : -1;
}

/* Does the entry at (log_id, idx) come after the one at (other_id, other_idx)?
 * True as well when a log is not in the chain, which is reported already. */
static bool
comes_after(struct verify *verify, const char *log_id, int64_t idx,
            const char *other_id, int64_t other_idx)
{
    const struct verify_log *log, *other;
    struct uuid id, earlier_id;

    if (uuid_parse(log_id, &id) == -1 ||
        uuid_parse(other_id, &earlier_id) == -1)
        return true;
    log = verify_find_log(verify, &id);
    other = verify_find_log(verify, &earlier_id);
    if (log == NULL || other == NULL || log->age == -1 || other->age == -1)
        return true;
    return log == other ? idx > other_idx : log->age < other->age;
}

static void
check_left_row(struct verify *verify, struct lite_stmt *rows)
{
    const struct verify_place place = place_of(rows);
    const char *finished_id = lite_text(rows, 3, NULL);

    if (finished_id == NULL)
        verify_report(verify, VERIFY_FINDING, "left", &place,
                      "the run was left and has not finished");
    else if (!comes_after(verify, place.log_id, place.idx, finished_id,
                          lite_int(rows, 4)))
        verify_report(verify, VERIFY_FINDING, "left", &place,
                      "it stands before the run's finished entry");
}

static int
check_left(struct verify *verify, struct err *err)
{
    struct lite_stmt *rows = lite_prepare(
        verify->db,
        "SELECT gone.run_id, gone.log_id, gone.idx, ended.log_id, ended.idx "
        "FROM entry AS gone LEFT JOIN entry AS ended "
        "ON ended.run_id = gone.run_id "
        "AND ended.kind IN ('finished', 'orphaned') "
        "AND ended.kind = 'finished' WHERE gone.kind = 'left'",
        err);
    enum lite_step step = LITE_FAILED;

    while (rows != NULL && (step = lite_step(rows, err)) == LITE_ROW)
        check_left_row(verify, rows);
    lite_finalize(rows);
    if (step != LITE_DONE)
        return -1;
    return report_rows(verify,
                       "SELECT run_id, log_id, idx FROM entry "
                       "WHERE kind = 'left' GROUP BY run_id "
                       "HAVING count(*) > 1",
                       "double", "the run was left more than once", err);
}

static int
check_accepted(struct verify *verify, struct err *err)
{
    if (lite_exec_int(verify->db,
                      "SELECT count(*) FROM entry WHERE kind = 'accepted'",
                      &verify->counts.runs, err) == -1)
        return -1;
    return report_rows(verify,
                       "SELECT run_id, log_id, idx FROM entry "
                       "WHERE kind = 'accepted' GROUP BY run_id "
                       "HAVING count(*) > 1",
                       "double", "the run was accepted more than once", err);
}

/* What the next scribe would take for open. */
static int
check_open_list(struct verify *verify, struct err *err)
{
    return report_rows(verify,
                       "SELECT run_id, NULL, -1 FROM open_run AS listed "
                       "WHERE NOT EXISTS (SELECT 1 FROM entry AS accepted "
                       "WHERE accepted.run_id = listed.run_id "
                       "AND accepted.kind = 'accepted' AND " NO_END ")",
                       "open", "the table open_run has a run that is not open",
                       err);
}

static int
check_ended(struct verify *verify, struct err *err)
{
    if (report_rows(verify,
                    "SELECT run_id, log_id, idx FROM entry AS ended "
                    "WHERE kind IN ('finished', 'orphaned') "
                    "AND NOT EXISTS (SELECT 1 FROM entry AS accepted "
                    "WHERE accepted.run_id = ended.run_id "
                    "AND accepted.kind = 'accepted')",
                    "unaccepted", "the run has an end and was never accepted",
                    err) == -1)
        return -1;
    return report_rows(verify,
                       "SELECT run_id, log_id, idx FROM entry "
                       "WHERE kind IN ('finished', 'orphaned') "
                       "GROUP BY run_id HAVING count(*) > 1",
                       "double", "the run has more than one end", err);
}

int
verify_runs(struct verify *verify, struct err *err)
{
    if (check_open(verify, err) == -1 || check_open_list(verify, err) == -1 ||
        check_accepted(verify, err) == -1 || check_ended(verify, err) == -1)
        return -1;
    return check_left(verify, err);
}

/* ---- content ----------------------------------------------------------- */

static int
sum_content(struct verify *verify, uint64_t *sum, struct err *err)
{
    struct lite_stmt *rows =
        lite_prepare(verify->db, "SELECT run_id, part FROM content", err);
    enum lite_step step = LITE_FAILED;

    *sum = 0;
    while (rows != NULL && (step = lite_step(rows, err)) == LITE_ROW) {
        size_t run_id_len, part_len;
        const char *run_id = lite_text(rows, 0, &run_id_len);
        const char *part = lite_text(rows, 1, &part_len);

        verify->counts.contents++;
        if (verify_add_to_sum(verify, sum, run_id, run_id_len, part, part_len,
                              err) == -1) {
            step = LITE_FAILED;
            break;
        }
    }
    lite_finalize(rows);
    return step == LITE_DONE ? 0 : -1;
}

static bool
is_part(const struct column_part *part, const char *name, size_t len)
{
    return part->name_len == len && memcmp(part->name, name, len) == 0;
}

/* How many times the run's entries speak of the part; -1 on failure. */
static int
count_mentions(struct lite_stmt *bodies, struct columns *columns,
               const char *run_id, size_t run_id_len, const char *part,
               size_t part_len, struct err *err)
{
    enum lite_step step;
    int count = 0;

    lite_bind_text(bodies, 1, run_id, run_id_len);
    while ((step = lite_step(bodies, err)) == LITE_ROW) {
        size_t len;
        const char *body = lite_text(bodies, 0, &len);

        if (body == NULL || columns_read(columns, body, len, NULL) == -1)
            continue;
        for (size_t i = 0; i < columns->part_count; i++)
            count += is_part(&columns->parts[i], part, part_len);
    }
    lite_reset(bodies);
    return step == LITE_DONE ? count : -1;
}

static int
check_mentions(struct verify *verify, struct lite_stmt *rows,
               struct lite_stmt *bodies, struct err *err)
{
    struct columns columns;
    enum lite_step step;

    while ((step = lite_step(rows, err)) == LITE_ROW) {
        size_t run_id_len, part_len;
        const char *run_id = lite_text(rows, 0, &run_id_len);
        const char *part = lite_text(rows, 1, &part_len);
        const struct verify_place place = { .idx = -1,
                                            .run_id = run_id,
                                            .part = part };
        const int count = count_mentions(bodies, &columns, run_id, run_id_len,
                                         part, part_len, err);

        if (count == -1)
            return -1;
        if (count == 0)
            verify_report(verify, VERIFY_FINDING, "content", &place,
                          "no entry speaks of this content");
        else if (count > 1)
            verify_report(verify, VERIFY_FINDING, "content", &place,
                          "more than one entry speaks of this content");
    }
    return step == LITE_DONE ? 0 : -1;
}

/* The slow search, once it is known that there is something to find. */
static int
find_unspoken(struct verify *verify, struct err *err)
{
    struct lite_stmt *rows =
        lite_prepare(verify->db, "SELECT run_id, part FROM content", err);
    struct lite_stmt *bodies = lite_prepare(
        verify->db,
        "SELECT body FROM entry WHERE run_id = ?1 AND kind = 'accepted' "
        "UNION ALL SELECT body FROM entry WHERE run_id = ?1 "
        "AND kind IN ('finished', 'orphaned') "
        "UNION ALL SELECT body FROM entry WHERE run_id = ?1 "
        "AND kind = 'left'",
        err);
    int result = -1;

    if (rows != NULL && bodies != NULL)
        result = check_mentions(verify, rows, bodies, err);
    lite_finalize(rows);
    lite_finalize(bodies);
    return result;
}

int
verify_content(struct verify *verify, struct err *err)
{
    uint64_t sum;

    if (sum_content(verify, &sum, err) == -1)
        return -1;
    return sum == verify->spoken_of_sum ? 0 : find_unspoken(verify, err);
}
