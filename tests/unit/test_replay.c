/*
 * test_replay.c - a run told again is the run as it was told.
 *
 * Every course that a run can take is played by the rules, told, recorded, and
 * rebuilt from nothing but the record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ask/record.h"
#include "ask/replay.h"
#include "base/attr.h"
#include "base/str.h"
#include "text/json.h"

#define RUN_ID    "0197f7a0-0000-7000-8000-000000000001"
#define LOG_ID    "0197f7a0-0000-7000-8000-0000000000ff"
#define MAX_BYTES (64 * 1024)

static const struct config config = {
    .flash = { .model = "quick" },
    .pro = { .model = "careful" },
    .run_deadline_ms = 50000,
};

/* One course of a run. */
struct course {
    enum vocab_words words;
    bool flash_failure_cancels;
    bool early_flash_termination;
    enum model_outcome outcome[MODEL_ROLE_COUNT];
    enum model_role first;
    enum turn_cancel cut; /* of what still runs, TURN_NOT_CANCELLED: nothing */
    int cut_after;        /* so many models were done */
};

/* The run, as it was told and as the ledger has it. */
struct told {
    struct run run;
    struct entry_receipt receipt;
    struct buf frames;
    size_t ends[RUN_MAX_FRAMES + 1]; /* where each frame ends in frames */
    unsigned count;
    json_t *record; /* as reader_get() gives it */
};

static void
note(void *arg, const char *event, unsigned seq)
{
    struct told *told = arg;

    (void)event;
    told->ends[seq] = told->frames.len;
    told->count = seq;
}

static struct model_answer
answer_of(enum model_role role, enum model_outcome outcome)
{
    const bool is_answer = model_outcome_is_answer(outcome);

    return (struct model_answer){
        .outcome = outcome,
        .text = is_answer ? "one\n\ntwo" : "on",
        .text_len = is_answer ? 8 : 2,
        .served_model = role == MODEL_PRO ? "careful-1" : "quick-1",
        .response_id = "r",
        .finish_reason = "STOP",
        .error_class = is_answer                      ? ""
                       : outcome == MODEL_UNAVAILABLE ? "ModelNotFound"
                                                      : "StreamCut",
        .usage = { 10, 5, -1, 0, 15 },
        .rerouted = role == MODEL_PRO,
        .started_unix_us = 1769903999123456,
        .latency_ms = role == MODEL_PRO ? 900 : 300,
    };
}

static void
step(struct told *told, const struct turn_fact *fact)
{
    struct turn_action actions[TURN_MAX_ACTIONS];
    struct run *run = &told->run;
    const size_t count = turn_step(&run->turn, fact, actions);

    for (size_t i = 0; i < count; i++) {
        if (actions[i].kind == TURN_CANCEL)
            run->facts.answer[actions[i].role].outcome = MODEL_CANCELLED;
        if (actions[i].kind == TURN_RECORD) {
            run->facts.verdict = turn_verdict(&run->turn);
            run->facts.total_ms = 1234;
        }
        assert_int_equal(vocab_tell(&run->vocab, &actions[i], &told->frames),
                         0);
    }
}

static void
end_model(struct told *told, const struct course *course, enum model_role role)
{
    struct run *run = &told->run;

    if (run->turn.phase != TURN_ASKING ||
        run->turn.cancelled[role] != TURN_NOT_CANCELLED)
        return;
    run->facts.answer[role] = answer_of(role, course->outcome[role]);
    step(told, &(struct turn_fact){ .kind = TURN_MODEL_DONE,
                                    .role = role,
                                    .outcome = course->outcome[role] });
}

static void
cut(struct told *told, const struct course *course, int done)
{
    /* Whoever leaves later has left a run that had its end. */
    if (course->cut == TURN_NOT_CANCELLED || course->cut_after != done ||
        told->run.turn.phase != TURN_ASKING)
        return;
    step(told, &(struct turn_fact){ .kind = course->cut == TURN_SHUTDOWN
                                                ? TURN_HURRY
                                                : TURN_CLIENT_LEFT });
}

static json_t *
body_of(const struct run *run,
        int (*write)(const struct run *run, struct buf *facts))
{
    struct buf facts;
    json_t *body;

    buf_init(&facts, MAX_BYTES);
    assert_int_equal(write(run, &facts), 0);
    body = json_loadb(facts.bytes, facts.len, 0, NULL);
    buf_close(&facts);
    return body;
}

static json_t *
entry_of(const char *kind, int64_t idx, json_t *body)
{
    char leaf[2 * ENTRY_HASH_LEN + 1];

    memset(leaf, idx == 1 ? 'a' : 'b', sizeof(leaf) - 1);
    leaf[sizeof(leaf) - 1] = '\0';
    assert_non_null(body);
    return json_pack("{s:s, s:I, s:s, s:s, s:o}", "log_id", LOG_ID, "idx",
                     (json_int_t)idx, "kind", kind, "leaf_hash", leaf, "body",
                     body);
}

