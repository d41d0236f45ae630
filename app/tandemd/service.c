/* service.c - see service.h. */
#include "tandemd/service.h"

#include <limits.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "client/http.h"
#include "gate/fcgi.h"
#include "guard/breakers.h"
#include "guard/provider.h"
#include "guard/timeouts.h"
#include "metrics.h"
#include "prefork/master.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/log.h"
#include "tandemd/confinement.h"
#include "tandemd/listen.h"
#include "tandemd/workers.h"

#define RESERVE_WORKERS     2  /* they tell callers that all others are busy */
#define MAX_CONTROL_WORKERS 16 /* of the option table */
#define READING_MS          35000 /* a request's head and body, at the most */
#define STREAM_OVERDUE_MS   900  /* past a query's deadline: its worker hangs */
#define CONTROL_OVERDUE_MS  3000 /* the same for a listing */
#define HURRY_MS            5000
#define CONFINE_AGAIN_MS    5000 /* between two looks that find a change */

struct service {
    const char *config_path;
    char **environment;
    struct generation *current;  /* children may still use older ones */
    struct generation *previous; /* current again if current is abandoned */
    int lock_fd;                 /* says that STATE_DIR is ours */
    struct listen sockets;
    int64_t next_confinement_mono_ms;
    struct board *board;
    struct master_pool pools[WORKERS_POOL_COUNT];
};

/* ---- pools --------------------------------------------------------------- */

static int
at_least(int64_t value, int least)
{
    return value > least ? (int)value : least;
}

static void
size_pools(struct master_pool *pools, const struct config *config)
{
    pools[WORKERS_STREAM].size = (struct plan_limits){
        .min = (int)config->stream_workers_min,
        .max = (int)config->stream_workers_max + RESERVE_WORKERS,
        .spare = at_least(config->stream_workers_spare, RESERVE_WORKERS),
        .idle_ms = config->worker_idle_ms,
    };
    pools[WORKERS_STREAM].quota = config->max_requests_per_worker;
    pools[WORKERS_CONTROL].size = (struct plan_limits){
        .min = (int)config->control_workers,
        .max = (int)config->control_workers,
        .spare = 0,
        .idle_ms = config->worker_idle_ms,
    };
    pools[WORKERS_CONTROL].quota = config->max_requests_per_worker;
    pools[WORKERS_SCRIBE].size = (struct plan_limits){ .min = 1, .max = 1 };
}

static void
describe_pools(struct service *service)
{
    struct master_pool *pools = service->pools;

    pools[WORKERS_STREAM] =
        (struct master_pool){ .name = "stream",
                              .main = workers_stream,
                              .listen_fd = service->sockets.stream_fd,
                              .reading_ms = READING_MS,
                              .overdue_ms = STREAM_OVERDUE_MS,
                              .stop_order = 0 };
    pools[WORKERS_CONTROL] =
        (struct master_pool){ .name = "control",
                              .main = workers_control,
                              .listen_fd = service->sockets.control_fd,
                              .reading_ms = READING_MS,
                              .overdue_ms = CONTROL_OVERDUE_MS,
                              .stop_order = 1 };
    pools[WORKERS_SCRIBE] =
        (struct master_pool){ .name = "scribe",
                              .main = workers_scribe,
                              .listen_fd = service->sockets.scribe_fd,
                              .stop_order = 2,
                              .exclusive = true };
    size_pools(pools, service->current->config);
}

/* Two generations of each pool may live side by side during a reload. */
static size_t
slots_needed(const struct config *config)
{
    return 2 * ((size_t)config->stream_workers_max + RESERVE_WORKERS +
                MAX_CONTROL_WORKERS + 1);
}

/* ---- what the master asks ------------------------------------------------ */

static void
warn(const char *event, const char *text)
{
    log_warn(event, "%s", text);
}

static int
on_reload(void *arg, struct master_pool *pools, const void **config,
          struct err *err)
{
    struct service *service = arg;
    const struct conf_option *frozen;
    struct generation *next =
        generation_new(service->config_path, service->environment, err);

