/* test_reload.c - one generation takes over from another, or does not. */
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

/* Exactly this generation lives, it is whole, and nobody is on the way. */
static bool
only_generation_lives(unsigned generation)
{
    size_t all = 0;

    for (unsigned i = 0; i < sm.pool_count; i++) {
        const size_t idle = small_count(&sm, i, IDLE);

        if (idle < (size_t)sm.pools[i].size.min ||
            idle != small_count(&sm, i, ANY_STAGE))
            return false;
        all += idle;
    }
    return small_generation(&sm, generation) == all;
}

static void
test_a_reload_replaces_every_child_and_forgets_the_old_configuration(
    void **state)
{
    pid_t old;

    (void)state;
    start_and_wait();
    old = small_pid(&sm, 0);
    kill(sm.pid, SIGHUP);
    assert_soon(only_generation_lives(2));
    assert_soon(atomic_load(&sm.shared->forgotten[1]) == 1);
    assert_false(small_is_alive(old));
    assert_int_equal(atomic_load(&sm.shared->forgotten[2]), 0);
    assert_int_equal(atomic_load(&sm.shared->gone_by_kill_count), 0);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
    assert_int_equal(atomic_load(&sm.shared->forgotten[1]), 1);
    assert_int_equal(atomic_load(&sm.shared->forgotten[2]), 0);
}