static json_t *
content_of(const struct run *run)
{
    struct entry_content parts[ENTRY_MAX_PARTS];
    json_t *content = json_object();
    size_t count = record_accepted_parts(run, parts);

    count += record_finished_parts(run, parts + count);
    for (size_t i = 0; i < count; i++)
        json_object_set_new(content, entry_part_name(parts[i].part),
                            json_stringn(parts[i].bytes, parts[i].len));
    return content;
}

static void
tell(struct told *told, const struct course *course)
{
    const struct turn_policy policy = {
        .flash_failure_cancels = course->flash_failure_cancels,
        .early_flash_termination = course->early_flash_termination,
        .errors_end_stream = course->words != VOCAB_CLASSIC,
    };
    struct run *run = &told->run;

    *told = (struct told){ .receipt = { .idx = 1 } };
    assert_int_equal(uuid_parse(LOG_ID, &told->receipt.log_id), 0);
    memset(told->receipt.leaf_hash, 0xaa, ENTRY_HASH_LEN);
    buf_init(&told->frames, MAX_BYTES);
    *run = (struct run){ .config = &config,
                         .id_text = RUN_ID,
                         .started_unix_us = 1769903999000000,
                         .left_after_ms = -1,
                         .facts = { .run_id = RUN_ID,
                                    .query = "why?",
                                    .query_len = 4,
                                    .requested_model = { "quick", "careful" },
                                    .deadline_ms = 50000,
                                    .receipt = &told->receipt } };
    run->facts.answer[MODEL_FLASH] = run->facts.answer[MODEL_PRO] =
        run_not_asked;
    run->request.words = course->words;
    buf_init(&run->query, 64);
    buf_init(&run->context, 64);
    buf_init(&run->user, 64);
    assert_int_equal(buf_append_str(&run->query, "why?"), BUF_OK);
    vocab_init(&run->vocab, course->words, &run->facts, note, told);
    turn_init(&run->turn, &policy);
    step(told, &(struct turn_fact){ .kind = TURN_BEGAN });
    cut(told, course, 0);
    end_model(told, course, course->first);
    cut(told, course, 1);
    end_model(told, course,
              course->first == MODEL_PRO ? MODEL_FLASH : MODEL_PRO);
    assert_int_equal(run->turn.phase, TURN_RECORDING);
    told->record =
        json_pack("{s:s, s:[o, o], s:o}", "id", RUN_ID, "entries",
                  entry_of("accepted", 0, body_of(run, record_accepted)),
                  entry_of("finished", 1, body_of(run, record_finished)),
                  "content", content_of(run));
    assert_non_null(told->record);
    step(told, &(struct turn_fact){ .kind = TURN_RECORDED });
    assert_int_equal(run->turn.phase, TURN_OVER);
}

static void
forget(struct told *told)
{
    json_decref(told->record);
    buf_close(&told->run.query);
    buf_close(&told->run.context);
    buf_close(&told->run.user);
    buf_close(&told->frames);
}

/* After each frame, what follows is what followed. */
static void
check_all(const struct told *told, const struct course *course)
{
    for (unsigned after = 0; after <= told->count; after++) {
        struct replay_telling telling = { .after = after };
        struct err err = { 0 };
        struct buf out;

        buf_init(&out, MAX_BYTES);
        assert_int_equal(replay_tell(told->record, &telling, &out, &err),
                         REPLAY_ENDED);
        if (strcmp(buf_cstr(&out),
                   buf_cstr(&told->frames) + told->ends[after]) != 0)
            fail_msg("words %d cancels %d early %d outcomes %d %d first %d "
                     "cut %d after %d, after frame %u:\n%s\nnot\n%s",
                     course->words, course->flash_failure_cancels,
                     course->early_flash_termination,
                     course->outcome[MODEL_FLASH], course->outcome[MODEL_PRO],
                     course->first, course->cut, course->cut_after, after,
                     buf_cstr(&out),
                     buf_cstr(&told->frames) + told->ends[after]);
        assert_int_equal(telling.after, told->count);
        buf_close(&out);
    }
}

