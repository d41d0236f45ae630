/*
 * test_conf - reading options: values, refusals, and what messages show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/conf.h"

#include "conf_fixture.h"

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static int faults_after = -1;

static bool
is_fault(void)
{
    return faults_after >= 0 && faults_after-- == 0;
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return is_fault() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
    return is_fault() ? NULL : __real_realloc(old, size);
}

/* want is what follows the path. */
static void
assert_file_refused(const char *text, const char *want)
{
    struct values values = defaults();
    struct err err = { 0 };

    write_file(text, strlen(text));
    assert_int_equal(conf_read_file(&table, path, &values, &arena, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_memory_equal(err.text, path, strlen(path));
    assert_string_equal(err.text + strlen(path), want);
}

static void
assert_variable_refused(const char *variable, const char *want)
{
    struct values values;
    struct err err = { 0 };

    assert_int_equal(read_variable(variable, &values, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.text, want);
}

/* ---- values ------------------------------------------------------------- */

static void
test_defaults_go_through_the_parser(void **state)
{
    const struct values values = defaults();

    (void)state;
    assert_string_equal(values.folder, "/var/lib/x");
    assert_string_equal(values.key, "");
    assert_string_equal(values.note, "two words");
    assert_int_equal(values.workers, 64);
    assert_int_equal(values.timeout_ms, 5000);
    assert_true(values.metrics);
    assert_int_equal(values.level, 1);
}

static void
test_a_bad_default_is_told_as_such(void **state)
{
    const struct conf_option bad = { "N", CONF_INTEGER, 0, "9", 1,
                                     5,   NULL,         0, "x" };
    const struct conf_table one = { &bad, 1 };
    struct err err = { 0 };
    int64_t number;

    (void)state;
    assert_int_equal(conf_defaults(&one, &number, &arena, &err), -1);
    assert_string_equal(err.text,
                        "default: N=9: must be a whole number from 1 to 5");
}

static void
test_a_file_sets_every_type(void **state)
{
    const struct values values =
        read_text("STATE_DIR=/a\nAPI_KEY=secret\nNOTE=x y\n"
                  "STREAM_WORKERS_MAX=8\nFLASH_TIMEOUT_S=0.25\n"
                  "ENABLE_METRICS=off\nLOG_LEVEL=error\n");

    (void)state;
    assert_string_equal(values.folder, "/a");
    assert_string_equal(values.key, "secret");
    assert_string_equal(values.note, "x y");
    assert_int_equal(values.workers, 8);
    assert_int_equal(values.timeout_ms, 250);
    assert_false(values.metrics);
    assert_int_equal(values.level, 2);
}

static void
test_blank_lines_comments_and_blanks_do_not_count(void **state)
{
    const struct values values =
        read_text("\n# NOTE=a\r\n  #NOTE=b\n \t\n  STREAM_WORKERS_MAX = 7 \r\n"
                  "NOTE=c # d");

    (void)state;
    assert_int_equal(values.workers, 7);
    assert_string_equal(values.note, "c # d");
}

static void
test_quotes_keep_blanks_and_the_other_quote(void **state)
{
    (void)state;
    assert_string_equal(read_text("NOTE=\" it's \"\n").note, " it's ");
    assert_string_equal(read_text("NOTE=' \"a\" '\n").note, " \"a\" ");
    assert_string_equal(read_text("NOTE=''\n").note, "");
    assert_string_equal(read_text("NOTE=\n").note, "");
    assert_string_equal(read_text("NOTE=a=\"b\"\n").note, "a=\"b\"");
    assert_string_equal(read_text("NOTE='a\\n'\n").note, "a\\n");
}

/* ---- refusals ----------------------------------------------------------- */

static void
test_messages_name_file_line_key_value_and_bounds(void **state)
{
    (void)state;
    assert_file_refused("\nFLASH_TIMEOUT_S=0\n",
                        ":2: FLASH_TIMEOUT_S=0: must be 0.05 to 3600 seconds");
    assert_file_refused(
        "STREAM_WORKERS_MAX=many",
        ":1: STREAM_WORKERS_MAX=many: must be a whole number from 1 to 4096");
    assert_file_refused("ENABLE_METRICS=maybe",
                        ":1: ENABLE_METRICS=maybe: must be true or false");
    assert_file_refused("LOG_LEVEL=\n",
                        ":1: LOG_LEVEL=: must be DEBUG, INFO or ERROR");
    assert_file_refused("STATE_DIR=",
                        ":1: STATE_DIR=: must be text of 1 to 20 bytes");
    assert_file_refused("STATE_DIR=/23456789012345678901",
                        ":1: STATE_DIR=/23456789012345678901: must be text of "
                        "1 to 20 bytes");
}

static void
test_an_unknown_key_is_answered_with_the_nearest_name(void **state)
{
    (void)state;
    assert_file_refused("FLASH_TIMEUOT_S=1",
                        ":1: FLASH_TIMEUOT_S: unknown option; did you mean "
                        "FLASH_TIMEOUT_S?");
    assert_file_refused("STREAM_WORKER_MAX=1",
                        ":1: STREAM_WORKER_MAX: unknown option; did you mean "
                        "STREAM_WORKERS_MAX?");
    assert_file_refused("LOGLEVEL=1", ":1: LOGLEVEL: unknown option; did you "
                                      "mean LOG_LEVEL?");
    assert_file_refused("XYZZY=1", ":1: XYZZY: unknown option");
}

static void
test_a_repeated_key_is_refused(void **state)
{
    (void)state;
    assert_file_refused("NOTE=a\n\nNOTE=a\n",
                        ":3: NOTE: already set in line 1");
}

static void
test_what_is_no_assignment_is_refused_and_not_shown(void **state)
{
    (void)state;
    assert_file_refused("s3cr3t\n", ":1: not KEY=value");
    assert_file_refused("c2VjcmV0==\n",
                        ":1: not KEY=value with KEY in capitals, digits and _");
    assert_file_refused("=x\n",
                        ":1: not KEY=value with KEY in capitals, digits and _");
    assert_file_refused("export NOTE=x\n",
                        ":1: not KEY=value with KEY in capitals, digits and _");
}

static void
test_quotes_that_do_not_match_are_refused(void **state)
{
    (void)state;
    assert_file_refused("NOTE=\"a\n", ":1: NOTE: the quotes do not match");
    assert_file_refused("NOTE='a'b\n", ":1: NOTE: the quotes do not match");
    assert_file_refused("NOTE=\"\n", ":1: NOTE: the quotes do not match");
}

static void
test_a_secret_is_never_shown(void **state)
{
    static const char variable[] = "API_KEY=0123456789012345678901";
    static const char control[] = "API_KEY=012\x01";

    (void)state;
    assert_file_refused("API_KEY=0123456789012345678901",
                        ":1: API_KEY=***: must be text of 0 to 20 bytes");
    assert_file_refused("API_KEY=\"0123", ":1: API_KEY: the quotes do not "
                                          "match");
    assert_variable_refused(
        variable, "environment: API_KEY=***: must be text of 0 to 20 bytes");
    assert_variable_refused(control, "environment: API_KEY=***: must be UTF-8 "
                                     "without control characters");
}

static void
test_a_secret_that_is_replaced_leaves_no_trace(void **state)
{
    struct values values = read_text("API_KEY=of-the-file\n");
    const char *replaced = values.key;
    char variable[] = "API_KEY=elsewhere";
    char *environment[] = { variable, NULL };

    (void)state;
    assert_string_equal(replaced, "of-the-file");
    assert_int_equal(
        conf_read_environment(&table, environment, &values, &arena, NULL), 0);
    assert_string_equal(values.key, "elsewhere");
    assert_string_equal(replaced, "");
}

static void
test_a_hidden_secret_is_no_secret(void **state)
{
    (void)state;
    assert_file_refused("API_KEY=***\n",
                        ":1: API_KEY=***: this is how a secret is shown: put "
                        "the secret itself here, or leave it empty");
    assert_string_equal(read_text("NOTE=***\n").note, "***");
}

static void
test_text_with_control_characters_is_refused_and_not_shown(void **state)
{
    static const char lf[] = "NOTE=a\nb";
    static const char del[] = "NOTE=a\x7f";
    static const char bad[] = "NOTE=a\xff";
    static const char number[] = "STREAM_WORKERS_MAX=1\x1b[2J";

    (void)state;
    assert_variable_refused(
        lf, "environment: NOTE: must be UTF-8 without control characters");
    assert_variable_refused(
        del, "environment: NOTE: must be UTF-8 without control characters");
    assert_variable_refused(
        bad, "environment: NOTE: must be UTF-8 without control characters");
    assert_variable_refused(number, "environment: STREAM_WORKERS_MAX: must be "
                                    "a whole number from 1 to 4096");
}

static void
test_a_long_wrong_value_is_cut_between_characters(void **state)
{
    static const char variable[] =
        "LOG_LEVEL=0123456789012345678901234567890123456789012345678"
        "901234567\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac";

    (void)state;
    assert_variable_refused(
        variable, "environment: "
                  "LOG_LEVEL=0123456789012345678901234567890123456789012345678"
                  "901234567...: must be DEBUG, INFO or ERROR");
}

static void
test_text_that_no_file_can_hold_is_refused(void **state)
{
    static const char begins[] = "NOTE=\"it's";
    static const char ends[] = "NOTE=it's \"a\" ";
    static const char fine[] = "NOTE=it's \"a\"";
    struct values values;

    (void)state;
    assert_variable_refused(begins,
                            "environment: NOTE=\"it's: must not hold both "
                            "quotes and begin with one, or begin or end with "
                            "a blank");
    assert_variable_refused(ends,
                            "environment: NOTE=it's \"a\" : must not hold both "
                            "quotes and begin with one, or begin or end with "
                            "a blank");
    assert_int_equal(read_variable(fine, &values, NULL), 0);
    assert_string_equal(values.note, "it's \"a\"");
}

static void
test_endless_lines_and_nul_bytes_are_refused(void **state)
{
    static char endless[40000];
    static const char nul[] = "NOTE=a\0b\nNOTE=c\n";
    struct values values = defaults();
    struct err err = { 0 };

    (void)state;
    memset(endless, '#', sizeof(endless));
    write_file(endless, sizeof(endless));
    assert_int_equal(conf_read_file(&table, path, &values, &arena, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    err = (struct err){ 0 };
    write_file(nul, sizeof(nul) - 1);
    assert_int_equal(conf_read_file(&table, path, &values, &arena, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
}

static void
test_a_file_that_cannot_be_read_is_a_system_error(void **state)
{
    struct values values = defaults();
    struct err err = { 0 };

    (void)state;
    assert_int_equal(
        conf_read_file(&table, "/nonexistent/x.conf", &values, &arena, &err),
        -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_string_equal(err.text, "cannot open /nonexistent/x.conf: No such "
                                  "file or directory");
    err = (struct err){ 0 };
    assert_int_equal(conf_read_file(&table, folder, &values, &arena, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
}

static void
test_the_environment_is_read_by_whole_names(void **state)
{
    char a[] = "NOTE2=a", b[] = "XNOTE=b", c[] = "NOTE", d[] = "NOTE=d",
         e[] = "NOTE=e", f[] = "UNKNOWN=1";
    char *environment[] = { a, b, c, d, e, f, NULL };
    struct values values = defaults();

    (void)state;
    assert_int_equal(
        conf_read_environment(&table, environment, &values, &arena, NULL), 0);
    assert_string_equal(values.note, "d");
}

/* ---- faults ------------------------------------------------------------- */

static bool
do_everything(struct err *err)
{
    char bad[] = "LOG_LEVEL=x";
    char *environment[] = { bad, NULL };
    struct err refusal = { 0 };
    struct values values = { 0 };
    struct arena own;
    struct buf out;
    bool ok;

    arena_init(&own, 100000);
    buf_init(&out, 10000);
    ok = conf_defaults(&table, &values, &own, err) == 0 &&
         conf_read_file(&table, path, &values, &own, err) == 0 &&
         conf_dump(&table, &values, &out, err) == 0 &&
         conf_sample(&table, &out, err) == 0;
    if (ok &&
        conf_read_environment(&table, environment, &values, &own, &refusal) ==
            -1 &&
        refusal.kind == ERR_NOMEM) {
        *err = refusal;
        ok = false;
    }
    buf_close(&out);
    arena_close(&own);
    return ok;
}

static void
test_every_allocation_may_fail(void **state)
{
    int round;

    (void)state;
    write_file("NOTE=a\n", 7);
    for (round = 0; round < 50; round++) {
        struct err err = { 0 };
        bool done;

        faults_after = round;
        done = do_everything(&err);
        faults_after = -1;
        assert_int_equal(err.kind, done ? ERR_NONE : ERR_NOMEM);
        if (done)
            break;
    }
    assert_in_range(round, 3, 49);
}

static void
test_a_full_arena_is_an_error_in_every_reader(void **state)
{
    char note[] = "NOTE=a";
    char *environment[] = { note, NULL };
    struct values values = { 0 };
    struct arena full;

    (void)state;
    write_file("NOTE=a\n", 7);
    arena_init(&full, 8192);
    while (arena_alloc(&full, 16) != NULL)
        continue;
    for (int i = 0; i < 3; i++) {
        struct err err = { 0 };
        const int rc = i == 0 ? conf_defaults(&table, &values, &full, &err)
                       : i == 1
                           ? conf_read_file(&table, path, &values, &full, &err)
                           : conf_read_environment(&table, environment, &values,
                                                   &full, &err);

        assert_int_equal(rc, -1);
        assert_int_equal(err.kind, ERR_NOMEM);
    }
    arena_close(&full);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_go_through_the_parser),
        cmocka_unit_test(test_a_bad_default_is_told_as_such),
        cmocka_unit_test(test_a_file_sets_every_type),
        cmocka_unit_test(test_blank_lines_comments_and_blanks_do_not_count),
        cmocka_unit_test(test_quotes_keep_blanks_and_the_other_quote),
        cmocka_unit_test(test_messages_name_file_line_key_value_and_bounds),
        cmocka_unit_test(test_an_unknown_key_is_answered_with_the_nearest_name),
        cmocka_unit_test(test_a_repeated_key_is_refused),
        cmocka_unit_test(test_what_is_no_assignment_is_refused_and_not_shown),
        cmocka_unit_test(test_quotes_that_do_not_match_are_refused),
        cmocka_unit_test(test_a_secret_is_never_shown),
        cmocka_unit_test(test_a_secret_that_is_replaced_leaves_no_trace),
        cmocka_unit_test(test_a_hidden_secret_is_no_secret),
        cmocka_unit_test(
            test_text_with_control_characters_is_refused_and_not_shown),
        cmocka_unit_test(test_a_long_wrong_value_is_cut_between_characters),
        cmocka_unit_test(test_text_that_no_file_can_hold_is_refused),
        cmocka_unit_test(test_endless_lines_and_nul_bytes_are_refused),
        cmocka_unit_test(test_a_file_that_cannot_be_read_is_a_system_error),
        cmocka_unit_test(test_the_environment_is_read_by_whole_names),
        cmocka_unit_test(test_a_full_arena_is_an_error_in_every_reader),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
