/*
 * server.c - see server.h.  The only file that includes libmicrohttpd.
 *
 * The library runs inside our loop: its epoll set is one descriptor of ours.
 * It takes a suspended connection out of its set, so it would not see the
 * client leave before the next write; ours holds every connection, for
 * EPOLLRDHUP alone, from its first to its last moment.
 *
 * Two things the library cannot do are done on the socket beneath it: a TCP
 * reset, and a status line that comes byte by byte.  The latter is sent while
 * the connection is suspended, which is then closed without an answer.
 */
#include "modelsim/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <microhttpd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "modelsim/player.h"
#include "modelsim/timers.h"
#include "sys/fd.h"

#define MAX_BODY_BYTES    (32 << 20)
#define EVENTS_PER_TURN   256
#define BACKLOG           4096U
#define WHOLE_BLOCK_BYTES 16384
#define CHUNK_BLOCK_BYTES 64 /* chunks are written without a block */

enum stage {
    STAGE_RECEIVING,
    STAGE_WAITING, /* nothing has been sent */
    STAGE_SENDING, /* the library asks us for bytes */
    STAGE_RAW,     /* we write to the socket beneath it */
    STAGE_OVER,    /* close it */
};

struct exchange;

/* One connection. */
struct link {
    struct server *server;
    int fd; /* the library's */
    bool client_left;
    unsigned roles_seen;
    struct exchange *exchange; /* the request on it, or NULL */
    struct link *next;
    struct link *previous;
};

/* One request and its answer. */
struct exchange {
    struct timer timer; /* first, so that a timer is its exchange */
    struct server *server;
    struct link *link;
    struct MHD_Connection *connection;
    enum stage stage;
    bool is_suspended;
    bool is_settled; /* its outcome has been counted */
    bool is_too_large;
    struct buf body;
    bool has_answer;
    struct answer answer;
    struct player player;
};

struct server {
    struct provider *provider;
    struct MHD_Daemon *daemon;
    int epoll_fd;
    int http_fd; /* the library's epoll set */
    struct timers timers;
    struct link *links;
};

/* ---- one exchange ------------------------------------------------------ */

static struct exchange *
exchange_new(struct server *server, struct link *link,
             struct MHD_Connection *connection)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));

    if (exchange == NULL)
        return NULL;
    exchange->server = server;
    exchange->link = link;
    exchange->connection = connection;
    buf_init(&exchange->body, MAX_BODY_BYTES);
    link->exchange = exchange;
    return exchange;
}

static void
exchange_settle(struct exchange *exchange, enum outcome outcome)
{
    if (exchange->is_settled || !exchange->has_answer)
        return;
    exchange->is_settled = true;
    provider_done(exchange->server->provider, &exchange->answer, outcome);
}

static void
exchange_free(struct exchange *exchange)
{
    timers_clear(&exchange->server->timers, &exchange->timer);
    if (exchange->has_answer)
        script_close(&exchange->answer.script);
    buf_close(&exchange->body);
    exchange->link->exchange = NULL;
    free(exchange);
}

static void
suspend(struct exchange *exchange)
{
    if (exchange->is_suspended)
        return;
    exchange->is_suspended = true;
    MHD_suspend_connection(exchange->connection);
}

static void
resume(struct exchange *exchange)
{
    timers_clear(&exchange->server->timers, &exchange->timer);
    if (!exchange->is_suspended)
        return;
    exchange->is_suspended = false;
    MHD_resume_connection(exchange->connection);
}

/* Suspends until then.  Without memory for a timer the exchange is over. */
static void
wait_until(struct exchange *exchange, int64_t due_mono_ms)
{
    suspend(exchange);
    if (timers_set(&exchange->server->timers, &exchange->timer, due_mono_ms,
                   NULL) == -1) {
        exchange->stage = STAGE_OVER;
        resume(exchange);
    }
}

/* ---- sending through the library --------------------------------------- */

/* connect(2) to nowhere dissolves the connection; Linux tells the peer by a
 * reset.  What was sent before has left: it is on the loopback. */
static void
reset_peer(int fd)
{
    const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

    if (connect(fd, &nowhere, sizeof(nowhere)) == -1)
        shutdown(fd, SHUT_RDWR);
}

