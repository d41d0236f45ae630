/* The gate against peers who leave, fall silent, drip, babble or change their
 * mind.  The ones that act while we wait are forked. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "gate/fcgi.h"
#include "support/fcgi_client.h"
#include "sys/fd.h"
#include "sys/sig.h"

#define QUICK_MS 1900 /* below libfcgi's two seconds of lingering */

static const struct fcgi_timeouts patient = { 5000, 5000 };
static const struct fcgi_timeouts hasty = { 60, 60 };

static struct fcgi *gate;
static struct buf body;
static int client; /* the web server's end */
static int server; /* ours, until fcgi_begin() takes it */
static int64_t begin_ms;

static int
set_up(void **state)
{
    int ends[2];

    (void)state;
    buf_init(&body, 100000);
    gate = fcgi_new(NULL);
    if (gate == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
        return -1;
    client = ends[0];
    server = ends[1];
    begin_ms = clock_mono_ms();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    fcgi_free(gate);
    buf_close(&body);
    fd_close(&client);
    return 0;
}

static int64_t
soon(void)
{
    return clock_mono_ms() + 10000;
}

/* It fails at once, says why, and has closed the descriptor. */
static void
assert_refused(const struct fcgi_timeouts *timeouts)
{
    struct err err = { 0 };

    assert_int_equal(fcgi_begin(gate, server, timeouts, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_int_equal(fcgi_fd(gate), -1);
    assert_int_equal(fcntl(server, F_GETFD), -1);
    assert_in_range(clock_mono_ms() - begin_ms, 0, QUICK_MS);
}

static void
send_params(void)
{
    assert_int_equal(fcgi_client_send_begin(client, false), 0);
    assert_int_equal(fcgi_client_send_param(client, "NAME", "value"), 0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_PARAMS, "", 0), 0);
}

static void
begin_without_body(void)
{
    send_params();
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_STDIN, "", 0), 0);
    assert_int_equal(fcgi_begin(gate, server, &hasty, NULL), 0);
    assert_int_equal(fcgi_read_body(gate, &body, soon()), FCGI_BODY_OK);
}

static void
test_who_closes_without_a_word_is_refused(void **state)
{
    (void)state;
    fd_close(&client);
    assert_refused(&patient);
}

static void
test_who_says_nothing_is_refused_after_the_time_out(void **state)
{
    (void)state;
    assert_refused(&hasty);
    assert_in_range(clock_mono_ms() - begin_ms, 59, QUICK_MS);
}

static void
test_who_speaks_http_is_refused_at_once(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    (void)state;
    assert_int_equal(write(client, text, sizeof(text)), sizeof(text));
    assert_refused(&patient);
}

static void
test_garbage_after_a_good_beginning_is_refused(void **state)
{
    (void)state;
    assert_int_equal(fcgi_client_send_begin(client, false), 0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_STDOUT, "x", 1), 0);
    assert_refused(&patient);
}

static void
test_a_request_without_a_beginning_is_refused(void **state)
{
    (void)state;
    assert_int_equal(fcgi_client_send_param(client, "NAME", "value"), 0);
    assert_refused(&hasty);
}

static void
test_who_leaves_between_two_parameters_is_refused(void **state)
{
    (void)state;
    assert_int_equal(fcgi_client_send_begin(client, false), 0);
    assert_int_equal(fcgi_client_send_param(client, "NAME", "value"), 0);
    fd_close(&client);
    assert_refused(&patient);
}

static void
test_who_falls_silent_between_two_parameters_is_refused(void **state)
{
    (void)state;
    assert_int_equal(fcgi_client_send_begin(client, false), 0);
    assert_int_equal(fcgi_client_send_param(client, "NAME", "value"), 0);
    assert_refused(&hasty);
}

static void
test_who_leaves_inside_a_parameter_is_refused(void **state)
{
    (void)state;
    assert_int_equal(fcgi_client_send_begin(client, false), 0);
    assert_int_equal(
        fcgi_client_send(client, FCGI_CLIENT_PARAMS, "\4\5NAMEva", 8), 0);
    fd_close(&client);
    assert_refused(&patient);
}

static void
test_what_is_no_socket_is_refused_and_closed(void **state)
{
    struct err err = { 0 };
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcgi_begin(gate, ends[0], &patient, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
    fd_close(&ends[1]);
    fd_close(&server);
}

static void
test_the_gate_works_on_after_a_refusal(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    fd_close(&ends[0]);
    assert_int_equal(fcgi_begin(gate, ends[1], &patient, NULL), -1);
    begin_without_body();
    assert_string_equal(fcgi_param(gate, "NAME"), "value");
}

static void
test_who_leaves_inside_the_body_cuts_it(void **state)
{
    (void)state;
    send_params();
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_STDIN, "hello", 5),
                     0);
    fd_close(&client);
    assert_int_equal(fcgi_begin(gate, server, &patient, NULL), 0);
    assert_int_equal(fcgi_read_body(gate, &body, soon()), FCGI_BODY_CUT);
}

