/*
 * The clerk against a scribe that the tests play themselves, frame by frame.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "ledger/clerk.h"
#include "ledger/frame.h"
#include "sys/fd.h"
#include "sys/sock.h"

#define WAIT_MS 20000
#define FACTS   "{\"n\":1}"

static char folder[64], path[96];
static int listen_fd, scribe_fd;
static struct clerk *clerk;
static struct buf in;

static const struct uuid run_a = { { 0xa } }, run_b = { { 0xb } };

static void
listen_again(void)
{
    listen_fd =
        sock_listen_unix(path, &(struct sock_access){ .mode = 0600 }, NULL);
    assert_int_not_equal(listen_fd, -1);
}

static int
set_up(void **state)
{
    (void)state;
    scribe_fd = -1;
    snprintf(folder, sizeof(folder), "/tmp/test_clerk.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/s", folder);
    listen_again();
    buf_init(&in, 2 * FRAME_MAX_BYTES);
    clerk = clerk_new(path, NULL);
    return clerk != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    clerk_free(clerk);
    buf_close(&in);
    fd_close(&scribe_fd);
    fd_close(&listen_fd);
    unlink(path);
    return rmdir(folder);
}

/* ---- the scribe, by hand ----------------------------------------------- */

static void
scribe_hang_up(void)
{
    fd_close(&scribe_fd);
    buf_clear(&in);
}

/* Waits for a connection while the clerk goes on. */
static void
scribe_accept(void)
{
    const int64_t deadline = clock_mono_ms() + WAIT_MS;

    scribe_hang_up();
    while ((scribe_fd = sock_accept(listen_fd)) == -1) {
        assert_true(clock_left_ms(deadline) > 0);
        clerk_turn(clerk);
        usleep(1000);
    }
    assert_int_equal(fd_set_nonblock(scribe_fd, NULL), 0);
}

static struct frame
scribe_next_frame(void)
{
    const int64_t deadline = clock_mono_ms() + WAIT_MS;
    struct frame frame;

    while (frame_look(in.bytes, in.len, &frame, NULL) != FRAME_WHOLE) {
        char *room = buf_reserve(&in, 65536);
        const ssize_t len = recv(scribe_fd, room, 65536, 0);

        assert_true(clock_left_ms(deadline) > 0);
        assert_int_not_equal(len, 0);
        if (len > 0)
            buf_commit(&in, (size_t)len);
        clerk_turn(clerk);
    }
    return frame;
}

static void
expect_open_run(const struct uuid *run_id)
{
    const struct frame frame = scribe_next_frame();
    struct uuid named;

    assert_int_equal(frame.type, FRAME_OPEN_RUN);
    assert_int_equal(frame_read_open_run(&frame, &named, NULL), 0);
    assert_memory_equal(&named, run_id, sizeof(named));
    buf_consume(&in, frame.whole_len);
}

static void
expect_record(enum entry_kind kind, const struct uuid *run_id)
{
    const struct frame frame = scribe_next_frame();
    struct frame_record record;

    assert_int_equal(frame.type, FRAME_RECORD);
    assert_int_equal(frame_read_record(&frame, &record, NULL), 0);
    assert_int_equal(record.kind, kind);
    assert_memory_equal(&record.run_id, run_id, sizeof(*run_id));
    buf_consume(&in, frame.whole_len);
}

static void
scribe_say(const struct buf *out)
{
    assert_int_equal(fd_write_all(scribe_fd, out->bytes, out->len,
                                  clock_mono_ms() + WAIT_MS, NULL),
                     0);
}

static void
scribe_give_receipt(enum entry_kind kind, const struct uuid *run_id,
                    int64_t idx)
{
    const struct entry_receipt receipt = { .idx = idx };
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(frame_append_receipt(&out, kind, run_id, &receipt, NULL),
                     0);
    scribe_say(&out);
    buf_close(&out);
}

static void
scribe_refuse(enum entry_kind kind, const struct uuid *run_id)
{
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(
        frame_append_refusal(&out, kind, run_id, "disk full", NULL), 0);
    scribe_say(&out);
    buf_close(&out);
}

/* ---- the clerk --------------------------------------------------------- */

static void
submit_until(enum entry_kind kind, const struct uuid *run_id,
             int64_t deadline_mono_ms)
{
    const struct frame_record record = { .kind = kind,
                                         .run_id = *run_id,
                                         .facts = FACTS,
                                         .facts_len = strlen(FACTS) };

    assert_int_equal(clerk_submit(clerk, &record, deadline_mono_ms, NULL), 0);
    assert_int_equal(clerk_state(clerk), CLERK_WAITING);
}

