/* test_master.c - a master in its working days: it starts, replaces, grows,
 * watches and gives up.  Reloads and stops have programs of their own. */
#include <errno.h>
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
static pid_t test_pid;

/* The linker sends fork(2) here: the master's fails when the test says so. */
pid_t __real_fork(void);
pid_t __wrap_fork(void);

pid_t
__wrap_fork(void)
{
    if (getpid() == test_pid || !atomic_load(&sm.shared->cannot_fork))
        return __real_fork();
    errno = EAGAIN;
    return -1;
}

static int
set_up(void **state)
{
    (void)state;
    test_pid = getpid();
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

/* ---- starting and serving ---------------------------------------------- */

static void
test_the_minimum_is_started_and_serves(void **state)
{
    (void)state;
    small_master_start(&sm);
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    assert_true(small_ask(&sm) > 0);
    assert_soon(small_log_has(&sm, "\"master_running\""));
    assert_soon(atomic_load(&sm.shared->tick_count) > 0);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
    assert_int_equal(small_count(&sm, 0, ANY_STAGE), 0);
}

/* True when five callers at once, for two children, are all served before the
 * master ticks again. */
static bool
meets_a_burst(void)
{
    int fds[5];
    int ticks;
    bool in_time;

    small_master_start(&sm);
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    ticks = atomic_load(&sm.shared->tick_count);
    assert_soon(atomic_load(&sm.shared->tick_count) > ticks);
    ticks = atomic_load(&sm.shared->tick_count);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == ARRAY_LEN(fds));
    in_time = atomic_load(&sm.shared->tick_count) == ticks;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
    return in_time;
}

/* A busy machine may take longer than a tick to fork; not every time. */
static void
test_a_burst_is_met_before_the_next_tick(void **state)
{
    int tries = 1;

    (void)state;
    while (!meets_a_burst())
        assert_in_range(++tries, 2, 8);
}

static void
test_the_maximum_is_kept_and_the_rest_waits(void **state)
{
    int fds[8];

    (void)state;
    small_master_start(&sm);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == 6);
    assert_int_equal(small_count(&sm, 0, ANY_STAGE), 6);
    for (size_t i = 0; i < 6; i++)
        close(fds[i]);
    assert_soon(small_count(&sm, 0, BUSY) == 2);
    close(fds[6]);
    close(fds[7]);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_surplus_is_retired_down_to_what_is_wanted(void **state)
{
    int fds[5];

    (void)state;
    sm.pools[0].size.idle_ms = 100;
    small_master_start(&sm);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == ARRAY_LEN(fds));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    assert_soon(small_count(&sm, 0, ANY_STAGE) == 2);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
    assert_int_equal(atomic_load(&sm.shared->gone_by_kill_count), 0);
}

