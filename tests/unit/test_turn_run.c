/*
 * test_turn_run.c - whole runs as tables: what happens, and what comes of it.
 *
 * A case is a script of its world and the story that must come of it, a line
 * for each moment; run_world.h says how to read one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/str.h"
#include "support/run_world.h"
#include "text/json.h"

/* What telling a failure to a slow reader may cost past the deadline. */
#define GRACE_MS 500

#define LONG_PART "So it is said again and again, and nothing new comes of it. "
#define LONG_4    LONG_PART LONG_PART LONG_PART LONG_PART
#define LONG      LONG_4 LONG_4 LONG_4 LONG_4 LONG_4 LONG_4

/* Of bytes for frames: every frame but a long one fits; one long one, but not
 * the two that tell the same in both vocabularies. */
#define ROOM_FOR_SHORT 1500
#define ROOM_FOR_ONE   4000

struct run_case {
    const char *name;
    struct world_script script;
    const char *story;
    const char *record; /* what `finished` says */
    int result;
};

/* clang-format off */
#define OK(ms)     { MODEL_COMPLETE, ms, NULL, false }
#define FAILS(ms)  { MODEL_FAILED, ms, NULL, false }
#define SILENT     { MODEL_PENDING, 0, NULL, false }
#define UNSTARTABLE { MODEL_PENDING, 0, NULL, true }
/* clang-format on */

/* The receipt that counts is that of `finished`, whatever came after it. */
static bool
has_the_right_receipt(void)
{
    const struct entry_receipt *receipt = world.run.facts.receipt;

    return receipt == NULL || receipt->idx == ENTRY_FINISHED;
}

static bool
play(const struct run_case *is)
{
    bool good;
    int result;

    world_begin(&is->script);
    result = turn_run(&world.run, &world.tools);
    good = result == is->result && strcmp(world_story(), is->story) == 0 &&
           strcmp(world_record(), is->record) == 0 && world.vain_count == 0 &&
           world.turns_after_failure == 0 && has_the_right_receipt() &&
           world.now_ms <= WORLD_RUN_MS + GRACE_MS;
    if (!good)
        print_error("%s: returned %d, %d waits in vain, %d turns after curl "
                    "failed, recorded \"%s\", expected \"%s\"\n%s\n"
                    "expected:\n%s\n",
                    is->name, result, world.vain_count,
                    world.turns_after_failure, world_record(), is->record,
                    world_story(), is->story);
    world_end();
    return good;
}

static void
play_all(const struct run_case *cases, size_t count)
{
    size_t bad = 0;

    for (size_t i = 0; i < count; i++)
        bad += !play(&cases[i]);
    assert_int_equal(bad, 0);
}

/* ---- two answers --------------------------------------------------------- */