static void
test_who_falls_silent_inside_the_body_is_too_slow(void **state)
{
    (void)state;
    send_params();
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_STDIN, "hello", 5),
                     0);
    assert_int_equal(fcgi_begin(gate, server, &hasty, NULL), 0);
    assert_int_equal(fcgi_read_body(gate, &body, soon()), FCGI_BODY_TOO_SLOW);
    assert_in_range(clock_mono_ms() - begin_ms, 59, QUICK_MS);
}

/* Forks a peer that sends a body of one byte every interval and, when asked,
 * a signal with each; returns its pid. */
static pid_t
fork_dripping_peer(int count, int interval_ms, int signo)
{
    const pid_t child = fork();

    if (child != 0)
        return child;
    for (int i = 0; i < count; i++) {
        if (fcgi_client_send(client, FCGI_CLIENT_STDIN, "x", 1) == -1)
            break;
        poll(NULL, 0, interval_ms);
        if (signo != 0)
            kill(getppid(), signo);
    }
    if (fcgi_client_send(client, FCGI_CLIENT_STDIN, "", 0) == -1)
        _exit(1);
    _exit(0);
}

static void
test_a_dripping_body_costs_only_the_deadline(void **state)
{
    pid_t child;

    (void)state;
    send_params();
    assert_int_equal(fcgi_begin(gate, server, &patient, NULL), 0);
    child = fork_dripping_peer(1000, 20, 0);
    assert_int_equal(fcgi_read_body(gate, &body, clock_mono_ms() + 200),
                     FCGI_BODY_TOO_SLOW);
    assert_in_range(clock_mono_ms() - begin_ms, 200, QUICK_MS);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void
test_signals_do_not_cut_a_body_and_come_out_after_it(void **state)
{
    static const int taken[] = { SIGUSR1 };
    pid_t child;

    (void)state;
    assert_int_equal(sig_open(taken, 1, NULL), 0);
    send_params();
    assert_int_equal(fcgi_begin(gate, server, &patient, NULL), 0);
    child = fork_dripping_peer(20, 3, SIGUSR1);
    assert_int_equal(fcgi_read_body(gate, &body, soon()), FCGI_BODY_OK);
    assert_int_equal(body.len, 20);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(sig_next(), SIGUSR1);
    sig_close_in_child();
}

static void
test_a_client_is_gone_when_it_closed_and_not_before(void **state)
{
    (void)state;
    begin_without_body();
    assert_false(fcgi_client_is_gone(gate));
    assert_int_equal(fd_wait(fcgi_fd(gate), POLLIN, 0), 0);
    fd_close(&client);
    assert_true(fd_wait(fcgi_fd(gate), POLLIN, 0) > 0);
    assert_true(fcgi_client_is_gone(gate));
}

static void
test_a_client_that_closed_its_half_is_gone(void **state)
{
    (void)state;
    begin_without_body();
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    assert_true(fcgi_client_is_gone(gate));
}

static void
test_a_body_not_yet_read_does_not_look_like_leaving(void **state)
{
    (void)state;
    send_params();
    assert_int_equal(fcgi_begin(gate, server, &patient, NULL), 0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_STDIN, "x", 1), 0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_STDIN, "", 0), 0);
    assert_false(fcgi_client_is_gone(gate));
    assert_int_equal(fcgi_read_body(gate, &body, soon()), FCGI_BODY_OK);
    assert_string_equal(buf_cstr(&body), "x");
}

static void
test_a_client_that_takes_its_request_back_is_gone(void **state)
{
    (void)state;
    begin_without_body();
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_ABORT, "", 0), 0);
    assert_true(fcgi_client_is_gone(gate));
    assert_true(fcgi_client_is_gone(gate));
}

static void
test_late_padding_is_not_leaving_and_does_not_stay_readable(void **state)
{
    (void)state;
    begin_without_body();
    assert_int_equal(write(client, "\0\0\0\0\0\0\0", 7), 7);
    assert_int_equal(fd_wait(fcgi_fd(gate), POLLIN, 0), POLLIN);
    assert_false(fcgi_client_is_gone(gate));
    assert_int_equal(fd_wait(fcgi_fd(gate), POLLIN, 0), 0);
    assert_int_equal(fcgi_client_send(client, FCGI_CLIENT_ABORT, "", 0), 0);
    assert_true(fcgi_client_is_gone(gate));
}

static void
test_whoever_leaves_after_late_padding_is_gone_at_the_first_look(void **state)
{
    (void)state;
    begin_without_body();
    assert_int_equal(write(client, "\0\0\0\0\0\0\0", 7), 7);
    fd_close(&client);
    assert_true(fcgi_client_is_gone(gate));
}

