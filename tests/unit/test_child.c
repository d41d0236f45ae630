/* test_child.c - what a child hears, and that no orphan outlives its master. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
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
start_with_scribe(enum small_mode mode)
{
    small_master_add_scribe(&sm);
    sm.shared->configs[0].mode[1] = mode;
    small_master_start(&sm);
    assert_soon(small_log_has(&sm, "\"master_running\""));
    assert_soon(small_count(&sm, 0, IDLE) == 2);
}

static void
kill_master(void)
{
    kill(sm.pid, SIGKILL);
    waitpid(sm.pid, NULL, 0);
    sm.pid = 0;
}

static void
test_idle_children_leave_at_once_when_the_master_is_killed(void **state)
{
    int64_t killed_ms;
    pid_t worker, scribe;

    (void)state;
    start_with_scribe(SMALL_HEALTHY);
    worker = small_pid(&sm, 0);
    scribe = small_pid(&sm, 1);
    killed_ms = clock_mono_ms();
    kill_master();
    assert_soon(!small_is_alive(worker) && !small_is_alive(scribe));
    assert_soon(atomic_load(&sm.shared->leave_count) == 3); /* both workers */
    assert_in_range(clock_mono_ms() - killed_ms, 0, CHILD_ORPHAN_MS - 500);
    assert_true(small_log_has(&sm, "\"master_gone\""));
}

static void
test_children_that_ask_nothing_die_soon_after_their_master(void **state)
{
    int64_t killed_ms;
    pid_t unready, blocked;

    (void)state;
    small_master_add_scribe(&sm);
    sm.shared->configs[0].mode[0] = SMALL_NEVER_READY;
    sm.shared->configs[0].mode[1] = SMALL_BLOCKED; /* in read(2) */
    small_master_start(&sm);
    assert_soon(atomic_load(&sm.shared->unready_count) == 2 &&
                small_count(&sm, 1, IDLE) == 1);
    unready = small_pid(&sm, 0);
    blocked = small_pid(&sm, 1);
    killed_ms = clock_mono_ms();
    kill_master();
    assert_soon(!small_is_alive(unready) && !small_is_alive(blocked));
    /* Not before its time either: it may have something to save. */
    assert_in_range(clock_mono_ms() - killed_ms, CHILD_ORPHAN_MS,
                    2 * CHILD_ORPHAN_MS);
}

static void
test_a_worker_with_a_caller_is_hurried_when_the_master_is_killed(void **state)
{
    int fd;

    (void)state;
    start_with_scribe(SMALL_HEALTHY);
    fd = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == 1);
    kill_master();
    assert_true(small_answer(fd) > 0);
    assert_int_equal(atomic_load(&sm.shared->hurried_count), 1);
    close(fd);
    assert_soon(atomic_load(&sm.shared->leave_count) == 3);
}

/* Where the watchdog counts from; 0 when no scribe is starting. */
static int64_t
starting_since(void)
{
    for (size_t i = 0; i < SMALL_SLOTS; i++) {
        const struct board_view view = board_look(sm.board, i);

        if (view.stage == BOARD_STARTING && view.pool == 1)
            return view.since_mono_ms;
    }
    return 0;
}

static void
test_a_child_that_makes_progress_on_its_way_is_not_overdue(void **state)
{
    int64_t since_mono_ms;

    (void)state;
    small_master_add_scribe(&sm);
    sm.shared->configs[0].mode[1] = SMALL_SLOW;
    small_master_start(&sm);
    assert_soon(starting_since() != 0);
    since_mono_ms = starting_since();
    assert_soon(starting_since() > since_mono_ms + 100);
    atomic_store(&sm.shared->may_be_ready, true);
    assert_soon(atomic_load(&sm.shared->went_on));
    assert_int_equal(small_count(&sm, 1, IDLE), 1);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_foreign_death_notice_starts_no_timer(void **state)
{
    const int64_t until_ms = clock_mono_ms() + CHILD_ORPHAN_MS + 500;
    pid_t scribe;

    (void)state;
    start_with_scribe(SMALL_BLOCKED);
    scribe = small_pid(&sm, 1);
    kill(scribe, SIGUSR2);
    while (clock_left_ms(until_ms) > 0)
        small_pause();
    assert_true(small_is_alive(scribe));
    kill(sm.pid, SIGINT);
    assert_soon(small_count(&sm, 0, ANY_STAGE) == 0);
    assert_int_equal(small_master_stop(&sm, SIGINT), 1);
}

static void
test_sigint_and_sighup_of_a_terminal_do_not_touch_children(void **state)
{
    pid_t worker, scribe;

    (void)state;
    start_with_scribe(SMALL_HEALTHY);
    worker = small_pid(&sm, 0);
    scribe = small_pid(&sm, 1);
    kill(worker, SIGINT);
    kill(worker, SIGHUP);
    kill(scribe, SIGINT);
    kill(scribe, SIGHUP);
    kill(sm.pid, SIGUSR1); /* comes after them, and is answered */
    assert_soon(atomic_load(&sm.shared->rotated_in_children) == 3);
    assert_true(small_is_alive(worker));
    assert_true(small_is_alive(scribe));
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_child_that_asks_is_woken_once_and_does_not_spin(void **state)
{
    (void)state;
    start_with_scribe(SMALL_LATE);
    kill(small_pid(&sm, 1), SIGQUIT); /* heard, but it stays */
    kill(sm.pid, SIGUSR1);
    assert_soon(atomic_load(&sm.shared->rotated_in_children) == 3);
    assert_int_equal(small_master_stop(&sm, SIGINT), 0);
    assert_in_range(atomic_load(&sm.shared->wakeup_count), 1, 3);
}

static void
test_an_orphan_that_stays_a_while_does_not_spin(void **state)
{
    pid_t scribe;

    (void)state;
    start_with_scribe(SMALL_LINGERING);
    scribe = small_pid(&sm, 1);
    kill_master();
    assert_soon(!small_is_alive(scribe));
    assert_in_range(atomic_load(&sm.shared->wakeup_count), 1, 3);
}

static void
test_a_child_without_descriptors_says_so_once_and_recovers(void **state)
{
    int64_t until_ms;
    int fd;

    (void)state;
    sm.pools[0].size = (struct plan_limits){ 1, 1, 1, 60000 };
    sm.shared->configs[0].mode[0] = SMALL_STARVED;
    small_master_start(&sm);
    assert_soon(small_count(&sm, 0, IDLE) == 1);
    fd = small_call(&sm, SMALL_ANSWER);
    assert_soon(small_log_has(&sm, "\"accept_failed\""));
    until_ms = clock_mono_ms() + 300; /* several tries */
    while (clock_left_ms(until_ms) > 0)
        small_pause();
    assert_int_equal(small_log_count(&sm, "\"accept_failed\""), 1);
    kill(sm.pid, SIGUSR1);
    assert_true(small_answer(fd) > 0);
    close(fd);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

#define lives(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        lives(test_idle_children_leave_at_once_when_the_master_is_killed),
        lives(test_children_that_ask_nothing_die_soon_after_their_master),
        lives(test_a_worker_with_a_caller_is_hurried_when_the_master_is_killed),
        lives(test_a_child_that_makes_progress_on_its_way_is_not_overdue),
        lives(test_a_foreign_death_notice_starts_no_timer),
        lives(test_sigint_and_sighup_of_a_terminal_do_not_touch_children),
        lives(test_a_child_that_asks_is_woken_once_and_does_not_spin),
        lives(test_a_child_without_descriptors_says_so_once_and_recovers),
        lives(test_an_orphan_that_stays_a_while_does_not_spin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