static ssize_t
break_connection(struct exchange *exchange, bool by_reset)
{
    exchange_settle(exchange, OUTCOME_BROKEN);
    if (by_reset)
        reset_peer(exchange->link->fd);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static ssize_t
on_read(void *arg, uint64_t position, char *bytes, size_t max_bytes)
{
    struct exchange *exchange = arg;
    struct player *player = &exchange->player;
    struct player_piece piece;

    (void)position;
    if (exchange->link->client_left || exchange->stage == STAGE_OVER)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    switch (player_next(player, clock_mono_ms(), max_bytes, &piece)) {
    case PLAYER_SENDS:
        memcpy(bytes, piece.bytes, piece.len);
        return (ssize_t)piece.len;
    case PLAYER_WAITS:
        wait_until(exchange, player->due_mono_ms);
        return 0;
    case PLAYER_HANGS:
        suspend(exchange);
        return 0;
    case PLAYER_CUTS:
        return break_connection(exchange, false);
    case PLAYER_RESETS:
        return break_connection(exchange, true);
    case PLAYER_ENDS:
        break;
    }
    exchange_settle(exchange, OUTCOME_COMPLETED);
    return MHD_CONTENT_READER_END_OF_STREAM;
}

static enum MHD_Result
start_sending(struct exchange *exchange)
{
    const struct script *script = &exchange->answer.script;
    const uint64_t size =
        script->chunked ? MHD_SIZE_UNKNOWN : script->declared_bytes;
    struct MHD_Response *response = MHD_create_response_from_callback(
        size, script->chunked ? CHUNK_BLOCK_BYTES : WHOLE_BLOCK_BYTES, on_read,
        exchange, NULL);
    enum MHD_Result result = MHD_NO;

    if (response == NULL)
        return MHD_NO;
    exchange->stage = STAGE_SENDING;
    player_start(&exchange->player, script, clock_mono_ms());
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                script->content_type) == MHD_YES &&
        (script->header == NULL ||
         MHD_add_response_header(response, script->header,
                                 script->header_value) == MHD_YES))
        result = MHD_queue_response(exchange->connection,
                                    (unsigned)script->status, response);
    MHD_destroy_response(response); /* the connection holds its own */
    return result;
}

/* ---- sending beneath the library --------------------------------------- */

/* The same answer with its status line and headers as part of the body. */
static int
make_raw(struct script *script)
{
    struct script raw = *script;
    char head[256];

    snprintf(head, sizeof(head),
             "HTTP/1.1 %d \r\nContent-Type: %s\r\nConnection: close\r\n\r\n",
             script->status, script->content_type);
    buf_init(&raw.bytes, SCRIPT_MAX_BYTES);
    raw.steps = NULL;
    raw.step_count = 0;
    raw.step_capacity = 0;
    script_add_text(&raw, head);
    script_add(&raw, buf_cstr(&script->bytes), script->bytes.len);
    script_close(script);
    *script = raw;
    return script_failed(script) ? -1 : 0;
}

static void
end_raw(struct exchange *exchange, enum outcome outcome)
{
    exchange_settle(exchange, outcome);
    exchange->stage = STAGE_OVER;
    resume(exchange);
}

/* A full socket ends it: the client of a drip that does not read has left. */
static void
send_raw(struct exchange *exchange)
{
    struct player *player = &exchange->player;
    struct player_piece piece;
    enum player_move move;

    while ((move = player_next(player, clock_mono_ms(), SIZE_MAX, &piece)) ==
           PLAYER_SENDS)
        if (send(exchange->link->fd, piece.bytes, piece.len,
                 MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)piece.len) {
            end_raw(exchange, OUTCOME_ABORTED);
            return;
        }
    if (move == PLAYER_WAITS)
        wait_until(exchange, player->due_mono_ms);
    else
        end_raw(exchange, OUTCOME_COMPLETED);
}

static void
start_raw(struct exchange *exchange)
{
    exchange->stage = STAGE_RAW;
    if (make_raw(&exchange->answer.script) == -1) {
        end_raw(exchange, OUTCOME_BROKEN);
        return;
    }
    player_start(&exchange->player, &exchange->answer.script, clock_mono_ms());
    suspend(exchange);
    send_raw(exchange);
}

/* ---- the request ------------------------------------------------------- */

static const char *
header_of(struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND,
                                       name);
}

static const char *
argument_of(struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection,
                                       MHD_GET_ARGUMENT_KIND, name);
}

static void
ask_provider(struct exchange *exchange, const char *method, const char *path)
{
    const struct http_request request = {
        .method = method,
        .path = path,
        .alt = argument_of(exchange, "alt"),
        .key = argument_of(exchange, "key"),
        .authorization = header_of(exchange, "Authorization"),
        .goog_api_key = header_of(exchange, "x-goog-api-key"),
        .metadata_flavor = header_of(exchange, "Metadata-Flavor"),
        .sim = header_of(exchange, "X-Sim"),
        .body = buf_cstr(&exchange->body),
        .body_len = exchange->body.len,
        .roles_seen = &exchange->link->roles_seen,
    };

    provider_answer(exchange->server->provider, &request, &exchange->answer);
    exchange->has_answer = true;
    buf_shrink(&exchange->body, 0);
}

/* The whole request is here: now it waits for as long as its script says. */
static enum MHD_Result
accept_request(struct exchange *exchange, const char *method, const char *path)
{
    const struct script *script = &exchange->answer.script;

    ask_provider(exchange, method, path);
    exchange->stage = STAGE_WAITING;
    if (exchange->link->client_left) {
        exchange_settle(exchange, OUTCOME_ABORTED);
        return MHD_NO;
    }
    if (script->status == 0)
        suspend(exchange);
    else if (script->delay_ms > 0)
        wait_until(exchange, clock_mono_ms() + script->delay_ms);
    else if (script->drips_headers)
        start_raw(exchange);
    else
        return start_sending(exchange);
    return MHD_YES;
}

