/* The gate against a web server written here: requests, bodies, replies. */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "gate/fcgi.h"
#include "support/fcgi_client.h"
#include "sys/fd.h"

void *__real_calloc(size_t count, size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__real_realloc(void *bytes, size_t len);
void *__wrap_realloc(void *bytes, size_t len);

static bool memory_is_short;

void *
__wrap_calloc(size_t count, size_t len)
{
    return memory_is_short ? NULL : __real_calloc(count, len);
}

void *
__wrap_realloc(void *bytes, size_t len)
{
    return memory_is_short ? NULL : __real_realloc(bytes, len);
}

#define MAX_BODY_BYTES 100000

static const struct fcgi_timeouts patient = { 5000, 5000 };

static struct fcgi *gate;
static struct buf body;
static struct fcgi_client_reply reply;
static int client; /* the web server's end */
static int server; /* ours, until fcgi_begin() takes it */

static int
set_up(void **state)
{
    int ends[2];

    (void)state;
    memory_is_short = false;
    reply = (struct fcgi_client_reply){ .ended = false };
    buf_init(&body, MAX_BODY_BYTES);
    gate = fcgi_new(NULL);
    if (gate == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
        return -1;
    client = ends[0];
    server = ends[1];
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    fcgi_free(gate);
    buf_close(&body);
    fcgi_client_reply_close(&reply);
    fd_close(&client);
    return 0;
}

static int64_t
soon(void)
{
    return clock_mono_ms() + 10000;
}

static void
begin(void)
{
    struct err err = { 0 };

    if (fcgi_begin(gate, server, &patient, &err) == -1)
        fail_msg("%s", err.text);
}

/* A whole request that was sent and begun, its body read. */
static void
begin_with_body(const char *text)
{
    assert_int_equal(fcgi_client_send_request(client, NULL, text), 0);
    begin();
    assert_int_equal(fcgi_read_body(gate, &body, soon()), FCGI_BODY_OK);
}

static void
assert_reply(const char *expected)
{
    assert_int_equal(fcgi_client_read_reply(client, &reply, soon()), 0);
    assert_string_equal(buf_cstr(&reply.out), expected);
    assert_true(reply.ended);
    assert_true(reply.closed);
}

static void
test_a_whole_request_is_read_and_answered(void **state)
{
    static const char *const params[] = { "REQUEST_METHOD", "POST", "EMPTY", "",
                                          NULL };

    (void)state;
    assert_int_equal(fcgi_client_send_request(client, params, "hello"), 0);
    begin();
    assert_int_equal(fcgi_fd(gate), server);
    assert_string_equal(fcgi_param(gate, "REQUEST_METHOD"), "POST");
    assert_string_equal(fcgi_param(gate, "CONTENT_LENGTH"), "5");
    assert_string_equal(fcgi_param(gate, "EMPTY"), "");
    assert_null(fcgi_param(gate, "REQUEST"));
    assert_int_equal(fcgi_read_body(gate, &body, soon()), FCGI_BODY_OK);
    assert_string_equal(buf_cstr(&body), "hello");
    assert_int_equal(fcgi_write(gate, "Status: 200\r\n\r\n", 15, NULL), 0);
    assert_int_equal(fcgi_write(gate, "bye", 3, NULL), 0);
    fcgi_end(gate);
    assert_int_equal(fcgi_fd(gate), -1);
    assert_reply("Status: 200\r\n\r\nbye");
    assert_int_equal(reply.out_records, 1);
}

static void
test_long_parameters_arrive_whole(void **state)
{
    static char name[300];
    static char value[20000];

    (void)state;
    memset(name, 'N', sizeof(name) - 1);
    memset(value, 'v', sizeof(value) - 1);
    assert_int_equal(fcgi_client_send_begin(client, false), 0);
    assert_int_equal(fcgi_client_send_param(client, name, value), 0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_PARAMS, "", 0), 0);
    begin();
    assert_string_equal(fcgi_param(gate, name), value);
}

static void
test_what_is_flushed_arrives_before_the_end(void **state)
{
    char byte;

    (void)state;
    begin_with_body("");
    assert_int_equal(fcgi_write(gate, "one", 3, NULL), 0);
    assert_int_equal(recv(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT), -1);
    assert_int_equal(fcgi_flush(gate, NULL), 0);
    assert_int_equal(recv(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT), 1);
    assert_int_equal(fcgi_flush(gate, NULL), 0);
    assert_int_equal(fcgi_write(gate, "two", 3, NULL), 0);
    fcgi_end(gate);
    assert_reply("onetwo");
    assert_int_equal(reply.out_records, 2);
}

static void
test_a_reply_without_a_word_still_ends(void **state)
{
    (void)state;
    begin_with_body("");
    fcgi_end(gate);
    fcgi_end(gate);
    assert_reply("");
}

static void
test_a_kept_connection_is_closed_all_the_same(void **state)
{
    (void)state;
    assert_int_equal(fcgi_client_send_begin(client, true), 0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_PARAMS, "", 0), 0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_STDIN, "", 0), 0);
    begin();
    fcgi_end(gate);
    assert_reply("");
}

