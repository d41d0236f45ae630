/*
 * test_conf_write - comparing options and putting them into words.
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

/* ---- comparing ---------------------------------------------------------- */

static void
assert_frozen(const char *text, const char *want)
{
    const struct values old_values = defaults();
    const struct values new_values = read_text(text);
    const struct conf_option *changed =
        conf_first_frozen_change(&table, &old_values, &new_values);

    if (want == NULL)
        assert_null(changed);
    else
        assert_string_equal(changed->name, want);
}

static void
test_the_first_frozen_change_is_found(void **state)
{
    (void)state;
    assert_frozen("", NULL);
    assert_frozen("STATE_DIR=/var/lib/x\n", NULL); /* the same, spelt out */
    assert_frozen("FLASH_TIMEOUT_S=7\nNOTE=x\n", NULL);
    assert_frozen("STATE_DIR=/x\nLOG_LEVEL=ERROR\n", "STATE_DIR");
    assert_frozen("API_KEY=x\n", "API_KEY");
    assert_frozen("STREAM_WORKERS_MAX=65\n", "STREAM_WORKERS_MAX");
    assert_frozen("ENABLE_METRICS=no\n", "ENABLE_METRICS");
    assert_frozen("LOG_LEVEL=ERROR\n", "LOG_LEVEL");
}

/* ---- writing ------------------------------------------------------------ */

static void
assert_dump(const struct values *values, const char *want)
{
    struct buf out;

    buf_init(&out, 10000);
    assert_int_equal(conf_dump(&table, values, &out, NULL), 0);
    assert_string_equal(buf_cstr(&out), want);
    buf_close(&out);
}

static void
test_a_dump_shows_all_but_secrets(void **state)
{
    const struct values values = read_text("API_KEY=secret\n");
    const struct values unset = defaults();

    (void)state;
    assert_dump(&values, "STATE_DIR=/var/lib/x\nAPI_KEY=***\n"
                         "NOTE='two words'\nSTREAM_WORKERS_MAX=64\n"
                         "FLASH_TIMEOUT_S=5\nENABLE_METRICS=true\n"
                         "LOG_LEVEL=INFO\n");
    assert_dump(&unset, "STATE_DIR=/var/lib/x\nAPI_KEY=\n"
                        "NOTE='two words'\nSTREAM_WORKERS_MAX=64\n"
                        "FLASH_TIMEOUT_S=5\nENABLE_METRICS=true\n"
                        "LOG_LEVEL=INFO\n");
}

static void
test_a_dump_reads_back_as_the_same_values(void **state)
{
    static const char *const notes[] = {
        "NOTE=",           "NOTE= a ",
        "NOTE=it's",       "NOTE=\"a\"",
        "NOTE=#a",         "NOTE=a\\b$c;`d",
        "NOTE=it's \"a\"", "NOTE='a'",
        "NOTE=a=b",        "NOTE=\xc3\xa4 \xe2\x82\xac",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
        struct values values, again;
        struct buf out;

        assert_int_equal(read_variable(notes[i], &values, NULL), 0);
        buf_init(&out, 10000);
        assert_int_equal(conf_dump(&table, &values, &out, NULL), 0);
        again = read_text(buf_cstr(&out));
        assert_string_equal(again.note, values.note);
        buf_close(&out);
    }
}

static void
test_seconds_are_shown_without_trailing_zeros(void **state)
{
    static const struct {
        int64_t ms;
        const char *want;
    } cases[] = {
        { 45000, "\nFLASH_TIMEOUT_S=45\n" },
        { 250, "\nFLASH_TIMEOUT_S=0.25\n" },
        { 50, "\nFLASH_TIMEOUT_S=0.05\n" },
        { 1001, "\nFLASH_TIMEOUT_S=1.001\n" },
        { 1500, "\nFLASH_TIMEOUT_S=1.5\n" },
        { 0, "\nFLASH_TIMEOUT_S=0\n" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct values values = defaults();
        struct buf out;

        values.timeout_ms = cases[i].ms;
        buf_init(&out, 10000);
        assert_int_equal(conf_dump(&table, &values, &out, NULL), 0);
        assert_non_null(strstr(buf_cstr(&out), cases[i].want));
        buf_close(&out);
    }
}

static void
test_the_sample_tells_help_bounds_and_default_of_each(void **state)
{
    static const char want[] =
        "# Folder of the ledger\n"
        "# Value: text of 1 to 20 bytes; a change needs a restart\n"
        "#STATE_DIR=/var/lib/x\n"
        "\n"
        "# The key callers must show\n"
        "# Value: text of 0 to 20 bytes; a change needs a restart\n"
        "#API_KEY=\n"
        "\n"
        "# A text so long that its help does not fit into one line of the "
        "sample, which\n"
        "# has eighty columns like everything else\n"
        "# Value: text\n"
        "#NOTE='two words'\n"
        "\n"
        "# Queries served at once\n"
        "# Value: a whole number from 1 to 4096; a change needs a restart\n"
        "#STREAM_WORKERS_MAX=64\n"
        "\n"
        "# Longest wait for the fast answer\n"
        "# Value: 0.05 to 3600 seconds\n"
        "#FLASH_TIMEOUT_S=5\n"
        "\n"
        "# Serve /metrics\n"
        "# Value: true or false; a change needs a restart\n"
        "#ENABLE_METRICS=true\n"
        "\n"
        "# Least level that is logged\n"
        "# Value: DEBUG, INFO or ERROR; a change needs a restart\n"
        "#LOG_LEVEL=INFO\n";
    struct buf out;

    (void)state;
    buf_init(&out, 10000);
    assert_int_equal(conf_sample(&table, &out, NULL), 0);
    assert_string_equal(buf_cstr(&out), want);
    buf_close(&out);
}

static void
test_the_sample_uncommented_reads_as_the_defaults(void **state)
{
    const struct values want = defaults();
    struct values values;
    struct buf out, text;
    char *line, *rest;

    (void)state;
    buf_init(&out, 10000);
    buf_init(&text, 10000);
    assert_int_equal(conf_sample(&table, &out, NULL), 0);
    rest = out.bytes;
    while ((line = strsep(&rest, "\n")) != NULL)
        if (line[0] == '#' && line[1] != ' ')
            assert_int_equal(buf_printf(&text, "%s\n", line + 1), BUF_OK);
    values = read_text(buf_cstr(&text));
    assert_string_equal(values.note, want.note);
    assert_null(conf_first_frozen_change(&table, &want, &values));
    assert_int_equal(values.timeout_ms, want.timeout_ms);
    buf_close(&text);
    buf_close(&out);
}

static void
test_a_text_that_does_not_fit_adds_nothing(void **state)
{
    const struct values values = defaults();
    struct err err = { 0 };
    struct buf out;

    (void)state;
    buf_init(&out, 60);
    assert_int_equal(buf_append_str(&out, "x"), BUF_OK);
    assert_int_equal(conf_dump(&table, &values, &out, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    err = (struct err){ 0 };
    assert_int_equal(conf_sample(&table, &out, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_string_equal(buf_cstr(&out), "x");
    buf_close(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_frozen_change_is_found),
        cmocka_unit_test(test_a_dump_shows_all_but_secrets),
        cmocka_unit_test(test_a_dump_reads_back_as_the_same_values),
        cmocka_unit_test(test_seconds_are_shown_without_trailing_zeros),
        cmocka_unit_test(test_the_sample_tells_help_bounds_and_default_of_each),
        cmocka_unit_test(test_the_sample_uncommented_reads_as_the_defaults),
        cmocka_unit_test(test_a_text_that_does_not_fit_adds_nothing),
    };

    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