static enum MHD_Result
refuse_size(struct exchange *exchange)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result;

    exchange->stage = STAGE_SENDING;
    result = MHD_queue_response(exchange->connection,
                                MHD_HTTP_CONTENT_TOO_LARGE, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result
receive(struct exchange *exchange, const char *bytes, size_t len)
{
    if (!exchange->is_too_large &&
        buf_append(&exchange->body, bytes, len) != BUF_OK)
        exchange->is_too_large = true;
    return MHD_YES;
}

/* ---- the library's callbacks ------------------------------------------- */

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *path,
           const char *method, const char *version, const char *upload,
           size_t *upload_len, void **state)
{
    struct exchange *exchange = *state;

    (void)version;
    if (exchange == NULL) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(
            connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        if (info == NULL || info->socket_context == NULL)
            return MHD_NO;
        *state = exchange_new(arg, info->socket_context, connection);
        return *state == NULL ? MHD_NO : MHD_YES;
    }
    if (*upload_len > 0) {
        const size_t len = *upload_len;

        *upload_len = 0;
        return receive(exchange, upload, len);
    }
    if (exchange->link->client_left && exchange->stage != STAGE_RECEIVING)
        return MHD_NO;
    switch (exchange->stage) {
    case STAGE_RECEIVING:
        return exchange->is_too_large ? refuse_size(exchange)
                                      : accept_request(exchange, method, path);
    case STAGE_WAITING:
        return start_sending(exchange);
    case STAGE_SENDING:
    case STAGE_RAW:
    case STAGE_OVER:
        break;
    }
    return MHD_NO;
}

static void
on_completed(void *arg, struct MHD_Connection *connection, void **state,
             enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *state;

    (void)arg;
    (void)connection;
    if (exchange == NULL)
        return;
    exchange_settle(exchange, code == MHD_REQUEST_TERMINATED_COMPLETED_OK
                                  ? OUTCOME_COMPLETED
                                  : OUTCOME_ABORTED);
    exchange_free(exchange);
    *state = NULL;
}

static void
link_open(struct server *server, struct MHD_Connection *connection,
          void **socket_context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct link *link = calloc(1, sizeof(*link));
    struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET };

    if (link == NULL)
        return;
    link->server = server;
    link->fd = info->connect_fd;
    event.data.ptr = link;
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, link->fd, &event) == -1) {
        free(link);
        return;
    }
    link->next = server->links;
    if (link->next != NULL)
        link->next->previous = link;
    server->links = link;
    *socket_context = link;
    provider_connected(server->provider);
}

static void
link_close(struct link *link)
{
    if (link->previous != NULL)
        link->previous->next = link->next;
    else
        link->server->links = link->next;
    if (link->next != NULL)
        link->next->previous = link->previous;
    epoll_ctl(link->server->epoll_fd, EPOLL_CTL_DEL, link->fd, NULL);
    free(link);
}

static void
on_connection(void *arg, struct MHD_Connection *connection,
              void **socket_context, enum MHD_ConnectionNotificationCode event)
{
    if (event == MHD_CONNECTION_NOTIFY_STARTED) {
        link_open(arg, connection, socket_context);
    } else if (*socket_context != NULL) {
        link_close(*socket_context);
        *socket_context = NULL;
    }
}

/* ---- start and stop ---------------------------------------------------- */

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
        NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL,
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 0U, MHD_OPTION_LISTEN_BACKLOG_SIZE,
        BACKLOG, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)options->max_connections, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_END);
    if (server->daemon == NULL)
        return err_set_errno(err, ERR_SYSTEM, "cannot listen on %s:%u",
                             options->address, options->port);
    server->http_fd =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
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
        watch(server, server->http_fd, server->daemon, err) == -1)
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
    for (struct link *link = server->links; link != NULL; link = link->next) {
        link->client_left = true; /* so that nothing more is sent */
        if (link->exchange != NULL)
            resume(link->exchange);
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

static void
on_client_left(struct link *link)
{
    struct exchange *exchange = link->exchange;

    link->client_left = true;
    if (exchange == NULL || exchange->stage == STAGE_RECEIVING)
        return;
    exchange_settle(exchange, OUTCOME_ABORTED);
    resume(exchange);
}

static void
on_timer(struct exchange *exchange)
{
    const bool is_first = exchange->stage == STAGE_WAITING;

    if (exchange->stage == STAGE_RAW)
        send_raw(exchange);
    else if (is_first && exchange->answer.script.drips_headers)
        start_raw(exchange);
    else
        resume(exchange);
}

static int
next_wait_ms(struct server *server)
{
    MHD_UNSIGNED_LONG_LONG http_ms;
    const int timer_ms = timers_left_ms(&server->timers);

    if (MHD_get_timeout(server->daemon, &http_ms) == MHD_NO)
        return timer_ms;
    if (timer_ms == -1 || http_ms < (unsigned)timer_ms)
        return (int)http_ms; /* no connection has a time-out: it is 0 */
    return timer_ms;
}

static void
run_timers(struct server *server)
{
    const int64_t now_mono_ms = clock_mono_ms();
    struct timer *timer;

    while ((timer = timers_take_due(&server->timers, now_mono_ms)) != NULL)
        on_timer((struct exchange *)(void *)timer);
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
