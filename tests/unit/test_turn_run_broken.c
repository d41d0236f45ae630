/*
 * test_turn_run_broken.c - runs in which the record, curl, memory or the line
 * to the client breaks; written as in test_turn_run.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"
#include "support/run_world.h"

#define LONG_PART "So it is said again and again, and nothing new comes of it. "
#define LONG_4    LONG_PART LONG_PART LONG_PART LONG_PART
#define LONG      LONG_4 LONG_4 LONG_4 LONG_4 LONG_4 LONG_4

/* Of bytes for frames: every frame but a long one fits; one long one, but not
 * the two that tell the same in both vocabularies. */
#define ROOM_FOR_SHORT 1500
#define ROOM_FOR_ONE   4000

/* clang-format off */
#define OK(ms)     { MODEL_COMPLETE, ms, NULL, false }
#define FAILS(ms)  { MODEL_FAILED, ms, NULL, false }
#define SILENT     { MODEL_PENDING, 0, NULL, false }
#define UNSTARTABLE { MODEL_PENDING, 0, NULL, true }
/* clang-format on */

/* ---- a record that fails ------------------------------------------------- */

static void
test_a_record_that_fails_is_told_before_the_end(void **state)
{
    static const struct world_case cases[] = {
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
    world_play(cases, ARRAY_LEN(cases));
}

/* ---- curl that fails ----------------------------------------------------- */

static void
test_when_curl_fails_the_run_ends_without_it(void **state)
{
    static const struct world_case cases[] = {
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
    world_play(cases, ARRAY_LEN(cases));
}

/* ---- heartbeats, slow readers, short memory ------------------------------ */

static void
test_heartbeats_fill_every_silence_until_the_end(void **state)
{
    static const struct world_case cases[] = {
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
    world_play(cases, ARRAY_LEN(cases));
}

static void
test_one_who_reads_no_more_leaves_the_record_its_time(void **state)
{
    static const struct world_case cases[] = {
        { .name = "from the first answer on",
          .script = { .model = { OK(300), OK(900) }, .stalled_at = 250 },
          .story = "0 headers ask:flash ask:pro\n"
                   "8000 cancel:pro write:finished\n"
                   "8010 receipt",
          .record = "cancelled/flash_only complete cancelled: left@8000" },
        { .name = "from the last answer on",
          .script = { .model = { OK(300), OK(900) }, .stalled_at = 850 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 preliminary\n"
                   "8000 write:finished\n"
                   "8010 receipt write:left\n"
                   "8020 receipt",
          .record = "ok/none complete complete: preliminary" },
        { .name = "from the receipt on: until shortly after the run's deadline",
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
    world_play(cases, ARRAY_LEN(cases));
}

static void
test_a_slow_reader_gets_what_is_left_of_the_time(void **state)
{
    static const struct world_case cases[] = {
        { .name = "the end is told after the models' share of the time",
          .script = { .model = { OK(300), SILENT }, .write_ms = 50 },
          .story = "50 headers ask:flash ask:pro\n"
                   "400 preliminary\n"
                   "8000 write:finished\n"
                   "8010 receipt\n"
                   "8060 error:pro_timeout!\n"
                   "8110 done:timeout:finished",
          .record = "timeout/flash_only complete timed_out: preliminary" },
        { .name = "a receipt of the last moment, after the run's deadline",
          .script = { .model = { OK(300), SILENT },
                      .write_ms = 50,
                      .scribe[ENTRY_FINISHED] = { WORLD_RECORDS, 1990 } },
          .story = "50 headers ask:flash ask:pro\n"
                   "400 preliminary\n"
                   "8000 write:finished\n"
                   "9990 receipt\n"
                   "10040 error:pro_timeout!\n"
                   "10090 done:timeout:finished",
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
    world_play(cases, ARRAY_LEN(cases));
}

static void
test_after_a_frame_that_does_not_fit_none_follows(void **state)
{
    static const struct world_case cases[] = {
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
    world_play(cases, ARRAY_LEN(cases));
}

static void
test_a_frame_that_cannot_be_written_is_noticed_at_once(void **state)
{
    static const struct world_case cases[] = {
        { .name = "a frame that cannot be written ends the asking at once",
          .script = { .model = { OK(300), OK(900) }, .unwritable_at = 200 },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 cancel:pro write:finished\n"
                   "310 receipt",
          .record = "cancelled/flash_only complete cancelled: left@300" },
        { .name = "and so does one that does not fit",
          .script = { .model = { { MODEL_COMPLETE, 300, LONG, false },
                                 OK(900) },
                      .out_max_bytes = ROOM_FOR_SHORT },
          .story = "0 headers ask:flash ask:pro\n"
                   "300 ?frame_failed cancel:pro write:finished\n"
                   "310 receipt",
          .record = "cancelled/flash_only complete cancelled: left@300" },
        { .name = "not handed over after the models' share of the time",
          .script = { .model = { OK(300), SILENT },
                      .write_ms = 50,
                      .scribe[ENTRY_FINISHED] = { WORLD_UNWRITABLE, 0 } },
          .story = "50 headers ask:flash ask:pro\n"
                   "400 preliminary\n"
                   "8000 ?audit_lost\n"
                   "8050 error:pro_timeout\n"
                   "8100 error:audit_unavailable!\n"
                   "8150 done:timeout:failed",
          .record = "timeout/flash_only complete timed_out: preliminary" },
    };

    (void)state;
    world_play(cases, ARRAY_LEN(cases));
}

static void
test_letting_a_run_in_does_not_depend_on_curl(void **state)
{
    static const struct world_script script = { .curl_fails_at = 5 };

    (void)state;
    world_begin(&script);
    assert_int_equal(turn_run_accept(&world.run, &world.tools),
                     TURN_RUN_ACCEPTED);
    assert_string_equal(world_story(), "0 write:accepted\n10 receipt");
    world_end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_a_frame_that_cannot_be_written_is_noticed_at_once),
        cmocka_unit_test(test_letting_a_run_in_does_not_depend_on_curl),
        cmocka_unit_test(test_a_record_that_fails_is_told_before_the_end),
        cmocka_unit_test(test_when_curl_fails_the_run_ends_without_it),
        cmocka_unit_test(test_heartbeats_fill_every_silence_until_the_end),
        cmocka_unit_test(test_one_who_reads_no_more_leaves_the_record_its_time),
        cmocka_unit_test(test_a_slow_reader_gets_what_is_left_of_the_time),
        cmocka_unit_test(test_after_a_frame_that_does_not_fit_none_follows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
