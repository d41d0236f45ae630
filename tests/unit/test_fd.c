#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "sys/fd.h"

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);

/* Above 0: each second write is interrupted, the others are this short. */
static size_t short_write_bytes;
static int write_count;

ssize_t
__wrap_write(int fd, const void *bytes, size_t len)
{
    write_count++;
    if (short_write_bytes == 0)
        return __real_write(fd, bytes, len);
    if (write_count % 2 == 1) {
        errno = EINTR;
        return -1;
    }
    return __real_write(fd, bytes,
                        len < short_write_bytes ? len : short_write_bytes);
}

static int ends[2];

static int
set_up(void **state)
{
    (void)state;
    short_write_bytes = 0;
    write_count = 0;
    return pipe(ends);
}

static int
tear_down(void **state)
{
    (void)state;
    fd_close(&ends[0]);
    fd_close(&ends[1]);
    return 0;
}

static void
test_flags_are_added_to_those_there(void **state)
{
    (void)state;
    assert_int_equal(fcntl(ends[1], F_SETFL, O_APPEND), 0);
    assert_int_equal(fd_set_nonblock(ends[1], NULL), 0);
    assert_int_equal(fcntl(ends[1], F_GETFL) & (O_NONBLOCK | O_APPEND),
                     O_NONBLOCK | O_APPEND);
    assert_int_equal(fd_set_cloexec(ends[1], NULL), 0);
    assert_int_equal(fcntl(ends[1], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void
test_flags_of_no_descriptor_are_an_error(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(fd_set_nonblock(-1, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(fd_set_cloexec(-1, NULL), -1);
}

static void
test_closing_is_repeatable_and_leaves_errno(void **state)
{
    int never_open = 99999;
    int fd = ends[0];

    (void)state;
    errno = EDOM;
    fd_close(&ends[0]);
    assert_int_equal(ends[0], -1);
    fd_close(&ends[0]);
    assert_int_equal(errno, EDOM);
    fd_close(&never_open);
    assert_int_equal(errno, EDOM);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void
test_waiting_ends_with_the_event_or_the_deadline(void **state)
{
    int64_t begin_ms = clock_mono_ms();

    (void)state;
    assert_int_equal(fd_wait(ends[0], POLLIN, begin_ms + 40), 0);
    assert_in_range(clock_mono_ms() - begin_ms, 40, 2000);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(fd_wait(ends[0], POLLIN, INT64_MAX), POLLIN);
    assert_int_equal(fd_wait(ends[0], POLLIN, 0), POLLIN);
}

static volatile sig_atomic_t alarm_count;

static void
count_alarm(int signo)
{
    (void)signo;
    alarm_count++;
}

static void
test_signals_neither_end_nor_stretch_a_wait(void **state)
{
    const struct itimerval every_5_ms = { { 0, 5000 }, { 0, 5000 } };
    const struct itimerval never = { { 0, 0 }, { 0, 0 } };
    struct sigaction action = { .sa_handler = count_alarm };
    const int64_t begin_ms = clock_mono_ms();

    (void)state;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every_5_ms, NULL);
    assert_int_equal(fd_wait(ends[0], POLLIN, begin_ms + 60), 0);
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_DFL);
    assert_in_range(clock_mono_ms() - begin_ms, 60, 2000);
    assert_in_range(alarm_count, 1, 1000);
}

static void
test_short_and_interrupted_writes_are_finished(void **state)
{
    char got[100];

    (void)state;
    short_write_bytes = 3;
    assert_int_equal(fd_write_all(ends[1], "0123456789", 10, 0, NULL), 0);
    assert_int_equal(write_count, 8);
    assert_int_equal(read(ends[0], got, sizeof(got)), 10);
    assert_memory_equal(got, "0123456789", 10);
}

static void
test_writing_nothing_does_nothing(void **state)
{
    (void)state;
    assert_int_equal(fd_write_all(-1, "", 0, 0, NULL), 0);
    assert_int_equal(write_count, 0);
}

#define LARGE_BYTES 1000000

static void
test_a_slow_reader_gets_all_of_it(void **state)
{
    static char bytes[LARGE_BYTES];
    int status;
    pid_t child;

    (void)state;
    assert_int_equal(fd_set_nonblock(ends[1], NULL), 0);
    child = fork();
    if (child == 0) {
        size_t total = 0;
        ssize_t len;

        close(ends[1]);
        while ((len = read(ends[0], bytes, 4000)) > 0)
            total += (size_t)len;
        _exit(total == LARGE_BYTES ? 0 : 1);
    }
    assert_int_equal(fd_write_all(ends[1], bytes, sizeof(bytes),
                                  clock_mono_ms() + 10000, NULL),
                     0);
    fd_close(&ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void
test_a_reader_who_does_not_read_costs_only_the_deadline(void **state)
{
    static const char bytes[LARGE_BYTES];
    const int64_t begin_ms = clock_mono_ms();
    struct err err = { 0 };

    (void)state;
    assert_int_equal(fd_set_nonblock(ends[1], NULL), 0);
    assert_int_equal(
        fd_write_all(ends[1], bytes, sizeof(bytes), begin_ms + 50, &err), -1);
    assert_in_range(clock_mono_ms() - begin_ms, 50, 2000);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "timed out"));
}

static void
test_a_reader_who_left_is_an_error(void **state)
{
    struct err err = { 0 };

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    fd_close(&ends[0]);
    assert_int_equal(fd_write_all(ends[1], "x", 1, INT64_MAX, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
}

static void
test_the_soft_limit_is_raised_to_the_hard_one(void **state)
{
    struct rlimit limit;
    struct rlimit lowered;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    lowered = (struct rlimit){ 64, limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &lowered), 0);
    assert_int_equal(fd_raise_limit(), limit.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &lowered), 0);
    assert_int_equal(lowered.rlim_cur, limit.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_flags_are_added_to_those_there),
        TEST(test_flags_of_no_descriptor_are_an_error),
        TEST(test_closing_is_repeatable_and_leaves_errno),
        TEST(test_waiting_ends_with_the_event_or_the_deadline),
        TEST(test_signals_neither_end_nor_stretch_a_wait),
        TEST(test_short_and_interrupted_writes_are_finished),
        TEST(test_writing_nothing_does_nothing),
        TEST(test_a_slow_reader_gets_all_of_it),
        TEST(test_a_reader_who_does_not_read_costs_only_the_deadline),
        TEST(test_a_reader_who_left_is_an_error),
        TEST(test_the_soft_limit_is_raised_to_the_hard_one),
    };

    return cmocka_run_group_tests_name("fd", tests, NULL, NULL);
}