static void
test_callers_are_served_all_through_a_reload(void **state)
{
    (void)state;
    start_and_wait();
    kill(sm.pid, SIGHUP);
    do
        assert_true(small_ask(&sm) > 0);
    while (!only_generation_lives(2));
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_request_begun_before_a_reload_is_finished_by_who_began_it(void **state)
{
    int fd;

    (void)state;
    start_and_wait();
    fd = small_call(&sm, SMALL_HOLD);
    assert_soon(small_count(&sm, 0, BUSY) == 1);
    kill(sm.pid, SIGHUP);
    assert_soon(small_log_has(&sm, "\"reload_finished\""));
    assert_soon(small_generation(&sm, 1) == 1);
    assert_int_equal(atomic_load(&sm.shared->forgotten[1]), 0);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_true(small_answer(fd) > 0);
    close(fd);
    assert_soon(only_generation_lives(2));
    assert_soon(atomic_load(&sm.shared->forgotten[1]) == 1);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_configuration_that_cannot_be_read_changes_nothing(void **state)
{
    (void)state;
    start_and_wait();
    atomic_store(&sm.shared->refuses_reload, true);
    kill(sm.pid, SIGHUP);
    assert_soon(small_log_has(&sm, "line 7 is nonsense"));
    assert_soon(only_generation_lives(1)); /* the second may still start */
    atomic_store(&sm.shared->refuses_reload, false);
    kill(sm.pid, SIGHUP);
    assert_soon(only_generation_lives(2));
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_board_without_room_for_two_generations_is_room_enough(void **state)
{
    (void)state;
    sm.pools[0].size = (struct plan_limits){ 16, 16, 1, 60000 };
    assert_true(2 * sm.pools[0].size.min > SMALL_SLOTS);
    start_and_wait();
    assert_soon(only_generation_lives(1));
    kill(sm.pid, SIGHUP);
    assert_soon(only_generation_lives(2));
    assert_int_equal(small_log_count(&sm, "\"child_not_started\""), 1);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

/* ---- abandoned --------------------------------------------------------- */

static void
expect_abandoned(enum small_mode mode)
{
    start_and_wait();
    atomic_store(&sm.shared->next_mode[0], (int)mode);
    kill(sm.pid, SIGHUP);
    assert_soon(small_log_has(&sm, "\"reload_abandoned\""));
    assert_soon(atomic_load(&sm.shared->forgotten[2]) == 1);
    assert_soon(only_generation_lives(1)); /* the second may still start */
    assert_true(small_ask(&sm) > 0);

    atomic_store(&sm.shared->next_mode[0], SMALL_HEALTHY);
    kill(sm.pid, SIGHUP);
    assert_soon(only_generation_lives(3));
    assert_soon(atomic_load(&sm.shared->forgotten[1]) == 1);
    assert_int_equal(atomic_load(&sm.shared->forgotten[3]), 0);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_generation_that_refuses_its_configuration_is_abandoned(void **state)
{
    (void)state;
    expect_abandoned(SMALL_REFUSING);
}

static void
test_a_generation_whose_children_keep_failing_is_abandoned(void **state)
{
    (void)state;
    expect_abandoned(SMALL_SICK);
}

static void
test_the_sizes_of_an_abandoned_configuration_are_taken_back(void **state)
{
    int killed;

    (void)state;
    start_and_wait();
    atomic_store(&sm.shared->next_mode[0], SMALL_REFUSING);
    kill(sm.pid, SIGHUP); /* it brings a quota of 2 */
    assert_soon(atomic_load(&sm.shared->forgotten[2]) == 1);
    assert_soon(only_generation_lives(1));
    killed = atomic_load(&sm.shared->gone_by_kill_count);
    small_signal(&sm, ANY_STAGE, SIGKILL);
    assert_soon(atomic_load(&sm.shared->gone_by_kill_count) == killed + 2);
    assert_soon(only_generation_lives(1));
    for (int i = 0; i < 10; i++)
        assert_true(small_ask(&sm) > 0);
    assert_soon(only_generation_lives(1));
    assert_int_equal(atomic_load(&sm.shared->leave_count), 0);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

/* ---- more than one ----------------------------------------------------- */

static void
test_a_reload_wanted_during_a_reload_is_done_after_it(void **state)
{
    (void)state;
    start_and_wait();
    kill(sm.pid, SIGHUP);
    assert_soon(small_log_has(&sm, "\"reload_started\""));
    kill(sm.pid, SIGHUP);
    assert_soon(
        only_generation_lives(3) ||
        (only_generation_lives(2) && !small_log_has(&sm, "\"reload_waits\"")));
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_reload_wanted_before_the_first_child_is_ready_is_done(void **state)
{
    (void)state;
    small_master_add_scribe(&sm);
    sm.shared->configs[0].mode[1] = SMALL_SICK;
    small_master_start(&sm);
    assert_soon(small_log_has(&sm, "\"respawn_braked\""));
    kill(sm.pid, SIGHUP);
    assert_soon(small_log_has(&sm, "\"reload_waits\""));
    sm.shared->configs[0].mode[1] = SMALL_HEALTHY; /* the cure */
    assert_soon(only_generation_lives(2));
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_twenty_five_reloads_leave_one_healthy_generation(void **state)
{
    int last;

    (void)state;
    small_master_add_scribe(&sm);
    start_and_wait();
    for (int i = 0; i < 25; i++) {
        const int64_t until_ms = clock_mono_ms() + i * 7 % 40;

        kill(sm.pid, SIGHUP);
        while (clock_left_ms(until_ms) > 0)
            assert_true(small_ask(&sm) > 0);
    }
    /* The last one counts, so what it brought is what lives in the end. */
    assert_soon(only_generation_lives(
                    (unsigned)atomic_load(&sm.shared->config_count)) &&
                small_log_has(&sm, "\"reload_finished\""));
    last = atomic_load(&sm.shared->config_count);
    assert_in_range(last, 3, 26);
    for (int i = 1; i < last; i++)
        assert_soon(atomic_load(&sm.shared->forgotten[i]) == 1);
    assert_int_equal(atomic_load(&sm.shared->forgotten[last]), 0);
    assert_int_equal(atomic_load(&sm.shared->exclusive_most[1]), 1);
    assert_int_equal(atomic_load(&sm.shared->gone_by_kill_count), 0);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

/* ---- exclusive pools --------------------------------------------------- */

static void
test_an_exclusive_child_is_never_two_at_once(void **state)
{
    (void)state;
    small_master_add_scribe(&sm);
    start_and_wait();
    kill(sm.pid, SIGHUP);
    assert_soon(only_generation_lives(2));
    assert_int_equal(atomic_load(&sm.shared->exclusive_most[1]), 1);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_failing_worker_generation_leaves_the_exclusive_child_alone(void **state)
{
    pid_t scribe;

    (void)state;
    small_master_add_scribe(&sm);
    start_and_wait();
    scribe = small_pid(&sm, 1);
    atomic_store(&sm.shared->next_mode[0], SMALL_REFUSING);
    kill(sm.pid, SIGHUP);
    assert_soon(atomic_load(&sm.shared->forgotten[2]) == 1);
    assert_int_equal(small_pid(&sm, 1), scribe);
    assert_true(small_is_alive(scribe));
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_failing_exclusive_generation_brings_the_old_one_back(void **state)
{
    (void)state;
    small_master_add_scribe(&sm);
    start_and_wait();
    atomic_store(&sm.shared->next_mode[1], SMALL_REFUSING);
    kill(sm.pid, SIGHUP);
    assert_soon(small_log_has(&sm, "\"reload_abandoned\""));
    assert_soon(only_generation_lives(1));
    assert_soon(atomic_load(&sm.shared->forgotten[2]) == 1);
    assert_int_equal(atomic_load(&sm.shared->exclusive_most[1]), 1);
    assert_true(small_ask(&sm) > 0);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_going_back_waits_for_the_new_exclusive_child_to_leave(void **state)
{
    (void)state;
    small_master_add_scribe(&sm); /* whose new one will work, */
    small_master_add_scribe(&sm); /* and whose new one will not */
    sm.drain_ms = 500;
    start_and_wait();
    atomic_store(&sm.shared->next_mode[1], SMALL_LATE); /* it takes its time */
    atomic_store(&sm.shared->next_mode[2], SMALL_SICK);
    kill(sm.pid, SIGHUP);
    assert_soon(small_log_has(&sm, "\"reload_abandoned\""));
    assert_soon(only_generation_lives(1));
    assert_int_equal(atomic_load(&sm.shared->exclusive_most[1]), 1);
    assert_int_equal(atomic_load(&sm.shared->exclusive_most[2]), 1);
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_an_old_child_that_will_not_leave_is_hurried_and_then_killed(void **state)
{
    (void)state;
    small_master_add_scribe(&sm);
    sm.shared->configs[0].mode[1] = SMALL_STUBBORN;
    sm.drain_ms = 1000; /* which is enough for those that will */
    sm.hurry_ms = 1000;
    start_and_wait();
    kill(sm.pid, SIGHUP);
    assert_soon(only_generation_lives(2));
    assert_true(small_log_has(&sm, "\"child_lingers\""));
    assert_int_equal(small_master_stop(&sm, SIGTERM), 0);
}

static void
test_a_drain_in_the_middle_of_a_reload_stops_both_generations(void **state)
{
    (void)state;
    start_and_wait();
    atomic_store(&sm.shared->next_mode[0], SMALL_NEVER_READY);
    kill(sm.pid, SIGHUP);
    assert_soon(small_generation(&sm, 2) == 2);
    /* Those that never get ready do not hear either. */
    kill(sm.pid, SIGTERM);
    assert_soon(small_generation(&sm, 1) == 0);
    kill(sm.pid, SIGINT);
    kill(sm.pid, SIGINT);
    assert_soon(small_log_has(&sm, "\"drain_hurried\""));
    kill(sm.pid, SIGINT);
    assert_int_equal(small_master_wait(&sm), 1);
    assert_int_equal(small_count(&sm, 0, ANY_STAGE), 0);
}

#define lives(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        lives(
            test_a_reload_replaces_every_child_and_forgets_the_old_configuration),
        lives(test_callers_are_served_all_through_a_reload),
        lives(test_a_request_begun_before_a_reload_is_finished_by_who_began_it),
        lives(test_a_configuration_that_cannot_be_read_changes_nothing),
        lives(test_a_board_without_room_for_two_generations_is_room_enough),
        lives(test_a_generation_that_refuses_its_configuration_is_abandoned),
        lives(test_a_generation_whose_children_keep_failing_is_abandoned),
        lives(test_the_sizes_of_an_abandoned_configuration_are_taken_back),
        lives(test_a_reload_wanted_during_a_reload_is_done_after_it),
        lives(test_a_reload_wanted_before_the_first_child_is_ready_is_done),
        lives(test_twenty_five_reloads_leave_one_healthy_generation),
        lives(test_an_exclusive_child_is_never_two_at_once),
        lives(
            test_a_failing_worker_generation_leaves_the_exclusive_child_alone),
        lives(test_a_failing_exclusive_generation_brings_the_old_one_back),
        lives(test_going_back_waits_for_the_new_exclusive_child_to_leave),
        lives(test_an_old_child_that_will_not_leave_is_hurried_and_then_killed),
        lives(test_a_drain_in_the_middle_of_a_reload_stops_both_generations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
