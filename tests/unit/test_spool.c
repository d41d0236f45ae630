/* test_spool.c - batches on disk: durable, in order, bounded, never lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "ledger/spool.h"
#include "support/scratch.h"
#include "support/sealed.h"
#include "sys/file.h"

#define MAX_BYTES 65536
#define RESERVE   4096

int __real_fsync(int fd);
int __wrap_fsync(int fd);

static char folder[SCRATCH_PATH_LEN];
static struct spool_config config = { .folder = folder,
                                      .max_bytes = MAX_BYTES,
                                      .reserve_bytes = RESERVE };
static struct spool *spool;
static struct sealed sealed;
static int syncs_to_live = -1;

int
__wrap_fsync(int fd)
{
    if (syncs_to_live >= 0 && syncs_to_live-- == 0)
        return -1;
    return __real_fsync(fd);
}

static void
open_spool(void)
{
    struct err err = { 0 };

    spool = spool_open(&config, clock_mono_ms() + 1000, &err);
    if (spool == NULL)
        fail_msg("%s", err.text);
}

static void
open_again(void)
{
    spool_close(spool);
    open_spool();
}

static int
set_up(void **state)
{
    (void)state;
    syncs_to_live = -1;
    scratch_make(folder);
    open_spool();
    sealed_init(&sealed, 4);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    sealed_close(&sealed);
    spool_close(spool);
    scratch_remove(folder);
    return 0;
}

static void
add(size_t first, size_t count)
{
    struct err err = { 0 };

    if (spool_add(spool, sealed.entries + first, count, &err) == -1)
        fail_msg("%s", err.text);
}

/* The oldest batch begins with entry i. */
static struct spool_file *
expect_first(size_t i, size_t count)
{
    struct err err = { 0 };
    struct spool_file *file = spool_first(spool, &err);

    if (file == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(file->count, count);
    assert_memory_equal(file->entries[0]->leaf_hash, sealed.seals[i].leaf_hash,
                        ENTRY_HASH_LEN);
    return file;
}

static void
drop_first(size_t i, size_t count)
{
    struct spool_file *file = expect_first(i, count);

    spool_drop(spool, file);
    spool_file_free(file);
}

static void
path_in(const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", folder, name);
}

static void
overwrite(const char *name, const char *text)
{
    char path[128];

    path_in(name, path);
    assert_int_equal(file_write_durably(path, 0600, text, strlen(text), NULL),
                     0);
}

#define FIRST_NAME "0000000000000000.jsonl"

static void
test_batches_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    assert_true(spool_is_empty(spool));
    add(0, 2);
    add(2, 1);
    open_again(); /* a crash changes nothing */
    add(3, 1);
    drop_first(0, 2);
    open_again();
    drop_first(2, 1);
    drop_first(3, 1);
    assert_true(spool_is_empty(spool));
    assert_int_equal(spool_counts(spool).bytes, 0);
    open_again();
    assert_true(spool_is_empty(spool));
}

static void
test_an_entry_comes_back_with_its_texts_and_salts(void **state)
{
    struct spool_file *file;
    const struct seal *entry;

    (void)state;
    add(0, 4);
    file = expect_first(0, 4);
    entry = file->entries[3];
    assert_int_equal(entry->part_count, 1);
    assert_int_equal(entry->parts[0].len, strlen(SEALED_TEXT));
    assert_memory_equal(entry->parts[0].bytes, SEALED_TEXT,
                        strlen(SEALED_TEXT));
    assert_memory_equal(entry->salts[0], sealed.seals[3].salts[0],
                        ENTRY_SALT_LEN);
    spool_file_free(file);
}

