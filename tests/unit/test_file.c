#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/str.h"
#include "sys/fd.h"
#include "sys/file.h"

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

/* What was synced and renamed, as letters: f file, d folder, r rename. */
static char steps[16];
static char failing_step;
static char killing_step;

static int
note_step(char step)
{
    const size_t len = strlen(steps);

    if (len + 1 < sizeof(steps))
        steps[len] = step;
    if (step == killing_step)
        raise(SIGKILL);
    if (step != failing_step)
        return 0;
    errno = EIO;
    return -1;
}

int
__wrap_fsync(int fd)
{
    struct stat info;

    if (fstat(fd, &info) == -1)
        return -1;
    if (note_step(S_ISDIR(info.st_mode) ? 'd' : 'f') == -1)
        return -1;
    return __real_fsync(fd);
}

int
__wrap_rename(const char *from, const char *to)
{
    return note_step('r') == -1 ? -1 : __real_rename(from, to);
}

static char folder[64];
static char path[128];

static int
set_up(void **state)
{
    (void)state;
    memset(steps, 0, sizeof(steps));
    failing_step = '\0';
    snprintf(folder, sizeof(folder), "/tmp/test_file.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/entry", folder);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static size_t
count_of_files(void)
{
    DIR *dir = opendir(folder);
    size_t count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2;
}

static void
assert_content(const char *expected)
{
    struct buf buf;

    buf_init(&buf, 1000);
    assert_int_equal(file_read(path, &buf, NULL), 0);
    assert_string_equal(buf_cstr(&buf), expected);
    buf_close(&buf);
}

static int
write_text(const char *text, struct err *err)
{
    return file_write_durably(path, 0640, text, strlen(text), err);
}

static void
test_the_file_is_synced_before_its_name_and_the_folder_after(void **state)
{
    (void)state;
    assert_int_equal(write_text("one", NULL), 0);
    assert_string_equal(steps, "frd");
    assert_content("one");
    assert_int_equal(write_text("two", NULL), 0);
    assert_content("two");
    assert_int_equal(count_of_files(), 1);
}

static void
test_the_mode_does_not_depend_on_the_umask(void **state)
{
    const mode_t old = umask(0777);
    struct stat info;

    (void)state;
    assert_int_equal(write_text("x", NULL), 0);
    umask(old);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
}

static void
assert_failure_keeps_the_old_file(char step)
{
    struct err err = { 0 };

    failing_step = step;
    assert_int_equal(write_text("new", &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_ptr_equal(strstr(err.text, path), err.text);
    assert_content("old");
    assert_int_equal(count_of_files(), 1);
}

static void
test_a_failed_write_keeps_the_old_file_and_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(write_text("old", NULL), 0);
    assert_failure_keeps_the_old_file('f');
    assert_failure_keeps_the_old_file('r');
}

static void
test_a_folder_that_cannot_be_synced_is_an_error(void **state)
{
    struct err err = { 0 };

    (void)state;
    failing_step = 'd';
    assert_int_equal(write_text("x", &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
}

static void
test_a_path_without_a_file_name_is_refused(void **state)
{
    struct err err = { 0 };
    char endless[5000];

    (void)state;
    assert_int_equal(file_write_durably("/tmp/", 0600, "x", 1, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    memset(endless, 'x', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    assert_int_equal(file_write_durably(endless, 0600, "x", 1, NULL), -1);
}

static void
test_reading_appends_and_handles_every_size(void **state)
{
    static char bytes[10000];
    struct buf buf;

    (void)state;
    memset(bytes, 'a', sizeof(bytes));
    for (size_t len = 0; len < sizeof(bytes); len += 1365) {
        assert_int_equal(file_write_durably(path, 0600, bytes, len, NULL), 0);
        buf_init(&buf, sizeof(bytes) + 1);
        assert_int_equal(buf_append_str(&buf, ">"), BUF_OK);
        assert_int_equal(file_read(path, &buf, NULL), 0);
        assert_int_equal(buf.len, len + 1);
        assert_int_equal(buf.bytes[0], '>');
        buf_close(&buf);
    }
}

static void
test_a_file_larger_than_the_buffer_is_refused(void **state)
{
    struct err err = { 0 };
    struct buf buf;

    (void)state;
    assert_int_equal(write_text("12345", NULL), 0);
    buf_init(&buf, 5);
    assert_int_equal(file_read(path, &buf, NULL), 0);
    buf_clear(&buf);
    assert_int_equal(write_text("123456", NULL), 0);
    assert_int_equal(file_read(path, &buf, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    buf_close(&buf);
}

static void
test_what_cannot_be_read_is_named(void **state)
{
    struct err missing = { 0 };
    struct err is_folder = { 0 };
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    assert_int_equal(file_read(path, &buf, &missing), -1);
    assert_int_equal(missing.kind, ERR_SYSTEM);
    assert_non_null(strstr(missing.text, path));
    assert_int_equal(file_read(folder, &buf, &is_folder), -1);
    assert_non_null(strstr(is_folder.text, folder));
    buf_close(&buf);
}

static void
test_a_folder_is_made_with_all_above_it(void **state)
{
    char deep[128];
    struct stat info;

    (void)state;
    snprintf(deep, sizeof(deep), "%s//a/b/", folder);
    assert_int_equal(file_make_folder(deep, 0700, NULL), 0);
    assert_int_equal(file_make_folder(deep, 0700, NULL), 0);
    assert_string_equal(steps, "dd");
    assert_int_equal(stat(deep, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_int_equal(rmdir(deep), 0);
    snprintf(deep, sizeof(deep), "%s/a", folder);
    assert_int_equal(rmdir(deep), 0);
}

static void
test_a_file_in_the_way_of_a_folder_is_an_error(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(write_text("x", NULL), 0);
    assert_int_equal(file_make_folder(path, 0700, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_int_equal(file_make_folder("", 0700, NULL), -1);
}

static void
test_a_claim_is_held_by_one_process_and_dies_with_it(void **state)
{
    struct err err = { 0 };
    pid_t holder = 77, child;
    int fd = file_claim(path, &holder, NULL);
    int status;

    (void)state;
    assert_int_not_equal(fd, -1);
    assert_int_equal(holder, 0);
    child = fork();
    if (child == 0)
        _exit(file_claim(path, &holder, NULL) == -1 && holder == getppid() ? 0
                                                                           : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    fd_close(&fd);

    child = fork();
    if (child == 0)
        _exit(file_claim(path, &holder, NULL) != -1 ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    fd = file_claim(path, &holder, NULL); /* it has ended without a word */
    assert_int_not_equal(fd, -1);
    fd_close(&fd);
    assert_int_equal(file_claim("/nowhere/at/all", &holder, &err), -1);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

/* ---- what a crash leaves ------------------------------------------------- */

static void
test_leftovers_are_known_by_their_names(void **state)
{
    static const char *const others[] = {
        "",         ".",          ".XXXXXX",   "..XXXXXX", "a.XXXXXX",
        ".a.XXXXX", ".a.XXXXXXX", ".a.XX-XXX", ".aXXXXXXX"
    };
    char original[FILE_NAME_LEN];

    (void)state;
    assert_true(file_is_leftover(".x.y.aZ09bc", original));
    assert_string_equal(original, "x.y");
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(file_is_leftover(others[i], original));
}

static int
is_leftover(const struct dirent *entry)
{
    char original[FILE_NAME_LEN];

    return file_is_leftover(entry->d_name, original) &&
           strcmp(original, "entry") == 0;
}

static void
test_a_killed_write_leaves_what_is_called_a_leftover(void **state)
{
    struct dirent **names;
    char left[512];
    int status;
    pid_t child;

    (void)state;
    child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        killing_step = 'r';
        _exit(write_text("one", NULL));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(count_of_files(), 1);
    assert_int_equal(scandir(folder, &names, is_leftover, NULL), 1);
    snprintf(left, sizeof(left), "%s/%s", folder, names[0]->d_name);
    assert_int_equal(unlink(left), 0);
    free(names[0]);
    free(names);
}

/* ---- files that are made once, and files that grow ---------------------- */

static void
test_a_file_is_created_once_and_never_replaced(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(file_create_durably(path, 0600, "one", 3, NULL), 0);
    assert_string_equal(steps, "fd");
    assert_content("one");
    assert_int_equal(file_create_durably(path, 0600, "two", 3, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_content("one");
    assert_int_equal(count_of_files(), 1);
}

static void
test_what_is_appended_is_synced_and_a_failure_takes_it_back(void **state)
{
    (void)state;
    assert_int_equal(file_append_durably(path, 0600, "one", 3, NULL), 0);
    assert_string_equal(steps, "fd");
    assert_int_equal(file_append_durably(path, 0600, "two", 3, NULL), 0);
    assert_string_equal(steps, "fdf");
    assert_content("onetwo");
    failing_step = 'f';
    assert_int_equal(file_append_durably(path, 0600, "six", 3, NULL), -1);
    assert_content("onetwo");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_file_is_synced_before_its_name_and_the_folder_after),
        TEST(test_the_mode_does_not_depend_on_the_umask),
        TEST(test_a_failed_write_keeps_the_old_file_and_leaves_nothing),
        TEST(test_a_folder_that_cannot_be_synced_is_an_error),
        TEST(test_a_path_without_a_file_name_is_refused),
        TEST(test_reading_appends_and_handles_every_size),
        TEST(test_a_file_larger_than_the_buffer_is_refused),
        TEST(test_what_cannot_be_read_is_named),
        TEST(test_a_folder_is_made_with_all_above_it),
        TEST(test_a_file_in_the_way_of_a_folder_is_an_error),
        TEST(test_a_claim_is_held_by_one_process_and_dies_with_it),
        TEST(test_leftovers_are_known_by_their_names),
        TEST(test_a_killed_write_leaves_what_is_called_a_leftover),
        TEST(test_a_file_is_created_once_and_never_replaced),
        TEST(test_what_is_appended_is_synced_and_a_failure_takes_it_back),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
