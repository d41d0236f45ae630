/*
 * test_prom - lib/text/prom: the exposition format, byte by byte.
 */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "text/prom.h"

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static int faults_after = -1;

void *
__wrap_realloc(void *old, size_t size)
{
    if (faults_after >= 0 && faults_after-- == 0)
        return NULL;
    return __real_realloc(old, size);
}

static struct buf out;

static void
assert_number(double value, const char *want)
{
    buf_clear(&out);
    assert_int_equal(prom_sample(&out, "", "", NULL, value), BUF_OK);
    assert_int_equal(out.bytes[0], ' ');
    out.bytes[out.len - 1] = '\0';
    assert_string_equal(out.bytes + 1, want);
}

static void
test_a_family_opens_with_help_and_type(void **state)
{
    (void)state;
    buf_clear(&out);
    assert_int_equal(
        prom_family(&out, "requests_total", "counter", "Queries served"),
        BUF_OK);
    assert_string_equal(buf_cstr(&out), "# HELP requests_total Queries served\n"
                                        "# TYPE requests_total counter\n");
}

static void
test_help_escapes_backslash_and_lf_but_no_quote(void **state)
{
    (void)state;
    buf_clear(&out);
    assert_int_equal(prom_family(&out, "x", "gauge", "a\\b\n\"c\""), BUF_OK);
    assert_string_equal(buf_cstr(&out), "# HELP x a\\\\b\\n\"c\"\n"
                                        "# TYPE x gauge\n");
}

static void
test_a_sample_stands_with_and_without_labels(void **state)
{
    (void)state;
    buf_clear(&out);
    assert_int_equal(prom_sample(&out, "x", "", NULL, 1), BUF_OK);
    assert_int_equal(prom_sample(&out, "x", "", "", 2), BUF_OK);
    assert_int_equal(prom_sample(&out, "x", "_sum", "model=\"pro\"", 0.5),
                     BUF_OK);
    assert_string_equal(buf_cstr(&out), "x 1\nx 2\nx_sum{model=\"pro\"} 0.5\n");
}

static void
test_a_histogram_has_bounds_behind_its_labels(void **state)
{
    (void)state;
    buf_clear(&out);
    assert_int_equal(prom_bucket(&out, "x", NULL, 0.005, 0), BUF_OK);
    assert_int_equal(prom_bucket(&out, "x", "", 100, 3), BUF_OK);
    assert_int_equal(
        prom_bucket(&out, "x", "model=\"pro\"", INFINITY, UINT64_MAX), BUF_OK);
    assert_string_equal(
        buf_cstr(&out),
        "x_bucket{le=\"0.005\"} 0\n"
        "x_bucket{le=\"100\"} 3\n"
        "x_bucket{model=\"pro\",le=\"+Inf\"} 18446744073709551615\n");
}

static void
test_numbers_are_short_and_exact(void **state)
{
    (void)state;
    assert_number(0, "0");
    assert_number(-3, "-3");
    assert_number(0.1, "0.1");
    assert_number(1234567.25, "1234567.25");
    assert_number(9007199254740992.0, "9007199254740992");
    assert_number(1e22, "1e+22");
    assert_number(1e-7, "1e-07");
    assert_number(0.1 + 0.2, "0.30000000000000004");
    assert_number(INFINITY, "+Inf");
    assert_number(-INFINITY, "-Inf");
    assert_number(NAN, "NaN");
}

static void
test_random_numbers_read_back_as_themselves(void **state)
{
    (void)state;
    srand(7);
    for (int i = 0; i < 10000; i++) {
        const double value =
            ldexp((double)rand() / (double)(rand() + 1L), rand() % 200 - 100);

        buf_clear(&out);
        assert_int_equal(prom_sample(&out, "x", "", NULL, value), BUF_OK);
        assert_true(strtod(out.bytes + 2, NULL) == value);
    }
}

/* Makes a locale in a temporary folder, where the machine can. */
static bool
choose_locale(const char *name, const char *folder)
{
    char command[200];

    snprintf(command, sizeof(command),
             "localedef -i %s -f UTF-8 %s/%s >/dev/null 2>&1", name, folder,
             name);
    return system(command) == 0 && setenv("LOCPATH", folder, 1) == 0 &&
           setlocale(LC_ALL, name) != NULL;
}

static void
test_a_locale_with_a_comma_changes_nothing(void **state)
{
    static const char *const names[] = { "de_DE", "ps_AF" };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char folder[] = "/tmp/test_prom.XXXXXX";
        char command[100];
        bool is_chosen;

        assert_non_null(mkdtemp(folder));
        is_chosen = choose_locale(names[i], folder);
        snprintf(command, sizeof(command), "rm -rf %s", folder);
        if (is_chosen) {
            assert_string_not_equal(localeconv()->decimal_point, ".");
            assert_number(1234.5, "1234.5");
            assert_number(0.1 + 0.2, "0.30000000000000004");
            assert_number(1e22, "1e+22");
        }
        setlocale(LC_ALL, "C");
        unsetenv("LOCPATH");
        assert_int_equal(system(command), 0);
        if (!is_chosen)
            skip();
    }
}

static void
test_what_does_not_fit_adds_nothing(void **state)
{
    struct buf tight;

    (void)state;
    buf_init(&tight, 20);
    assert_int_equal(buf_append_str(&tight, "x"), BUF_OK);
    assert_int_equal(prom_family(&tight, "abc", "counter", ""), BUF_FULL);
    assert_int_equal(prom_sample(&tight, "abc", "", "a=\"b\"", 1234567890),
                     BUF_FULL);
    assert_int_equal(prom_bucket(&tight, "abc", "", 1, 1), BUF_FULL);
    assert_string_equal(buf_cstr(&tight), "x");
    buf_close(&tight);
}

static bool
write_all(struct buf *page)
{
    char help[600];

    memset(help, 'h', sizeof(help));
    help[300] = '\\';
    help[sizeof(help) - 1] = '\0';
    return prom_family(page, "x", "histogram", help) == BUF_OK &&
           prom_sample(page, "x", "", help, 1) == BUF_OK &&
           prom_bucket(page, "x", help, 1, 1) == BUF_OK;
}

static void
test_every_allocation_may_fail(void **state)
{
    int round;

    (void)state;
    for (round = 0; round < 20; round++) {
        struct buf page;
        bool done;

        buf_init(&page, 100000);
        faults_after = round;
        done = write_all(&page);
        faults_after = -1;
        buf_close(&page);
        if (done)
            break;
    }
    assert_in_range(round, 1, 19);
}

static int
open_out(void **state)
{
    (void)state;
    buf_init(&out, 100000);
    return 0;
}

static int
close_out(void **state)
{
    (void)state;
    buf_close(&out);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_family_opens_with_help_and_type),
        cmocka_unit_test(test_help_escapes_backslash_and_lf_but_no_quote),
        cmocka_unit_test(test_a_sample_stands_with_and_without_labels),
        cmocka_unit_test(test_a_histogram_has_bounds_behind_its_labels),
        cmocka_unit_test(test_numbers_are_short_and_exact),
        cmocka_unit_test(test_random_numbers_read_back_as_themselves),
        cmocka_unit_test(test_a_locale_with_a_comma_changes_nothing),
        cmocka_unit_test(test_what_does_not_fit_adds_nothing),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, open_out, close_out);
}
