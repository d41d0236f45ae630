#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "sys/resolve.h"

int __real_gai_error(struct gaicb *request);
int __wrap_gai_error(struct gaicb *request);
int __real_gai_suspend(const struct gaicb *const list[], int count,
                       const struct timespec *timeout);
int __wrap_gai_suspend(const struct gaicb *const list[], int count,
                       const struct timespec *timeout);

static bool silent; /* the name servers */

int
__wrap_gai_error(struct gaicb *request)
{
    return silent ? EAI_INPROGRESS : __real_gai_error(request);
}

int
__wrap_gai_suspend(const struct gaicb *const list[], int count,
                   const struct timespec *timeout)
{
    return silent ? EAI_INTR : __real_gai_suspend(list, count, timeout);
}

static int64_t
patience(void)
{
    return clock_mono_ms() + 20000;
}

static void
a_name_has_addresses(void **state)
{
    struct err err = { 0 };
    struct resolve *resolve = resolve_start("localhost", &err);
    char text[RESOLVE_TEXT_LEN];
    int count;

    (void)state;
    assert_non_null(resolve);
    count = resolve_wait(resolve, patience(), &err);
    assert_in_range(count, 1, 8);
    resolve_address(resolve, 0, text);
    assert_true(strcmp(text, "127.0.0.1") == 0 || strcmp(text, "::1") == 0);
    resolve_address(resolve, (size_t)count, text);
    assert_string_equal(text, "");
    resolve_free(resolve);
    resolve_free(NULL);
}

static void
a_silent_name_server_costs_the_deadline_and_may_answer_later(void **state)
{
    struct err err = { 0 };
    struct resolve *resolve = resolve_start("localhost", &err);
    const int64_t began = clock_mono_ms();

    (void)state;
    assert_non_null(resolve);
    silent = true;
    assert_int_equal(resolve_wait(resolve, began + 50, &err), 0);
    assert_true(clock_mono_ms() >= began + 50);
    assert_int_equal(err.kind, ERR_NONE);
    silent = false;
    assert_in_range(resolve_wait(resolve, patience(), &err), 1, 8);
    resolve_free(resolve);
}

static void
a_name_that_nobody_has_is_an_error_that_names_it(void **state)
{
    struct err err = { 0 };
    struct resolve *resolve = resolve_start("nobody.invalid", &err);

    (void)state;
    assert_non_null(resolve);
    assert_int_equal(resolve_wait(resolve, patience(), &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "nobody.invalid"));
    resolve_free(resolve);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_addresses),
        cmocka_unit_test(
            a_silent_name_server_costs_the_deadline_and_may_answer_later),
        cmocka_unit_test(a_name_that_nobody_has_is_an_error_that_names_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