static void
submit(enum entry_kind kind, const struct uuid *run_id)
{
    submit_until(kind, run_id, clock_mono_ms() + WAIT_MS);
}

/* As a worker waits: on the descriptor and the clock, never busily. */
static enum clerk_state
wait_for_answer(void)
{
    int turns = 0;

    while (clerk_state(clerk) == CLERK_WAITING) {
        struct pollfd one = { .fd = clerk_fd(clerk),
                              .events = clerk_events(clerk) };

        poll(&one, 1, clock_left_ms(clerk_wake_mono_ms(clerk)));
        clerk_turn(clerk);
        assert_true(++turns < 1000);
    }
    return clerk_state(clerk);
}

static void
record_accepted(const struct uuid *run_id)
{
    submit(ENTRY_ACCEPTED, run_id);
    if (scribe_fd == -1)
        scribe_accept();
    expect_record(ENTRY_ACCEPTED, run_id);
    scribe_give_receipt(ENTRY_ACCEPTED, run_id, 41);
    assert_int_equal(wait_for_answer(), CLERK_RECORDED);
}

static void
test_a_record_is_sent_and_its_receipt_kept(void **state)
{
    (void)state;
    record_accepted(&run_a);
    assert_int_equal(clerk_receipt(clerk)->idx, 41);
    assert_string_equal(clerk_reason(clerk), "");
    assert_true(clerk_wake_mono_ms(clerk) == INT64_MAX);
    submit(ENTRY_FINISHED, &run_a); /* the same connection */
    expect_record(ENTRY_FINISHED, &run_a);
    scribe_give_receipt(ENTRY_FINISHED, &run_a, 42);
    assert_int_equal(wait_for_answer(), CLERK_RECORDED);
    assert_int_equal(clerk_receipt(clerk)->idx, 42);
    submit(ENTRY_LEFT, &run_a);
    expect_record(ENTRY_LEFT, &run_a);
    scribe_give_receipt(ENTRY_LEFT, &run_a, 43);
    assert_int_equal(wait_for_answer(), CLERK_RECORDED);
    assert_int_equal(clerk_receipt(clerk)->idx, 43);
    scribe_hang_up();
    clerk_turn(clerk); /* no run is open: no need for another connection */
    assert_true(clerk_wake_mono_ms(clerk) == INT64_MAX);
}

static void
test_a_refusal_is_told_with_its_reason(void **state)
{
    (void)state;
    submit(ENTRY_ACCEPTED, &run_a);
    scribe_accept();
    scribe_refuse(ENTRY_ACCEPTED, &run_a);
    assert_int_equal(wait_for_answer(), CLERK_REFUSED);
    assert_string_equal(clerk_reason(clerk), "disk full");
    scribe_hang_up();
    record_accepted(&run_b); /* and the next one is welcome */
}

static void
test_whose_its_key_is_is_told(void **state)
{
    const struct entry_holder holder = { .run_id = run_b,
                                         .same_request = true };
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    submit(ENTRY_ACCEPTED, &run_a);
    scribe_accept();
    assert_int_equal(
        frame_append_taken(&out, ENTRY_ACCEPTED, &run_a, &holder, NULL), 0);
    scribe_say(&out);
    buf_close(&out);
    assert_int_equal(wait_for_answer(), CLERK_TAKEN);
    assert_memory_equal(&clerk_holder(clerk)->run_id, &run_b, sizeof(run_b));
    assert_true(clerk_holder(clerk)->same_request);
    assert_false(clerk_holder(clerk)->ended);
    assert_true(clerk_wake_mono_ms(clerk) == INT64_MAX);
    scribe_hang_up();
    record_accepted(&run_b); /* and the next one is welcome */
}

static void
test_a_record_without_an_answer_is_sent_again(void **state)
{
    (void)state;
    submit(ENTRY_ACCEPTED, &run_a);
    for (int i = 0; i < 3; i++) {
        scribe_accept();
        expect_record(ENTRY_ACCEPTED, &run_a);
        scribe_hang_up();
    }
    scribe_accept();
    expect_record(ENTRY_ACCEPTED, &run_a);
    scribe_give_receipt(ENTRY_ACCEPTED, &run_a, 1);
    assert_int_equal(wait_for_answer(), CLERK_RECORDED);
}