    if (next == NULL)
        return -1;
    frozen = conf_first_frozen_change(&config_table, service->current->config,
                                      next->config);
    if (frozen != NULL) {
        generation_free(next);
        return err_set(err, ERR_INVALID,
                       "%s cannot change in a reload: restart, or set it back",
                       frozen->name);
    }
    next->confinement = confinement_new(next, service->config_path, err);
    if (next->confinement == NULL) {
        generation_free(next);
        return -1;
    }
    generation_join(next, service->current);
    service->previous = service->current;
    service->current = next;
    provider_forget();
    breakers_forget();
    timeouts_begin(next->config);
    size_pools(pools, next->config);
    log_set_level((enum log_level)next->config->log_level);
    generation_tell_oddities(next, warn);
    *config = next;
    return 0;
}

/* No child uses it any more: it is old, or it was tried and abandoned. */
static void
on_forget(void *arg, const void *config)
{
    struct service *service = arg;
    struct generation *unused = (struct generation *)(uintptr_t)config;

    if (unused == service->current) {
        service->current = service->previous;
        log_set_level((enum log_level)service->current->config->log_level);
        timeouts_begin(service->current->config);
    }
    if (unused == service->previous || service->current == service->previous)
        service->previous = NULL;
    generation_free(unused);
}

static void
on_rotate(void *arg)
{
    const struct service *service = arg;
    const char *path = service->current->config->log_file;
    struct err err = { 0 };

    if (path[0] != '\0' && log_to_file(path, &err) == -1)
        log_error("log_not_reopened", "%s", err.text);
}

static void
on_draining(void *arg)
{
    struct service *service = arg;

    metrics_gauge(METRICS_DRAINING, 0, 1);
    listen_stop_stream(&service->sockets);
    service->pools[WORKERS_STREAM].listen_fd = -1;
}

static unsigned
renew_sockets(struct service *service)
{
    const unsigned renewed =
        listen_renew(&service->sockets, service->current->config);

    return (renewed >> LISTEN_STREAM & 1u) << WORKERS_STREAM |
           (renewed >> LISTEN_CONTROL & 1u) << WORKERS_CONTROL |
           (renewed >> LISTEN_SCRIBE & 1u) << WORKERS_SCRIBE;
}

/* Workers must not be left with what /etc/resolv.conf was yesterday. */
static unsigned
renew_confinement(struct service *service)
{
    struct generation *current = service->current;
    const int64_t now_mono_ms = clock_mono_ms();
    struct confinement *fresh;
    struct err err = { 0 };

    if (now_mono_ms < service->next_confinement_mono_ms ||
        !confinement_is_outdated(current->confinement))
        return 0;
    service->next_confinement_mono_ms = now_mono_ms + CONFINE_AGAIN_MS;
    fresh = confinement_new(current, service->config_path, &err);
    if (fresh == NULL) {
        log_error("confinement_not_renewed", "%s", err.text);
        return 0;
    }
    confinement_free(current->confinement);
    current->confinement = fresh;
    log_info("confinement_renewed",
             "files that workers read were replaced, or names in a folder have "
             "come or gone, so the workers are replaced, too");
    return 1u << WORKERS_STREAM | 1u << WORKERS_CONTROL;
}

static unsigned
on_tick(void *arg, const struct board *board)
{
    for (unsigned pool = 0; pool < WORKERS_POOL_COUNT; pool++) {
        metrics_gauge(METRICS_WORKERS, pool,
                      (int64_t)board_count(board, pool, BOARD_LIVING));
        metrics_gauge(METRICS_WORKERS_BUSY, pool,
                      (int64_t)board_count(board, pool, BOARD_SERVING));
    }
    return renew_sockets(arg) | renew_confinement(arg);
}

static void
on_gone(void *arg, const struct board_view *view, int how)
{
    enum metrics_restart label = METRICS_RESTART_CRASHED;

    (void)arg;
    (void)view;
    if (WIFEXITED(how))
        label = WEXITSTATUS(how) == CHILD_EXIT_OK ? METRICS_RESTART_ORDERLY
                                                  : METRICS_RESTART_SICK;
    metrics_count(METRICS_WORKER_RESTARTS, label);
}

