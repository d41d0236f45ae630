/*
 * test_uri - lib/text/uri with good, bad and hostile request lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "text/uri.h"

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static int faults_after = -1;

void *
__wrap_calloc(size_t count, size_t size)
{
    if (faults_after >= 0 && faults_after-- == 0)
        return NULL;
    return __real_calloc(count, size);
}

static struct arena arena;

static const char *
get(const char *query, const char *name)
{
    return uri_query_get(query, name, &arena);
}

static void
test_a_value_is_found_by_its_whole_name(void **state)
{
    (void)state;
    assert_string_equal(get("a=1&b=2", "a"), "1");
    assert_string_equal(get("a=1&b=2", "b"), "2");
    assert_string_equal(get("ab=1&b=2", "b"), "2");
    assert_string_equal(get("b1=1&b=2", "b"), "2");
    assert_null(get("a=1&b=2", "c"));
    assert_null(get("a=1&b=2", "2"));
    assert_null(get("ab=1", "a"));
    assert_null(get("", "a"));
    assert_null(get(NULL, "a"));
}

static void
test_the_first_of_two_values_counts(void **state)
{
    (void)state;
    assert_string_equal(get("a=1&a=2", "a"), "1");
}

static void
test_a_name_may_stand_without_a_value(void **state)
{
    (void)state;
    assert_string_equal(get("a", "a"), "");
    assert_string_equal(get("a=", "a"), "");
    assert_string_equal(get("a&b=1", "a"), "");
    assert_string_equal(get("&&b=1&", "b"), "1");
    assert_string_equal(get("a=b=c", "a"), "b=c");
}

static void
test_escapes_and_plus_signs_are_decoded(void **state)
{
    (void)state;
    assert_string_equal(get("a=x%20y+z", "a"), "x y z");
    assert_string_equal(get("a=%2b%2B%26%3d", "a"), "++&=");
    assert_string_equal(get("a=%C3%a4", "a"), "\xc3\xa4");
    assert_string_equal(get("%61%2Bb=1", "a+b"), "1");
    assert_string_equal(get("a+b=1", "a b"), "1");
}

static void
test_bad_escapes_make_a_value_absent(void **state)
{
    (void)state;
    assert_null(get("a=%", "a"));
    assert_null(get("a=%2", "a"));
    assert_null(get("a=%2&b=0", "a"));
    assert_null(get("a=%zz", "a"));
    assert_null(get("a=%2z", "a"));
    assert_null(get("a=x%00y", "a"));
    assert_string_equal(get("%zz=1&a=2", "a"), "2");
}

static void
test_a_path_ends_at_the_query(void **state)
{
    (void)state;
    assert_string_equal(uri_path("/", &arena), "/");
    assert_string_equal(uri_path("/a/b?c=/d", &arena), "/a/b");
    assert_string_equal(uri_path("/a#b", &arena), "/a");
}

static void
test_a_path_is_decoded_but_keeps_its_plus_signs(void **state)
{
    (void)state;
    assert_string_equal(uri_path("/a%20b+c%3Fd?e", &arena), "/a b+c?d");
}

static void
test_what_is_no_path_is_refused(void **state)
{
    (void)state;
    assert_null(uri_path("", &arena));
    assert_null(uri_path("*", &arena));
    assert_null(uri_path("http://host/", &arena));
    assert_null(uri_path("%2Fa", &arena));
    assert_null(uri_path("/%", &arena));
    assert_null(uri_path("/%4", &arena));
    assert_null(uri_path("/%4?1", &arena));
    assert_null(uri_path("/a%00b", &arena));
}

static void
test_every_allocation_may_fail(void **state)
{
    struct arena empty;

    (void)state;
    arena_init(&empty, 10000);
    faults_after = 0;
    assert_null(uri_query_get("a=1", "a", &empty));
    faults_after = 0;
    assert_null(uri_path("/", &empty));
    assert_string_equal(uri_path("/", &empty), "/");
    arena_close(&empty);
}

static int
open_arena(void **state)
{
    (void)state;
    arena_init(&arena, 100000);
    return 0;
}

static int
close_arena(void **state)
{
    (void)state;
    arena_close(&arena);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value_is_found_by_its_whole_name),
        cmocka_unit_test(test_the_first_of_two_values_counts),
        cmocka_unit_test(test_a_name_may_stand_without_a_value),
        cmocka_unit_test(test_escapes_and_plus_signs_are_decoded),
        cmocka_unit_test(test_bad_escapes_make_a_value_absent),
        cmocka_unit_test(test_a_path_ends_at_the_query),
        cmocka_unit_test(test_a_path_is_decoded_but_keeps_its_plus_signs),
        cmocka_unit_test(test_what_is_no_path_is_refused),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