static void
test_frames_come_in_the_order_of_the_answers(void **state)
{
    static const struct run_case cases[] = {
        { .name = "both answer",
          .script = { .model = { OK(300), OK(900) } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "910 receipt done:ok:finished",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "staged",
          .script = { .words = VOCAB_STAGED, .model = { OK(300), OK(900) } },
          .story = "0 headers start ask:flash ask:pro\n"
                   "300 flash_complete\n"
                   "900 pro_complete write:finished\n"
                   "910 receipt complete done:ok:finished",
          .record = "ok/none complete complete: start flash_complete "
                    "pro_complete" },
        { .name = "in both vocabularies",
          .script = { .words = VOCAB_BOTH, .model = { OK(300), OK(900) } },
          .story = "0 headers start ask:flash ask:pro\n"
                   "300 preliminary flash_complete\n"
                   "900 final pro_complete write:finished\n"
                   "910 receipt complete done:ok:finished",
          .record = "ok/none complete complete: start preliminary "
                    "flash_complete final pro_complete" },
        { .name = "both at the same moment: Flash is told first",
          .script = { .model = { OK(300), OK(300) } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary final write:finished\n"
                   "310 receipt done:ok:finished",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "Pro first: Flash is superseded",
          .script = { .model = { OK(900), OK(300) } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 final cancel:flash write:finished\n"
                   "310 receipt done:ok:finished",
          .record = "ok/none superseded complete: final" },
        { .name = "Pro first, Flash is waited for",
          .script = { .patient = true, .model = { OK(900), OK(300) } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 final\n"
                   "900 preliminary write:finished\n"
                   "910 receipt done:ok:finished",
          .record = "ok/none complete complete: final preliminary" },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

static void
test_a_failure_is_told_when_it_may_be(void **state)
{
    static const struct run_case cases[] = {
        { .name = "Flash fails, Pro is salvaged",
          .script = { .model = { FAILS(100), OK(900) } },
          .story = "0 headers ask:flash ask:pro\n"
                   "100 error:flash_error\n"
                   "900 final write:finished\n"
                   "910 receipt done:error:finished",
          .record = "error/pro_only failed complete: error final" },
        { .name = "staged: Flash's failure is no error frame",
          .script = { .words = VOCAB_STAGED, .model = { FAILS(100), OK(900) } },
          .story = "0 headers start ask:flash ask:pro\n"
                   "100 model_error:flash_error\n"
                   "900 pro_complete write:finished\n"
                   "910 receipt complete done:error:finished",
          .record = "error/pro_only failed complete: start model_error "
                    "pro_complete" },
        { .name = "Flash fails and policy cancels Pro",
          .script = { .flash_failure_cancels = true,
                      .model = { FAILS(100), OK(900) } },
          .story = "0 headers ask:flash ask:pro\n"
                   "100 cancel:pro write:finished\n"
                   "110 receipt error:flash_error! done:error:finished",
          .record = "error/none failed cancelled:" },
        { .name = "Pro fails last: its error waits for the receipt",
          .script = { .model = { OK(300), FAILS(900) } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 write:finished\n"
                   "910 receipt error:pro_error! done:error:finished",
          .record = "error/flash_only complete failed: preliminary" },
        { .name = "Pro fails first: told at once, nobody stops reading",
          .script = { .model = { OK(900), FAILS(300) } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 error:pro_error\n"
                   "900 preliminary write:finished\n"
                   "910 receipt done:error:finished",
          .record = "error/flash_only complete failed: error preliminary" },
        { .name = "staged: Pro fails first: held, clients stop at an error",
          .script = { .words = VOCAB_STAGED, .model = { OK(900), FAILS(300) } },
          .story = "0 headers start ask:flash ask:pro\n"
                   "900 flash_complete write:finished\n"
                   "910 receipt error:pro_error! complete "
                   "done:error:finished",
          .record = "error/flash_only complete failed: start flash_complete" },
        { .name = "neither answers: each has its own time",
          .script = { .model = { SILENT, SILENT } },
          .story = "0 headers ask:flash ask:pro\n"
                   "3000 error:flash_timeout\n"
                   "8000 write:finished\n"
                   "8010 receipt error:pro_timeout! done:timeout:finished",
          .record = "timeout/none timed_out timed_out: error" },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

/* ---- what cannot begin --------------------------------------------------- */

static void
test_a_model_that_cannot_be_started_has_failed(void **state)
{
    static const struct run_case cases[] = {
        { .name = "Flash cannot be started",
          .script = { .model = { UNSTARTABLE, OK(900) } },
          .story = "0 headers ?model_not_started error:flash_error ask:pro\n"
                   "900 final write:finished\n"
                   "910 receipt done:error:finished",
          .record = "error/pro_only failed complete: error final" },
        { .name = "Flash cannot be started: Pro, once cancelled, is not asked",
          .script = { .flash_failure_cancels = true,
                      .model = { UNSTARTABLE, OK(900) } },
          .story = "0 headers ?model_not_started write:finished\n"
                   "10 receipt error:flash_error! done:error:finished",
          .record = "error/none failed not_started:" },
        { .name = "Pro cannot be started",
          .script = { .model = { OK(300), UNSTARTABLE } },
          .story = "0 headers ask:flash ?model_not_started error:pro_error\n"
                   "300 preliminary write:finished\n"
                   "310 receipt done:error:finished",
          .record = "error/flash_only complete failed: error preliminary" },
        { .name = "neither can be started",
          .script = { .model = { UNSTARTABLE, UNSTARTABLE } },
          .story = "0 headers ?model_not_started error:flash_error "
                   "?model_not_started write:finished\n"
                   "10 receipt error:pro_error! done:error:finished",
          .record = "error/none failed failed: error" },
        { .name = "no memory for the question",
          .script = { .words = VOCAB_STAGED,
                      .model = { OK(300), OK(900) },
                      .no_room = true },
          .story = "0 headers start ?model_not_started "
                   "model_error:flash_error ?model_not_started "
                   "write:finished\n"
                   "10 receipt error:pro_error! done:error:finished",
          .record = "error/none failed failed: start model_error" },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

/* ---- a client that leaves ------------------------------------------------ */

static void
test_a_client_that_leaves_ends_the_asking(void **state)
{
    static const struct run_case cases[] = {
        { .name = "before the run: no model is asked",
          .script = { .model = { OK(300), OK(900) }, .left_at = WORLD_BEFORE },
          .story = "0 write:finished\n"
                   "10 receipt",
          .record = "cancelled/none not_started not_started: left@0" },
        { .name = "before the run, as only a write tells",
          .script = { .words = VOCAB_STAGED,
                      .model = { OK(300), OK(900) },
                      .unwritable_at = WORLD_BEFORE },
          .story = "0 write:finished\n"
                   "10 receipt",
          .record = "cancelled/none not_started not_started: left@0" },
        { .name = "before any answer",
          .script = { .model = { OK(300), OK(900) }, .left_at = 200 },
          .story = "0 headers ask:flash ask:pro\n"
                   "200 cancel:flash cancel:pro write:finished\n"
                   "210 receipt",
          .record = "cancelled/none cancelled cancelled: left@200" },
        { .name = "between the answers",
          .script = { .model = { OK(300), OK(900) }, .left_at = 500 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "500 cancel:pro write:finished\n"
                   "510 receipt",
          .record = "cancelled/flash_only complete cancelled: preliminary "
                    "left@500" },
        { .name = "between the answers, as only a heartbeat finds out",
          .script = { .model = { OK(300), OK(900) },
                      .unwritable_at = 400,
                      .heartbeat_ms = 250 },
          .story = "0 headers ask:flash ask:pro\n"
                   "250 heartbeat\n"
                   "300 preliminary\n"
                   "550 cancel:pro write:finished\n"
                   "560 receipt",
          .record = "cancelled/flash_only complete cancelled: preliminary "
                    "left@550" },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

static void
test_one_who_leaves_during_the_record_is_recorded_after_it(void **state)
{
    static const struct run_case cases[] = {
        { .name = "`left` follows the receipt of `finished`",
          .script = { .model = { OK(300), OK(900) }, .left_at = 905 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "910 receipt write:left\n"
                   "920 receipt",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "the frame of the last answer finds out",
          .script = { .model = { OK(300), OK(900) }, .unwritable_at = 800 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 write:finished\n"
                   "910 receipt write:left\n"
                   "920 receipt",
          .record = "ok/none complete complete: preliminary" },
        { .name = "`left` is refused: the run is recorded all the same",
          .script = { .model = { OK(300), OK(900) },
                      .left_at = 905,
                      .scribe[ENTRY_LEFT] = { WORLD_REFUSES, 0 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "910 receipt write:left\n"
                   "920 refused ?audit_lost",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "`left` gets no answer: over at the deadline",
          .script = { .model = { OK(300), OK(900) },
                      .left_at = 905,
                      .scribe[ENTRY_LEFT] = { WORLD_SILENT, 0 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "910 receipt write:left\n"
                   "10000 late ?audit_lost",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "`left` cannot be handed over",
          .script = { .model = { OK(300), OK(900) },
                      .left_at = 905,
                      .scribe[ENTRY_LEFT] = { WORLD_UNWRITABLE, 0 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "910 receipt ?audit_lost",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "`finished` was refused: there is nothing to add to",
          .script = { .model = { OK(300), OK(900) },
                      .left_at = 905,
                      .scribe[ENTRY_FINISHED] = { WORLD_REFUSES, 0 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "910 refused ?audit_lost",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "who had left before is in `finished`, and nowhere else",
          .script = { .model = { OK(300), OK(900) },
                      .left_at = 500,
                      .scribe[ENTRY_FINISHED] = { WORLD_RECORDS, 700 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "500 cancel:pro write:finished\n"
                   "1200 receipt",
          .record = "cancelled/flash_only complete cancelled: preliminary "
                    "left@500" },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

/* ---- a master in a hurry ------------------------------------------------- */

static void
test_a_hurry_cuts_the_asking_short_and_tells_the_client(void **state)
{
    static const struct run_case cases[] = {
        { .name = "before the run: no model is asked",
          .script = { .model = { OK(300), OK(900) }, .hurry_at = WORLD_BEFORE },
          .story = "0 headers write:finished\n"
                   "10 receipt error:cancelled! done:cancelled:finished",
          .record = "cancelled/none not_started not_started:" },
        { .name = "before the run, staged: it does not even start",
          .script = { .words = VOCAB_STAGED,
                      .model = { OK(300), OK(900) },
                      .hurry_at = WORLD_BEFORE },
          .story = "0 headers write:finished\n"
                   "10 receipt error:cancelled! done:cancelled:finished",
          .record = "cancelled/none not_started not_started:" },
        { .name = "before any answer",
          .script = { .model = { OK(300), OK(900) }, .hurry_at = 200 },
          .story = "0 headers ask:flash ask:pro\n"
                   "200 cancel:flash cancel:pro write:finished\n"
                   "210 receipt error:cancelled! done:cancelled:finished",
          .record = "cancelled/none cancelled cancelled:" },
        { .name = "between the answers",
          .script = { .words = VOCAB_STAGED,
                      .model = { OK(300), OK(900) },
                      .hurry_at = 500 },
          .story = "0 headers start ask:flash ask:pro\n"
                   "300 flash_complete\n"
                   "500 cancel:pro write:finished\n"
                   "510 receipt complete done:cancelled:finished",
          .record = "cancelled/flash_only complete cancelled: start "
                    "flash_complete" },
        { .name = "while the record is written: nothing changes",
          .script = { .model = { OK(300), OK(900) }, .hurry_at = 905 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "910 receipt done:ok:finished",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "while `left` is written",
          .script = { .model = { OK(300), OK(900) },
                      .left_at = 905,
                      .hurry_at = 915 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "910 receipt write:left\n"
                   "920 receipt",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "after Pro's held error",
          .script = { .words = VOCAB_STAGED,
                      .model = { OK(900), FAILS(300) },
                      .hurry_at = 500 },
          .story = "0 headers start ask:flash ask:pro\n"
                   "500 cancel:flash write:finished\n"
                   "510 receipt error:pro_error! done:cancelled:finished",
          .record = "cancelled/none cancelled failed: start" },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

/* ---- a record that fails ------------------------------------------------- */

static void
test_a_record_that_fails_is_told_before_the_end(void **state)
{
    static const struct run_case cases[] = {
        { .name = "refused",
          .script = { .model = { OK(300), OK(900) },
                      .scribe[ENTRY_FINISHED] = { WORLD_REFUSES, 0 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "910 refused ?audit_lost error:audit_unavailable! "
                   "done:ok:failed",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "no answer: told at the deadline",
          .script = { .words = VOCAB_STAGED,
                      .model = { OK(300), OK(900) },
                      .scribe[ENTRY_FINISHED] = { WORLD_SILENT, 0 } },
          .story = "0 headers start ask:flash ask:pro\n"
                   "300 flash_complete\n"
                   "900 pro_complete write:finished\n"
                   "10000 late ?audit_lost error:audit_unavailable! "
                   "done:ok:failed",
          .record = "ok/none complete complete: start flash_complete "
                    "pro_complete" },
        { .name = "cannot be handed over",
          .script = { .model = { OK(300), OK(900) },
                      .scribe[ENTRY_FINISHED] = { WORLD_UNWRITABLE, 0 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final ?audit_lost error:audit_unavailable! "
                   "done:ok:failed",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "after Pro's held error: the audit's error ends the stream",
          .script = { .model = { OK(300), FAILS(900) },
                      .scribe[ENTRY_FINISHED] = { WORLD_REFUSES, 0 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 write:finished\n"
                   "910 refused ?audit_lost error:pro_error "
                   "error:audit_unavailable! done:error:failed",
          .record = "error/flash_only complete failed: preliminary" },
        { .name = "no model could be started, and no record handed over",
          .script = { .model = { UNSTARTABLE, UNSTARTABLE },
                      .scribe[ENTRY_FINISHED] = { WORLD_UNWRITABLE, 0 } },
          .story = "0 headers ?model_not_started error:flash_error "
                   "?model_not_started ?audit_lost error:pro_error "
                   "error:audit_unavailable! done:error:failed",
          .record = "error/none failed failed: error" },
        { .name = "a shutdown whose record gets no answer",
          .script = { .model = { OK(300), OK(900) },
                      .hurry_at = 200,
                      .scribe[ENTRY_FINISHED] = { WORLD_SILENT, 0 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "200 cancel:flash cancel:pro write:finished\n"
                   "10000 late ?audit_lost error:audit_unavailable! "
                   "done:cancelled:failed",
          .record = "cancelled/none cancelled cancelled:" },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

/* ---- curl that fails ----------------------------------------------------- */

static void
test_when_curl_fails_the_run_ends_without_it(void **state)
{
    static const struct run_case cases[] = {
        { .name = "before any answer",
          .script = { .model = { OK(300), OK(900) }, .curl_fails_at = 200 },
          .story = "0 headers ask:flash ask:pro\n"
                   "200 ?models_failed free:flash error:flash_error free:pro "
                   "write:finished\n"
                   "210 receipt error:pro_error! done:error:finished",
          .record = "error/none failed failed: error",
          .result = -1 },
        { .name = "before any answer, and policy cancels Pro",
          .script = { .flash_failure_cancels = true,
                      .model = { OK(300), OK(900) },
                      .curl_fails_at = 200 },
          .story = "0 headers ask:flash ask:pro\n"
                   "200 ?models_failed free:flash cancel:pro write:finished "
                   "free:pro\n"
                   "210 receipt error:flash_error! done:error:finished",
          .record = "error/none failed cancelled:",
          .result = -1 },
        { .name = "between the answers: the first one is kept",
          .script = { .words = VOCAB_STAGED,
                      .model = { OK(300), OK(900) },
                      .curl_fails_at = 500 },
          .story = "0 headers start ask:flash ask:pro\n"
                   "300 flash_complete\n"
                   "500 ?models_failed free:pro write:finished\n"
                   "510 receipt error:pro_error! complete "
                   "done:error:finished",
          .record = "error/flash_only complete failed: start flash_complete",
          .result = -1 },
        { .name = "while the record is written: the answers are safe",
          .script = { .words = VOCAB_STAGED,
                      .model = { OK(300), OK(900) },
                      .curl_fails_at = 905 },
          .story = "0 headers start ask:flash ask:pro\n"
                   "300 flash_complete\n"
                   "900 pro_complete write:finished\n"
                   "905 ?models_failed\n"
                   "910 receipt complete done:ok:finished",
          .record = "ok/none complete complete: start flash_complete "
                    "pro_complete",
          .result = -1 },
        { .name = "and then the scribe is silent, the client leaves, the "
                  "master hurries",
          .script = { .model = { OK(300), OK(900) },
                      .curl_fails_at = 200,
                      .left_at = 400,
                      .hurry_at = 600,
                      .scribe[ENTRY_FINISHED] = { WORLD_SILENT, 0 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "200 ?models_failed free:flash error:flash_error free:pro "
                   "write:finished\n"
                   "10000 late ?audit_lost",
          .record = "error/none failed failed: error",
          .result = -1 },
        { .name = "heartbeats go on without it",
          .script = { .model = { OK(300), OK(900) },
                      .curl_fails_at = 200,
                      .heartbeat_ms = 600,
                      .scribe[ENTRY_FINISHED] = { WORLD_RECORDS, 1000 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "200 ?models_failed free:flash error:flash_error free:pro "
                   "write:finished\n"
                   "800 heartbeat\n"
                   "1200 receipt error:pro_error! done:error:finished",
          .record = "error/none failed failed: error",
          .result = -1 },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

/* ---- heartbeats, slow readers, short memory ------------------------------ */

static void
test_heartbeats_fill_every_silence_until_the_end(void **state)
{
    static const struct run_case cases[] = {
        { .name = "each a heartbeat's time after the last byte",
          .script = { .model = { OK(700), OK(1500) },
                      .heartbeat_ms = 300,
                      .scribe[ENTRY_FINISHED] = { WORLD_RECORDS, 400 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 heartbeat\n"
                   "600 heartbeat\n"
                   "700 preliminary\n"
                   "1000 heartbeat\n"
                   "1300 heartbeat\n"
                   "1500 final write:finished\n"
                   "1800 heartbeat\n"
                   "1900 receipt done:ok:finished",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "none to one who has left",
          .script = { .model = { OK(300), OK(900) },
                      .left_at = 200,
                      .heartbeat_ms = 150,
                      .scribe[ENTRY_FINISHED] = { WORLD_RECORDS, 5000 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "150 heartbeat\n"
                   "200 cancel:flash cancel:pro write:finished\n"
                   "5200 receipt",
          .record = "cancelled/none cancelled cancelled: left@200" },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

static void
test_one_who_reads_no_more_leaves_the_record_its_time(void **state)
{
    static const struct run_case cases[] = {
        { .name = "from the first answer on",
          .script = { .model = { OK(300), OK(900) }, .stalled_at = 250 },
          .story = "0 headers ask:flash ask:pro\n"
                   "8000 write:finished\n"
                   "8010 receipt",
          .record = "cancelled/flash_only complete complete: left@8000" },
        { .name = "from the last answer on",
          .script = { .model = { OK(300), OK(900) }, .stalled_at = 850 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "8000 write:finished\n"
                   "8010 receipt write:left\n"
                   "8020 receipt",
          .record = "ok/none complete complete: preliminary" },
        { .name = "from the receipt on: until the run's deadline",
          .script = { .model = { OK(300), OK(900) }, .stalled_at = 905 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "910 receipt",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "from the failure of the record on",
          .script = { .model = { OK(300), OK(900) },
                      .stalled_at = 905,
                      .scribe[ENTRY_FINISHED] = { WORLD_SILENT, 0 } },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "10000 late ?audit_lost",
          .record = "ok/none complete complete: preliminary final" },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

static void
test_a_slow_reader_gets_what_is_left_of_the_time(void **state)
{
    static const struct run_case cases[] = {
        { .name = "the end is told after the models' share of the time",
          .script = { .model = { OK(300), SILENT }, .write_ms = 50 },
          .story = "50 headers ask:flash ask:pro\n"
                   "400 preliminary\n"
                   "8000 write:finished\n"
                   "8010 receipt\n"
                   "8060 error:pro_timeout!\n"
                   "8110 done:timeout:finished",
          .record = "timeout/flash_only complete timed_out: preliminary" },
        { .name = "a failure is told after the run's deadline",
          .script = { .model = { OK(300), OK(900) },
                      .write_ms = 50,
                      .scribe[ENTRY_FINISHED] = { WORLD_SILENT, 0 } },
          .story = "50 headers ask:flash ask:pro\n"
                   "400 preliminary\n"
                   "1000 final write:finished\n"
                   "10000 late ?audit_lost\n"
                   "10050 error:audit_unavailable!\n"
                   "10100 done:ok:failed",
          .record = "ok/none complete complete: preliminary final" },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

static void
test_after_a_frame_that_does_not_fit_none_follows(void **state)
{
    static const struct run_case cases[] = {
        { .name = "the last answer",
          .script = { .model = { OK(300),
                                 { MODEL_COMPLETE, 900, LONG, false } },
                      .out_max_bytes = ROOM_FOR_SHORT },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 ?frame_failed write:finished\n"
                   "910 receipt write:left\n"
                   "920 receipt",
          .record = "ok/none complete complete: preliminary" },
        { .name = "the second of two frames for one answer: neither goes out",
          .script = { .words = VOCAB_BOTH,
                      .model = { OK(300),
                                 { MODEL_COMPLETE, 900, LONG, false } },
                      .out_max_bytes = ROOM_FOR_ONE },
          .story = "0 headers start ask:flash ask:pro\n"
                   "300 preliminary flash_complete\n"
                   "900 ?frame_failed write:finished\n"
                   "910 receipt write:left\n"
                   "920 receipt",
          .record = "ok/none complete complete: start preliminary "
                    "flash_complete" },
    };

    (void)state;
    play_all(cases, ARRAY_LEN(cases));
}

/* ---- a run that is let in ------------------------------------------------ */

struct accept_case {
    const char *name;
    struct world_script script;
    int64_t deadline_ms; /* of the run; 0: the usual */
    enum turn_run_accepted result;
    const char *story;
};

static void
test_a_run_is_let_in_when_its_entry_is_durable(void **state)
{
    static const struct accept_case cases[] = {
        { "recorded",
          { .heartbeat_ms = 0 },
          0,
          TURN_RUN_ACCEPTED,
          "0 write:accepted\n"
          "10 receipt" },
        { "refused",
          { .scribe[ENTRY_ACCEPTED] = { WORLD_REFUSES, 0 } },
          0,
          TURN_RUN_UNAVAILABLE,
          "0 write:accepted\n"
          "10 refused ?audit_unavailable" },
        { "no answer",
          { .scribe[ENTRY_ACCEPTED] = { WORLD_SILENT, 0 } },
          0,
          TURN_RUN_UNAVAILABLE,
          "0 write:accepted\n"
          "2000 late ?audit_unavailable" },
        { "no answer, and the run's own deadline is nearer",
          { .scribe[ENTRY_ACCEPTED] = { WORLD_SILENT, 0 } },
          1500,
          TURN_RUN_UNAVAILABLE,
          "0 write:accepted\n"
          "1500 late ?audit_unavailable" },
        { "cannot be handed over",
          { .scribe[ENTRY_ACCEPTED] = { WORLD_UNWRITABLE, 0 } },
          0,
          TURN_RUN_UNAVAILABLE,
          "0 ?audit_unavailable" },
        { "the client leaves and the master hurries meanwhile: no heartbeat, "
          "no frame, no wait in vain",
          { .scribe[ENTRY_ACCEPTED] = { WORLD_RECORDS, 900 },
            .left_at = 300,
            .hurry_at = 500,
            .heartbeat_ms = 100 },
          0,
          TURN_RUN_ACCEPTED,
          "0 write:accepted\n"
          "900 receipt" },
        { "the client had left before and the master is in a hurry",
          { .scribe[ENTRY_ACCEPTED] = { WORLD_SILENT, 0 },
            .left_at = WORLD_BEFORE,
            .hurry_at = WORLD_BEFORE },
          0,
          TURN_RUN_UNAVAILABLE,
          "0 write:accepted\n"
          "2000 late ?audit_unavailable" },
    };
    size_t bad = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct accept_case *is = &cases[i];
        enum turn_run_accepted result;

        world_begin(&is->script);
        if (is->deadline_ms > 0)
            world.run.deadline_mono_ms =
                world.run.started_mono_ms + is->deadline_ms;
        result = turn_run_accept(&world.run, &world.tools);
        if (result != is->result || strcmp(world_story(), is->story) != 0 ||
            world.vain_count > 0) {
            print_error("%s: %d, %d waits in vain\n%s\nexpected:\n%s\n",
                        is->name, result, world.vain_count, world_story(),
                        is->story);
            bad++;
        }
        world_end();
    }
    assert_int_equal(bad, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_come_in_the_order_of_the_answers),
        cmocka_unit_test(test_a_failure_is_told_when_it_may_be),
        cmocka_unit_test(test_a_model_that_cannot_be_started_has_failed),
        cmocka_unit_test(test_a_client_that_leaves_ends_the_asking),
        cmocka_unit_test(
            test_one_who_leaves_during_the_record_is_recorded_after_it),
        cmocka_unit_test(
            test_a_hurry_cuts_the_asking_short_and_tells_the_client),
        cmocka_unit_test(test_a_record_that_fails_is_told_before_the_end),
        cmocka_unit_test(test_when_curl_fails_the_run_ends_without_it),
        cmocka_unit_test(test_heartbeats_fill_every_silence_until_the_end),
        cmocka_unit_test(test_one_who_reads_no_more_leaves_the_record_its_time),
        cmocka_unit_test(test_a_slow_reader_gets_what_is_left_of_the_time),
        cmocka_unit_test(test_after_a_frame_that_does_not_fit_none_follows),
        cmocka_unit_test(test_a_run_is_let_in_when_its_entry_is_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
