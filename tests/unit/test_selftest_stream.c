/*
 * test_selftest_stream - app/tandemctl/selftest_stream against peers that
 * answer in pieces, lie, or leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/scratch.h"
#include "sys/fd.h"
#include "sys/sock.h"
#include "tandemctl/selftest_stream.h"

#define HEADERS \
    "Status: 200 OK\r\nX-Request-ID: " \
    "01976b5a-5c3e-7c31-8f2e-6d1f0a9b4c77\r\n\r\n"
#define EVENTS \
    "event: preliminary\ndata: {\"seq\":1}\n\n: hb\n\n" \
    "event: done\ndata: {\"seq\":2}\n\n"
#define PATIENCE_MS 20000

struct world {
    char folder[SCRATCH_PATH_LEN];
    int listen_fd;
    int peer_fd;
    struct patience patience;
    struct stream stream;
};

static struct world world;

static int
set_up(void **state)
{
    const struct sock_access access = { .mode = 0600 };
    const struct stream_request request = { .method = "POST",
                                            .path = "/ask",
                                            .body = "{}" };
    char path[SCRATCH_PATH_LEN + 8];

    (void)state;
    world = (struct world){ .peer_fd = -1 };
    world.patience.deadline_mono_ms = clock_mono_ms() + PATIENCE_MS;
    scratch_make(world.folder);
    snprintf(path, sizeof(path), "%s/sock", world.folder);
    world.listen_fd = sock_listen_unix(path, &access, NULL);
    assert_int_not_equal(world.listen_fd, -1);
    assert_int_equal(stream_open(&world.stream, path, &request, NULL), 0);
    world.peer_fd = sock_accept(world.listen_fd);
    assert_int_not_equal(world.peer_fd, -1);
    assert_int_equal(fd_set_nonblock(world.peer_fd, NULL), 0);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    stream_close(&world.stream);
    stream_close(&world.stream); /* repeatable */
    fd_close(&world.peer_fd);
    fd_close(&world.listen_fd);
    scratch_remove(world.folder);
    return 0;
}

static void
say(const void *bytes, size_t len)
{
    assert_int_equal(fd_write_all(world.peer_fd, bytes, len,
                                  clock_mono_ms() + PATIENCE_MS, NULL),
                     0);
}

/* A record of the given type, with some padding. */
static void
say_record(unsigned type, const char *text)
{
    const size_t len = strlen(text);
    const unsigned char header[8] = { 1,
                                      (unsigned char)type,
                                      0,
                                      1,
                                      (unsigned char)(len >> 8),
                                      (unsigned char)len,
                                      3,
                                      0 };

    say(header, sizeof(header));
    say(text, len);
    say("\0\0\0", 3);
}

static void
say_end(void)
{
    say_record(3, "\0");
}

static bool
wait_for(bool (*is_so)(const struct stream *stream))
{
    return stream_wait(&world.stream, 1, is_so, &world.patience);
}

static bool
whatever_came(const struct stream *stream)
{
    return !stream_has_ended(stream);
}

static void
test_events_are_taken_however_they_are_cut(void **state)
{
    static const char text[] = HEADERS EVENTS;

    (void)state;
    for (size_t i = 0; text[i] != '\0'; i++) {
        say_record(6, (char[]){ text[i], '\0' });
        assert_true(wait_for(whatever_came)); /* a socket holds few records */
    }
    say_record(7, "words for the log");
    say_end();
    assert_true(wait_for(stream_has_ended));
    assert_true(world.stream.whole);
    assert_int_equal(world.stream.status, 200);
    assert_string_equal(world.stream.run_id,
                        "01976b5a-5c3e-7c31-8f2e-6d1f0a9b4c77");
    assert_int_equal(world.stream.event_count, 2);
    assert_int_equal(stream_count(&world.stream, "done"), 1);
    assert_int_equal(json_integer_value(json_object_get(
                         stream_event(&world.stream, "done"), "seq")),
                     2);
    assert_null(stream_event(&world.stream, "final"));
    assert_true(stream_took_us(&world.stream) >= 0);
}

static void
test_a_refusal_has_a_body(void **state)
{
    (void)state;
    say_record(6, "Status: 503 Service Unavailable\r\nRetry-After: 2\r\n\r\n"
                  "{\"code\":\"overloaded\"}");
    say_end();
    assert_true(wait_for(stream_has_ended));
    assert_int_equal(world.stream.status, 503);
    assert_true(world.stream.has_retry_after);
    assert_string_equal(buf_cstr(&world.stream.body),
                        "{\"code\":\"overloaded\"}");
}

static void
test_an_answer_so_far_can_be_waited_for(void **state)
{
    (void)state;
    say_record(6, HEADERS);
    assert_true(wait_for(stream_has_status));
    assert_int_equal(world.stream.event_count, 0);
    say_record(6, EVENTS);
    assert_true(wait_for(stream_has_an_answer));
    assert_false(stream_has_ended(&world.stream));
}

static void
test_a_peer_that_leaves_has_not_ended_well(void **state)
{
    (void)state;
    say_record(6, HEADERS EVENTS);
    fd_close(&world.peer_fd);
    assert_true(wait_for(stream_has_ended));
    assert_false(world.stream.whole);
    assert_int_equal(stream_count(&world.stream, "done"), 1);
}

static void
test_nonsense_is_a_cut(void **state)
{
    (void)state;
    say("HTTP/1.1 200 OK\r\n\r\n", 19);
    assert_true(wait_for(stream_has_ended));
    assert_false(world.stream.whole);
    assert_int_equal(world.stream.status, 0);
}

static void
test_an_event_that_is_no_json_is_a_cut(void **state)
{
    (void)state;
    say_record(6, HEADERS "event: done\ndata: {\"seq\":\n\n");
    assert_true(wait_for(stream_has_ended));
    assert_false(world.stream.whole);
    assert_int_equal(world.stream.event_count, 0);
}

static void
test_more_events_than_anybody_sends_are_a_cut(void **state)
{
    (void)state;
    say_record(6, HEADERS);
    for (int i = 0; i <= STREAM_MAX_EVENTS; i++)
        say_record(6, "event: final\ndata: {}\n\n");
    assert_true(wait_for(stream_has_ended));
    assert_false(world.stream.whole);
    assert_int_equal(world.stream.event_count, STREAM_MAX_EVENTS);
}

static void
test_silence_ends_the_patience(void **state)
{
    (void)state;
    world.patience.deadline_mono_ms = clock_mono_ms() + 50;
    assert_false(wait_for(stream_has_status));
    assert_true(clock_mono_ms() >= world.patience.deadline_mono_ms);
    assert_false(world.patience.interrupted);
}

static void
test_nobody_there_is_told(void **state)
{
    struct stream stream;
    struct err err = { 0 };
    const struct stream_request request = { .method = "GET", .path = "/" };

    (void)state;
    assert_int_equal(stream_open(&stream, "/nowhere/sock", &request, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_true(stream_has_ended(&stream));
    stream_close(&stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_events_are_taken_however_they_are_cut),
        TEST(test_a_refusal_has_a_body),
        TEST(test_an_answer_so_far_can_be_waited_for),
        TEST(test_a_peer_that_leaves_has_not_ended_well),
        TEST(test_nonsense_is_a_cut),
        TEST(test_an_event_that_is_no_json_is_a_cut),
        TEST(test_more_events_than_anybody_sends_are_a_cut),
        TEST(test_silence_ends_the_patience),
        cmocka_unit_test(test_nobody_there_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