static void
test_every_course_is_told_again_as_it_was(void **state)
{
    static const enum model_outcome outcomes[] = { MODEL_COMPLETE, MODEL_CUT,
                                                   MODEL_UNAVAILABLE,
                                                   MODEL_TIMED_OUT };
    static const enum turn_cancel cuts[] = { TURN_NOT_CANCELLED,
                                             TURN_CLIENT_GONE, TURN_SHUTDOWN };
    size_t count = 1;

    (void)state;
    count *= 3 * 2 * 2 * 2 * 2 * ARRAY_LEN(outcomes) * ARRAY_LEN(outcomes) *
             ARRAY_LEN(cuts);
    for (size_t i = 0; i < count; i++) {
        size_t rest = i;
        struct course course;
        struct told told;

        course.words = (enum vocab_words)(rest % 3), rest /= 3;
        course.flash_failure_cancels = rest % 2, rest /= 2;
        course.early_flash_termination = rest % 2, rest /= 2;
        course.first = (enum model_role)(rest % 2), rest /= 2;
        course.cut_after = (int)(rest % 2), rest /= 2;
        course.outcome[MODEL_FLASH] = outcomes[rest % 4], rest /= 4;
        course.outcome[MODEL_PRO] = outcomes[rest % 4], rest /= 4;
        course.cut = cuts[rest];
        tell(&told, &course);
        check_all(&told, &course);
        forget(&told);
    }
}

/* ---- what is not whole --------------------------------------------------- */

static const struct course plain = {
    .words = VOCAB_STAGED,
    .early_flash_termination = true,
    .outcome = { MODEL_COMPLETE, MODEL_COMPLETE },
};

static void
expect(const struct told *told, struct replay_telling telling,
       enum replay_result wanted, const char *text)
{
    struct err err = { 0 };
    struct buf out;

    buf_init(&out, MAX_BYTES);
    assert_int_equal(replay_tell(told->record, &telling, &out, &err), wanted);
    if (text == NULL)
        assert_int_equal(out.len, 0);
    else
        assert_non_null(strstr(buf_cstr(&out), text));
    buf_close(&out);
}

static void
test_for_another_request_frames_say_so_in_its_words(void **state)
{
    struct told told;

    (void)state;
    tell(&told, &plain);
    expect(&told, (struct replay_telling){ .again = true }, REPLAY_ENDED,
           "event: preliminary\n"
           "data: {\"run_id\":\"" RUN_ID "\",\"trace_id\":\"" RUN_ID
           "\",\"seq\":1,\"replayed\":true,");
    forget(&told);
}

static void
test_a_text_that_is_not_there_is_not_told(void **state)
{
    static const char *const parts[] = { "query", "flash", "pro" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct told told;
        json_t *content;

        tell(&told, &plain);
        content = json_object_get(told.record, "content");
        json_object_set_new(content, parts[i], json_null());
        expect(&told, (struct replay_telling){ 0 }, REPLAY_HIDDEN, NULL);
        json_object_del(content, parts[i]);
        expect(&told, (struct replay_telling){ 0 }, REPLAY_ERASED, NULL);
        forget(&told);
    }
}

static void
test_an_open_run_tells_its_start_once(void **state)
{
    struct told told;

    (void)state;
    tell(&told, &plain);
    json_array_remove(json_object_get(told.record, "entries"), 1);
    expect(&told, (struct replay_telling){ 0 }, REPLAY_OPEN, "event: start");
    expect(&told, (struct replay_telling){ .after = 1 }, REPLAY_OPEN, NULL);
    forget(&told);
}

static void
test_a_lost_run_ends_behind_what_the_client_has(void **state)
{
    struct told told;
    json_t *entries;

    (void)state;
    tell(&told, &plain);
    entries = json_object_get(told.record, "entries");
    json_array_remove(entries, 1);
    json_array_append_new(
        entries,
        entry_of("orphaned", 2, json_pack("{s:s}", "status", "orphaned")));
    expect(&told, (struct replay_telling){ .after = 3 }, REPLAY_ENDED,
           "id: " RUN_ID ":4\nevent: error\n");
    expect(&told, (struct replay_telling){ .after = 3 }, REPLAY_ENDED,
           "id: " RUN_ID ":5\nevent: done\n");
    expect(&told, (struct replay_telling){ 0 }, REPLAY_ENDED,
           "\"code\":\"internal_error\",\"type\":\"error\",\"retryable\":true,"
           "\"model\":null,\"terminal\":true");
    forget(&told);
}

static void
test_a_record_that_is_none_is_a_failure(void **state)
{
    struct told told;
    json_t *entries;

    (void)state;
    tell(&told, &plain);
    entries = json_object_get(told.record, "entries");
    json_object_del(json_array_get(entries, 1), "leaf_hash");
    expect(&told, (struct replay_telling){ 0 }, REPLAY_FAILED, NULL);
    json_array_clear(entries);
    expect(&told, (struct replay_telling){ 0 }, REPLAY_FAILED, NULL);
    assert_null(replay_principal(told.record));
    forget(&told);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_course_is_told_again_as_it_was),
        cmocka_unit_test(test_for_another_request_frames_say_so_in_its_words),
        cmocka_unit_test(test_a_text_that_is_not_there_is_not_told),
        cmocka_unit_test(test_an_open_run_tells_its_start_once),
        cmocka_unit_test(test_a_lost_run_ends_behind_what_the_client_has),
        cmocka_unit_test(test_a_record_that_is_none_is_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
