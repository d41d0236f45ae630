/*
 * Rows within a column, as PostgreSQL sends them and as it should not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/attr.h"
#include "client/pg_rows.h"

#define FIELDS 3

/* ARRAY[ROW ('query'::text, '\x0102'::bytea, null::text), ROW ('pro', '', 'x')]
 */
static const char two_rows[] = "\0\0\0\1\0\0\0\0\0\0\010\311\0\0\0\2\0\0\0\1"
                               "\0\0\0\043\0\0\0\3"
                               "\0\0\0\031\0\0\0\5query"
                               "\0\0\0\021\0\0\0\2\1\2"
                               "\0\0\0\031\377\377\377\377"
                               "\0\0\0\040\0\0\0\3"
                               "\0\0\0\031\0\0\0\3pro"
                               "\0\0\0\021\0\0\0\0"
                               "\0\0\0\031\0\0\0\1x";
#define TWO_ROWS_LEN (sizeof(two_rows) - 1)

static const char no_rows[] = "\0\0\0\0\0\0\0\0\0\0\010\311";

/* The number of rows, -1 when they are refused.  Reads a copy that ends where
 * memory does. */
static int
count_rows(const char *bytes, size_t len, size_t field_count)
{
    struct pg_field fields[FIELDS + 1];
    char *copy = malloc(len > 0 ? len : 1);
    struct pg_rows rows;
    enum pg_step step;
    int count = 0;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    pg_rows_init(&rows, copy, len);
    while ((step = pg_rows_next(&rows, fields, field_count)) == PG_ROW)
        count++;
    assert_int_equal(pg_rows_next(&rows, fields, field_count), step);
    free(copy);
    return step == PG_DONE ? count : -1;
}

static void
test_rows_come_with_their_fields(void **state)
{
    struct pg_field fields[FIELDS];
    struct pg_rows rows;

    (void)state;
    pg_rows_init(&rows, two_rows, TWO_ROWS_LEN);
    assert_int_equal(pg_rows_next(&rows, fields, FIELDS), PG_ROW);
    assert_int_equal(fields[0].len, 5);
    assert_memory_equal(fields[0].bytes, "query", 5);
    assert_int_equal(fields[1].len, 2);
    assert_memory_equal(fields[1].bytes, "\1\2", 2);
    assert_null(fields[2].bytes);
    assert_int_equal(pg_rows_next(&rows, fields, FIELDS), PG_ROW);
    assert_memory_equal(fields[0].bytes, "pro", 3);
    assert_non_null(fields[1].bytes);
    assert_int_equal(fields[1].len, 0);
    assert_memory_equal(fields[2].bytes, "x", 1);
    assert_int_equal(pg_rows_next(&rows, fields, FIELDS), PG_DONE);
}

static void
test_an_empty_list_has_no_rows(void **state)
{
    (void)state;
    assert_int_equal(count_rows(no_rows, sizeof(no_rows) - 1, FIELDS), 0);
}

static void
test_what_was_cut_short_or_goes_on_is_refused(void **state)
{
    char longer[TWO_ROWS_LEN + 1] = { 0 };
    struct pg_rows rows;

    (void)state;
    memcpy(longer, two_rows, TWO_ROWS_LEN);
    assert_int_equal(count_rows(two_rows, TWO_ROWS_LEN, FIELDS), 2);
    assert_int_equal(count_rows(longer, sizeof(longer), FIELDS), -1);
    for (size_t len = 0; len < TWO_ROWS_LEN; len++)
        assert_int_equal(count_rows(two_rows, len, FIELDS), -1);
    pg_rows_init(&rows, NULL, 0);
    assert_int_equal(pg_rows_next(&rows, NULL, 0), PG_FAILED);
}

static void
test_other_fields_than_expected_are_refused(void **state)
{
    (void)state;
    assert_int_equal(count_rows(two_rows, TWO_ROWS_LEN, FIELDS - 1), -1);
    assert_int_equal(count_rows(two_rows, TWO_ROWS_LEN, FIELDS + 1), -1);
}

static void
test_changed_bytes_never_do_harm(void **state)
{
    static const char values[] = { '\0', '\1', '\2', '\177', '\200', '\377' };
    char changed[TWO_ROWS_LEN];

    (void)state;
    for (size_t at = 0; at < TWO_ROWS_LEN; at++)
        for (size_t i = 0; i < ARRAY_LEN(values); i++) {
            memcpy(changed, two_rows, TWO_ROWS_LEN);
            changed[at] = values[i];
            assert_in_range(count_rows(changed, TWO_ROWS_LEN, FIELDS) + 1, 0,
                            3);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_with_their_fields),
        cmocka_unit_test(test_an_empty_list_has_no_rows),
        cmocka_unit_test(test_what_was_cut_short_or_goes_on_is_refused),
        cmocka_unit_test(test_other_fields_than_expected_are_refused),
        cmocka_unit_test(test_changed_bytes_never_do_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
