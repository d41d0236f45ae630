/* fake_http.c - see fake_http.h. */
#include "support/fake_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_HEAD_BYTES (sizeof(((struct fake_seen *)NULL)->last_head) - 1)

struct fake_http {
    pid_t pid;
    int port;
    const struct fake_route *routes;
    struct fake_seen *seen;
};

struct connection {
    struct fake_http *server;
    int fd;
    char head[MAX_HEAD_BYTES + 1]; /* what was read, as a string */
    size_t head_len;               /* including the blank line */
    char *body;
    size_t body_len;
};

/* What playing a step means for the connection. */
enum go { GO_ON, GO_CLOSE, GO_GONE };

static int64_t
now_mono_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- reading a request -------------------------------------------------- */

static bool
read_head(struct connection *conn, size_t *read_len)
{
    size_t len = 0;

    for (;;) {
        const ssize_t got =
            recv(conn->fd, conn->head + len, MAX_HEAD_BYTES - len, 0);
        const char *end;

        if (got <= 0)
            return false;
        len += (size_t)got;
        conn->head[len] = '\0';
        end = strstr(conn->head, "\r\n\r\n");
        if (end == NULL)
            continue;
        conn->head_len = (size_t)(end - conn->head) + 4;
        *read_len = len;
        return true;
    }
}

