#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "client/lite.h"

static char folder[64], path[96];
static struct lite *db;

static int
set_up(void **state)
{
    struct err err = { 0 };

    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/test_lite.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/db", folder);
    db = lite_open(path, LITE_READ_WRITE, 50, &err);
    return db == NULL ? -1
                      : lite_exec(db,
                                  "CREATE TABLE t (id INTEGER PRIMARY KEY, "
                                  "name TEXT, bytes BLOB)",
                                  &err);
}

static int
tear_down(void **state)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    char name[112];

    (void)state;
    lite_close(db);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static int64_t
ask(struct lite *whom, const char *sql)
{
    struct err err = { 0 };
    int64_t value = -1;

    if (lite_exec_int(whom, sql, &value, &err) == -1)
        fail_msg("%s", err.text);
    return value;
}

static void
test_a_statement_without_rows_runs_again_and_again(void **state)
{
    struct lite_stmt *stmt =
        lite_prepare(db, "INSERT INTO t VALUES (?, ?, NULL)", NULL);
    struct err err = { 0 };

    (void)state;
    lite_bind_int(stmt, 1, 1);
    lite_bind_text(stmt, 2, "one", 3);
    assert_int_equal(lite_run(stmt, &err), 0);
    lite_bind_int(stmt, 1, 1);
    assert_int_equal(lite_run(stmt, &err), -1); /* taken */
    assert_int_equal(err.kind, ERR_INVALID);
    lite_bind_int(stmt, 1, 2);
    assert_int_equal(lite_run(stmt, NULL), 0);
    lite_finalize(stmt);
    assert_int_equal(ask(db, "SELECT count(*) FROM t WHERE name IS NULL"), 1);

    stmt = lite_prepare(db, "SELECT 1", NULL);
    err = (struct err){ 0 };
    assert_int_equal(lite_run(stmt, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    lite_finalize(stmt);
}

static void
test_values_come_back_as_they_went_in(void **state)
{
    struct lite_stmt *stmt =
        lite_prepare(db, "INSERT INTO t VALUES (?, ?, ?)", NULL);
    size_t len;

    (void)state;
    lite_bind_int(stmt, 1, INT64_MIN);
    lite_bind_text(stmt, 2, "n\xc3\xa4me", 5);
    lite_bind_blob(stmt, 3, "\0\1\2", 3);
    assert_int_equal(lite_step(stmt, NULL), LITE_DONE);
    lite_reset(stmt);
    lite_bind_int(stmt, 1, 7);
    assert_int_equal(lite_step(stmt, NULL), LITE_DONE); /* the rest is null */
    lite_finalize(stmt);

    stmt = lite_prepare(db, "SELECT id, name, bytes FROM t ORDER BY id", NULL);
    assert_int_equal(lite_column_count(stmt), 3);
    assert_int_equal(lite_step(stmt, NULL), LITE_ROW);
    assert_int_equal(lite_type(stmt, 0), LITE_INT);
    assert_true(lite_int(stmt, 0) == INT64_MIN);
    assert_string_equal(lite_text(stmt, 1, &len), "n\xc3\xa4me");
    assert_int_equal(len, 5);
    assert_memory_equal(lite_blob(stmt, 2, &len), "\0\1\2", 3);
    assert_int_equal(len, 3);
    assert_int_equal(lite_step(stmt, NULL), LITE_ROW);
    assert_int_equal(lite_type(stmt, 1), LITE_NULL);
    assert_null(lite_text(stmt, 1, NULL));
    assert_int_equal(lite_step(stmt, NULL), LITE_DONE);
    lite_finalize(stmt);
}

static void
test_a_writer_is_durable_and_private(void **state)
{
    struct stat info;

    (void)state;
    assert_int_equal(ask(db, "PRAGMA synchronous"), 2); /* FULL */
    assert_int_equal(ask(db, "PRAGMA foreign_keys"), 1);
    assert_int_equal(ask(db, "PRAGMA trusted_schema"), 0);
    assert_int_equal(ask(db, "SELECT count(*) FROM pragma_journal_mode "
                             "WHERE journal_mode = 'wal'"),
                     1);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
}

static void
test_a_rolled_back_transaction_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(lite_begin(db, NULL), 0);
    assert_int_equal(lite_exec(db, "INSERT INTO t (id) VALUES (1)", NULL), 0);
    lite_rollback(db);
    lite_rollback(db); /* harmless */
    assert_int_equal(ask(db, "SELECT count(*) FROM t"), 0);
    assert_int_equal(lite_begin(db, NULL), 0);
    assert_int_equal(lite_exec(db, "INSERT INTO t (id) VALUES (1)", NULL), 0);
    assert_int_equal(lite_commit(db, NULL), 0);
    assert_int_equal(ask(db, "SELECT count(*) FROM t"), 1);
}

static void
test_a_reader_sees_commits_and_cannot_write(void **state)
{
    struct lite *reader = lite_open(path, LITE_READ_ONLY, 50, NULL);
    struct err err = { 0 };

    (void)state;
    assert_non_null(reader);
    assert_int_equal(lite_begin(db, NULL), 0);
    assert_int_equal(lite_exec(db, "INSERT INTO t (id) VALUES (1)", NULL), 0);
    assert_int_equal(ask(reader, "SELECT count(*) FROM t"), 0);
    assert_int_equal(lite_commit(db, NULL), 0);
    assert_int_equal(ask(reader, "SELECT count(*) FROM t"), 1);
    assert_int_equal(lite_exec(reader, "DELETE FROM t", &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    lite_close(reader);
}

static void
test_waiting_for_a_lock_ends(void **state)
{
    struct lite *other = lite_open(path, LITE_READ_WRITE, 50, NULL);
    const int64_t begin_mono_ms = clock_mono_ms();
    struct err err = { 0 };

    (void)state;
    assert_int_equal(lite_begin(db, NULL), 0);
    assert_int_equal(lite_begin(other, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_in_range(clock_mono_ms() - begin_mono_ms, 40, 2000);
    lite_rollback(db);
    lite_close(other);
}

static void
test_errors_say_whose_fault_it_is(void **state)
{
    struct err err = { 0 };
    struct lite_stmt *stmt;

    (void)state;
    assert_null(lite_prepare(db, "SELEC 1", &err));
    assert_int_equal(err.kind, ERR_INVALID);

    err = (struct err){ 0 };
    assert_int_equal(lite_exec(db, "INSERT INTO t (id) VALUES (1), (1)", &err),
                     -1);
    assert_int_equal(err.kind, ERR_INVALID); /* a constraint */

    err = (struct err){ 0 };
    stmt = lite_prepare(db, "SELECT ?", NULL);
    lite_bind_int(stmt, 2, 1); /* there is no second */
    lite_bind_int(stmt, 1, 1); /* and this does not hide it */
    assert_int_equal(lite_step(stmt, &err), LITE_FAILED);
    assert_int_equal(err.kind, ERR_LIMIT);
    lite_reset(stmt);
    lite_bind_int(stmt, 1, 1);
    assert_int_equal(lite_step(stmt, NULL), LITE_ROW);
    lite_finalize(stmt);

    err = (struct err){ 0 };
    assert_null(lite_open("/nowhere/at/all", LITE_READ_WRITE, 50, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    err = (struct err){ 0 };
    assert_null(lite_open("/nowhere/at/all", LITE_READ_ONLY, 50, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

static void
test_a_database_in_memory_is_empty(void **state)
{
    struct lite *memory = lite_open_memory(NULL);

    (void)state;
    assert_non_null(memory);
    assert_int_equal(ask(memory, "SELECT count(*) FROM sqlite_schema"), 0);
    lite_close(memory);
}

static void
test_its_files_stay_when_it_is_closed(void **state)
{
    struct stat info;
    char wal[112], shm[112];

    (void)state;
    snprintf(wal, sizeof(wal), "%s-wal", path);
    snprintf(shm, sizeof(shm), "%s-shm", path);
    assert_int_equal(lite_exec(db, "INSERT INTO t (id) VALUES (1)", NULL), 0);
    assert_int_equal(stat(wal, &info), 0);
    assert_true(info.st_size > 0);
    lite_close(db);
    db = NULL;
    assert_int_equal(stat(wal, &info), 0);
    assert_int_equal(info.st_size, 0); /* all of it is in the file itself */
    assert_int_equal(stat(shm, &info), 0);
}

#define LITE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        LITE_TEST(test_a_statement_without_rows_runs_again_and_again),
        LITE_TEST(test_values_come_back_as_they_went_in),
        LITE_TEST(test_a_writer_is_durable_and_private),
        LITE_TEST(test_a_rolled_back_transaction_leaves_nothing),
        LITE_TEST(test_a_reader_sees_commits_and_cannot_write),
        LITE_TEST(test_waiting_for_a_lock_ends),
        LITE_TEST(test_errors_say_whose_fault_it_is),
        LITE_TEST(test_a_database_in_memory_is_empty),
        LITE_TEST(test_its_files_stay_when_it_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
