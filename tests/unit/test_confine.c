#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/scratch.h"
#include "sys/confine.h"

#define PATH_LEN   256
#define CHILD_OK   0
#define CHILD_FAIL 99

/* ---- an older kernel --------------------------------------------------- */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static int pretended_version; /* 0: the kernel as it is; -1: no Landlock */

/* What a kernel of that version does with what it does not know. */
static long
create_ruleset(const uint64_t *attr, size_t len, long flags)
{
    static const unsigned known_bits[] = { 0, 13, 14, 15, 15, 16 };

    if (pretended_version == -1) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (flags != 0)
        return pretended_version;
    if (len > sizeof(attr[0])) {
        errno = E2BIG;
        return -1;
    }
    if (attr[0] >> known_bits[pretended_version] != 0) {
        errno = EINVAL;
        return -1;
    }
    return __real_syscall(SYS_landlock_create_ruleset, attr, len, flags);
}

long
__wrap_syscall(long number, ...)
{
    long arguments[4];
    va_list list;

    va_start(list, number);
    for (size_t i = 0; i < 4; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_landlock_create_ruleset && pretended_version != 0)
        return create_ruleset((const uint64_t *)arguments[0],
                              (size_t)arguments[1], arguments[2]);
    return __real_syscall(number, arguments[0], arguments[1], arguments[2],
                          arguments[3]);
}

static char folder[SCRATCH_PATH_LEN];
static struct confine *confine;

/* ---- a tree ------------------------------------------------------------ */

static const char *
at(const char *name)
{
    static char paths[4][PATH_LEN];
    static size_t turn;
    char *path = paths[turn++ % 4];

    snprintf(path, PATH_LEN, "%s/%s", folder, name);
    return path;
}

