/* test_store_lite.c - the embedded ledger as a store: what comes twice, and a
 * file that is damaged. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "client/lite.h"
#include "ledger/store.h"
#include "support/scratch.h"
#include "support/sealed.h"

#define WAIT_MS    1000
#define PAGE_BYTES 4096

static char folder[SCRATCH_PATH_LEN];
static char path[SCRATCH_PATH_LEN + 16];
static struct store *store;
static struct sealed sealed;

static void
open_store(void)
{
    struct err err = { 0 };

    store = store_lite_open(path, clock_mono_ms() + WAIT_MS, &err);
    if (store == NULL)
        fail_msg("%s", err.text);
}

static void
close_store(void)
{
    store->ops->close(store);
    store = NULL;
}

static int
set_up(void **state)
{
    (void)state;
    scratch_make(folder);
    snprintf(path, sizeof(path), "%s/ledger.db", folder);
    open_store();
    sealed_init(&sealed, 4);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    sealed_close(&sealed);
    if (store != NULL)
        close_store();
    scratch_remove(folder);
    return 0;
}

static int
put(size_t first, size_t count, struct err *err)
{
    return store->ops->write(store, sealed.entries + first, count, err);
}

static void
expect_put(size_t first, size_t count)
{
    struct err err = { 0 };

    if (put(first, count, &err) == -1)
        fail_msg("%s", err.text);
}

static bool
has(size_t i, enum entry_kind kind)
{
    struct entry_receipt receipt;
    struct err err = { 0 };
    const enum store_answer answer =
        store->ops->find(store, &sealed.runs[i], kind, &receipt, &err);

    if (answer == STORE_FAILED)
        fail_msg("%s", err.text);
    return answer == STORE_FOUND;
}

/* ---- what comes twice ---------------------------------------------------- */

static void
test_a_batch_that_is_there_in_part_is_completed(void **state)
{
    (void)state;
    expect_put(1, 1); /* whichever it is */
    expect_put(0, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(has(i, ENTRY_ACCEPTED));
    expect_put(0, 4);
    assert_true(has(3, ENTRY_ACCEPTED));
}

/* It is a second end of a run. */
static void
test_the_entry_at_fault_is_blamed_again_though_the_first_is_there(void **state)
{
    struct err err = { 0 };

    (void)state;
    expect_put(0, 1);
    sealed_finish(&sealed, 1, &sealed.runs[1]);
    expect_put(1, 1);
    sealed_finish(&sealed, 2, &sealed.runs[1]);
    assert_int_equal(put(1, 3, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_false(has(3, ENTRY_ACCEPTED));
    expect_put(3, 1);
}

static void
test_another_entry_in_the_place_of_one_is_refused(void **state)
{
    struct err err = { 0 };

    (void)state;
    expect_put(0, 4);
    sealed_finish(&sealed, 2, &sealed.runs[0]); /* has the place of another */
    assert_int_equal(put(0, 4, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.text, "another entry"));
    assert_false(has(0, ENTRY_FINISHED));
}

/* ---- damage -------------------------------------------------------------- */

static int64_t
root_page(const char *name)
{
    struct lite *db = lite_open(path, LITE_READ_ONLY, WAIT_MS, NULL);
    int64_t page = 0;
    char sql[96];

    assert_non_null(db);
    snprintf(sql, sizeof(sql),
             "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", name);
    assert_int_equal(lite_exec_int(db, sql, &page, NULL), 0);
    lite_close(db);
    return page;
}

/* The first page of a table or an index becomes what no page is. */
static void
damage(const char *name)
{
    const off_t at = (off_t)((root_page(name) - 1) * PAGE_BYTES);
    char bytes[PAGE_BYTES];
    int fd;

    close_store(); /* the file is all there is then */
    memset(bytes, 0xff, sizeof(bytes));
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd != -1);
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), at), sizeof(bytes));
    close(fd);
    open_store();
}

static void
test_no_entry_is_blamed_for_a_damaged_ledger(void **state)
{
    struct err err = { 0 };

    (void)state;
    expect_put(0, 1);
    damage("entry_ended");
    sealed_finish(&sealed, 1, &sealed.runs[0]);
    assert_int_equal(put(1, 1, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    expect_put(2, 1); /* what does not touch the damage */
}

static void
test_no_entry_is_blamed_for_a_table_that_has_gone(void **state)
{
    struct lite *db = lite_open(path, LITE_READ_WRITE, WAIT_MS, NULL);
    struct err err = { 0 };

    (void)state;
    assert_non_null(db);
    assert_int_equal(lite_exec(db, "DROP TABLE content", &err), 0);
    lite_close(db);
    assert_int_equal(put(0, 1, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
}

static void
test_a_file_that_is_no_ledger_is_told_at_once(void **state)
{
    struct err err = { 0 };
    FILE *file;

    (void)state;
    close_store();
    file = fopen(path, "we");
    assert_non_null(file);
    fputs("no database, but long enough for the header of one: .............."
          "..............................................................",
          file);
    fclose(file);
    assert_null(store_lite_open(path, clock_mono_ms() + WAIT_MS, &err));
    assert_int_equal(err.kind, ERR_INVALID);
}

/* ---- tests ------------------------------------------------------------- */

#define STORE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_a_batch_that_is_there_in_part_is_completed),
        STORE_TEST(
            test_the_entry_at_fault_is_blamed_again_though_the_first_is_there),
        STORE_TEST(test_another_entry_in_the_place_of_one_is_refused),
        STORE_TEST(test_no_entry_is_blamed_for_a_damaged_ledger),
        STORE_TEST(test_no_entry_is_blamed_for_a_table_that_has_gone),
        STORE_TEST(test_a_file_that_is_no_ledger_is_told_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