static void
test_the_end_does_not_wait_for_the_peer_to_close(void **state)
{
    int64_t begin_ms;

    (void)state;
    begin_with_body("x");
    begin_ms = clock_mono_ms();
    fcgi_end(gate);
    assert_in_range(clock_mono_ms() - begin_ms, 0, 1900); /* libfcgi: 2 s */
    assert_reply("");
}

static void
test_a_body_in_many_records_is_one_body(void **state)
{
    (void)state;
    assert_int_equal(fcgi_client_send_begin(client, false), 0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_PARAMS, "", 0), 0);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_STDIN,
                                          "abcdefghijkl", i % 12 + 1),
                         0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_STDIN, "", 0), 0);
    begin();
    assert_int_equal(fcgi_read_body(gate, &body, soon()), FCGI_BODY_OK);
    assert_int_equal(body.len, 3 * 78 + 10);
    assert_memory_equal(body.bytes, "aababcabcd", 10);
    assert_memory_equal(body.bytes + body.len - 10, "aababcabcd", 10);
}

/* More than a socket holds, so the peer must be a thread. */
struct large_request {
    const char *bytes;
    int result;
};

static void *
send_large_request(void *argument)
{
    struct large_request *request = argument;

    request->result = fcgi_client_send_request(client, NULL, request->bytes);
    if (request->result == 0)
        request->result = fcgi_client_read_reply(client, &reply, soon());
    return NULL;
}

static enum fcgi_body
read_large_body(size_t len)
{
    struct large_request request = { .bytes = NULL };
    enum fcgi_body result;
    pthread_t thread;
    char *bytes = malloc(len + 1);

    assert_non_null(bytes);
    memset(bytes, 'x', len);
    bytes[len] = '\0';
    request.bytes = bytes;
    assert_int_equal(
        pthread_create(&thread, NULL, send_large_request, &request), 0);
    begin();
    result = fcgi_read_body(gate, &body, soon());
    assert_int_equal(fcgi_write(gate, "answer", 6, NULL), 0);
    fcgi_end(gate);
    assert_int_equal(pthread_join(thread, NULL), 0);
    free(bytes);
    assert_int_equal(request.result, 0);
    assert_string_equal(buf_cstr(&reply.out), "answer");
    return result;
}

static void
test_a_body_of_the_greatest_length_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_large_body(MAX_BODY_BYTES), FCGI_BODY_OK);
    assert_int_equal(body.len, MAX_BODY_BYTES);
}

static void
test_a_body_one_byte_too_large_is_refused(void **state)
{
    (void)state;
    assert_int_equal(read_large_body(MAX_BODY_BYTES + 1), FCGI_BODY_TOO_LARGE);
}

static void
test_the_sender_of_a_huge_body_still_hears_the_answer(void **state)
{
    (void)state;
    assert_int_equal(read_large_body(8u << 20), FCGI_BODY_TOO_LARGE);
    assert_in_range(body.len, 0, MAX_BODY_BYTES);
}

static void
test_a_body_without_memory_for_it_is_told_apart(void **state)
{
    (void)state;
    assert_int_equal(fcgi_client_send_request(client, NULL, "hello"), 0);
    begin();
    memory_is_short = true;
    assert_int_equal(fcgi_read_body(gate, &body, soon()), FCGI_BODY_NOMEM);
}

static void
test_without_memory_there_is_no_gate(void **state)
{
    struct err err = { 0 };

    (void)state;
    memory_is_short = true;
    assert_null(fcgi_new(&err));
    assert_int_equal(err.kind, ERR_NOMEM);
    fcgi_free(NULL);
    fd_close(&server);
}

static enum fcgi_body
read_body_announced_as(const char *length, const char *text)
{
    assert_int_equal(fcgi_client_send_begin(client, false), 0);
    assert_int_equal(fcgi_client_send_param(client, "CONTENT_LENGTH", length),
                     0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_PARAMS, "", 0), 0);
    assert_int_equal(
        fcgi_client_send(client, FCGI_CLIENT_STDIN, text, strlen(text)), 0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_STDIN, "", 0), 0);
    begin();
    return fcgi_read_body(gate, &body, soon());
}

static void
test_a_body_shorter_than_announced_is_cut(void **state)
{
    (void)state;
    assert_int_equal(read_body_announced_as("6", "hello"), FCGI_BODY_CUT);
}

static void
test_a_body_longer_than_announced_is_cut(void **state)
{
    (void)state;
    assert_int_equal(read_body_announced_as("4", "hello"), FCGI_BODY_CUT);
}

static void
test_an_announcement_that_is_no_number_is_cut(void **state)
{
    (void)state;
    assert_int_equal(read_body_announced_as("5x", "hello"), FCGI_BODY_CUT);
}

