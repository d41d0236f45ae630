/* listed_http.c - see listed_http.h. */
#include "support/listed_http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_REQUESTS      16
#define MAX_REQUEST_BYTES 16384
#define MAX_SILENT        16

struct listed_http {
    const char *const *answers;
    int listen_fd;
    int stop_fds[2];
    int port;
    pthread_t thread;
    pthread_mutex_t lock; /* guards count and requests */
    size_t count;
    size_t answered;
    char requests[MAX_REQUESTS][MAX_REQUEST_BYTES];
    int silent_fds[MAX_SILENT];
    size_t silent_count;
};

static size_t
body_bytes_wanted(const char *request)
{
    static const char name[] = "\r\nContent-Length:";
    const char *end = strstr(request, "\r\n\r\n");
    const char *field = strcasestr(request, name);

    if (end == NULL)
        return SIZE_MAX;
    if (field == NULL || field > end)
        return 0;
    return (size_t)strtoul(field + strlen(name), NULL, 10);
}

static bool
is_whole(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");

    return end != NULL && strlen(end + 4) >= body_bytes_wanted(request);
}

static void
read_request(int fd, char request[MAX_REQUEST_BYTES])
{
    size_t len = 0;

    request[0] = '\0';
    while (!is_whole(request) && len < MAX_REQUEST_BYTES - 1) {
        const ssize_t got =
            read(fd, request + len, MAX_REQUEST_BYTES - 1 - len);

        if (got <= 0)
            return;
        len += (size_t)got;
        request[len] = '\0';
    }
}

static void
send_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        const ssize_t sent = send(fd, text, left, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        text += sent;
        left -= (size_t)sent;
    }
}

static void
serve(struct listed_http *server, int fd)
{
    const char *answer = server->answers[0];

    assert_true(server->count < MAX_REQUESTS);
    read_request(fd, server->requests[server->count]);
    for (size_t i = 0; i <= server->count && server->answers[i] != NULL; i++)
        answer = server->answers[i];
    pthread_mutex_lock(&server->lock);
    server->count++;
    pthread_mutex_unlock(&server->lock);
    if (answer[0] == '\0' && server->silent_count < MAX_SILENT) {
        server->silent_fds[server->silent_count++] = fd;
    } else {
        send_all(fd, answer);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
    pthread_mutex_lock(&server->lock);
    server->answered++;
    pthread_mutex_unlock(&server->lock);
}

static void *
run(void *arg)
{
    struct listed_http *server = arg;
    struct pollfd fds[2] = {
        { .fd = server->listen_fd, .events = POLLIN },
        { .fd = server->stop_fds[0], .events = POLLIN },
    };

    for (;;) {
        int fd;

        if (poll(fds, 2, -1) == -1)
            continue;
        if (fds[1].revents != 0)
            return NULL;
        fd = accept(server->listen_fd, NULL, NULL);
        if (fd != -1)
            serve(server, fd);
    }
}

struct listed_http *
listed_http_start(const char *const *answers)
{
    struct listed_http *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);

    assert_non_null(server);
    server->answers = answers;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_not_equal(server->listen_fd, -1);
    assert_int_equal(bind(server->listen_fd, (struct sockaddr *)&address, len),
                     0);
    assert_int_equal(listen(server->listen_fd, 16), 0);
    assert_int_equal(
        getsockname(server->listen_fd, (struct sockaddr *)&address, &len), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pipe(server->stop_fds), 0);
    assert_int_equal(pthread_mutex_init(&server->lock, NULL), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
    return server;
}

void
listed_http_stop(struct listed_http *server)
{
    assert_int_equal(write(server->stop_fds[1], "", 1), 1);
    pthread_join(server->thread, NULL);
    for (size_t i = 0; i < server->silent_count; i++)
        close(server->silent_fds[i]);
    close(server->stop_fds[0]);
    close(server->stop_fds[1]);
    close(server->listen_fd);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

int
listed_http_port(const struct listed_http *server)
{
    return server->port;
}

size_t
listed_http_count(struct listed_http *server)
{
    size_t count;

    pthread_mutex_lock(&server->lock);
    count = server->count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

size_t
listed_http_answered(struct listed_http *server)
{
    size_t answered;

    pthread_mutex_lock(&server->lock);
    answered = server->answered;
    pthread_mutex_unlock(&server->lock);
    return answered;
}

const char *
listed_http_request(struct listed_http *server, size_t index)
{
    assert_true(index < listed_http_count(server));
    return server->requests[index];
}
