/*
 * test_fcgi_call.c - ask an application that answers, dawdles, lies or leaves.
 *
 * The application is a child process on a socket of its own; but for one it
 * speaks by hand: what it says is the test.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "gate/fcgi.h"
#include "gate/fcgi_call.h"
#include "support/scratch.h"
#include "sys/sock.h"

#define WAIT_MS   20000
#define MAX_BYTES 200000

static char folder[SCRATCH_PATH_LEN];
static char path[SCRATCH_PATH_LEN + 8];
static int listen_fd = -1;
static pid_t child = -1;

static int
set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    scratch_make(folder);
    snprintf(path, sizeof(path), "%s/s", folder);
    listen_fd =
        sock_listen_unix(path, &(struct sock_access){ .mode = 0600 }, NULL);
    return listen_fd == -1 ? -1 : 0;
}

static int
tear_down(void **state)
{
    (void)state;
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        child = -1;
    }
    close(listen_fd);
    scratch_remove(folder);
    return 0;
}

/* The application: takes one request and says these bytes, then either leaves
 * or stays silent. */
static void
application_says(const void *bytes, size_t len, bool leaves)
{
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char request[4096];
        int fd;

        while ((fd = sock_accept(listen_fd)) == -1)
            usleep(1000);
        if (recv(fd, request, sizeof(request), 0) <= 0 ||
            send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
            _exit(1);
        if (leaves)
            _exit(0);
        for (;;)
            pause();
    }
}

static const struct fcgi_wire_param params[] = {
    { "REQUEST_METHOD", "GET" },
    { "REQUEST_URI", "/x" },
    { "LEFT_OUT", NULL },
};

static int
call(struct buf *answer, int64_t within_ms, struct err *err)
{
    return fcgi_call(path, params, ARRAY_LEN(params),
                     clock_mono_ms() + within_ms, answer, err);
}

/* ---- an application that keeps to the protocol --------------------------- */

static char long_value[1000];
static const struct fcgi_wire_param all_params[] = {
    { "REQUEST_METHOD", "GET" },
    { "REQUEST_URI", "/x?y=1" },
    { "HTTP_LONG", long_value },
    { "LEFT_OUT", NULL },
};

/* A real gate: says what it was asked, and more than a record holds. */
static void
serve_once(void)
{
    static const struct fcgi_timeouts timeouts = { 5000, 5000 };
    struct fcgi *gate = fcgi_new(NULL);
    struct buf body;
    int fd;

    while ((fd = sock_accept(listen_fd)) == -1)
        usleep(1000);
    buf_init(&body, 100);
    if (fcgi_begin(gate, fd, &timeouts, NULL) == -1 ||
        fcgi_read_body(gate, &body, clock_mono_ms() + WAIT_MS) != FCGI_BODY_OK)
        _exit(1);
    if (fcgi_param(gate, "LEFT_OUT") != NULL ||
        strcmp(fcgi_param(gate, "HTTP_LONG"), long_value) != 0 ||
        strcmp(fcgi_param(gate, "REQUEST_URI"), "/x?y=1") != 0 ||
        fcgi_write(gate, "Status: 410 Gone\r\n\r\n", 20, NULL) == -1)
        _exit(2);
    for (int i = 0; i < 100; i++)
        if (fcgi_write(gate, long_value, sizeof(long_value) - 1, NULL) == -1)
            _exit(3);
    fcgi_end(gate);
    _exit(0);
}

static void
test_the_whole_answer_comes_as_it_is(void **state)
{
    struct err err = { 0 };
    struct buf answer;
    int status;

    (void)state;
    memset(long_value, 'v', sizeof(long_value) - 1);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        serve_once();
    buf_init(&answer, MAX_BYTES);
    if (fcgi_call(path, all_params, ARRAY_LEN(all_params),
                  clock_mono_ms() + WAIT_MS, &answer, &err) == -1)
        fail_msg("%s", err.text);
    assert_int_equal(waitpid(child, &status, 0), child);
    child = -1;
    assert_int_equal(status, 0);
    assert_int_equal(answer.len, 20 + 100 * 999);
    assert_int_equal(fcgi_call_status(&answer), 410);
    assert_memory_equal(answer.bytes + 20, long_value, 999);
    buf_close(&answer);
}

