/* small_master.c - see small_master.h. */
#include "support/small_master.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/fd.h"
#include "sys/log.h"
#include "sys/shm.h"
#include "sys/sock.h"
#include "support/small_children.h"

/* Inherited by the master, as a program's own globals are. */
static struct small_shared *shared;
static pid_t master_pid;

/* ---- hooks ------------------------------------------------------------- */

static int
on_reload(void *arg, struct master_pool *pools, const void **config,
          struct err *err)
{
    const int number = atomic_load(&shared->config_count) + 1;
    struct small_config *next = &shared->configs[number - 1];

    (void)arg;
    if (atomic_load(&shared->refuses_reload) || number >= SMALL_MAX_CONFIGS)
        return err_set(err, ERR_INVALID, "line 7 is nonsense");
    next->number = number;
    for (size_t i = 0; i < 3; i++)
        next->mode[i] = (enum small_mode)atomic_load(&shared->next_mode[i]);
    atomic_store(&shared->config_count, number);
    pools[0].quota = number; /* shows whose sizes count */
    *config = next;
    return 0;
}

static void
on_forget(void *arg, const void *config)
{
    const struct small_config *old = config;

    (void)arg;
    atomic_fetch_add(&shared->forgotten[old->number], 1);
}

static void
on_rotate(void *arg)
{
    (void)arg;
    small_limit_descriptors(0);
    atomic_fetch_add(getpid() == master_pid ? &shared->rotated_in_master
                                            : &shared->rotated_in_children,
                     1);
}

static void
on_draining(void *arg)
{
    (void)arg;
    atomic_fetch_add(&shared->draining_count, 1);
}

static unsigned
on_tick(void *arg, const struct board *board)
{
    (void)arg;
    (void)board;
    atomic_fetch_add(&shared->tick_count, 1);
    return atomic_exchange(&shared->renewed_mask, 0);
}

static void
on_gone(void *arg, const struct board_view *view, int how)
{
    (void)arg;
    if (WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL)
        atomic_fetch_add(&shared->gone_by_kill_count, 1);
    if (view->pid > 0)
        atomic_fetch_add(&shared->gone_count, 1);
}

static const struct master_hooks hooks = {
    .reload = on_reload,
    .forget = on_forget,
    .rotate = on_rotate,
    .draining = on_draining,
    .tick = on_tick,
    .gone = on_gone,
};

/* ---- the master -------------------------------------------------------- */

void
small_master_init(struct small_master *sm)
{
    static const struct sock_access access = { .mode = 0600 };
    struct err err = { 0 };

    *sm = (struct small_master){ .pool_count = 1,
                                 .drain_ms = 20000,
                                 .hurry_ms = 5000 };
    strcpy(sm->folder, "/tmp/small_master.XXXXXX");
    assert_non_null(mkdtemp(sm->folder));
    snprintf(sm->socket_path, sizeof(sm->socket_path), "%s/s", sm->folder);
    snprintf(sm->log_path, sizeof(sm->log_path), "%s/log", sm->folder);
    sm->board = board_new(SMALL_SLOTS, &err);
    sm->shared = shm_new(sizeof(*sm->shared), &err);
    assert_non_null(sm->board);
    assert_non_null(sm->shared);
    sm->shared->configs[0].number = 1;
    atomic_store(&sm->shared->config_count, 1);
    sm->pools[0] = (struct master_pool){
        .name = "work",
        .main = small_work,
        .size = { .min = 2, .max = 6, .spare = 1, .idle_ms = 60000 },
        .reading_ms = 30000,
        .overdue_ms = 100,
        .listen_fd = sock_listen_unix(sm->socket_path, &access, &err),
        .stop_order = 1,
    };
    assert_int_not_equal(sm->pools[0].listen_fd, -1);
}

struct master_pool *
small_master_add_scribe(struct small_master *sm)
{
    struct master_pool *pool = &sm->pools[sm->pool_count++];

    *pool = (struct master_pool){
        .name = "scribe",
        .main = small_scribe,
        .size = { .min = 1, .max = 1, .spare = 1, .idle_ms = 60000 },
        .listen_fd = -1,
        .stop_order = 2,
        .exclusive = true,
    };
    return pool;
}

static int
run(struct small_master *sm)
{
    const struct master_config config = {
        .board = sm->board,
        .pools = sm->pools,
        .pool_count = sm->pool_count,
        .hooks = &hooks,
        .config = &sm->shared->configs[0],
        .drain_ms = sm->drain_ms,
        .hurry_ms = sm->hurry_ms,
    };

    master_pid = getpid();
    log_set_level(LOG_LEVEL_DEBUG);
    if (log_to_file(sm->log_path, NULL) == -1)
        return 99;
    return master_run(&config);
}

void
small_master_start(struct small_master *sm)
{
    shared = sm->shared;
    small_children_begin(sm->shared);
    fflush(NULL); /* exit(3) below would flush a copy */
    sm->pid = fork();
    assert_int_not_equal(sm->pid, -1);
    if (sm->pid == 0)
        exit(run(sm)); /* not _exit(2): leaks and coverage are told at exit */
}

