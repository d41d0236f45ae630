/*
 * server.c - see server.h.  The only file that includes libmicrohttpd.
 *
 * The library runs inside our loop: its epoll set is one descriptor of ours.
 * It takes a suspended connection out of its set, so it would not see the
 * client leave before the next write; ours holds every connection, for
 * EPOLLRDHUP alone, from its first to its last moment.
 */
#include "modelsim/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <microhttpd.h>

#include "base/clock.h"
#include "modelsim/exchange.h"
#include "modelsim/timers.h"
#include "sys/fd.h"

#define EVENTS_PER_TURN   256
#define BACKLOG           4096U
#define WHOLE_BLOCK_BYTES 16384
#define CHUNK_BLOCK_BYTES 64 /* chunks are written without a block */

/* One connection. */
struct link {
    struct channel channel;
    struct server *server;
    struct exchange *exchange; /* the request on it, or NULL */
    struct link *next;
    struct link *previous;
};

struct server {
    struct provider *provider;
    struct MHD_Daemon *daemon;
    int epoll_fd;
    struct timers timers;
    struct link *links;
};

/* ---- the answer -------------------------------------------------------- */

static ssize_t
on_read(void *arg, uint64_t position, char *bytes, size_t max_bytes)
{
    size_t len;

    (void)position;
    switch (exchange_read(arg, bytes, max_bytes, &len)) {
    case EXCHANGE_BYTES:
        return (ssize_t)len;
    case EXCHANGE_NOT_YET:
        return 0;
    case EXCHANGE_ALL:
        return MHD_CONTENT_READER_END_OF_STREAM;
    case EXCHANGE_BREAK:
        break;
    }
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static bool
add_headers(struct MHD_Response *response, const struct script *script)
{
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                script->content_type) == MHD_NO)
        return false;
    return script->header == NULL ||
           MHD_add_response_header(response, script->header,
                                   script->header_value) == MHD_YES;
}

static enum MHD_Result
answer(struct MHD_Connection *connection, struct exchange *exchange)
{
    const struct script *script = exchange_script(exchange);
    const uint64_t size =
        script->chunked ? MHD_SIZE_UNKNOWN : script->declared_bytes;
    struct MHD_Response *response = MHD_create_response_from_callback(
        size, script->chunked ? CHUNK_BLOCK_BYTES : WHOLE_BLOCK_BYTES, on_read,
        exchange, NULL);
    enum MHD_Result result = MHD_NO;

    if (response == NULL)
        return MHD_NO;
    if (add_headers(response, script))
        result =
            MHD_queue_response(connection, (unsigned)script->status, response);
    MHD_destroy_response(response); /* the connection holds its own */
    return result;
}

static enum MHD_Result
refuse_size(struct MHD_Connection *connection)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    const enum MHD_Result result =
        MHD_queue_response(connection, MHD_HTTP_CONTENT_TOO_LARGE, response);

    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result
obey(struct MHD_Connection *connection, struct exchange *exchange,
     enum exchange_step step)
{
    switch (step) {
    case EXCHANGE_WAITS:
        return MHD_YES;
    case EXCHANGE_ANSWERS:
        return answer(connection, exchange);
    case EXCHANGE_REFUSES:
        return refuse_size(connection);
    case EXCHANGE_CLOSES:
        break;
    }
    return MHD_NO;
}

/* ---- the request ------------------------------------------------------- */

static const char *
header_of(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static const char *
argument_of(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static struct http_request
request_of(struct MHD_Connection *connection, const char *method,
           const char *path)
{
    return (struct http_request){
        .method = method,
        .path = path,
        .alt = argument_of(connection, "alt"),
        .key = argument_of(connection, "key"),
        .authorization = header_of(connection, "Authorization"),
        .goog_api_key = header_of(connection, "x-goog-api-key"),
        .metadata_flavor = header_of(connection, "Metadata-Flavor"),
        .sim = header_of(connection, "X-Sim"),
    };
}

static struct exchange *
open_exchange(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct link *link = info == NULL ? NULL : info->socket_context;

    if (link == NULL)
        return NULL;
    link->exchange = exchange_new(&link->channel);
    return link->exchange;
}

/* Called for the headers, for each part of the body, for the end of the body,
 * and after every resume without an answer. */
static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *path,
           const char *method, const char *version, const char *upload,
           size_t *upload_len, void **state)
{
    struct exchange *exchange = *state;
    struct http_request request;

    (void)arg;
    (void)version;
    if (exchange == NULL) {
        *state = open_exchange(connection);
        return *state == NULL ? MHD_NO : MHD_YES;
    }
    if (*upload_len > 0) {
        exchange_receive(exchange, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    if (!exchange_is_receiving(exchange))
        return obey(connection, exchange, exchange_go_on(exchange));
    request = request_of(connection, method, path);
    return obey(connection, exchange, exchange_begin(exchange, &request));
}

static void
on_completed(void *arg, struct MHD_Connection *connection, void **state,
             enum MHD_RequestTerminationCode code)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct exchange *exchange = *state;
    struct link *link = info->socket_context;

    (void)arg;
    if (exchange == NULL)
        return;
    exchange_end(exchange, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    exchange_free(exchange);
    link->exchange = NULL;
    *state = NULL;
}

/* ---- connections ------------------------------------------------------- */

static void
suspend(void *connection)
{
    MHD_suspend_connection(connection);
}

static void
resume(void *connection)
{
    MHD_resume_connection(connection);
}

static struct link *
link_open(struct server *server, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET };
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL)
        return NULL;
    link->server = server;
    link->channel = (struct channel){
        .provider = server->provider,
        .timers = &server->timers,
        .fd = info->connect_fd,
        .connection = connection,
        .suspend = suspend,
        .resume = resume,
    };
    event.data.ptr = link;
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, info->connect_fd, &event) ==
        -1) {
        free(link);
        return NULL;
    }
    link->next = server->links;
    if (link->next != NULL)
        link->next->previous = link;
    server->links = link;
    return link;
}

