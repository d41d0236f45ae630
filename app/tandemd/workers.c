/* workers.c - see workers.h. */
#include "tandemd/workers.h"

#include <unistd.h>

#include "ask/ask.h"
#include "base/str.h"
#include "control/control.h"
#include "gate/fcgi.h"
#include "ledger/scribe.h"
#include "metrics.h"
#include "sys/fd.h"
#include "sys/log.h"
#include "sys/sock.h"
#include "tandemd/confinement.h"
#include "tandemd/generation.h"

#define RECEIVE_MS 5000 /* per read of a request's head */
#define SEND_MS    5000 /* per write: whoever is slower has left */

#define HOST_NAME_LEN 256

static const struct fcgi_timeouts timeouts = { RECEIVE_MS, SEND_MS };

/* ---- connections --------------------------------------------------------- */

/* Only the web server may speak to us: libfcgi trusts what it is told. */
static int
check_peer(const struct generation *generation, int fd)
{
    struct err err = { 0 };
    uid_t uid;

    if (sock_peer_uid(fd, &uid, &err) == -1) {
        log_warn("peer_unknown", "%s", err.text);
        return -1;
    }
    if (generation_knows_peer(generation, uid))
        return 0;
    log_warn("peer_refused",
             "uid=%u is not root, ourselves or one of "
             "SOCKET_USERS",
             (unsigned)uid);
    return -1;
}

/* -1 when there is no request to serve; then fd is closed. */
static int
begin(struct child *child, struct fcgi *gate, int fd)
{
    struct err err = { 0 };

    if (check_peer(child->config, fd) == -1) {
        fd_close(&fd);
        return -1;
    }
    if (fcgi_begin(gate, fd, &timeouts, &err) == 0)
        return 0;
    log_info("request_not_read", "%s", err.text);
    return -1;
}

/* What a pool's requests are served with. */
struct server {
    void *tools;
    void (*serve)(struct child *child, void *tools, struct fcgi *gate);
    void (*settle)(void *tools);        /* after the answer; NULL: nothing */
    bool (*is_sick)(const void *tools); /* NULL: never */
};

static bool
is_sick(const struct server *server)
{
    return server->is_sick != NULL && server->is_sick(server->tools);
}

static int
serve_all(struct child *child, const struct server *server)
{
    struct err err = { 0 };
    struct fcgi *gate = fcgi_new(&err);
    int fd;

    if (gate == NULL) {
        log_error("worker_sick", "%s", err.text);
        return CHILD_EXIT_SICK;
    }
    child_ready(child);
    while (!is_sick(server) && (fd = child_accept(child)) != -1) {
        if (begin(child, gate, fd) == 0) {
            server->serve(child, server->tools, gate);
            /* Before the client can know the end: its next query may come
             * at once, and must not meet itself. */
            board_set_stage(child->board, (size_t)child->slot, BOARD_REPLYING,
                            0);
            fcgi_end(gate);
            if (server->settle != NULL)
                server->settle(server->tools);
        }
        child_idle(child);
    }
    fcgi_free(gate);
    return is_sick(server) ? CHILD_EXIT_SICK : CHILD_EXIT_OK;
}

/* ---- stream -------------------------------------------------------------- */

/* More callers than STREAM_WORKERS_MAX are being served, ours included.  We
 * show ourselves first and count then: two that meet may both refuse, but
 * never one too many is served. */
static bool
is_one_too_many(const struct child *child)
{
    const struct generation *generation = child->config;

    return board_count(child->board, WORKERS_STREAM, BOARD_SERVING) >
           (size_t)generation->config->stream_workers_max;
}

static void
serve_query(struct child *child, void *tools, struct fcgi *gate)
{
    if (!is_one_too_many(child)) {
        ask_serve(tools, gate);
        return;
    }
    board_set_stage(child->board, (size_t)child->slot, BOARD_REPLYING, 0);
    ask_refuse(gate);
}

static void
settle_query(void *tools)
{
    ask_settle(tools);
}

static bool
is_ask_sick(const void *tools)
{
    return ask_is_sick(tools);
}