int
small_master_wait(struct small_master *sm)
{
    const int64_t until_ms = clock_mono_ms() + SMALL_PATIENCE_MS;
    int how = 0;
    pid_t pid;

    while ((pid = waitpid(sm->pid, &how, WNOHANG)) == 0 &&
           clock_left_ms(until_ms) > 0)
        small_pause();
    assert_int_equal(pid, sm->pid);
    sm->pid = 0;
    return WIFEXITED(how) ? WEXITSTATUS(how) : 256 + WTERMSIG(how);
}

int
small_master_stop(struct small_master *sm, int signo)
{
    kill(sm->pid, signo);
    return small_master_wait(sm);
}

/* The board may show children that died after their master did; by now their
 * pids may be a stranger's. */
static bool
runs_this_program(pid_t pid)
{
    struct stat ours, theirs;
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
    return stat("/proc/self/exe", &ours) == 0 && stat(path, &theirs) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static void
kill_children(const struct small_master *sm)
{
    for (size_t i = 0; i < SMALL_SLOTS; i++) {
        const struct board_view view = board_look(sm->board, i);

        if (view.stage != BOARD_FREE && view.pid > 0 &&
            runs_this_program(view.pid))
            kill(view.pid, SIGKILL);
    }
}

void
small_master_close(struct small_master *sm)
{
    if (sm->pid != 0) { /* a test has failed on the way */
        kill(sm->pid, SIGKILL);
        waitpid(sm->pid, NULL, 0);
    }
    kill_children(sm);
    fd_close(&sm->pools[0].listen_fd);
    unlink(sm->socket_path);
    unlink(sm->log_path);
    rmdir(sm->folder);
    board_free(sm->board);
    shm_free(sm->shared, sizeof(*sm->shared));
}

/* ---- callers and lookers-on -------------------------------------------- */

int
small_call(const struct small_master *sm, enum small_order order)
{
    const char letter = (char)order;
    int fd = sock_connect_unix(sm->socket_path, NULL);

    if (fd != -1 && send(fd, &letter, 1, MSG_NOSIGNAL) != 1)
        fd_close(&fd);
    return fd;
}

pid_t
small_answer(int fd)
{
    const int64_t until_ms = clock_mono_ms() + SMALL_PATIENCE_MS;
    pid_t pid = 0;

    if (fd_wait(fd, POLLIN, until_ms) <= 0 ||
        read(fd, &pid, sizeof(pid)) != sizeof(pid))
        return 0;
    return pid;
}

pid_t
small_ask(const struct small_master *sm)
{
    const int fd = small_call(sm, SMALL_ANSWER);
    const pid_t pid = fd != -1 ? small_answer(fd) : 0;

    if (fd != -1)
        close(fd);
    return pid;
}

size_t
small_count(const struct small_master *sm, unsigned pool, unsigned stage_mask)
{
    return board_count(sm->board, pool, stage_mask);
}

size_t
small_generation(const struct small_master *sm, unsigned generation)
{
    size_t count = 0;

    for (size_t i = 0; i < SMALL_SLOTS; i++) {
        const struct board_view view = board_look(sm->board, i);

        count += view.stage != BOARD_FREE && view.generation == generation;
    }
    return count;
}

/* A child may be at work before the master has written its pid. */
static pid_t
pid_at(const struct small_master *sm, size_t slot)
{
    assert_soon(board_look(sm->board, slot).pid > 0 ||
                board_look(sm->board, slot).stage == BOARD_FREE);
    return board_look(sm->board, slot).pid;
}

pid_t
small_pid(const struct small_master *sm, unsigned pool)
{
    for (size_t i = 0; i < SMALL_SLOTS; i++) {
        const struct board_view view = board_look(sm->board, i);

        if (view.stage != BOARD_FREE && view.pool == pool)
            return pid_at(sm, i);
    }
    return 0;
}

void
small_signal(const struct small_master *sm, unsigned stage_mask, int signo)
{
    for (size_t i = 0; i < SMALL_SLOTS; i++) {
        const enum board_stage stage = board_look(sm->board, i).stage;
        const pid_t pid = (stage_mask >> stage & 1u) != 0 ? pid_at(sm, i) : 0;

        if (pid > 0) /* 0 would be ourselves and our parents */
            kill(pid, signo);
    }
}

/* A zombie that nobody has waited for yet is dead. */
bool
small_is_alive(pid_t pid)
{
    char path[32];
    char state = 'X';
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (file == NULL)
        return false;
    if (fscanf(file, "%*d %*[^)]) %c", &state) != 1)
        state = 'X';
    fclose(file);
    return state != 'Z' && state != 'X';
}

int
small_log_count(const struct small_master *sm, const char *text)
{
    static char bytes[1 << 20];
    FILE *file = fopen(sm->log_path, "r");
    size_t len;
    int count = 0;

    if (file == NULL)
        return 0;
    len = fread(bytes, 1, sizeof(bytes) - 1, file);
    fclose(file);
    bytes[len] = '\0';
    for (const char *at = bytes; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

bool
small_log_has(const struct small_master *sm, const char *text)
{
    return small_log_count(sm, text) > 0;
}

void
small_pause(void)
{
    const struct timespec wait = { .tv_nsec = 3000000 };

    nanosleep(&wait, NULL);
}