static void
test_files_are_for_their_owner_alone(void **state)
{
    struct stat info;
    char path[128];

    (void)state;
    add(0, 1);
    path_in("new/" FIRST_NAME, path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    path_in("new", path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
}

static void
test_what_waits_can_be_looked_up(void **state)
{
    struct entry_receipt receipt;
    struct buf body;

    (void)state;
    add(0, 2);
    open_again();
    assert_int_equal(
        spool_find(spool, &sealed.runs[1], ENTRY_ACCEPTED, &receipt),
        STORE_FOUND);
    assert_int_equal(receipt.state, ENTRY_SPOOLED);
    assert_int_equal(receipt.idx, 1);
    assert_memory_equal(receipt.leaf_hash, sealed.seals[1].leaf_hash,
                        ENTRY_HASH_LEN);
    assert_int_equal(
        spool_find(spool, &sealed.runs[1], ENTRY_FINISHED, &receipt),
        STORE_NONE);
    buf_init(&body, 65536);
    assert_int_equal(
        spool_read_body(spool, &sealed.runs[1], ENTRY_ACCEPTED, &body, NULL),
        STORE_FOUND);
    assert_int_equal(body.len, sealed.seals[1].body.len);
    assert_memory_equal(body.bytes, sealed.seals[1].body.bytes, body.len);
    buf_close(&body);
    drop_first(0, 2);
    assert_int_equal(
        spool_find(spool, &sealed.runs[1], ENTRY_ACCEPTED, &receipt),
        STORE_NONE);
}

static int
count_run(void *arg, const struct uuid *run_id, struct err *err)
{
    size_t *count = arg;

    (void)err;
    assert_memory_equal(run_id, &sealed.runs[0], sizeof(*run_id));
    (*count)++;
    return 0;
}

static void
test_runs_without_an_end_are_known(void **state)
{
    size_t count = 0;

    (void)state;
    sealed_finish(&sealed, 2, &sealed.runs[1]);
    add(0, 3);
    open_again();
    assert_int_equal(spool_open_runs(spool, count_run, &count, NULL), 0);
    assert_int_equal(count, 1);
}

static int
check_next(void *arg, const struct seal *entry, struct err *err)
{
    size_t *count = arg;

    assert_int_equal(entry->kind, sealed.seals[*count].kind);
    assert_memory_equal(&entry->run_id, &sealed.seals[*count].run_id,
                        sizeof(entry->run_id));
    if (++*count == 4)
        return err_set(err, ERR_LIMIT, "enough");
    return 0;
}

static void
test_all_entries_are_shown_in_their_order_until_told_to_stop(void **state)
{
    struct err err = { 0 };
    size_t count = 0;

    (void)state;
    add(0, 2);
    add(2, 1);
    config.found = check_next;
    config.found_arg = &count;
    open_again();
    assert_int_equal(count, 3);
    add(3, 1); /* which is no news */
    assert_int_equal(count, 3);
    count = 0;
    spool_close(spool);
    spool = spool_open(&config, clock_mono_ms() + 1000, &err);
    config.found = NULL;
    assert_null(spool);
    assert_int_equal(count, 4);
    assert_string_equal(err.text, "enough");
}

static void
test_a_full_spool_takes_no_runs_and_then_no_entries(void **state)
{
    struct err err = { 0 };

    (void)state;
    while (spool_has_room(spool))
        add(0, 4);
    assert_in_range(spool_counts(spool).bytes, MAX_BYTES - 3 * RESERVE,
                    MAX_BYTES);
    add(0, 1); /* the end of a run that began has its place */
    while (spool_add(spool, sealed.entries, 4, &err) == 0)
        continue;
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_in_range(spool_counts(spool).bytes, MAX_BYTES, MAX_BYTES + 8192);
}

static void
test_a_disk_with_little_room_takes_no_runs(void **state)
{
    (void)state;
    spool_close(spool);
    config.reserve_bytes = INT64_MAX / 4;
    config.max_bytes = INT64_MAX / 2;
    open_spool();
    assert_false(spool_has_room(spool));
    config.reserve_bytes = RESERVE;
    config.max_bytes = MAX_BYTES;
}

/* Each fsync of a batch: of the file and of the folder. */
static void
test_a_failed_fsync_is_a_failed_write_and_the_next_one_is_whole(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct err err = { 0 };
        struct entry_receipt receipt;

        syncs_to_live = round;
        assert_int_equal(spool_add(spool, sealed.entries, 1, &err), -1);
        assert_int_equal(err.kind, ERR_SYSTEM);
        syncs_to_live = -1;
        assert_true(spool_is_empty(spool));
        assert_int_equal(
            spool_find(spool, &sealed.runs[0], ENTRY_ACCEPTED, &receipt),
            STORE_NONE);
    }
    add(0, 1);
    open_again();
    drop_first(0, 1);
    assert_true(spool_is_empty(spool)); /* not twice */
}

static void
test_a_batch_that_is_damaged_is_kept_aside(void **state)
{
    (void)state;
    add(0, 1);
    add(1, 1);
    overwrite("new/" FIRST_NAME, "{\"count\":1}\n");
    open_again();
    assert_int_equal(spool_counts(spool).batches, 1);
    assert_int_equal(spool_counts(spool).set_aside, 1);
    drop_first(1, 1);
    open_again();
    assert_int_equal(spool_counts(spool).set_aside, 1);
}

static void
test_every_changed_byte_of_a_file_is_noticed(void **state)
{
    struct buf text;
    char path[128];

    (void)state;
    add(0, 2);
    path_in("new/" FIRST_NAME, path);
    buf_init(&text, MAX_BYTES);
    assert_int_equal(file_read(path, &text, NULL), 0);
    for (size_t i = 0; i < text.len; i += 7) {
        struct err err = { 0 };

        text.bytes[i] ^= 1;
        overwrite("new/" FIRST_NAME, text.bytes);
        assert_null(spool_first(spool, &err));
        assert_int_equal(err.kind, ERR_INVALID);
        text.bytes[i] ^= 1;
    }
    buf_close(&text);
}

static void
test_a_batch_set_aside_can_be_put_back(void **state)
{
    struct spool_counts seen;
    struct spool_file *file;
    char from[128], to[128];

    (void)state;
    add(0, 1);
    add(1, 1);
    file = expect_first(0, 1);
    spool_set_aside(spool, file);
    spool_file_free(file);
    assert_int_equal(spool_look(folder, &seen, NULL), 0);
    assert_int_equal(seen.batches, 1);
    assert_int_equal(seen.set_aside, 1);
    drop_first(1, 1);
    assert_true(spool_is_empty(spool));
    assert_int_equal(spool_counts(spool).set_aside, 1);
    assert_false(spool_look_again(spool)); /* nobody asked */

    path_in("bad/" FIRST_NAME, from);
    path_in("new/" FIRST_NAME, to);
    assert_int_equal(rename(from, to), 0);
    overwrite("drain", "");
    assert_true(spool_look_again(spool));
    assert_false(spool_look_again(spool));
    assert_int_equal(spool_counts(spool).set_aside, 0);
    drop_first(0, 1);
}

static void
set_aside_first(size_t i)
{
    struct spool_file *file = expect_first(i, 1);

    spool_set_aside(spool, file);
    spool_file_free(file);
}

/* A number that began anew with each scribe would put one batch in the place
 * of another. */
static void
test_no_batch_takes_the_place_of_one_that_was_set_aside(void **state)
{
    char from[128], to[128];

    (void)state;
    add(0, 1);
    set_aside_first(0);
    open_again();
    add(1, 1);
    path_in("bad/" FIRST_NAME, from);
    path_in("new/" FIRST_NAME, to);
    assert_int_equal(file_move(from, to, NULL), 0);
    overwrite("drain", "");
    assert_true(spool_look_again(spool));
    assert_int_equal(spool_counts(spool).batches, 2);
    set_aside_first(0);
    set_aside_first(1);
    assert_int_equal(spool_counts(spool).set_aside, 2);
    open_again();
    assert_int_equal(spool_counts(spool).set_aside, 2);
}

static void
move(const char *from_name, const char *to_name)
{
    char from[128], to[128];

    path_in(from_name, from);
    path_in(to_name, to);
    assert_int_equal(file_move(from, to, NULL), 0);
}

static void
look_again(void)
{
    overwrite("drain", "");
    assert_true(spool_look_again(spool));
}

static void
test_a_batch_that_is_put_back_is_shown(void **state)
{
    size_t count = 0;

    (void)state;
    config.found = check_next;
    config.found_arg = &count;
    open_again();
    config.found = NULL;
    add(0, 1);
    set_aside_first(0);
    move("bad/" FIRST_NAME, "new/" FIRST_NAME);
    look_again();
    assert_int_equal(count, 1);
}

/* Somebody copied it back instead of moving it, and it is no better. */
static void
test_a_batch_that_is_set_aside_twice_stands_in_nobodys_way(void **state)
{
    struct buf text;
    char path[128];

    (void)state;
    add(0, 1);
    add(1, 1);
    set_aside_first(0);
    path_in("bad/" FIRST_NAME, path);
    buf_init(&text, MAX_BYTES);
    assert_int_equal(file_read(path, &text, NULL), 0);
    overwrite("new/" FIRST_NAME, text.bytes);
    look_again();
    set_aside_first(0);
    assert_int_equal(spool_counts(spool).set_aside, 2);
    drop_first(1, 1);

    overwrite("new/" FIRST_NAME, "damaged\n");
    open_again();
    assert_true(spool_is_empty(spool));
    assert_int_equal(spool_counts(spool).set_aside, 3);
    assert_int_equal(file_read(path, &text, NULL), 0);
    assert_memory_equal(text.bytes, text.bytes + text.len / 2, text.len / 2);
    buf_close(&text);
}

static void
put_folder_at(const char *name)
{
    char path[128];

    path_in(name, path);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void
test_what_cannot_be_read_stands_in_nobodys_way(void **state)
{
    struct spool_counts seen;
    struct err err = { 0 };
    char path[128];

    (void)state;
    add(0, 1);
    add(1, 1);
    path_in("new/" FIRST_NAME, path);
    assert_int_equal(unlink(path), 0);
    put_folder_at("new/" FIRST_NAME);
    assert_null(spool_first(spool, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    spool_set_aside(spool, NULL);
    put_folder_at("new/0000000000000007.jsonl");
    open_again();
    assert_int_equal(spool_look(folder, &seen, NULL), 0);
    assert_int_equal(seen.set_aside, 2);
    assert_int_equal(seen.batches, 1);
    drop_first(1, 1);
    assert_true(spool_is_empty(spool));
}

static void
test_what_cannot_be_moved_is_left_out_until_somebody_asks(void **state)
{
    (void)state;
    add(0, 1);
    add(1, 1);
    move("bad", "elsewhere");
    set_aside_first(0);
    assert_int_equal(spool_counts(spool).set_aside, 1);
    spool_file_free(expect_first(1, 1));
    add(2, 1);
    move("elsewhere", "bad");
    look_again();
    assert_int_equal(spool_counts(spool).set_aside, 0);
    drop_first(0, 1);
    drop_first(1, 1);
    drop_first(2, 1);
}

static void
test_a_process_without_descriptors_blames_no_file(void **state)
{
    struct err err = { 0 };
    struct rlimit limit, none;

    (void)state;
    add(0, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_null(spool_first(spool, &err));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(err.kind, ERR_NOMEM);
    drop_first(0, 1);
}

/* The hash is right, the number of entries is not. */
static void
test_a_file_that_counts_more_than_a_batch_is_kept_aside(void **state)
{
    static const char *const counts[] = { "1000000", "-1", "257", "0" };
    static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b93"
                                "4ca495991b7852b855";

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char text[128];

        snprintf(text, sizeof(text), "{\"count\":%s,\"sha256\":\"%s\"}\n",
                 counts[i], empty);
        overwrite("new/" FIRST_NAME, text);
        open_again();
        assert_true(spool_is_empty(spool));
        assert_int_equal(spool_counts(spool).set_aside, 1);
        path_in("bad/" FIRST_NAME, text);
        assert_int_equal(unlink(text), 0);
    }
}

static void
test_a_file_above_our_limits_does_not_stop_the_others(void **state)
{
    (void)state;
    add(0, 1);
    add(1, 1);
    overwrite("new/" FIRST_NAME, "{\"count\":[[[[1]]]]}\n");
    open_again();
    assert_int_equal(spool_counts(spool).batches, 1);
    assert_int_equal(spool_counts(spool).set_aside, 1);
    drop_first(1, 1);
}

static void
test_files_that_are_no_batches_are_left_alone(void **state)
{
    char path[128];

    (void)state;
    overwrite("new/README", "hello");
    overwrite("new/12.jsonl", "hello");
    open_again();
    assert_true(spool_is_empty(spool));
    path_in("new/README", path);
    assert_int_equal(access(path, F_OK), 0);
}

static bool
is_there(const char *name)
{
    char path[128];

    path_in(name, path);
    return access(path, F_OK) == 0;
}

/* Their entries were never said to be durable. */
static void
test_what_a_killed_scribe_left_half_written_is_removed(void **state)
{
    static const char *const strangers[] = {
        "new/.README.aB3dEf",         "new/." FIRST_NAME ".aB3dE",
        "new/" FIRST_NAME ".aB3dEf",  "new/.12.jsonl.aB3dEf",
        "bad/." FIRST_NAME ".aB3dEf", "." FIRST_NAME ".aB3dEf"
    };
    char path[128];

    (void)state;
    add(0, 1);
    overwrite("new/." FIRST_NAME ".aB3dEf", "half");
    overwrite("new/.00000000000000ff.jsonl.000000", "");
    path_in("new/." FIRST_NAME ".Folder", path);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
        overwrite(strangers[i], "a stranger's");

    assert_null(spool_open(&config, 0, NULL)); /* not while another writes */
    assert_true(is_there("new/." FIRST_NAME ".aB3dEf"));

    open_again();
    assert_false(is_there("new/." FIRST_NAME ".aB3dEf"));
    assert_false(is_there("new/.00000000000000ff.jsonl.000000"));
    assert_true(is_there("new/." FIRST_NAME ".Folder"));
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
        assert_true(is_there(strangers[i]));
    assert_int_equal(spool_counts(spool).batches, 1);
    drop_first(0, 1);
}

static void
test_two_cannot_use_one_spool(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_null(spool_open(&config, clock_mono_ms() + 50, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_batches_come_out_in_the_order_they_went_in),
        TEST(test_an_entry_comes_back_with_its_texts_and_salts),
        TEST(test_files_are_for_their_owner_alone),
        TEST(test_what_waits_can_be_looked_up),
        TEST(test_runs_without_an_end_are_known),
        TEST(test_all_entries_are_shown_in_their_order_until_told_to_stop),
        TEST(test_a_full_spool_takes_no_runs_and_then_no_entries),
        TEST(test_a_disk_with_little_room_takes_no_runs),
        TEST(test_a_failed_fsync_is_a_failed_write_and_the_next_one_is_whole),
        TEST(test_a_batch_that_is_damaged_is_kept_aside),
        TEST(test_every_changed_byte_of_a_file_is_noticed),
        TEST(test_a_batch_set_aside_can_be_put_back),
        TEST(test_no_batch_takes_the_place_of_one_that_was_set_aside),
        TEST(test_a_batch_that_is_put_back_is_shown),
        TEST(test_a_batch_that_is_set_aside_twice_stands_in_nobodys_way),
        TEST(test_what_cannot_be_read_stands_in_nobodys_way),
        TEST(test_what_cannot_be_moved_is_left_out_until_somebody_asks),
        TEST(test_a_process_without_descriptors_blames_no_file),
        TEST(test_a_file_that_counts_more_than_a_batch_is_kept_aside),
        TEST(test_a_file_above_our_limits_does_not_stop_the_others),
        TEST(test_files_that_are_no_batches_are_left_alone),
        TEST(test_what_a_killed_scribe_left_half_written_is_removed),
        TEST(test_two_cannot_use_one_spool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