int
workers_stream(struct child *child)
{
    const struct generation *generation = child->config;
    struct server server = { .serve = serve_query,
                             .settle = settle_query,
                             .is_sick = is_ask_sick };
    struct err err = { 0 };
    struct ask *ask;
    int code;

    generation_forget_database(generation, false);
    ask = ask_new(generation->config, child, &err);
    if (ask == NULL || confinement_enter_stream(generation, &err) == -1) {
        log_error("worker_sick", "%s", err.text);
        return CHILD_EXIT_SICK;
    }
    server.tools = ask;
    code = serve_all(child, &server);
    ask_free(ask);
    return code;
}

/* ---- control ------------------------------------------------------------- */

struct control_tools {
    struct control *control;
    const struct generation *generation;
};

static void
serve_control(struct child *child, void *arg, struct fcgi *gate)
{
    const struct control_tools *tools = arg;

    (void)child;
    control_serve(tools->control, gate);
}

/* The ledger's files were replaced, and we were let see the old ones. */
static bool
is_control_sick(const void *arg)
{
    const struct control_tools *tools = arg;

    return control_could_not_read(tools->control) &&
           confinement_hides_ledger(tools->generation);
}

int
workers_control(struct child *child)
{
    const struct generation *generation = child->config;
    struct control_tools tools = { .generation = generation };
    struct server server = { .tools = &tools,
                             .serve = serve_control,
                             .is_sick = is_control_sick };
    const struct control_config config = {
        .config = generation->config,
        .ledger_path = generation->ledger_path,
        .board = child->board,
        .slot = child->slot,
        .stream_pool = WORKERS_STREAM,
        .control_pool = WORKERS_CONTROL,
        .scribe_pool = WORKERS_SCRIBE,
    };
    struct err err = { 0 };
    int code;

    generation_forget_database(generation, true);
    tools.control = control_new(&config, &err);
    if (tools.control == NULL || confinement_enter_control(child, &err) == -1) {
        log_error("worker_sick", "%s", err.text);
        return CHILD_EXIT_SICK;
    }
    code = serve_all(child, &server);
    control_free(tools.control);
    return code;
}

/* ---- scribe -------------------------------------------------------------- */

static struct scribe_metrics
scribe_metrics(void)
{
    return (struct scribe_metrics){
        .counters = metrics_counters(),
        .entries = METRICS_AUDIT_WRITES,
        .spooled = METRICS_AUDIT_SPOOLED,
        .replayed = METRICS_AUDIT_REPLAYED,
        .failures = METRICS_AUDIT_FAILURES,
        .commit = METRICS_AUDIT_DURATION,
        .failing = METRICS_LEDGER_FAILING,
        .away = METRICS_LEDGER_AWAY,
        .schema = METRICS_LEDGER_SCHEMA,
        .spool_batches = METRICS_SPOOL_BATCHES,
        .spool_bytes = METRICS_SPOOL_BYTES,
        .set_aside = METRICS_SPOOL_SET_ASIDE,
    };
}

int
workers_scribe(struct child *child)
{
    const struct generation *generation = child->config;
    const struct config *settings = generation->config;
    char host[HOST_NAME_LEN] = "unknown";
    const char *instance = str_or(settings->instance_name, host);
    const struct scribe_config config = {
        .listen_fd = child->listen_fd,
        .store = { .path = generation->ledger_path,
                   .url = settings->database_url,
                   .database_ms = settings->database_ms },
        .spool = { .folder = generation->spool_path,
                   .max_bytes = settings->spool_max_bytes,
                   .reserve_bytes = settings->spool_reserve_bytes },
        .closed = settings->audit_policy == CONFIG_AUDIT_CLOSED,
        .host = instance,
        .key_ttl_us = settings->idempotency_ttl_ms * 1000,
        .signer = { .key_file = generation->checkpoint_key_path,
                    .name = str_or(settings->checkpoint_name, instance),
                    .file = generation->checkpoint_path,
                    .interval_ms = settings->checkpoint_ms,
                    .metrics = metrics_counters(),
                    .family = METRICS_CHECKPOINTS },
        .metrics = scribe_metrics(),
    };

    confinement_seal(generation);
    gethostname(host, sizeof(host) - 1);
    return scribe_run(&config, child);
}