static bool
read_body(struct connection *conn, size_t read_len)
{
    const char *field = strcasestr(conn->head, "\r\ncontent-length:");
    size_t have = read_len - conn->head_len;

    free(conn->body);
    conn->body_len = 0;
    if (field != NULL && field < conn->head + conn->head_len)
        conn->body_len = strtoul(field + 17, NULL, 10);
    conn->body = malloc(conn->body_len + 1);
    if (conn->body == NULL || have > conn->body_len)
        return false;
    memcpy(conn->body, conn->head + conn->head_len, have);
    while (have < conn->body_len) {
        const ssize_t got =
            recv(conn->fd, conn->body + have, conn->body_len - have, 0);

        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

static bool
read_request(struct connection *conn)
{
    struct fake_seen *seen = conn->server->seen;
    size_t read_len;

    if (!read_head(conn, &read_len) || !read_body(conn, read_len))
        return false;
    conn->head[conn->head_len] = '\0';
    memcpy(seen->last_head, conn->head, conn->head_len + 1);
    atomic_fetch_add(&seen->requests, 1);
    return true;
}

/* ---- playing steps ------------------------------------------------------ */

static enum go
send_bytes(struct connection *conn, const char *bytes, size_t len)
{
    while (len > 0) {
        const ssize_t sent = send(conn->fd, bytes, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return GO_GONE;
        bytes += sent;
        len -= (size_t)sent;
    }
    return GO_ON;
}

/* Waits, for ever when ms is -1, unless the client leaves. */
static enum go
wait_ms(struct connection *conn, int ms)
{
    struct pollfd fd = { .fd = conn->fd, .events = POLLIN };

    return poll(&fd, 1, ms) == 0 ? GO_ON : GO_GONE;
}

static enum go
drip(struct connection *conn, const struct fake_step *step)
{
    const size_t len = step->count > 0 ? step->count : strlen(step->bytes);
    enum go go = GO_ON;

    for (size_t i = 0; go == GO_ON && i < len; i++) {
        go = send_bytes(conn, step->bytes + i, 1);
        if (go == GO_ON)
            go = wait_ms(conn, step->ms);
    }
    return go;
}

static enum go
fill(struct connection *conn, size_t len)
{
    char chunk[16384];
    enum go go = GO_ON;

    memset(chunk, FAKE_FILLER, sizeof(chunk));
    while (go == GO_ON && len > 0) {
        const size_t part = len < sizeof(chunk) ? len : sizeof(chunk);

        go = send_bytes(conn, chunk, part);
        len -= part;
    }
    return go;
}

static enum go
echo(struct connection *conn)
{
    char head[128];

    snprintf(head, sizeof(head),
             "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", conn->body_len);
    if (send_bytes(conn, head, strlen(head)) != GO_ON)
        return GO_GONE;
    return send_bytes(conn, conn->body, conn->body_len);
}

static enum go
reset(struct connection *conn)
{
    const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    return GO_CLOSE;
}

static enum go
play(struct connection *conn, const struct fake_step *step)
{
    switch (step->what) {
    case FAKE_SEND:
        return send_bytes(conn, step->bytes,
                          step->count > 0 ? step->count : strlen(step->bytes));
    case FAKE_DRIP:
        return drip(conn, step);
    case FAKE_FILL:
        return fill(conn, step->count);
    case FAKE_ECHO:
        return echo(conn);
    case FAKE_WAIT:
        return wait_ms(conn, step->ms);
    case FAKE_HANG:
        return wait_ms(conn, -1);
    case FAKE_RESET:
        return reset(conn);
    case FAKE_CLOSE:
    case FAKE_END:
        break;
    }
    return GO_CLOSE;
}

static const struct fake_step *
steps_for(const struct connection *conn)
{
    static const struct fake_step not_found[] = {
        FAKE_TEXT("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), { 0 }
    };
    const struct fake_route *route = conn->server->routes;
    const char *target = strchr(conn->head, ' ');

    for (; target != NULL && route->path != NULL; route++)
        if (strncmp(target + 1, route->path, strlen(route->path)) == 0)
            return route->steps;
    return not_found;
}

static void *
serve_connection(void *arg)
{
    struct connection *conn = arg;
    struct fake_seen *seen = conn->server->seen;
    enum go go = GO_ON;

    while (go == GO_ON && read_request(conn)) {
        const struct fake_step *step = steps_for(conn);

        for (; go == GO_ON && step->what != FAKE_END; step++)
            go = play(conn, step);
    }
    if (go == GO_GONE) {
        atomic_store(&seen->aborted_mono_ms, now_mono_ms());
        atomic_fetch_add(&seen->aborted, 1);
    }
    close(conn->fd);
    free(conn->body);
    free(conn);
    atomic_fetch_sub(&seen->open, 1);
    return NULL;
}

/* ---- the server --------------------------------------------------------- */

static _Noreturn void
serve(struct fake_http *server, int listener)
{
    pthread_attr_t detached;

    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) {
        struct connection *conn = calloc(1, sizeof(*conn));
        pthread_t thread;

        if (conn == NULL)
            _exit(1);
        conn->server = server;
        conn->fd = accept(listener, NULL, NULL);
        if (conn->fd == -1)
            _exit(1);
        atomic_fetch_add(&server->seen->open, 1);
        atomic_fetch_add(&server->seen->connections, 1);
        if (pthread_create(&thread, &detached, serve_connection, conn) != 0)
            _exit(1);
    }
}

static int
listen_somewhere(int *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* A test that crashes leaves no server behind. */
static void
die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
}

struct fake_http *
fake_http_start(const struct fake_route *routes)
{
    struct fake_http *server = calloc(1, sizeof(*server));
    const pid_t parent = getpid();
    int listener;

    assert_non_null(server);
    server->routes = routes;
    server->seen = mmap(NULL, sizeof(*server->seen), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(server->seen != MAP_FAILED);
    listener = listen_somewhere(&server->port);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        die_with(parent);
        serve(server, listener);
    }
    close(listener);
    return server;
}

void
fake_http_stop(struct fake_http *server)
{
    if (server == NULL)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    munmap(server->seen, sizeof(*server->seen));
    free(server);
}

void
fake_http_url(const struct fake_http *server, const char *path,
              char url[FAKE_URL_LEN])
{
    snprintf(url, FAKE_URL_LEN, "http://127.0.0.1:%d%s", server->port, path);
}

const struct fake_seen *
fake_http_seen(const struct fake_http *server)
{
    return server->seen;
}

bool
fake_http_reaches(const atomic_int *counter, int value, int within_ms)
{
    const int64_t deadline_mono_ms = now_mono_ms() + within_ms;

    while (atomic_load(counter) < value) {
        if (now_mono_ms() >= deadline_mono_ms)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}