/* ---- start and end ------------------------------------------------------- */

/* Two of us would wait for each other's ledger.  Whoever is being drained still
 * holds the lock; children that a killed master has left behind do not. */
static int
claim_state_dir(struct service *service, struct err *err)
{
    const char *state_dir = service->current->config->state_dir;
    char path[PATH_MAX];
    pid_t holder = 0;
    const int len = snprintf(path, sizeof(path), "%s/tandemd.lock", state_dir);

    if (len < 0 || (size_t)len >= sizeof(path))
        return err_set(err, ERR_LIMIT, "STATE_DIR is too long");
    service->lock_fd = file_claim(path, &holder, err);
    if (service->lock_fd != -1)
        return 0;
    if (holder == 0)
        return -1;
    *err = (struct err){ 0 };
    return err_set(err, ERR_INVALID,
                   "STATE_DIR=%s is in use by another tandemd (pid %d): stop "
                   "that one, or give this one a STATE_DIR of its own",
                   state_dir, (int)holder);
}

/* What must exist before the first fork. */
static int
prepare(struct service *service, struct err *err)
{
    const struct config *config = service->current->config;

    fd_raise_limit();
    if (metrics_init(err) == -1 || provider_init(err) == -1 ||
        breakers_init(err) == -1 || timeouts_init(err) == -1 ||
        http_global_init(err) == -1 ||
        file_make_folder(config->state_dir, 0750, err) == -1 ||
        claim_state_dir(service, err) == -1 ||
        listen_open(&service->sockets, config, err) == -1)
        return -1;
    service->current->confinement =
        confinement_new(service->current, service->config_path, err);
    if (service->current->confinement == NULL)
        return -1;
    timeouts_begin(config);
    metrics_gauge(METRICS_BUILD_INFO, 0, 1);
    metrics_gauge(METRICS_START_TIME, 0, clock_unix_us() / 1000000);
    service->board = board_new(slots_needed(config), err);
    return service->board != NULL ? 0 : -1;
}

static int
supervise(struct service *service)
{
    const struct master_hooks hooks = { .arg = service,
                                        .reload = on_reload,
                                        .forget = on_forget,
                                        .rotate = on_rotate,
                                        .draining = on_draining,
                                        .tick = on_tick,
                                        .gone = on_gone };
    const struct master_config master = {
        .board = service->board,
        .pools = service->pools,
        .pool_count = WORKERS_POOL_COUNT,
        .hooks = &hooks,
        .config = service->current,
        .drain_ms = service->current->config->drain_ms,
        .hurry_ms = HURRY_MS,
    };

    log_info("started",
             "version=%s flash_model=%s pro_model=%s stream_workers_max=%lld "
             "confined=%s",
             TANDEM_VERSION, service->current->config->flash.model,
             service->current->config->pro.model,
             (long long)service->current->config->stream_workers_max,
             confinement_name(service->current->confinement));
    generation_tell_oddities(service->current, warn);
    return master_run(&master);
}

int
service_run(struct generation *generation, const char *config_path,
            char **environment)
{
    struct service service = {
        .config_path = config_path,
        .environment = environment,
        .current = generation,
        .lock_fd = -1,
        .sockets = { .stream_fd = -1, .control_fd = -1, .scribe_fd = -1 }
    };
    struct err err = { 0 };
    int code = CHILD_EXIT_CONFIG;

    if (prepare(&service, &err) == -1) {
        log_error("not_started", "%s", err.text);
    } else {
        describe_pools(&service);
        code = supervise(&service);
        log_info("stopped", "exit_code=%d", code);
    }
    listen_close(&service.sockets);
    fd_close(&service.lock_fd);
    board_free(service.board);
    http_global_cleanup();
    generation_free(service.previous);
    generation_free(service.current);
    return code;
}
