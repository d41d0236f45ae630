/* small_children.c - see small_children.h. */
#include "support/small_children.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/fd.h"

static struct small_shared *shared;

static const struct uuid small_job = { { 0x5a, 0x5a, 0x5a, 0x5a } };

void
small_children_begin(struct small_shared *memory)
{
    shared = memory;
}

static void
note_leaving(const struct child *child)
{
    const int place = atomic_fetch_add(&shared->leave_count, 1) + 1;
    int none = 0;

    atomic_compare_exchange_strong(&shared->first_left[child->pool], &none,
                                   place);
    atomic_store(&shared->last_left[child->pool], place);
}

static void
wait_without_end(void)
{
    for (;;)
        pause();
}

static enum small_mode
mode_of(const struct child *child)
{
    const struct small_config *config = child->config;

    return config->mode[child->pool];
}

void
small_limit_descriptors(rlim_t count)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        return;
    limit.rlim_cur = count != 0 ? count : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void
go_slowly(struct child *child)
{
    while (!atomic_load(&shared->may_be_ready)) {
        child_progress(child);
        poll(NULL, 0, 1);
    }
}

static int
begin(struct child *child)
{
    switch (mode_of(child)) {
    case SMALL_SICK:
        return CHILD_EXIT_SICK;
    case SMALL_REFUSING:
        return CHILD_EXIT_CONFIG;
    case SMALL_NEVER_READY:
        atomic_fetch_add(&shared->unready_count, 1);
        wait_without_end();
        break;
    case SMALL_SLOW:
        go_slowly(child);
        break;
    case SMALL_HEALTHY:
    case SMALL_LATE:
    case SMALL_STUBBORN:
    case SMALL_BLOCKED:
    case SMALL_LINGERING:
        break;
    case SMALL_STARVED:
        small_limit_descriptors(3);
        break;
    }
    child_ready(child);
    if (mode_of(child) == SMALL_SLOW) {
        child_progress(child);
        atomic_store(&shared->went_on, true);
    }
    if (mode_of(child) == SMALL_STUBBORN)
        wait_without_end();
    return CHILD_EXIT_OK;
}

static bool
may_go(struct child *child)
{
    const bool should_leave = child_should_leave(child);

    switch (mode_of(child)) {
    case SMALL_LATE:
        return child_should_hurry(child);
    case SMALL_LINGERING:
        return false;
    case SMALL_HEALTHY:
    case SMALL_SICK:
    case SMALL_REFUSING:
    case SMALL_NEVER_READY:
    case SMALL_SLOW:
    case SMALL_STUBBORN:
    case SMALL_BLOCKED:
    case SMALL_STARVED:
        break;
    }
    return should_leave;
}

/* Until the caller stirs, or somebody asks to hurry. */
static void
hold(struct child *child, int fd)
{
    struct pollfd entries[] = { { .fd = fd, .events = POLLIN },
                                { .fd = child_fd(child), .events = POLLIN } };

    while (!child_should_hurry(child)) {
        poll(entries, 2, -1);
        if (entries[0].revents != 0)
            return;
    }
    atomic_fetch_add(&shared->hurried_count, 1);
}

static void
serve(struct child *child, int fd)
{
    const size_t slot = (size_t)child->slot;
    const pid_t pid = getpid();
    char order = SMALL_ANSWER;

    if (read(fd, &order, 1) == 1 && order == SMALL_SILENT)
        wait_without_end();
    board_set_stage(child->board, slot, BOARD_BUSY,
                    order == SMALL_OVERDUE ? clock_mono_ms() : 0);
    if (order == SMALL_CRASH) {
        board_set_job(child->board, slot, &small_job);
        kill(pid, SIGABRT);
    }
    if (order == SMALL_REFUSE)
        _exit(CHILD_EXIT_CONFIG);
    if (order == SMALL_OVERDUE)
        wait_without_end();
    if (order == SMALL_HOLD)
        hold(child, fd);
    if (send(fd, &pid, sizeof(pid), MSG_NOSIGNAL) == -1)
        return;
}

int
small_work(struct child *child)
{
    const int code = begin(child);
    int fd;

    if (code != CHILD_EXIT_OK)
        return code;
    while ((fd = child_accept(child)) != -1) {
        serve(child, fd);
        close(fd);
        child_idle(child);
    }
    note_leaving(child);
    return CHILD_EXIT_OK;
}

static void
block_without_end(void)
{
    int ends[2];
    char byte;

    if (pipe(ends) == 0)
        while (read(ends[0], &byte, 1) == -1)
            ;
}

int
small_scribe(struct child *child)
{
    const int now =
        atomic_fetch_add(&shared->exclusive_now[child->pool], 1) + 1;
    const int code = begin(child);

    if (now > atomic_load(&shared->exclusive_most[child->pool]))
        atomic_store(&shared->exclusive_most[child->pool], now);
    if (mode_of(child) == SMALL_BLOCKED)
        block_without_end();
    while (code == CHILD_EXIT_OK && !may_go(child)) {
        fd_wait(child_fd(child), POLLIN, clock_mono_ms() + 60000);
        atomic_fetch_add(&shared->wakeup_count, 1);
    }
    note_leaving(child);
    atomic_fetch_sub(&shared->exclusive_now[child->pool], 1);
    return code;
}