static void
link_close(struct link *link)
{
    struct server *server = link->server;

    if (link->previous != NULL)
        link->previous->next = link->next;
    else
        server->links = link->next;
    if (link->next != NULL)
        link->next->previous = link->previous;
    epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, link->channel.fd, NULL);
    free(link);
}

static void
on_connection(void *arg, struct MHD_Connection *connection,
              void **socket_context, enum MHD_ConnectionNotificationCode event)
{
    struct server *server = arg;

    if (event == MHD_CONNECTION_NOTIFY_STARTED) {
        provider_connected(server->provider);
        *socket_context = link_open(server, connection);
    } else if (*socket_context != NULL) {
        link_close(*socket_context);
        *socket_context = NULL;
    }
}

static void
on_client_left(struct link *link)
{
    link->channel.client_left = true;
    if (link->exchange != NULL && !exchange_is_receiving(link->exchange))
        exchange_leave(link->exchange);
}

/* ---- start and stop ---------------------------------------------------- */

/* The library would report every client that leaves. */
static void
say_nothing(void *arg, const char *format, va_list args)
{
    (void)arg;
    (void)format;
    (void)args;
}

static int
start_daemon(struct server *server, const struct server_options *options,
             struct err *err)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(options->port) };

    if (inet_pton(AF_INET, options->address, &address.sin_addr) != 1)
        return err_set(err, ERR_INVALID, "%s is no IPv4 address",
                       options->address);
    errno = 0;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
        NULL, on_request, NULL, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL,
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, BACKLOG, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)options->max_connections, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_END);
    if (server->daemon == NULL)
        return err_set_errno(err, ERR_SYSTEM, "cannot listen on %s:%u",
                             options->address, options->port);
    return 0;
}

static int
watch(struct server *server, int fd, void *what, struct err *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };

    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) == -1)
        return err_set_errno(err, ERR_SYSTEM, "epoll_ctl");
    return 0;
}

static int
watch_daemon(struct server *server, struct err *err)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);

    return watch(server, info->epoll_fd, server->daemon, err);
}

struct server *
server_new(const struct server_options *options, struct provider *provider,
           struct err *err)
{
    struct server *server = calloc(1, sizeof(*server));

    if (server == NULL) {
        err_set(err, ERR_NOMEM, "server");
        return NULL;
    }
    server->provider = provider;
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll_fd == -1) {
        err_set_errno(err, ERR_SYSTEM, "epoll_create1");
        goto fail;
    }
    if (start_daemon(server, options, err) == -1 ||
        watch_daemon(server, err) == -1)
        goto fail;
    return server;

fail:
    server_free(server);
    return NULL;
}

void
server_free(struct server *server)
{
    if (server == NULL)
        return;
    /* The library must not be stopped with suspended connections. */
    for (struct link *link = server->links; link != NULL; link = link->next) {
        link->channel.client_left = true; /* nothing more is sent */
        if (link->exchange != NULL)
            exchange_wake(link->exchange);
    }
    if (server->daemon != NULL)
        MHD_stop_daemon(server->daemon); /* frees exchanges and links */
    timers_close(&server->timers);
    fd_close(&server->epoll_fd);
    free(server);
}

uint16_t
server_port(const struct server *server)
{
    return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

/* ---- the loop ---------------------------------------------------------- */

static int
next_wait_ms(struct server *server)
{
    MHD_UNSIGNED_LONG_LONG http_ms;

    /* Connections have no time-outs: if the library names a time, it is 0. */
    if (MHD_get_timeout(server->daemon, &http_ms) == MHD_YES)
        return 0;
    return timers_left_ms(&server->timers);
}

static void
run_timers(struct server *server)
{
    const int64_t now_mono_ms = clock_mono_ms();
    struct timer *timer;

    while ((timer = timers_take_due(&server->timers, now_mono_ms)) != NULL)
        exchange_on_timer(timer);
}

int
server_run(struct server *server, int stop_fd, struct err *err)
{
    struct epoll_event events[EVENTS_PER_TURN];

    if (watch(server, stop_fd, server, err) == -1)
        return -1;
    for (;;) {
        const int count = epoll_wait(server->epoll_fd, events, EVENTS_PER_TURN,
                                     next_wait_ms(server));

        if (count == -1 && errno != EINTR)
            return err_set_errno(err, ERR_SYSTEM, "epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == server)
                return 0;
            if (events[i].data.ptr != server->daemon)
                on_client_left(events[i].data.ptr);
        }
        run_timers(server);
        /* Last: it frees links, which the events above may still name. */
        MHD_run(server->daemon);
    }
}