static void
test_a_child_leaves_after_its_quota_and_is_replaced_without_a_brake(
    void **state)
{
    pid_t first;

    (void)state;
    sm.pools[0].size = (struct plan_limits){ 1, 1, 1, 60000 };
    sm.pools[0].quota = 2;
    small_master_start(&sm);
    first = small_ask(&sm);
    assert_true(first > 0);
    assert_int_equal(small_ask(&sm), first);
    assert_int_not_equal(small_ask(&sm), first);
    assert_false(small_log_has(&sm, "\"respawn_braked\""));
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

/* ---- deaths ------------------------------------------------------------ */

static void
test_a_killed_child_is_told_of_and_replaced(void **state)
{
    pid_t pid;

    (void)state;
    small_master_start(&sm);
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    pid = small_pid(&sm, 0);
    kill(pid, SIGKILL);
    assert_soon(!small_is_alive(pid));
    assert_true(small_ask(&sm) > 0); /* the other one goes on */
    assert_soon(small_log_has(&sm, "how=SIGKILL"));
    assert_true(small_log_has(&sm, "\"child_gone\""));
    assert_true(small_log_has(&sm, "stage=idle"));
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_many_early_deaths_of_one_cause_pull_the_brake_once(void **state)
{
    (void)state;
    sm.pools[0].size.min = 4;
    small_master_start(&sm);
    assert_soon(small_count(&sm, 0, IDLE) == 4);
    small_signal(&sm, ANY_STAGE, SIGKILL);
    assert_soon(atomic_load(&sm.shared->gone_by_kill_count) == 4);
    assert_soon(small_count(&sm, 0, IDLE) == 4);
    assert_true(small_log_has(&sm, "wait_ms=1000"));
    assert_false(small_log_has(&sm, "wait_ms=2000"));
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

/* Faster than any brake allows. */
static void
test_a_pool_whose_children_are_killed_again_and_again_still_answers(
    void **state)
{
    (void)state;
    small_master_start(&sm);
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    for (int killed = 0; killed < 6; killed++) {
        const int64_t until_ms = clock_mono_ms() + 300;

        while (clock_left_ms(until_ms) > 0)
            small_pause();
        small_signal(&sm, ANY_STAGE, SIGKILL);
        assert_true(small_ask(&sm) > 0);
    }
    assert_true(small_log_has(&sm, "wait_ms=8000"));
    assert_int_equal(small_count(&sm, 0, ANY_STAGE), 1); /* the brake is on */
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_crash_while_serving_is_told_with_the_stage(void **state)
{
    int fd;

    (void)state;
    small_master_start(&sm);
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    fd = small_call(&sm, SMALL_CRASH);
    assert_int_equal(small_answer(fd), 0);
    close(fd);
    assert_soon(small_log_has(&sm, "how=SIGABRT"));
    assert_true(small_log_has(&sm, "stage=busy"));
    assert_true(small_log_has(&sm, "job=" SMALL_JOB));
    assert_true(small_log_has(&sm, "\"run_id\":\"" SMALL_JOB));
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_the_children_of_a_renewed_pool_are_replaced_after_their_work(void **state)
{
    pid_t scribe;
    int fd;

    (void)state;
    small_master_add_scribe(&sm);
    small_master_start(&sm);
    assert_soon(small_log_has(&sm, "\"master_running\""));
    scribe = small_pid(&sm, 1);
    fd = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == 1);
    atomic_store(&sm.shared->renewed_mask, 1u << 1);
    assert_soon(!small_is_alive(scribe) && small_count(&sm, 1, IDLE) == 1);
    assert_int_equal(atomic_load(&sm.shared->leave_count), 1);
    atomic_store(&sm.shared->renewed_mask, 1u << 0);
    assert_soon(atomic_load(&sm.shared->leave_count) >= 2);
    assert_int_equal(small_count(&sm, 0, BUSY), 1);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_true(small_answer(fd) > 0);
    close(fd);
    assert_true(small_ask(&sm) > 0);
    assert_false(small_log_has(&sm, "\"respawn_braked\""));
    assert_int_equal(atomic_load(&sm.shared->gone_by_kill_count), 0);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

/* ---- the watchdog ------------------------------------------------------ */

static void
test_a_child_past_its_deadline_is_killed(void **state)
{
    int fd;

    (void)state;
    small_master_start(&sm);
    fd = small_call(&sm, SMALL_OVERDUE);
    assert_int_equal(small_answer(fd), 0);
    close(fd);
    assert_soon(atomic_load(&sm.shared->gone_by_kill_count) == 1);
    assert_true(small_log_has(&sm, "\"child_overdue\""));
    assert_false(small_log_has(&sm, "\"respawn_braked\""));
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_child_that_reads_for_too_long_is_killed(void **state)
{
    int fd;

    (void)state;
    sm.pools[0].reading_ms = 300;
    small_master_start(&sm);
    fd = small_call(&sm, SMALL_SILENT);
    assert_int_equal(small_answer(fd), 0);
    close(fd);
    assert_soon(atomic_load(&sm.shared->gone_by_kill_count) == 1);
    assert_true(small_log_has(&sm, "stage=reading"));
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_stopped_child_is_killed_when_it_is_overdue(void **state)
{
    int fd;

    (void)state;
    sm.pools[0].reading_ms = 300;
    small_master_start(&sm);
    fd = sock_connect_unix(sm.socket_path, NULL); /* and says nothing */
    assert_soon(small_count(&sm, 0, 1u << BOARD_READING) == 1);
    small_signal(&sm, 1u << BOARD_READING, SIGSTOP);
    assert_soon(atomic_load(&sm.shared->gone_by_kill_count) == 1);
    close(fd);
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

/* ---- log rotation ------------------------------------------------------ */

static void
test_sigusr1_reaches_the_master_and_every_child(void **state)
{
    (void)state;
    small_master_add_scribe(&sm);
    small_master_start(&sm);
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    assert_soon(small_count(&sm, 1, IDLE) == 1);
    kill(sm.pid, SIGUSR1);
    assert_soon(atomic_load(&sm.shared->rotated_in_master) == 1);
    assert_soon(atomic_load(&sm.shared->rotated_in_children) == 3);
    assert_true(small_ask(&sm) > 0);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

/* ---- giving up --------------------------------------------------------- */

static void
test_a_master_whose_children_refuse_the_configuration_gives_up(void **state)
{
    (void)state;
    sm.shared->configs[0].mode[0] = SMALL_REFUSING;
    small_master_start(&sm);
    assert_int_equal(small_master_wait(&sm), 78);
    assert_true(small_log_has(&sm, "\"start_failed\""));
    assert_true(small_log_has(&sm, "refuse the configuration"));
}

static void
test_a_master_whose_children_are_never_ready_gives_up(void **state)
{
    const int64_t began_ms = clock_mono_ms();

    (void)state;
    sm.shared->configs[0].mode[0] = SMALL_SICK;
    small_master_start(&sm);
    assert_int_equal(small_master_wait(&sm), 75);
    assert_true(small_log_has(&sm, "wait_ms=2000"));
    assert_true(small_log_has(&sm, "fail before they are ready"));
    assert_int_equal(small_log_count(&sm, "\"respawn_braked\""), 3);
    assert_true(clock_mono_ms() - began_ms >= 3000);
}

static void
test_one_pool_that_never_gets_ready_stops_the_others_in_order(void **state)
{
    (void)state;
    small_master_add_scribe(&sm);
    sm.shared->configs[0].mode[1] = SMALL_SICK;
    small_master_start(&sm);
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    assert_int_equal(small_master_wait(&sm), 75);
    assert_int_equal(atomic_load(&sm.shared->gone_by_kill_count), 0);
    assert_int_equal(small_count(&sm, 0, ANY_STAGE), 0);
}

static void
test_a_refusal_after_others_were_ready_is_braked_and_not_the_end(void **state)
{
    int fd;

    (void)state;
    small_master_add_scribe(&sm);
    sm.shared->configs[0].mode[1] = SMALL_NEVER_READY; /* it goes on starting */
    small_master_start(&sm);
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    fd = small_call(&sm, SMALL_REFUSE);
    assert_int_equal(small_answer(fd), 0);
    close(fd);
    assert_soon(small_log_has(&sm, "\"child_refused_config\""));
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    assert_true(small_log_has(&sm, "\"respawn_braked\""));
    assert_false(small_log_has(&sm, "\"start_failed\""));
    kill(sm.pid, SIGINT);
    assert_soon(small_count(&sm, 0, ANY_STAGE) == 0);
    assert_int_equal(small_master_stop(&sm, SIGINT), 1);
}

static void
test_a_master_that_cannot_fork_for_a_while_goes_on_trying(void **state)
{
    (void)state;
    small_master_start(&sm);
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    atomic_store(&sm.shared->cannot_fork, true);
    kill(small_pid(&sm, 0), SIGKILL);
    assert_soon(small_log_has(&sm, "\"child_not_started\""));
    atomic_store(&sm.shared->cannot_fork, false);
    assert_true(small_ask(&sm) > 0);
    assert_soon(small_count(&sm, 0, IDLE) == 2);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_master_that_can_never_fork_gives_up(void **state)
{
    (void)state;
    atomic_store(&sm.shared->cannot_fork, true);
    small_master_start(&sm);
    assert_int_equal(small_master_wait(&sm), 75);
    assert_true(small_log_has(&sm, "\"start_failed\""));
}

#define lives(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        lives(test_the_minimum_is_started_and_serves),
        lives(test_a_burst_is_met_before_the_next_tick),
        lives(test_the_maximum_is_kept_and_the_rest_waits),
        lives(test_a_surplus_is_retired_down_to_what_is_wanted),
        lives(
            test_a_child_leaves_after_its_quota_and_is_replaced_without_a_brake),
        lives(test_a_killed_child_is_told_of_and_replaced),
        lives(test_many_early_deaths_of_one_cause_pull_the_brake_once),
        lives(
            test_a_pool_whose_children_are_killed_again_and_again_still_answers),
        lives(test_a_crash_while_serving_is_told_with_the_stage),
        lives(
            test_the_children_of_a_renewed_pool_are_replaced_after_their_work),
        lives(test_a_child_past_its_deadline_is_killed),
        lives(test_a_child_that_reads_for_too_long_is_killed),
        lives(test_a_stopped_child_is_killed_when_it_is_overdue),
        lives(test_sigusr1_reaches_the_master_and_every_child),
        lives(test_a_master_whose_children_refuse_the_configuration_gives_up),
        lives(test_a_master_whose_children_are_never_ready_gives_up),
        lives(test_a_refusal_after_others_were_ready_is_braked_and_not_the_end),
        lives(test_a_master_that_cannot_fork_for_a_while_goes_on_trying),
        lives(test_a_master_that_can_never_fork_gives_up),
        lives(test_one_pool_that_never_gets_ready_stops_the_others_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
