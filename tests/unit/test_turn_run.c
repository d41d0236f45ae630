/*
 * test_turn_run.c - whole runs as tables: what happens, and what comes of it.
 * What breaks is in test_turn_run_broken.c.
 *
 * A case is a script of its world and the story that must come of it, a line
 * for each moment; run_world.h says how to read one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "support/run_world.h"

/* clang-format off */
#define OK(ms)     { MODEL_COMPLETE, ms, NULL, false }
#define FAILS(ms)  { MODEL_FAILED, ms, NULL, false }
#define SILENT     { MODEL_PENDING, 0, NULL, false }
#define UNSTARTABLE { MODEL_PENDING, 0, NULL, true }
/* clang-format on */

/* ---- two answers --------------------------------------------------------- */

static void
test_frames_come_in_the_order_of_the_answers(void **state)
{
    static const struct world_case cases[] = {
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
    world_play(cases, ARRAY_LEN(cases));
}

static void
test_a_failure_is_told_when_it_may_be(void **state)
{
    static const struct world_case cases[] = {
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
    world_play(cases, ARRAY_LEN(cases));
}

/* ---- what cannot begin --------------------------------------------------- */

static void
test_a_model_that_cannot_be_started_has_failed(void **state)
{
    static const struct world_case cases[] = {
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
    world_play(cases, ARRAY_LEN(cases));
}

/* ---- a client that leaves ------------------------------------------------ */

static void
test_a_client_that_leaves_ends_the_asking(void **state)
{
    static const struct world_case cases[] = {
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
        { .name = "as the first answer comes",
          .script = { .model = { OK(300), OK(900) }, .left_at = 300 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 cancel:pro write:finished\n"
                   "310 receipt",
          .record = "cancelled/flash_only complete cancelled: left@300" },
        { .name = "as both answers come: nothing is left to cut short",
          .script = { .model = { OK(300), OK(300) }, .left_at = 300 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 write:finished\n"
                   "310 receipt",
          .record = "ok/none complete complete: left@300" },
        { .name = "as both answers come, as only their frames find out",
          .script = { .model = { OK(300), OK(300) }, .unwritable_at = 300 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 write:finished\n"
                   "310 receipt",
          .record = "ok/none complete complete: left@300" },
        { .name = "between the answers, and the run goes on",
          .script = { .outlives_client = true,
                      .model = { OK(300), OK(900) },
                      .left_at = 500 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 write:finished\n"
                   "910 receipt",
          .record = "ok/none complete complete: preliminary left@500" },
        { .name = "before the run, which goes on",
          .script = { .outlives_client = true,
                      .model = { OK(300), OK(900) },
                      .left_at = WORLD_BEFORE },
          .story = "0 ask:flash ask:pro\n"
                   "900 write:finished\n"
                   "910 receipt",
          .record = "ok/none complete complete: left@0" },
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
    world_play(cases, ARRAY_LEN(cases));
}

static void
test_one_who_leaves_during_the_record_is_recorded_after_it(void **state)
{
    static const struct world_case cases[] = {
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
    world_play(cases, ARRAY_LEN(cases));
}

/* ---- a master in a hurry ------------------------------------------------- */

static void
test_a_hurry_cuts_the_asking_short_and_tells_the_client(void **state)
{
    static const struct world_case cases[] = {
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
        { .name = "as the first answer comes",
          .script = { .model = { OK(300), OK(900) }, .hurry_at = 300 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary cancel:pro write:finished\n"
                   "310 receipt done:cancelled:finished",
          .record = "cancelled/flash_only complete cancelled: preliminary" },
        { .name = "as the last answer comes: nothing is left to cut short",
          .script = { .model = { OK(300), OK(900) }, .hurry_at = 900 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "900 final write:finished\n"
                   "910 receipt done:ok:finished",
          .record = "ok/none complete complete: preliminary final" },
        { .name = "as both answers come, and the client turns out to be gone",
          .script = { .model = { OK(300), OK(300) },
                      .hurry_at = 300,
                      .unwritable_at = 300 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 write:finished\n"
                   "310 receipt",
          .record = "ok/none complete complete: left@300" },
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
    world_play(cases, ARRAY_LEN(cases));
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
          20000,
          TURN_RUN_UNAVAILABLE,
          "0 write:accepted\n"
          "12000 late ?audit_unavailable" },
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
          20000,
          TURN_RUN_UNAVAILABLE,
          "0 write:accepted\n"
          "12000 late ?audit_unavailable" },
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
        cmocka_unit_test(test_a_run_is_let_in_when_its_entry_is_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
