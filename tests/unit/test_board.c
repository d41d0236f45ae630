/* test_board.c - the scoreboard: who may be seen where, and whole values only.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "prefork/board.h"

#define IDLE_OR_BUSY (1u << BOARD_IDLE | 1u << BOARD_BUSY)

static struct uuid
job_of(int byte)
{
    struct uuid job;

    memset(job.bytes, byte, sizeof(job.bytes));
    return job;
}

static struct board *
new_board(size_t slot_count)
{
    struct err err = { 0 };
    struct board *board = board_new(slot_count, &err);

    assert_non_null(board);
    assert_int_equal(board_slot_count(board), slot_count);
    return board;
}

static void
test_a_new_board_has_only_free_slots(void **state)
{
    struct board *board = new_board(3);
    const struct uuid none = job_of(0);

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(board_look(board, i).stage, BOARD_FREE);
    assert_int_equal(board_count(board, 0, ~1u), 0);
    assert_false(board_has_job(board, &none));
    board_free(board);
    board_free(NULL);
}

static void
test_a_board_without_slots_or_with_too_many_is_refused(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_null(board_new(0, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_null(board_new(65537, NULL));
}

static void
test_a_claimed_slot_shows_who_it_is(void **state)
{
    struct board *board = new_board(2);
    const int64_t before_ms = clock_mono_ms();
    const int slot = board_claim(board, 2, 7);
    struct board_view view;

    (void)state;
    assert_in_range(slot, 0, 1);
    board_set_pid(board, (size_t)slot, 4711);
    view = board_look(board, (size_t)slot);
    assert_int_equal(view.stage, BOARD_STARTING);
    assert_int_equal(view.pool, 2);
    assert_int_equal(view.generation, 7);
    assert_int_equal(view.pid, 4711);
    assert_in_range(view.since_mono_ms, before_ms, clock_mono_ms());
    assert_int_equal(view.deadline_mono_ms, 0);
    board_free(board);
}

static void
test_a_full_board_gives_no_slot_until_one_is_released(void **state)
{
    struct board *board = new_board(2);
    const int first = board_claim(board, 0, 1);

    (void)state;
    assert_int_not_equal(first, -1);
    assert_int_not_equal(board_claim(board, 0, 1), -1);
    assert_int_equal(board_claim(board, 0, 1), -1);
    board_release(board, (size_t)first);
    assert_int_equal(board_claim(board, 1, 2), first);
    board_free(board);
}

static void
test_a_released_slot_keeps_nothing_of_its_last_child(void **state)
{
    struct board *board = new_board(1);
    const struct uuid job = job_of(0x5a);
    const struct uuid none = job_of(0);
    struct board_view view;

    (void)state;
    assert_int_equal(board_claim(board, 3, 9), 0);
    board_set_pid(board, 0, 4711);
    board_set_job(board, 0, &job);
    board_count_done(board, 0);
    board_set_stage(board, 0, BOARD_BUSY, 12345);
    board_release(board, 0);
    view = board_look(board, 0);
    assert_int_equal(view.stage, BOARD_FREE);
    assert_int_equal(view.pid, 0);
    assert_int_equal(view.pool, 0);
    assert_int_equal(view.generation, 0);
    assert_int_equal(view.since_mono_ms, 0);
    assert_int_equal(view.deadline_mono_ms, 0);
    assert_int_equal(view.done_count, 0);
    assert_memory_equal(view.job.bytes, none.bytes, sizeof(none.bytes));
    assert_false(board_has_job(board, &job));
    board_free(board);
}

static void
test_only_the_pool_and_the_stages_asked_for_are_counted(void **state)
{
    static const struct {
        unsigned pool;
        enum board_stage stage;
    } children[] = { { 0, BOARD_IDLE },
                     { 0, BOARD_BUSY },
                     { 0, BOARD_READING },
                     { 1, BOARD_IDLE },
                     { 1, BOARD_LEAVING } };
    struct board *board = new_board(8);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(children); i++) {
        const int slot = board_claim(board, children[i].pool, 1);

        board_set_stage(board, (size_t)slot, children[i].stage, 0);
    }
    assert_int_equal(board_count(board, 0, IDLE_OR_BUSY), 2);
    assert_int_equal(board_count(board, 0, 1u << BOARD_READING), 1);
    assert_int_equal(board_count(board, 1, IDLE_OR_BUSY), 1);
    assert_int_equal(board_count(board, 1, 1u << BOARD_STARTING), 0);
    assert_int_equal(board_count(board, 2, ~1u), 0);
    board_free(board);
}

static void
test_a_stage_begins_when_it_is_set(void **state)
{
    struct board *board = new_board(1);
    int64_t before_ms;

    (void)state;
    assert_int_equal(board_claim(board, 0, 1), 0);
    before_ms = clock_mono_ms();
    while (clock_mono_ms() == before_ms)
        ;
    board_set_stage(board, 0, BOARD_BUSY, before_ms + 500);
    assert_true(board_look(board, 0).since_mono_ms > before_ms);
    assert_int_equal(board_look(board, 0).deadline_mono_ms, before_ms + 500);
    board_free(board);
}

static void
test_a_job_is_found_while_a_child_shows_it(void **state)
{
    struct board *board = new_board(3);
    const struct uuid one = job_of(1);
    const struct uuid two = job_of(2);

    (void)state;
    assert_int_equal(board_claim(board, 0, 1), 0);
    assert_int_equal(board_claim(board, 0, 1), 1);
    board_set_job(board, 1, &one);
    assert_true(board_has_job(board, &one));
    assert_false(board_has_job(board, &two));
    board_set_job(board, 1, &two);
    assert_false(board_has_job(board, &one));
    assert_true(board_has_job(board, &two));
    board_set_job(board, 1, NULL);
    assert_false(board_has_job(board, &two));
    board_free(board);
}

static void
write_jobs_for_ever(struct board *board)
{
    const struct uuid ones = job_of(0x11);
    const struct uuid twos = job_of(0x22);

    for (;;) {
        board_set_job(board, 0, &ones);
        board_set_job(board, 0, &twos);
    }
}

static void
expect_whole(const struct board *board)
{
    const struct uuid job = board_look(board, 0).job;

    for (size_t i = 1; i < sizeof(job.bytes); i++)
        assert_int_equal(job.bytes[i], job.bytes[0]);
}

static void
test_a_job_is_never_seen_half_written(void **state)
{
    struct board *board = new_board(1);
    const int64_t begin_ms = clock_mono_ms();
    pid_t pid;
    int seen[256] = { 0 };

    (void)state;
    assert_int_equal(board_claim(board, 0, 1), 0);
    pid = fork();
    if (pid == 0)
        write_jobs_for_ever(board);
    while (clock_left_ms(begin_ms + 300) > 0 ||
           ((seen[0x11] == 0 || seen[0x22] == 0) &&
            clock_left_ms(begin_ms + 10000) > 0)) {
        expect_whole(board);
        seen[board_look(board, 0).job.bytes[0]]++;
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(seen[0x11] > 0);
    assert_true(seen[0x22] > 0);
    board_free(board);
}

static void
test_a_writer_stopped_half_way_shows_no_job_and_harms_no_next_one(void **state)
{
    struct board *board = new_board(1);
    struct uuid job = job_of(0x33);
    pid_t pid;

    (void)state;
    assert_int_equal(board_claim(board, 0, 1), 0);
    pid = fork();
    if (pid == 0)
        write_jobs_for_ever(board);
    for (int i = 0; i < 1000; i++) {
        kill(pid, SIGSTOP);
        assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
        expect_whole(board);
        kill(pid, SIGCONT);
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    board_release(board, 0);
    assert_int_equal(board_claim(board, 0, 1), 0);
    board_set_job(board, 0, &job);
    assert_true(board_has_job(board, &job));
    board_free(board);
}

static void
test_what_a_child_writes_outlives_it(void **state)
{
    struct board *board = new_board(1);
    const struct uuid job = job_of(0x77);
    pid_t pid;

    (void)state;
    assert_int_equal(board_claim(board, 0, 1), 0);
    pid = fork();
    if (pid == 0) {
        board_set_job(board, 0, &job);
        board_count_done(board, 0);
        board_count_done(board, 0);
        board_set_stage(board, 0, BOARD_BUSY, 99);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(board_look(board, 0).stage, BOARD_BUSY);
    assert_int_equal(board_look(board, 0).done_count, 2);
    assert_true(board_has_job(board, &job));
    board_free(board);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_board_has_only_free_slots),
        cmocka_unit_test(
            test_a_board_without_slots_or_with_too_many_is_refused),
        cmocka_unit_test(test_a_claimed_slot_shows_who_it_is),
        cmocka_unit_test(test_a_full_board_gives_no_slot_until_one_is_released),
        cmocka_unit_test(test_a_released_slot_keeps_nothing_of_its_last_child),
        cmocka_unit_test(
            test_only_the_pool_and_the_stages_asked_for_are_counted),
        cmocka_unit_test(test_a_stage_begins_when_it_is_set),
        cmocka_unit_test(test_a_job_is_found_while_a_child_shows_it),
        cmocka_unit_test(test_a_job_is_never_seen_half_written),
        cmocka_unit_test(
            test_a_writer_stopped_half_way_shows_no_job_and_harms_no_next_one),
        cmocka_unit_test(test_what_a_child_writes_outlives_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
