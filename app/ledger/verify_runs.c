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
place_of(const struct source_row *row)
{
    return (struct verify_place){ .run_id = row->at[0].bytes,
                                  .log_id = row->at[1].bytes,
                                  .idx = row->at[2].number };
}

static const struct verify_log *
find_log(struct verify *verify, const char *log_id)
{
    struct uuid id;

    if (log_id == NULL || uuid_parse(log_id, &id) == -1)
        return NULL;
    return verify_find_log(verify, &id);
}

static bool
may_still_end(struct verify *verify, const char *log_id)
{
    const struct verify_log *log = find_log(verify, log_id);
    const struct verify_log *newest =
        log != NULL ? verify_newest_log(verify, log->host) : NULL;

    if (newest == NULL || newest->head.closed)
        return false;
    return log == newest || clock_unix_us() - newest->opened_unix_us < GRACE_US;
}

static void
check_open_row(struct verify *verify, const struct source_row *row)
{
    const struct verify_place place = place_of(row);

    verify->counts.open_runs++;
    if (verify->source->is_selection || may_still_end(verify, place.log_id))
        verify_report(verify, VERIFY_NOTE, "open", &place,
                      "the run is open: accepted, and its end not recorded "
                      "yet");
    else
        verify_report(verify, VERIFY_FINDING, "open", &place,
                      "the run was accepted and has no end");
    if (row->at[3].number == 0)
        verify_report(verify, VERIFY_FINDING, "open", &place,
                      "the table %s lacks this run", verify->source->run_list);
}

/* Does the entry at (log_id, idx) come after the one at (other_id, other_idx)?
 * True as well when they are not of one chain, which is reported already or
 * cannot be told. */
static bool
comes_after(struct verify *verify, const char *log_id, int64_t idx,
            const char *other_id, int64_t other_idx)
{
    const struct verify_log *log = find_log(verify, log_id);
    const struct verify_log *other = find_log(verify, other_id);

    if (log == NULL || other == NULL || log->age == -1 || other->age == -1 ||
        log->chain != other->chain)
        return true;
    return log == other ? idx > other_idx : log->age < other->age;
}

static void
check_left_row(struct verify *verify, const struct source_row *row)
{
    const struct verify_place place = place_of(row);
    const char *finished_id = row->at[3].bytes;

    if (finished_id == NULL)
        verify_report(verify, VERIFY_FINDING, "left", &place,
                      "the run was left and has not finished");
    else if (!comes_after(verify, place.log_id, place.idx, finished_id,
                          row->at[4].number))
        verify_report(verify, VERIFY_FINDING, "left", &place,
                      "it stands before the run's finished entry");
}

static void
check_listed_row(struct verify *verify, const struct source_row *row)
{
    const struct verify_place place = place_of(row);

    verify_report(verify, VERIFY_FINDING, "open", &place,
                  "the table %s has a run that is not open, or not there",
                  verify->source->run_list);
}

static void
check_unlisted_row(struct verify *verify, const struct source_row *row)
{
    const struct verify_place place = place_of(row);

    verify_report(verify, VERIFY_FINDING, "open", &place,
                  "the table %s lacks this entry", verify->source->run_list);
}

static void
take_count(struct verify *verify, const struct source_row *row)
{
    verify->counts.runs = row->at[0].number;
}

/* What is asked about runs, and what is said of each row that answers. */
static const struct question {
    enum source_query query;
    void (*on_row)(struct verify *verify, const struct source_row *row);
    const char *check; /* without on_row, */
    const char *text;
} questions[] = {
    { .query = SOURCE_OPEN, .on_row = check_open_row },
    { .query = SOURCE_LISTED, .on_row = check_listed_row },
    { .query = SOURCE_UNLISTED, .on_row = check_unlisted_row },
    { .query = SOURCE_RUNS, .on_row = take_count },
    { SOURCE_ACCEPTED_TWICE, NULL, "double",
      "the run was accepted more than once" },
    { SOURCE_UNACCEPTED, NULL, "unaccepted",
      "the run has an end and was never accepted" },
    { SOURCE_ENDED_TWICE, NULL, "double", "the run has more than one end" },
    { .query = SOURCE_LEFT, .on_row = check_left_row },
    { SOURCE_LEFT_TWICE, NULL, "double", "the run was left more than once" },
};

static int
ask(struct verify *verify, const struct question *question, struct err *err)
{
    struct source_row row;
    enum source_step step;

    while ((step = verify_next(verify, question->query, &row, err)) ==
           SOURCE_ROW) {
        const struct verify_place place = place_of(&row);

        if (question->on_row != NULL)
            question->on_row(verify, &row);
        else
            verify_report(verify, VERIFY_FINDING, question->check, &place, "%s",
                          question->text);
    }
    return step == SOURCE_DONE ? 0 : -1;
}

int
verify_runs(struct verify *verify, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(questions); i++)
        if (ask(verify, &questions[i], err) == -1)
            return -1;
    return 0;
}

/* ---- content ----------------------------------------------------------- */

static int
sum_content(struct verify *verify, uint64_t *sum, struct err *err)
{
    enum source_step step;
    struct source_row row;

    *sum = 0;
    while ((step = verify_next(verify, SOURCE_CONTENT, &row, err)) ==
           SOURCE_ROW) {
        verify->counts.contents++;
        if (verify_add_to_sum(verify, sum, row.at[0].bytes, row.at[0].len,
                              row.at[1].bytes, row.at[1].len, err) == -1)
            return -1;
    }
    return step == SOURCE_DONE ? 0 : -1;
}

/* The slow search, once it is known that there is something to find. */
static int
find_unspoken(struct verify *verify, struct err *err)
{
    static const struct source_reading reading = { .query = SOURCE_UNSPOKEN };
    static const struct source_plan plan = { .readings = &reading,
                                             .count = 1,
                                             .deadline_mono_ms = INT64_MAX };
    enum source_step step;
    struct source_row row;

    if (verify->source->ops->begin(verify->source, &plan, err) == -1)
        return -1;
    while ((step = verify_next(verify, SOURCE_UNSPOKEN, &row, err)) ==
           SOURCE_ROW) {
        const struct verify_place place = { .idx = -1,
                                            .run_id = row.at[0].bytes,
                                            .part = row.at[1].bytes };

        verify_report(verify, VERIFY_FINDING, "content", &place,
                      row.at[2].number == 0
                          ? "no entry speaks of this content"
                          : "more than one entry speaks of this content");
    }
    return step == SOURCE_DONE ? 0 : -1;
}

int
verify_content(struct verify *verify, struct err *err)
{
    uint64_t sum;

    if (verify->without_texts)
        return 0;
    if (sum_content(verify, &sum, err) == -1)
        return -1;
    return sum == verify->spoken_of_sum ? 0 : find_unspoken(verify, err);
}