static void
test_an_open_run_is_named_to_the_next_scribe(void **state)
{
    (void)state;
    record_accepted(&run_a);
    scribe_hang_up();
    scribe_accept(); /* the clerk comes back by itself */
    expect_open_run(&run_a);
    submit(ENTRY_FINISHED, &run_a);
    expect_record(ENTRY_FINISHED, &run_a);
    scribe_hang_up();
    scribe_accept();
    expect_open_run(&run_a); /* first the run, then the record */
    expect_record(ENTRY_FINISHED, &run_a);
    scribe_give_receipt(ENTRY_FINISHED, &run_a, 3);
    assert_int_equal(wait_for_answer(), CLERK_RECORDED);
}

static void
test_a_finished_run_is_named_no_more(void **state)
{
    (void)state;
    record_accepted(&run_a);
    submit(ENTRY_FINISHED, &run_a);
    expect_record(ENTRY_FINISHED, &run_a);
    scribe_give_receipt(ENTRY_FINISHED, &run_a, 2);
    assert_int_equal(wait_for_answer(), CLERK_RECORDED);
    scribe_hang_up();
    clerk_turn(clerk);
    assert_int_equal(clerk_fd(clerk), -1);
    assert_true(clerk_wake_mono_ms(clerk) == INT64_MAX);
    submit(ENTRY_ACCEPTED, &run_b);
    scribe_accept();
    expect_record(ENTRY_ACCEPTED, &run_b);
}

static void
test_an_answer_to_something_else_is_passed_over(void **state)
{
    (void)state;
    submit(ENTRY_ACCEPTED, &run_a);
    scribe_accept();
    expect_record(ENTRY_ACCEPTED, &run_a);
    scribe_give_receipt(ENTRY_ACCEPTED, &run_b, 1);
    scribe_give_receipt(ENTRY_FINISHED, &run_a, 2);
    scribe_give_receipt(ENTRY_ACCEPTED, &run_a, 3);
    assert_int_equal(wait_for_answer(), CLERK_RECORDED);
    assert_int_equal(clerk_receipt(clerk)->idx, 3);
}

static void
test_without_a_scribe_it_is_late_at_the_deadline(void **state)
{
    const int64_t begin_mono_ms = clock_mono_ms();

    (void)state;
    fd_close(&listen_fd);
    unlink(path);
    submit_until(ENTRY_ACCEPTED, &run_a, begin_mono_ms + 300);
    assert_int_equal(clerk_fd(clerk), -1);
    assert_int_equal(wait_for_answer(), CLERK_LATE);
    assert_in_range(clock_mono_ms() - begin_mono_ms, 300, 300 + WAIT_MS);
    assert_true(clerk_reason(clerk)[0] != '\0');
}

static void
test_a_scribe_that_says_nothing_makes_it_late_too(void **state)
{
    char byte;

    (void)state;
    submit_until(ENTRY_ACCEPTED, &run_a, clock_mono_ms() + 1000);
    scribe_accept();
    expect_record(ENTRY_ACCEPTED, &run_a);
    assert_int_equal(wait_for_answer(), CLERK_LATE);
    assert_true(clerk_reason(clerk)[0] != '\0');
    /* The connection is given up, so that a late answer meets nobody and the
     * scribe sees that the run has no worker. */
    assert_int_equal(recv(scribe_fd, &byte, 1, 0), 0);
    scribe_hang_up();
    record_accepted(&run_b);
}

static void
test_a_scribe_that_comes_late_but_in_time_is_found(void **state)
{
    (void)state;
    fd_close(&listen_fd);
    unlink(path);
    submit(ENTRY_ACCEPTED, &run_a);
    for (int i = 0; i < 20; i++) {
        usleep(5000);
        clerk_turn(clerk);
    }
    listen_again();
    scribe_accept();
    expect_record(ENTRY_ACCEPTED, &run_a);
    scribe_give_receipt(ENTRY_ACCEPTED, &run_a, 1);
    assert_int_equal(wait_for_answer(), CLERK_RECORDED);
}

