#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "sys/fd.h"
#include "sys/sock.h"

int __real_chmod(const char *name, mode_t mode);
int __wrap_chmod(const char *name, mode_t mode);

static enum { CHMOD_WORKS, CHMOD_DOES_NOTHING, CHMOD_FAILS } chmod_does;

int
__wrap_chmod(const char *name, mode_t mode)
{
    if (chmod_does == CHMOD_WORKS)
        return __real_chmod(name, mode);
    errno = EPERM;
    return chmod_does == CHMOD_FAILS ? -1 : 0;
}

static const struct sock_access usual = { .mode = 0660 };

static char folder[64];
static char path[128];
static int listener;

static int
set_up(void **state)
{
    (void)state;
    listener = -1;
    chmod_does = CHMOD_WORKS;
    snprintf(folder, sizeof(folder), "/tmp/test_sock.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/s", folder);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    fd_close(&listener);
    unlink(path);
    return rmdir(folder);
}

static mode_t
mode_of(const char *name)
{
    struct stat info;

    assert_int_equal(stat(name, &info), 0);
    return info.st_mode & 07777;
}

static void
test_a_listener_can_be_connected_to(void **state)
{
    int client;
    int server;

    (void)state;
    listener = sock_listen_unix(path, &usual, NULL);
    assert_true(listener >= 0);
    assert_true(sock_is_listening(listener));
    assert_int_equal(fcntl(listener, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(fcntl(listener, F_GETFD), FD_CLOEXEC);
    assert_int_equal(sock_accept(listener), -1);
    assert_int_equal(errno, EAGAIN);

    client = sock_connect_unix(path, NULL);
    assert_true(client >= 0);
    assert_int_equal(fcntl(client, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(fcntl(client, F_GETFD), FD_CLOEXEC);
    server = sock_accept(listener);
    assert_true(server >= 0);
    assert_int_equal(fcntl(server, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(server, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(client, "x", 1), 1);
    assert_false(sock_peer_is_gone(server));
    fd_close(&client);
    fd_close(&server);
}

static void
test_the_mode_is_as_asked_and_the_umask_as_it_was(void **state)
{
    const mode_t old = umask(0777);
    const struct sock_access narrow = { .mode = 0600, .group = "" };

    (void)state;
    listener = sock_listen_unix(path, &usual, NULL);
    assert_true(listener >= 0);
    assert_int_equal(mode_of(path), 0660);
    fd_close(&listener);
    assert_int_equal(umask(0), 0777);
    listener = sock_listen_unix(path, &narrow, NULL);
    assert_true(listener >= 0);
    assert_int_equal(mode_of(path), 0600);
    umask(old);
}

static void
test_the_mode_is_right_before_anybody_could_correct_it(void **state)
{
    const mode_t old = umask(0);

    (void)state;
    chmod_does = CHMOD_DOES_NOTHING;
    listener = sock_listen_unix(path, &usual, NULL);
    umask(old);
    assert_true(listener >= 0);
    assert_int_equal(mode_of(path), 0660);
}

static void
test_a_mode_that_cannot_be_set_is_an_error_and_leaves_no_socket(void **state)
{
    struct err err = { 0 };

    (void)state;
    chmod_does = CHMOD_FAILS;
    assert_int_equal(sock_listen_unix(path, &usual, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(access(path, F_OK), -1);
}

static void
test_the_group_is_as_asked(void **state)
{
    const struct group *own = getgrgid(getegid());
    struct sock_access asked = { .mode = 0660 };
    struct stat info;

    (void)state;
    assert_non_null(own);
    asked.group = own->gr_name;
    listener = sock_listen_unix(path, &asked, NULL);
    assert_true(listener >= 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_gid, getegid());
}

static void
test_an_unknown_group_is_an_error_and_leaves_no_socket(void **state)
{
    const struct sock_access wrong = { .mode = 0660, .group = "no-such-grp" };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(sock_listen_unix(path, &wrong, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.text, "no-such-grp"));
    assert_int_equal(access(path, F_OK), -1);
}

static void
test_a_stale_socket_is_replaced(void **state)
{
    (void)state;
    listener = sock_listen_unix(path, &usual, NULL);
    fd_close(&listener);
    assert_int_equal(mode_of(path), 0660);
    listener = sock_listen_unix(path, &usual, NULL);
    assert_true(listener >= 0);
}

static void
test_a_socket_that_answers_is_left_alone(void **state)
{
    struct err err = { 0 };
    int client;

    (void)state;
    listener = sock_listen_unix(path, &usual, NULL);
    assert_int_equal(sock_listen_unix(path, &usual, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_ptr_equal(strstr(err.text, "another process listens on "), err.text);
    client = sock_connect_unix(path, NULL);
    assert_true(client >= 0);
    fd_close(&client);
}

static void
test_a_socket_with_a_full_backlog_is_left_alone(void **state)
{
    int first;
    int second;
    struct err err = { 0 };

    (void)state;
    listener = sock_listen_unix(path, &usual, NULL);
    assert_int_equal(listen(listener, 0), 0);
    first = sock_connect_unix(path, NULL);
    assert_true(first >= 0);
    second = sock_connect_unix(path, &err);
    assert_int_equal(second, -1);
    assert_int_equal(errno, EAGAIN);
    err = (struct err){ 0 };
    assert_int_equal(sock_listen_unix(path, &usual, &err), -1);
    assert_non_null(strstr(err.text, "another process"));
    assert_int_equal(mode_of(path), 0660);
    fd_close(&first);
}

static void
test_a_file_that_is_no_socket_is_left_alone(void **state)
{
    struct err err = { 0 };
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    (void)state;
    fd_close(&fd);
    assert_int_equal(sock_listen_unix(path, &usual, &err), -1);
    assert_non_null(strstr(err.text, "no socket"));
    assert_int_equal(access(path, F_OK), 0);
}

static void
test_a_path_too_long_or_empty_is_refused(void **state)
{
    char longest[108];
    struct err err = { 0 };

    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(sock_connect_unix(longest, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM); /* it fits; nobody is there */
    err = (struct err){ 0 };
    assert_int_equal(sock_connect_unix("", &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    err = (struct err){ 0 };
    {
        char too_long[109];

        memset(too_long, 'x', sizeof(too_long) - 1);
        too_long[sizeof(too_long) - 1] = '\0';
        assert_int_equal(sock_listen_unix(too_long, &usual, &err), -1);
    }
    assert_int_equal(err.kind, ERR_INVALID);
}

static void
test_the_peer_has_our_user(void **state)
{
    struct err err = { 0 };
    int ends[2];
    int tcp = socket(AF_INET, SOCK_STREAM, 0);
    uid_t uid = (uid_t)-1;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(sock_peer_uid(ends[0], &uid, NULL), 0);
    assert_int_equal(uid, geteuid());
    assert_int_equal(sock_peer_uid(tcp, &uid, &err), -1);
    assert_int_equal(sock_peer_uid(-1, &uid, NULL), -1);
    fd_close(&ends[0]);
    fd_close(&ends[1]);
    fd_close(&tcp);
}

static void
test_time_outs_end_reads_and_writes(void **state)
{
    static const char large[100000];
    int64_t begin_ms = clock_mono_ms();
    int ends[2];
    char byte;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(sock_set_timeouts(ends[0], 10040, 30, NULL), 0);
    assert_int_equal(sock_set_timeouts(ends[0], 40, 0, NULL), 0);
    assert_int_equal(read(ends[0], &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_in_range(clock_mono_ms() - begin_ms, 39, 9000);

    begin_ms = clock_mono_ms();
    while (write(ends[0], large, sizeof(large)) > 0)
        continue;
    assert_int_equal(errno, EAGAIN);
    assert_in_range(clock_mono_ms() - begin_ms, 29, 9000);
    assert_int_equal(sock_set_timeouts(-1, 1, 1, NULL), -1);
    assert_int_equal(sock_set_timeouts(-1, 0, 1, NULL), -1);
    fd_close(&ends[0]);
    fd_close(&ends[1]);
}

static void
test_only_stream_listeners_count_as_listening(void **state)
{
    int tcp = socket(AF_INET, SOCK_STREAM, 0);
    int packets = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    const struct sockaddr any_name = { .sa_family = AF_UNIX };
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(bind(packets, &any_name, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(packets, 1), 0);
    assert_false(sock_is_listening(tcp));
    assert_int_equal(listen(tcp, 1), 0);
    assert_true(sock_is_listening(tcp));
    assert_false(sock_is_listening(packets));
    assert_false(sock_is_listening(ends[0]));
    assert_false(sock_is_listening(-1));
    fd_close(&tcp);
    fd_close(&packets);
    fd_close(&ends[0]);
    fd_close(&ends[1]);
}

static void
test_a_peer_is_gone_when_it_closed_and_not_before(void **state)
{
    int ends[2];
    char byte = 'x';

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_false(sock_peer_is_gone(ends[0]));
    assert_int_equal(write(ends[1], &byte, 1), 1);
    assert_false(sock_peer_is_gone(ends[0]));
    assert_int_equal(read(ends[0], &byte, 1), 1); /* it was only looked at */
    assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    assert_true(sock_peer_is_gone(ends[0]));
    fd_close(&ends[0]);
    fd_close(&ends[1]);
}

static void
test_a_peer_that_broke_the_connection_is_gone(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(write(ends[0], "x", 1), 1);
    fd_close(&ends[1]); /* unread bytes make this a reset */
    assert_true(sock_peer_is_gone(ends[0]));
    fd_close(&ends[0]);
}

/* In a child, because the variables and descriptor 3 are the process's. */
static int
systemd_fds_in_a_child(const char *pid, const char *count, int open_count)
{
    const pid_t child = fork();
    int status;

    if (child == 0) {
        char own[16];
        int result;

        snprintf(own, sizeof(own), "%d", (int)getpid());
        setenv("LISTEN_PID", pid != NULL ? pid : own, 1);
        setenv("LISTEN_FDS", count, 1);
        closefrom(3);
        for (int i = 0; i < open_count; i++)
            if (open("/dev/null", O_RDONLY) != 3 + i)
                _exit(100);
        result = sock_systemd_fds();
        if (getenv("LISTEN_PID") != NULL || getenv("LISTEN_FDS") != NULL)
            _exit(101);
        for (int i = 0; i < result; i++)
            if (fcntl(3 + i, F_GETFD) != FD_CLOEXEC)
                _exit(102);
        _exit(result);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
test_descriptors_from_systemd_are_counted_for_us_alone(void **state)
{
    (void)state;
    assert_int_equal(systemd_fds_in_a_child(NULL, "2", 2), 2);
    assert_int_equal(systemd_fds_in_a_child("1", "2", 2), 0);
    assert_int_equal(systemd_fds_in_a_child("", "2", 2), 0);
    assert_int_equal(systemd_fds_in_a_child(NULL, "two", 2), 0);
    assert_int_equal(systemd_fds_in_a_child(NULL, "-1", 2), 0);
    assert_int_equal(systemd_fds_in_a_child(NULL, "3", 2), 0);
    assert_int_equal(sock_systemd_fds(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_listener_can_be_connected_to),
        TEST(test_the_mode_is_as_asked_and_the_umask_as_it_was),
        TEST(test_the_mode_is_right_before_anybody_could_correct_it),
        TEST(test_a_mode_that_cannot_be_set_is_an_error_and_leaves_no_socket),
        TEST(test_the_group_is_as_asked),
        TEST(test_an_unknown_group_is_an_error_and_leaves_no_socket),
        TEST(test_a_stale_socket_is_replaced),
        TEST(test_a_socket_that_answers_is_left_alone),
        TEST(test_a_socket_with_a_full_backlog_is_left_alone),
        TEST(test_a_file_that_is_no_socket_is_left_alone),
        TEST(test_a_path_too_long_or_empty_is_refused),
        TEST(test_the_peer_has_our_user),
        TEST(test_time_outs_end_reads_and_writes),
        TEST(test_only_stream_listeners_count_as_listening),
        TEST(test_a_peer_is_gone_when_it_closed_and_not_before),
        TEST(test_a_peer_that_broke_the_connection_is_gone),
        TEST(test_descriptors_from_systemd_are_counted_for_us_alone),
    };

    return cmocka_run_group_tests_name("sock", tests, NULL, NULL);
}