/* ---- one that does not --------------------------------------------------- */

#define END_RECORD "\1\3\0\1\0\10\0\0\0\0\0\0\0\0\0\0"

static void
test_records_are_put_together_and_others_dropped(void **state)
{
    static const char said[] = "\1\6\0\1\0\3\5\0abc....." /* padding */
                               "\1\7\0\1\0\2\0\0no"       /* its log */
                               "\1\6\0\1\0\2\0\0de"
                               "\1\6\0\1\0\0\0\0" END_RECORD;
    struct err err = { 0 };
    struct buf answer;

    (void)state;
    application_says(said, sizeof(said) - 1, false);
    buf_init(&answer, MAX_BYTES);
    assert_int_equal(call(&answer, WAIT_MS, &err), 0);
    assert_string_equal(buf_cstr(&answer), "abcde");
    assert_int_equal(fcgi_call_status(&answer), 0);
    buf_close(&answer);
}

static void
test_an_answer_without_its_end_is_a_failure(void **state)
{
    static const char said[] = "\1\6\0\1\0\3\0\0abc";
    struct err err = { 0 };
    struct buf answer;

    (void)state;
    application_says(said, sizeof(said) - 1, true);
    buf_init(&answer, MAX_BYTES);
    assert_int_equal(call(&answer, WAIT_MS, &err), -1);
    assert_string_equal(err.text, "the answer is cut");
    buf_close(&answer);
}

static void
test_an_application_that_falls_silent_costs_only_the_deadline(void **state)
{
    static const char said[] = "\1\6\0\1\0\3\0\0ab";
    const int64_t began_mono_ms = clock_mono_ms();
    struct err err = { 0 };
    struct buf answer;

    (void)state;
    application_says(said, sizeof(said) - 1, false);
    buf_init(&answer, MAX_BYTES);
    assert_int_equal(call(&answer, 300, &err), -1);
    assert_true(clock_mono_ms() - began_mono_ms >= 300);
    assert_string_equal(err.text, "no answer in time");
    assert_int_equal(err.kind, ERR_SYSTEM);
    buf_close(&answer);
}

static void
test_another_language_is_no_answer(void **state)
{
    static const char said[] = "HTTP/1.1 200 OK\r\n\r\n";
    struct err err = { 0 };
    struct buf answer;

    (void)state;
    application_says(said, sizeof(said) - 1, false);
    buf_init(&answer, MAX_BYTES);
    assert_int_equal(call(&answer, WAIT_MS, &err), -1);
    assert_string_equal(err.text, "the answer is no FastCGI");
    buf_close(&answer);
}

static void
test_an_answer_that_is_too_long_is_a_failure(void **state)
{
    static const char said[] = "\1\6\0\1\0\3\0\0abc" END_RECORD;
    struct err err = { 0 };
    struct buf answer;

    (void)state;
    application_says(said, sizeof(said) - 1, false);
    buf_init(&answer, 2);
    assert_int_equal(call(&answer, WAIT_MS, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    buf_close(&answer);
}

static void
test_nobody_there_is_a_failure_at_once(void **state)
{
    struct err err = { 0 };
    struct buf answer;

    (void)state;
    buf_init(&answer, MAX_BYTES);
    assert_int_equal(fcgi_call("/nonexistent/s", params, ARRAY_LEN(params),
                               clock_mono_ms() + WAIT_MS, &answer, &err),
                     -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    buf_close(&answer);
}

#define CALL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_the_whole_answer_comes_as_it_is),
        CALL_TEST(test_records_are_put_together_and_others_dropped),
        CALL_TEST(test_an_answer_without_its_end_is_a_failure),
        CALL_TEST(
            test_an_application_that_falls_silent_costs_only_the_deadline),
        CALL_TEST(test_another_language_is_no_answer),
        CALL_TEST(test_an_answer_that_is_too_long_is_a_failure),
        CALL_TEST(test_nobody_there_is_a_failure_at_once),
    };

    if (fcgi_global_init(NULL) == -1)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