static void
test_attempts_to_connect_are_spaced(void **state)
{
    int64_t longest_ms = 0;
    int attempts = 0;

    (void)state;
    fd_close(&listen_fd);
    unlink(path);
    submit_until(ENTRY_ACCEPTED, &run_a, clock_mono_ms() + 2000);
    while (clerk_state(clerk) == CLERK_WAITING) {
        const int64_t wait_ms = clerk_wake_mono_ms(clerk) - clock_mono_ms();

        if (wait_ms > longest_ms)
            longest_ms = wait_ms;
        attempts++;
        poll(NULL, 0, (int)wait_ms);
        clerk_turn(clerk);
    }
    /* 10, 20, 40, 80, 160, then 200 each: about fourteen in two seconds, fewer
     * where the machine is late. */
    assert_in_range(attempts, 5, 16);
    assert_in_range(longest_ms, 100, 200);
}

static void
test_nonsense_from_the_scribe_is_a_lost_connection(void **state)
{
    struct buf noise;

    (void)state;
    buf_init(&noise, 64);
    assert_int_equal(buf_append_str(&noise, "HTTP/1.1 400 Bad Request"),
                     BUF_OK);
    submit(ENTRY_ACCEPTED, &run_a);
    scribe_accept();
    expect_record(ENTRY_ACCEPTED, &run_a);
    scribe_say(&noise);
    scribe_accept();
    expect_record(ENTRY_ACCEPTED, &run_a);
    scribe_give_receipt(ENTRY_ACCEPTED, &run_a, 1);
    assert_int_equal(wait_for_answer(), CLERK_RECORDED);
    buf_close(&noise);
}

static void
test_a_large_record_goes_out_in_pieces(void **state)
{
    const size_t len = 8u << 20;
    char *text = malloc(len);
    const struct frame_record record = {
        .kind = ENTRY_FINISHED,
        .run_id = run_a,
        .facts = FACTS,
        .facts_len = strlen(FACTS),
        .parts = { { .part = ENTRY_PART_PRO, .bytes = text, .len = len } },
        .part_count = 1
    };
    struct frame_record read;
    struct frame frame;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', len);
    assert_int_equal(
        clerk_submit(clerk, &record, clock_mono_ms() + WAIT_MS, NULL), 0);
    assert_int_equal(clerk_events(clerk), POLLIN | POLLOUT);
    scribe_accept();
    frame = scribe_next_frame();
    assert_int_equal(frame_read_record(&frame, &read, NULL), 0);
    assert_int_equal(read.parts[0].len, len);
    assert_memory_equal(read.parts[0].bytes, text, len);
    free(text);
}

static void
test_what_cannot_be_sent_is_refused_at_once(void **state)
{
    char *text = calloc(1, FRAME_MAX_BYTES);
    struct frame_record record = { .kind = ENTRY_FINISHED,
                                   .run_id = run_a,
                                   .facts = FACTS,
                                   .facts_len = strlen(FACTS),
                                   .parts = { { .part = ENTRY_PART_PRO,
                                                .bytes = text,
                                                .len = FRAME_MAX_BYTES } },
                                   .part_count = 1 };
    struct err err = { 0 };

    (void)state;
    assert_non_null(text);
    assert_int_equal(
        clerk_submit(clerk, &record, clock_mono_ms() + WAIT_MS, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    free(text);

    submit(ENTRY_ACCEPTED, &run_a);
    record.part_count = 0;
    err = (struct err){ 0 };
    assert_int_equal(
        clerk_submit(clerk, &record, clock_mono_ms() + WAIT_MS, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID); /* one at a time */
}

#define CLERK_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CLERK_TEST(test_a_record_is_sent_and_its_receipt_kept),
        CLERK_TEST(test_a_refusal_is_told_with_its_reason),
        CLERK_TEST(test_whose_its_key_is_is_told),
        CLERK_TEST(test_a_record_without_an_answer_is_sent_again),
        CLERK_TEST(test_an_open_run_is_named_to_the_next_scribe),
        CLERK_TEST(test_a_finished_run_is_named_no_more),
        CLERK_TEST(test_an_answer_to_something_else_is_passed_over),
        CLERK_TEST(test_without_a_scribe_it_is_late_at_the_deadline),
        CLERK_TEST(test_a_scribe_that_says_nothing_makes_it_late_too),
        CLERK_TEST(test_a_scribe_that_comes_late_but_in_time_is_found),
        CLERK_TEST(test_attempts_to_connect_are_spaced),
        CLERK_TEST(test_nonsense_from_the_scribe_is_a_lost_connection),
        CLERK_TEST(test_a_large_record_goes_out_in_pieces),
        CLERK_TEST(test_what_cannot_be_sent_is_refused_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
