/* test_drain.c - stopping: in order, in peace, and in the end by force. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/small_master.h"
#include "sys/sock.h"

static struct small_master sm;

static int
set_up(void **state)
{
    (void)state;
    small_master_init(&sm);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    small_master_close(&sm);
    return 0;
}

static void
start_and_wait(void)
{
    small_master_start(&sm);
    assert_soon(small_log_has(&sm, "\"master_running\""));
}

static void
test_a_drain_lets_the_present_request_finish(void **state)
{
    int fd;

    (void)state;
    start_and_wait();
    fd = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == 1);
    kill(sm.pid, SIGTERM);
    assert_soon(small_count(&sm, 0, ANY_STAGE) == 1);
    assert_int_equal(small_count(&sm, 0, BUSY), 1);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_true(small_answer(fd) > 0);
    close(fd);
    assert_int_equal(small_master_wait(&sm), 0);
    assert_int_equal(atomic_load(&sm.shared->hurried_count), 0);
    assert_int_equal(atomic_load(&sm.shared->draining_count), 1);
}

static void
test_sigquit_drains_like_sigterm(void **state)
{
    (void)state;
    start_and_wait();
    assert_int_equal(small_master_stop(&sm, SIGQUIT), 0);
    assert_int_equal(atomic_load(&sm.shared->draining_count), 1);
}

static void
test_pools_stop_in_their_order(void **state)
{
    int fd;

    (void)state;
    small_master_add_scribe(&sm);
    start_and_wait();
    fd = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == 1);
    kill(sm.pid, SIGTERM);
    assert_soon(small_count(&sm, 0, ANY_STAGE) == 1);
    assert_int_equal(small_count(&sm, 1, IDLE), 1);
    close(fd);
    assert_int_equal(small_master_wait(&sm), 0);
    assert_true(atomic_load(&sm.shared->last_left[0]) > 0);
    assert_true(atomic_load(&sm.shared->first_left[1]) >
                atomic_load(&sm.shared->last_left[0]));
}

static void
test_a_later_pool_is_kept_alive_while_an_earlier_one_drains(void **state)
{
    pid_t scribe;
    int fd;

    (void)state;
    small_master_add_scribe(&sm);
    start_and_wait();
    fd = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == 1);
    kill(sm.pid, SIGTERM);
    assert_soon(small_count(&sm, 0, ANY_STAGE) == 1);
    scribe = small_pid(&sm, 1);
    kill(scribe, SIGKILL);
    assert_soon(small_count(&sm, 1, IDLE) == 1 && small_pid(&sm, 1) != scribe);
    assert_int_equal(small_count(&sm, 0, ANY_STAGE), 1); /* but not this one */
    close(fd);
    assert_int_equal(small_master_wait(&sm), 1); /* somebody was killed */
}

static void
test_a_child_that_takes_too_long_is_hurried(void **state)
{
    int fd;

    (void)state;
    sm.drain_ms = 200;
    start_and_wait();
    fd = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == 1);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
    assert_int_equal(atomic_load(&sm.shared->hurried_count), 1);
    assert_true(small_log_has(&sm, "signal=SIGTERM"));
    close(fd);
}

static void
test_a_child_that_is_deaf_is_killed_and_the_exit_code_says_so(void **state)
{
    (void)state;
    sm.shared->configs[0].mode[0] = SMALL_STUBBORN;
    sm.drain_ms = 200;
    sm.hurry_ms = 200;
    start_and_wait();
    assert_int_equal(small_master_stop(&sm, SIGTERM), 1);
    assert_true(small_log_has(&sm, "signal=SIGTERM"));
    /* The drain or the watchdog, whoever is first on a slow machine. */
    assert_true(small_log_has(&sm, "signal=SIGKILL") ||
                small_log_has(&sm, "\"child_lingers\""));
    assert_int_equal(small_count(&sm, 0, ANY_STAGE), 0);
}

static void
test_a_later_pool_gets_its_own_time_after_an_escalation(void **state)
{
    (void)state;
    small_master_add_scribe(&sm);
    sm.shared->configs[0].mode[0] = SMALL_STUBBORN;
    sm.drain_ms = 1000; /* the scribe needs a part of it */
    sm.hurry_ms = 1000;
    start_and_wait();
    assert_int_equal(small_master_stop(&sm, SIGTERM), 1);
    assert_true(atomic_load(&sm.shared->first_left[1]) > 0); /* by itself */
}

static void
expect_hurry(int second_signal)
{
    int fd;

    small_master_add_scribe(&sm);
    start_and_wait();
    fd = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == 1);
    kill(sm.pid, SIGTERM);
    assert_soon(small_count(&sm, 0, ANY_STAGE) == 1);
    kill(sm.pid, second_signal);
    assert_int_equal(small_master_wait(&sm), 0);
    assert_int_equal(atomic_load(&sm.shared->hurried_count), 1);
    assert_true(atomic_load(&sm.shared->first_left[1]) >
                atomic_load(&sm.shared->last_left[0]));
    close(fd);
}

static void
test_a_second_sigterm_hurries(void **state)
{
    (void)state;
    expect_hurry(SIGTERM);
}

static void
test_sigint_after_sigterm_hurries(void **state)
{
    (void)state;
    expect_hurry(SIGINT);
}

static void
test_sigint_alone_hurries_at_once(void **state)
{
    int fd;

    (void)state;
    start_and_wait();
    fd = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == 1);
    assert_int_equal(small_master_stop(&sm, SIGINT), 0);
    assert_int_equal(atomic_load(&sm.shared->hurried_count), 1);
    assert_int_equal(atomic_load(&sm.shared->draining_count), 1);
    close(fd);
}

static void
test_a_reload_during_a_drain_is_refused(void **state)
{
    int fd;

    (void)state;
    start_and_wait();
    fd = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == 1);
    kill(sm.pid, SIGTERM);
    assert_soon(small_count(&sm, 0, ANY_STAGE) == 1);
    kill(sm.pid, SIGHUP);
    assert_soon(small_log_has(&sm, "the service is stopping"));
    close(fd);
    assert_int_equal(small_master_wait(&sm), 0);
    assert_int_equal(atomic_load(&sm.shared->config_count), 1);
}

static void
test_a_drain_before_anybody_is_ready_ends(void **state)
{
    (void)state;
    sm.shared->configs[0].mode[0] = SMALL_SICK;
    small_master_start(&sm);
    assert_soon(small_log_has(&sm, "\"respawn_braked\"") &&
                small_count(&sm, 0, ANY_STAGE) == 0);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

#define lives(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        lives(test_a_drain_lets_the_present_request_finish),
        lives(test_sigquit_drains_like_sigterm),
        lives(test_pools_stop_in_their_order),
        lives(test_a_later_pool_is_kept_alive_while_an_earlier_one_drains),
        lives(test_a_child_that_takes_too_long_is_hurried),
        lives(test_a_child_that_is_deaf_is_killed_and_the_exit_code_says_so),
        lives(test_a_later_pool_gets_its_own_time_after_an_escalation),
        lives(test_a_second_sigterm_hurries),
        lives(test_sigint_after_sigterm_hurries),
        lives(test_sigint_alone_hurries_at_once),
        lives(test_a_reload_during_a_drain_is_refused),
        lives(test_a_drain_before_anybody_is_ready_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
