#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "sys/fd.h"
#include "sys/sig.h"

static const int taken[] = { SIGTERM, SIGUSR1, SIGHUP };

static int
set_up(void **state)
{
    (void)state;
    return sig_open(taken, ARRAY_LEN(taken), NULL);
}

static int
tear_down(void **state)
{
    (void)state;
    sig_close_in_child();
    return 0;
}

static void (*handler_of(int signo))(int)
{
    struct sigaction action;

    assert_int_equal(sigaction(signo, NULL, &action), 0);
    return action.sa_handler;
}

static void
test_signals_come_out_of_the_pipe_in_order(void **state)
{
    (void)state;
    assert_int_equal(sig_next(), 0);
    raise(SIGUSR1);
    raise(SIGTERM);
    raise(SIGUSR1);
    assert_int_equal(fd_wait(sig_fd(), POLLIN, 0), POLLIN);
    assert_int_equal(sig_next(), SIGUSR1);
    assert_int_equal(sig_next(), SIGTERM);
    assert_int_equal(sig_next(), SIGUSR1);
    assert_int_equal(sig_next(), 0);
    assert_int_equal(fd_wait(sig_fd(), POLLIN, 0), 0);
}

static void
test_errno_survives_a_handler(void **state)
{
    (void)state;
    for (int i = 0; i < 70000; i++) { /* the pipe is full after 65536 */
        errno = EDOM;
        raise(SIGHUP);
        if (errno != EDOM)
            fail_msg("signal %d set errno to %d", i, errno);
    }
    assert_int_equal(sig_next(), SIGHUP);
}

static void
test_writing_to_nobody_is_an_errno_and_no_signal(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    close(ends[1]);
}

static void
test_a_blocking_read_goes_on_after_a_signal(void **state)
{
    int ends[2];
    char byte;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        for (int i = 0; i < 20; i++) {
            kill(getppid(), SIGUSR1);
            poll(NULL, 0, 1);
        }
        _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(sig_next(), SIGUSR1);
    close(ends[0]);
    close(ends[1]);
}

static void
test_a_fresh_child_does_not_feed_its_parents_pipe(void **state)
{
    int status;
    pid_t child;

    (void)state;
    child = fork();
    if (child == 0) {
        raise(SIGTERM);
        _exit(7);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(sig_next(), 0);
}

static void
test_a_child_that_closed_dies_of_the_default_action(void **state)
{
    int status;
    pid_t child;

    (void)state;
    child = fork();
    if (child == 0) {
        sig_close_in_child();
        raise(SIGTERM);
        _exit(7);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    assert_int_equal(sig_next(), 0);
}

static void
test_a_child_opens_a_pipe_of_its_own(void **state)
{
    static const int others[] = { SIGUSR2 };
    int status;
    pid_t child;

    (void)state;
    child = fork();
    if (child == 0) {
        sig_close_in_child();
        if (sig_open(others, 1, NULL) == -1)
            _exit(1);
        raise(SIGUSR2);
        _exit(sig_next() == SIGUSR2 && handler_of(SIGTERM) == SIG_DFL ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(sig_next(), 0);
}

static void
test_blocked_signals_wait_until_unblocked(void **state)
{
    sigset_t old;

    (void)state;
    sig_block(&old);
    raise(SIGTERM);
    assert_int_equal(sig_next(), 0);
    sig_unblock(&old);
    assert_int_equal(sig_next(), SIGTERM);
}

static void
test_a_signal_that_cannot_be_taken_undoes_the_others(void **state)
{
    static const int impossible[] = { SIGUSR1, SIGKILL };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(sig_open(impossible, 2, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(sig_fd(), -1);
    assert_ptr_equal(handler_of(SIGUSR1), SIG_DFL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_signals_come_out_of_the_pipe_in_order),
        TEST(test_errno_survives_a_handler),
        TEST(test_writing_to_nobody_is_an_errno_and_no_signal),
        TEST(test_a_blocking_read_goes_on_after_a_signal),
        TEST(test_a_fresh_child_does_not_feed_its_parents_pipe),
        TEST(test_a_child_that_closed_dies_of_the_default_action),
        TEST(test_a_child_opens_a_pipe_of_its_own),
        TEST(test_blocked_signals_wait_until_unblocked),
        cmocka_unit_test(test_a_signal_that_cannot_be_taken_undoes_the_others),
    };

    return cmocka_run_group_tests_name("sig", tests, NULL, NULL);
}