static void
make_file(const char *name)
{
    const int fd = open(at(name), O_WRONLY | O_CREAT, 0600);

    assert_int_not_equal(fd, -1);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static void
make_folder(const char *name)
{
    assert_int_equal(mkdir(at(name), 0700), 0);
}

/*   shown/  file  deep/{file,secret}  link -> ../other/file
 *   other/  file
 *   log/    service.log                                        */
static int
set_up(void **state)
{
    struct err err = { 0 };

    (void)state;
    scratch_make(folder);
    make_folder("shown");
    make_folder("shown/deep");
    make_folder("other");
    make_folder("log");
    make_file("shown/file");
    make_file("shown/deep/file");
    make_file("shown/deep/secret");
    make_file("other/file");
    make_file("log/service.log");
    assert_int_equal(symlink("../other/file", at("shown/link")), 0);
    confine = confine_new(&err);
    if (confine == NULL)
        fail_msg("%s", err.text);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    confine_free(confine);
    confine = NULL;
    scratch_remove(folder);
    return 0;
}

/* ---- in a child -------------------------------------------------------- */

/* The errno of opening it there, confined; 0 when it opens. */
static int
open_confined(const char *name, int flags)
{
    const pid_t child = fork();
    int how;

    assert_int_not_equal(child, -1);
    if (child == 0) {
        if (confine_enter(confine, NULL) == -1)
            _exit(CHILD_FAIL);
        _exit(open(at(name), flags, 0600) == -1 ? errno : CHILD_OK);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    return WEXITSTATUS(how);
}

static int
run_confined(int (*body)(void))
{
    const pid_t child = fork();
    int how;

    assert_int_not_equal(child, -1);
    if (child == 0)
        _exit(confine_enter(confine, NULL) == -1 ? CHILD_FAIL : body());
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    return WEXITSTATUS(how);
}

static void
show(const char *name)
{
    struct err err = { 0 };

    if (confine_show(confine, at(name), &err) == -1)
        fail_msg("%s", err.text);
}

static void
hide(const char *name)
{
    struct err err = { 0 };

    if (confine_hide(confine, at(name), &err) == -1)
        fail_msg("%s", err.text);
}

/* ---- tests ------------------------------------------------------------- */

static void
test_what_is_shown_can_be_read_and_nothing_else(void **state)
{
    (void)state;
    show("shown");
    assert_int_equal(open_confined("shown", O_RDONLY), 0);
    assert_int_equal(open_confined("shown/file", O_RDONLY), 0);
    assert_int_equal(open_confined("shown/deep/secret", O_RDONLY), 0);
    assert_int_equal(open_confined("shown/file", O_RDWR), EACCES);
    assert_int_equal(open_confined("shown/file", O_WRONLY), EACCES);
    assert_int_equal(open_confined("shown/new", O_RDWR | O_CREAT), EACCES);
    assert_int_equal(open_confined("other/file", O_RDONLY), EACCES);
    assert_int_equal(open_confined("other", O_RDONLY), EACCES);
    assert_int_equal(open_confined("shown/link", O_RDONLY), EACCES);
    assert_int_equal(open_confined("shown/../other/file", O_RDONLY), EACCES);
}

static int
change_names(void)
{
    if (unlink(at("shown/file")) == 0 || errno != EACCES)
        return 1;
    if (rename(at("shown/file"), at("shown/else")) == 0 || errno != EACCES)
        return 2;
    if (link(at("other/file"), at("shown/hard")) == 0 || errno != EACCES)
        return 3;
    if (mkdir(at("shown/new"), 0700) == 0 || errno != EACCES)
        return 4;
    if (symlink("x", at("shown/soft")) == 0 || errno != EACCES)
        return 5;
    if (confine_abi() >= 3 &&
        (truncate(at("other/file"), 0) == 0 || errno != EACCES))
        return 6;
    return 0;
}

static void
test_no_name_can_be_changed(void **state)
{
    (void)state;
    show("shown");
    assert_int_equal(run_confined(change_names), 0);
}

static void
test_what_is_hidden_stays_so_in_what_is_shown(void **state)
{
    (void)state;
    hide("shown/deep/secret");
    hide("shown/later/on"); /* not there yet */
    show("shown");
    assert_int_equal(open_confined("shown/file", O_RDONLY), 0);
    assert_int_equal(open_confined("shown/deep/file", O_RDONLY), 0);
    assert_int_equal(open_confined("shown/deep/secret", O_RDONLY), EACCES);
    make_folder("shown/later");
    make_file("shown/later/on");
    assert_int_equal(open_confined("shown/later/on", O_RDONLY), EACCES);
}

static void
test_a_hidden_folder_hides_all_but_what_is_shown_in_it(void **state)
{
    (void)state;
    hide("shown");
    show("shown"); /* the same name: hidden wins */
    show("shown/deep/file");
    assert_int_equal(open_confined("shown/file", O_RDONLY), EACCES);
    assert_int_equal(open_confined("shown/deep/secret", O_RDONLY), EACCES);
    assert_int_equal(open_confined("shown/deep/file", O_RDONLY), 0);
}

static void
test_names_may_be_relative_or_links(void **state)
{
    struct err err = { 0 };
    char *before = getcwd(NULL, 0);

    (void)state;
    assert_int_equal(symlink("shown/deep", at("alias")), 0);
    hide("alias/secret");
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(confine_hide(confine, "other", &err), 0);
    assert_int_equal(confine_hide(confine, "not/yet/there", &err), 0);
    assert_int_equal(confine_show(confine, ".", &err), 0);
    assert_int_equal(chdir(before), 0);
    free(before);
    assert_int_equal(open_confined("shown/file", O_RDONLY), 0);
    assert_int_equal(open_confined("alias/secret", O_RDONLY), EACCES);
    assert_int_equal(open_confined("shown/deep/secret", O_RDONLY), EACCES);
    assert_int_equal(open_confined("other/file", O_RDONLY), EACCES);
}

static void
test_a_neighbour_whose_name_begins_alike_is_not_hidden(void **state)
{
    (void)state;
    make_file("shown/file.txt");
    hide("shown/file");
    show("shown");
    assert_int_equal(open_confined("shown/file.txt", O_RDONLY), 0);
    assert_int_equal(open_confined("shown/file", O_RDONLY), EACCES);
}

static void
test_what_is_not_there_is_passed_over(void **state)
{
    (void)state;
    show("nowhere");
    assert_int_equal(open_confined("nowhere", O_RDONLY | O_CREAT), EACCES);
}

static void
test_a_log_can_be_written_and_made_anew(void **state)
{
    const int append = O_WRONLY | O_APPEND | O_CREAT;

    (void)state;
    assert_int_equal(confine_let_write(confine, at("log/service.log"), NULL),
                     0);
    assert_int_equal(open_confined("log/service.log", append), 0);
    assert_int_equal(rename(at("log/service.log"), at("log/old")), 0);
    assert_int_equal(open_confined("log/service.log", append), 0);
    assert_int_equal(open_confined("log/service.log", O_RDONLY), EACCES);
    assert_int_equal(open_confined("other/file", append), EACCES);
}

static void
test_a_log_beside_something_hidden_opens_nothing_else(void **state)
{
    const int append = O_WRONLY | O_APPEND | O_CREAT;

    (void)state;
    make_file("log/ledger.db");
    hide("log/ledger.db");
    assert_int_equal(confine_let_write(confine, at("log/service.log"), NULL),
                     0);
    assert_int_equal(open_confined("log/service.log", append), 0);
    assert_int_equal(open_confined("log/ledger.db", append), EACCES);
    assert_int_equal(open_confined("log/new", append), EACCES);
    assert_false(confine_is_outdated(confine));
    assert_int_equal(rename(at("log/service.log"), at("log/old")), 0);
    assert_true(confine_is_outdated(confine));
}

static void
test_a_log_that_is_away_is_missed(void **state)
{
    (void)state;
    assert_int_equal(confine_let_write(confine, at("log/away.log"), NULL), 0);
    assert_false(confine_is_outdated(confine));
    make_file("log/away.log");
    assert_true(confine_is_outdated(confine));
}

static void
test_it_is_outdated_when_the_folder_of_the_log_is_another(void **state)
{
    (void)state;
    assert_int_equal(confine_let_write(confine, at("log/service.log"), NULL),
                     0);
    assert_int_equal(rename(at("log/service.log"), at("log/old")), 0);
    make_file("log/service.log"); /* rotated: the folder's rule is for this */
    assert_false(confine_is_outdated(confine));
    assert_int_equal(rename(at("log"), at("old")), 0);
    make_folder("log");
    make_file("log/service.log");
    assert_true(confine_is_outdated(confine));
}

static int
enter_again(void)
{
    confine_seal(confine);
    return confine_enter(confine, NULL) == -1 ? 0 : 1;
}

static void
test_what_is_sealed_has_no_rules_and_still_knows_its_files(void **state)
{
    (void)state;
    show("shown");
    assert_int_equal(run_confined(enter_again), 0);
    confine_seal(confine);
    assert_int_equal(confine_show(confine, at("other"), NULL), -1);
    assert_false(confine_is_outdated(confine));
    assert_int_equal(rename(at("shown"), at("away")), 0);
    assert_true(confine_is_outdated(confine));
}

static void
test_it_is_outdated_when_a_shown_file_is_another(void **state)
{
    (void)state;
    show("other/file");
    show("nowhere");
    assert_false(confine_is_outdated(confine));
    make_file("other/new"); /* its folder was not shown */
    assert_false(confine_is_outdated(confine));
    assert_int_equal(rename(at("other/new"), at("other/file")), 0);
    assert_true(confine_is_outdated(confine));
    assert_int_equal(open_confined("other/file", O_RDONLY), EACCES);
}

static void
test_it_is_outdated_when_something_shown_has_come(void **state)
{
    (void)state;
    show("nowhere");
    assert_false(confine_is_outdated(confine));
    make_file("nowhere");
    assert_true(confine_is_outdated(confine));
}

static void
test_it_is_outdated_when_a_folder_shown_by_entry_gets_one(void **state)
{
    const struct timespec long_ago[2] = { { 0, 0 }, { 0, 0 } };

    (void)state;
    assert_int_equal(utimensat(AT_FDCWD, at("shown/deep"), long_ago, 0), 0);
    hide("shown/deep/secret");
    show("shown");
    show("other"); /* as a whole: new entries are shown, too */
    make_file("other/new");
    assert_int_equal(open_confined("other/new", O_RDONLY), 0);
    assert_false(confine_is_outdated(confine));
    make_file("shown/deep/new");
    assert_int_equal(open_confined("shown/deep/new", O_RDONLY), EACCES);
    assert_true(confine_is_outdated(confine));
}

static int
reach_for_the_parent(void)
{
    char memory[PATH_LEN];

    snprintf(memory, sizeof(memory), "/proc/%d/mem", (int)getppid());
    if (open(memory, O_RDONLY) != -1)
        return 1;
    if (confine_abi() >= 6 && kill(getppid(), 0) == 0)
        return 2;
    return kill(getpid(), 0) == 0 ? 0 : 3;
}

static void
test_processes_outside_are_out_of_reach(void **state)
{
    (void)state;
    assert_int_equal(confine_show(confine, "/proc", NULL), 0);
    assert_int_equal(run_confined(reach_for_the_parent), 0);
}

static int
run_a_program(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno == EACCES ? 0 : 1;
}

static void
test_no_program_can_be_run(void **state)
{
    (void)state;
    assert_int_equal(confine_show(confine, "/usr", NULL), 0);
    assert_int_equal(run_confined(run_a_program), 0);
}

static void
test_an_older_kernel_is_asked_for_what_it_knows(void **state)
{
    struct err err = { 0 };

    (void)state;
    for (int version = 1; version <= 5; version++) {
        confine_free(confine);
        pretended_version = version;
        assert_int_equal(confine_abi(), version);
        confine = confine_new(&err);
        pretended_version = 0;
        if (confine == NULL)
            fail_msg("version %d: %s", version, err.text);
        show("shown");
        assert_int_equal(open_confined("shown/file", O_RDONLY), 0);
        assert_int_equal(open_confined("other/file", O_RDONLY), EACCES);
        assert_int_equal(open_confined("shown/file", O_RDWR), EACCES);
    }
}

static void
test_a_kernel_without_landlock_says_so(void **state)
{
    struct err err = { 0 };

    (void)state;
    pretended_version = -1;
    assert_int_equal(confine_abi(), 0);
    assert_null(confine_new(&err));
    pretended_version = 0;
    assert_int_equal(err.kind, ERR_SYSTEM);
}

static void
test_too_much_to_hide_is_an_error(void **state)
{
    struct err err = { 0 };
    int result = 0;

    (void)state;
    for (int i = 0; i < 1000 && result == 0; i++) {
        char name[16];

        snprintf(name, sizeof(name), "h%d", i);
        result = confine_hide(confine, at(name), &err);
    }
    assert_int_equal(result, -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_shown_can_be_read_and_nothing_else),
        TEST(test_no_name_can_be_changed),
        TEST(test_what_is_hidden_stays_so_in_what_is_shown),
        TEST(test_a_hidden_folder_hides_all_but_what_is_shown_in_it),
        TEST(test_names_may_be_relative_or_links),
        TEST(test_a_neighbour_whose_name_begins_alike_is_not_hidden),
        TEST(test_what_is_not_there_is_passed_over),
        TEST(test_a_log_can_be_written_and_made_anew),
        TEST(test_a_log_beside_something_hidden_opens_nothing_else),
        TEST(test_a_log_that_is_away_is_missed),
        TEST(test_it_is_outdated_when_the_folder_of_the_log_is_another),
        TEST(test_what_is_sealed_has_no_rules_and_still_knows_its_files),
        TEST(test_it_is_outdated_when_a_shown_file_is_another),
        TEST(test_it_is_outdated_when_something_shown_has_come),
        TEST(test_it_is_outdated_when_a_folder_shown_by_entry_gets_one),
        TEST(test_processes_outside_are_out_of_reach),
        TEST(test_no_program_can_be_run),
        TEST(test_an_older_kernel_is_asked_for_what_it_knows),
        TEST(test_a_kernel_without_landlock_says_so),
        TEST(test_too_much_to_hide_is_an_error),
    };

    if (confine_abi() == 0) {
        fputs("skipped: this kernel has no Landlock\n", stderr);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
