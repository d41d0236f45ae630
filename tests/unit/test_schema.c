/* A ledger of an older version is brought up to date and keeps its rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ledger/schema.h"

/* What version 1 had not, and the one thing that it had otherwise. */
static const char back_to_1[] =
    "DROP TABLE checkpoint;"
    "DROP INDEX entry_admin;"
    "DROP TRIGGER entry_no_replace;"
    "CREATE TRIGGER entry_no_replace BEFORE INSERT ON entry BEGIN SELECT 1; "
    "END;"
    "INSERT INTO content VALUES ('r', 'query', zeroblob(32), 'why?');"
    "PRAGMA user_version = 1";

static int64_t
number(struct lite *db, const char *sql)
{
    int64_t value = -1;

    assert_int_equal(lite_exec_int(db, sql, &value, NULL), 0);
    return value;
}

/* Every object with its text, as one number of bytes and one of objects. */
static void
assert_same_objects(struct lite *one, struct lite *other)
{
    static const char *const sums[] = {
        "SELECT count(*) FROM sqlite_schema",
        "SELECT sum(length(sql)) FROM sqlite_schema",
        "SELECT sum(instr(sql, 'admin')) FROM sqlite_schema",
    };

    for (size_t i = 0; i < ARRAY_LEN(sums); i++)
        assert_int_equal(number(one, sums[i]), number(other, sums[i]));
}

static void
test_version_1_becomes_what_a_new_ledger_is(void **state)
{
    struct lite *db = schema_model(NULL);
    struct lite *model = schema_model(NULL);
    struct err err = { 0 };

    (void)state;
    assert_non_null(db);
    assert_int_equal(lite_exec(db, back_to_1, &err), 0);
    assert_int_equal(schema_check(db, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.text, "when it starts"));
    err = (struct err){ 0 };
    if (schema_create(db, &err) == -1)
        fail_msg("%s", err.text);
    assert_int_equal(number(db, "PRAGMA user_version"), SCHEMA_VERSION);
    assert_int_equal(number(db, "SELECT count(*) FROM content"), 1);
    assert_same_objects(db, model);
    lite_close(db);
    lite_close(model);
}

static void
test_an_upgrade_that_fails_leaves_the_old_version(void **state)
{
    struct lite *db = schema_model(NULL);

    (void)state;
    assert_int_equal(lite_exec(db, back_to_1, NULL), 0);
    assert_int_equal(lite_exec(db,
                               "DROP TRIGGER content_no_update;"
                               "ALTER TABLE content ADD COLUMN more TEXT",
                               NULL),
                     0);
    assert_int_equal(schema_create(db, NULL), -1);
    assert_int_equal(number(db, "PRAGMA user_version"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema "
                                "WHERE name = 'checkpoint'"),
                     0);
    lite_close(db);
}

/* Whatever its version says, it is neither upgraded nor called old. */
static void
test_a_database_of_somebody_else_is_said_to_be_no_ledger(void **state)
{
    static const char *const versions[] = {
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 99",
    };
    struct lite *db = lite_open_memory(NULL);

    (void)state;
    assert_int_equal(lite_exec(db, "CREATE TABLE bookmark (url TEXT)", NULL),
                     0);
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct err checked = { 0 }, created = { 0 };

        assert_int_equal(lite_exec(db, versions[i], NULL), 0);
        assert_int_equal(schema_check(db, &checked), -1);
        assert_int_equal(schema_create(db, &created), -1);
        assert_int_equal(created.kind, ERR_INVALID);
        assert_non_null(strstr(created.text, "no ledger"));
        assert_string_equal(checked.text, created.text);
        assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema"), 1);
    }
    lite_close(db);
}

static void
test_the_number_in_the_program_is_that_of_the_tables(void **state)
{
    struct lite *db = schema_model(NULL);

    (void)state;
    assert_non_null(db);
    assert_int_equal(number(db, "PRAGMA user_version"), SCHEMA_VERSION);
    lite_close(db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_1_becomes_what_a_new_ledger_is),
        cmocka_unit_test(test_an_upgrade_that_fails_leaves_the_old_version),
        cmocka_unit_test(
            test_a_database_of_somebody_else_is_said_to_be_no_ledger),
        cmocka_unit_test(test_the_number_in_the_program_is_that_of_the_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