static void
test_an_empty_announcement_is_none(void **state)
{
    (void)state;
    assert_int_equal(read_body_announced_as("", "hello"), FCGI_BODY_OK);
}

#define LARGE_REPLY_BYTES (10u << 20)

static void *
read_reply(void *result)
{
    *(int *)result = fcgi_client_read_reply(client, &reply, soon());
    return NULL;
}

static void
test_a_large_reply_in_pieces_arrives_in_order(void **state)
{
    static char piece[1000003];
    pthread_t thread;
    int result = -1;

    (void)state;
    for (size_t i = 0; i < sizeof(piece); i++)
        piece[i] = (char)(i * 7 % 251);
    begin_with_body("");
    assert_int_equal(pthread_create(&thread, NULL, read_reply, &result), 0);
    for (size_t i = 0; i < LARGE_REPLY_BYTES / sizeof(piece); i++)
        assert_int_equal(fcgi_write(gate, piece, sizeof(piece), NULL), 0);
    fcgi_end(gate);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(result, 0);
    assert_true(reply.ended);
    assert_int_equal(reply.out.len,
                     LARGE_REPLY_BYTES / sizeof(piece) * sizeof(piece));
    for (size_t i = 0; i < reply.out.len; i += sizeof(piece))
        assert_memory_equal(reply.out.bytes + i, piece, sizeof(piece));
}

static size_t
count_of_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void
serve_one(unsigned round)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(fcgi_client_send_begin(ends[0], round % 2 == 0), 0);
    if (round % 5 != 0) {
        assert_int_equal(fcgi_client_send(ends[0], FCGI_CLIENT_PARAMS, "", 0),
                         0);
        assert_int_equal(fcgi_client_send(ends[0], FCGI_CLIENT_STDIN, "", 0),
                         0);
    }
    if (round % 5 == 0 || round % 7 == 0)
        fd_close(&ends[0]);
    if (fcgi_begin(gate, ends[1], &patient, NULL) == 0) {
        assert_int_equal(fcgi_read_body(gate, &body, soon()), FCGI_BODY_OK);
        (void)!fcgi_write(gate, "hello", 5, NULL);
        (void)!fcgi_flush(gate, NULL);
        fcgi_end(gate);
    }
    fd_close(&ends[0]);
}

static void
test_a_thousand_requests_good_and_bad_leave_no_descriptor(void **state)
{
    const size_t before = count_of_descriptors();

    (void)state;
    for (unsigned round = 0; round < 1000; round++)
        serve_one(round);
    assert_int_equal(count_of_descriptors(), before);
    fd_close(&server);
}

static void
ignore(int signo)
{
    (void)signo;
}

static void
test_starting_leaves_handlers_alone_and_ignores_sigpipe(void **state)
{
    struct sigaction action;

    (void)state;
    sigaction(SIGPIPE, NULL, &action);
    assert_ptr_equal(action.sa_handler, SIG_IGN);
    sigaction(SIGTERM, NULL, &action);
    assert_ptr_equal(action.sa_handler, SIG_DFL);
    sigaction(SIGUSR1, NULL, &action);
    assert_ptr_equal(action.sa_handler, ignore);
    assert_int_equal(action.sa_flags & SA_RESTART, SA_RESTART);
    fd_close(&server);
}

static int
start(void **state)
{
    const struct sigaction action = { .sa_handler = ignore,
                                      .sa_flags = SA_RESTART };

    (void)state;
    alarm(60); /* whatever hangs, this program does not */
    sigaction(SIGUSR1, &action, NULL);
    return fcgi_global_init(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_starting_leaves_handlers_alone_and_ignores_sigpipe),
        TEST(test_a_whole_request_is_read_and_answered),
        TEST(test_long_parameters_arrive_whole),
        TEST(test_what_is_flushed_arrives_before_the_end),
        TEST(test_a_reply_without_a_word_still_ends),
        TEST(test_a_kept_connection_is_closed_all_the_same),
        TEST(test_the_end_does_not_wait_for_the_peer_to_close),
        TEST(test_a_body_in_many_records_is_one_body),
        TEST(test_a_body_of_the_greatest_length_is_read),
        TEST(test_a_body_one_byte_too_large_is_refused),
        TEST(test_the_sender_of_a_huge_body_still_hears_the_answer),
        TEST(test_a_body_without_memory_for_it_is_told_apart),
        TEST(test_without_memory_there_is_no_gate),
        TEST(test_a_body_shorter_than_announced_is_cut),
        TEST(test_a_body_longer_than_announced_is_cut),
        TEST(test_an_announcement_that_is_no_number_is_cut),
        TEST(test_an_empty_announcement_is_none),
        TEST(test_a_large_reply_in_pieces_arrives_in_order),
        TEST(test_a_thousand_requests_good_and_bad_leave_no_descriptor),
    };

    return cmocka_run_group_tests_name("fcgi", tests, start, NULL);
}