static void
test_writing_to_a_client_who_left_fails_and_goes_on_failing(void **state)
{
    struct err err = { 0 };

    (void)state;
    begin_without_body();
    fd_close(&client);
    assert_int_equal(fcgi_write(gate, "hello", 5, NULL), 0);
    assert_int_equal(fcgi_flush(gate, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_string_equal(err.text, "the client is gone");
    assert_int_equal(fcgi_write(gate, "hello", 5, NULL), -1);
    assert_int_equal(fcgi_flush(gate, NULL), -1);
}

static void
test_who_does_not_read_costs_one_send_time_out_in_all(void **state)
{
    static const struct fcgi_timeouts send_3000_ms = { 5000, 3000 };
    static const char large[1000000];
    struct err err = { 0 };

    (void)state;
    send_params();
    assert_int_equal(fcgi_begin(gate, server, &send_3000_ms, NULL), 0);
    begin_ms = clock_mono_ms();
    assert_int_equal(fcgi_write(gate, large, sizeof(large), &err), -1);
    assert_string_equal(err.text, "the client reads too slowly");
    fcgi_end(gate);
    assert_in_range(clock_mono_ms() - begin_ms, 2999, 5990);
}

/* How long the next write(2) may wait. */
static int64_t
send_timeout_ms(void)
{
    struct timeval timeout;
    socklen_t len = sizeof(timeout);

    assert_int_equal(
        getsockopt(fcgi_fd(gate), SOL_SOCKET, SO_SNDTIMEO, &timeout, &len), 0);
    return timeout.tv_sec * 1000 + timeout.tv_usec / 1000;
}

static void
test_a_later_deadline_gives_a_reader_its_time_back(void **state)
{
    (void)state;
    send_params();
    assert_int_equal(fcgi_begin(gate, server, &patient, NULL), 0);
    fcgi_set_deadline(gate, clock_mono_ms() - 1);
    assert_int_equal(fcgi_write(gate, "x", 1, NULL), 0);
    assert_int_equal(fcgi_flush(gate, NULL), 0);
    assert_in_range(send_timeout_ms(), 1, 20); /* as ticks of the kernel go */
    fcgi_set_deadline(gate, clock_mono_ms() + 3600000);
    assert_int_equal(fcgi_write(gate, "x", 1, NULL), 0);
    assert_int_equal(fcgi_flush(gate, NULL), 0);
    assert_int_equal(send_timeout_ms(), patient.send_ms);
}

static void
test_the_end_does_not_wait_past_the_deadline_either(void **state)
{
    static const char filling[4096];

    (void)state;
    send_params();
    assert_int_equal(fcgi_begin(gate, server, &patient, NULL), 0);
    while (send(fcgi_fd(gate), filling, sizeof(filling), MSG_DONTWAIT) > 0)
        continue;
    assert_int_equal(fcgi_write(gate, "x", 1, NULL), 0);
    fcgi_set_deadline(gate, clock_mono_ms() + 100);
    begin_ms = clock_mono_ms();
    fcgi_end(gate);
    assert_in_range(clock_mono_ms() - begin_ms, 50, patient.send_ms - 1000);
}

static int
start(void **state)
{
    (void)state;
    alarm(60); /* whatever hangs, this program does not */
    return fcgi_global_init(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_closes_without_a_word_is_refused),
        TEST(test_who_says_nothing_is_refused_after_the_time_out),
        TEST(test_who_speaks_http_is_refused_at_once),
        TEST(test_garbage_after_a_good_beginning_is_refused),
        TEST(test_a_request_without_a_beginning_is_refused),
        TEST(test_who_leaves_between_two_parameters_is_refused),
        TEST(test_who_falls_silent_between_two_parameters_is_refused),
        TEST(test_who_leaves_inside_a_parameter_is_refused),
        TEST(test_what_is_no_socket_is_refused_and_closed),
        TEST(test_the_gate_works_on_after_a_refusal),
        TEST(test_who_leaves_inside_the_body_cuts_it),
        TEST(test_who_falls_silent_inside_the_body_is_too_slow),
        TEST(test_a_dripping_body_costs_only_the_deadline),
        TEST(test_signals_do_not_cut_a_body_and_come_out_after_it),
        TEST(test_a_client_is_gone_when_it_closed_and_not_before),
        TEST(test_a_client_that_closed_its_half_is_gone),
        TEST(test_a_body_not_yet_read_does_not_look_like_leaving),
        TEST(test_a_client_that_takes_its_request_back_is_gone),
        TEST(test_late_padding_is_not_leaving_and_does_not_stay_readable),
        TEST(test_whoever_leaves_after_late_padding_is_gone_at_the_first_look),
        TEST(test_writing_to_a_client_who_left_fails_and_goes_on_failing),
        TEST(test_a_later_deadline_gives_a_reader_its_time_back),
        TEST(test_the_end_does_not_wait_past_the_deadline_either),
        TEST(test_who_does_not_read_costs_one_send_time_out_in_all),
    };

    return cmocka_run_group_tests_name("fcgi peers", tests, start, NULL);
}
