/*
 * child.c - see child.h.
 *
 * Two epoll sets: wake_fd holds the signal pipe and the master's life pipe and
 * is what child_fd() shows; accept_fd holds both and the listener.  It does not
 * hold wake_fd in their place: the life pipe is everybody's, and the kernel
 * takes at most 500 sets that hold a set that holds the same file.
 *
 * That the master has died is told twice.  End of file on the life pipe wakes
 * whoever waits; the parent-death signal starts the orphan's timer even when
 * the child sits in a blocking call and asks nothing.
 */
#include "prefork/child.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/fd.h"
#include "sys/log.h"
#include "sys/sig.h"
#include "sys/sock.h"

#define SIGNAL_MASTER_DIED SIGUSR2
#define STARVED_PAUSE_MS   100

#define SPARE_STAGES (1u << BOARD_STARTING | 1u << BOARD_IDLE)

struct child_private {
    const struct child_wiring *wiring;
    int wake_fd;
    int accept_fd; /* -1 when there is no listener */
    int64_t done_count;
    bool is_ready;
    bool should_leave;
    bool should_hurry;
    bool is_starved; /* accept(2) failed, and we have said so */
};

/* ---- an orphan's end --------------------------------------------------- */

/* Apart from the rest because a signal handler needs it. */
static struct {
    pid_t master_pid;
    timer_t timer;
    volatile sig_atomic_t is_running;
} orphan;

static void
orphan_start_timer(void)
{
    const struct itimerspec wait = {
        .it_value = { .tv_sec = CHILD_ORPHAN_MS / 1000,
                      .tv_nsec = CHILD_ORPHAN_MS % 1000 * 1000000L },
    };

    if (orphan.is_running)
        return;
    orphan.is_running = 1;
    timer_settime(orphan.timer, 0, &wait, NULL);
}

static void
on_parent_death(int signo)
{
    const int saved = errno;

    (void)signo;
    if (getppid() != orphan.master_pid) /* else somebody else sent it */
        orphan_start_timer();
    errno = saved;
}

/* The timer sends SIGKILL: nothing the child does can stop it. */
static int
orphan_prepare(pid_t master_pid, struct err *err)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
                              .sigev_signo = SIGKILL };
    struct sigaction action = { .sa_handler = on_parent_death,
                                .sa_flags = SA_RESTART };

    orphan.master_pid = master_pid;
    sigemptyset(&action.sa_mask);
    if (timer_create(CLOCK_MONOTONIC, &event, &orphan.timer) == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot make the orphan's timer");
    if (sigaction(SIGNAL_MASTER_DIED, &action, NULL) == -1 ||
        prctl(PR_SET_PDEATHSIG, SIGNAL_MASTER_DIED) == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot watch the master");
    if (getppid() != master_pid) /* it died before prctl(2) */
        orphan_start_timer();
    return 0;
}

/* ---- what the child is told -------------------------------------------- */

static void
note_signal(struct child *child, int signo)
{
    struct child_private *own = child->private;

    switch (signo) {
    case SIGQUIT:
        own->should_leave = true;
        break;
    case SIGTERM:
        own->should_leave = true;
        own->should_hurry = true;
        break;
    case SIGUSR1:
        if (own->wiring->rotate != NULL)
            own->wiring->rotate(own->wiring->rotate_arg);
        break;
    default:
        break;
    }
}

static void
note_master_gone(struct child_private *own)
{
    log_warn("master_gone", "the master is gone, leaving within %d ms",
             CHILD_ORPHAN_MS);
    /* End of file stays for ever: out of the sets, or every wait would spin. */
    epoll_ctl(own->wake_fd, EPOLL_CTL_DEL, own->wiring->life_fd, NULL);
    epoll_ctl(own->accept_fd, EPOLL_CTL_DEL, own->wiring->life_fd, NULL);
    own->should_leave = true;
    own->should_hurry = true;
    orphan_start_timer();
}

/* Takes what has come through the two pipes; never blocks. */
static void
listen_to_master(struct child *child)
{
    struct child_private *own = child->private;
    struct epoll_event events[2];
    const int count = epoll_wait(own->wake_fd, events, 2, 0);

    for (int i = 0; i < count; i++) {
        int signo;

        if (events[i].data.fd == own->wiring->life_fd) {
            note_master_gone(own);
            continue;
        }
        while ((signo = sig_next()) != 0)
            note_signal(child, signo);
    }
}

bool
child_should_leave(struct child *child)
{
    listen_to_master(child);
    return child->private->should_leave;
}

bool
child_should_hurry(struct child *child)
{
    listen_to_master(child);
    return child->private->should_hurry;
}

int
child_fd(const struct child *child)
{
    return child->private->wake_fd;
}

/* ---- work -------------------------------------------------------------- */

static void
nudge(const struct child *child)
{
    const uint64_t one = 1;

    /* Fails only when the counter is full: then the master knows. */
    if (write(child->private->wiring->nudge_fd, &one, sizeof(one)) == -1)
        return;
}

/* A burst is met when it comes, not at the master's next tick. */
static void
nudge_when_few_are_left(const struct child *child)
{
    const struct plan_limits *size = child->private->wiring->size;

    if (board_count(child->board, child->pool, SPARE_STAGES) <
            (size_t)size->spare &&
        board_count(child->board, child->pool, BOARD_LIVING) <
            (size_t)size->max)
        nudge(child);
}

void
child_ready(struct child *child)
{
    child->private->is_ready = true;
    board_set_stage(child->board, (size_t)child->slot, BOARD_IDLE, 0);
    nudge(child);
}

void
child_progress(struct child *child)
{
    if (!child->private->is_ready)
        board_set_stage(child->board, (size_t)child->slot, BOARD_STARTING, 0);
}

void
child_idle(struct child *child)
{
    child->private->done_count++;
    board_count_done(child->board, (size_t)child->slot);
    board_set_job(child->board, (size_t)child->slot, NULL);
    board_set_stage(child->board, (size_t)child->slot, BOARD_IDLE, 0);
}

static bool
has_done_enough(struct child *child)
{
    return (child->quota > 0 && child->private->done_count >= child->quota) ||
           child_should_leave(child);
}

/* True when a caller may wait at the listener. */
static bool
wait_for_caller(struct child *child)
{
    struct epoll_event events[3];
    const int count = epoll_wait(child->private->accept_fd, events, 3, -1);

    for (int i = 0; i < count; i++)
        if (events[i].data.fd == child->listen_fd)
            return true;
    return false;
}

/* accept(2) lacks descriptors or memory, or the listener is broken: the caller
 * still waits there, so trying again at once would spin. */
static void
pause_starved(struct child *child)
{
    if (!child->private->is_starved)
        log_error("accept_failed", "cannot accept: %s", strerror(errno));
    child->private->is_starved = true;
    fd_wait(child->private->wake_fd, POLLIN,
            clock_mono_ms() + STARVED_PAUSE_MS);
}

static int
take_caller(struct child *child)
{
    const int fd = sock_accept(child->listen_fd);

    if (fd == -1) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            pause_starved(child);
        return -1;
    }
    child->private->is_starved = false;
    board_set_stage(child->board, (size_t)child->slot, BOARD_READING, 0);
    nudge_when_few_are_left(child);
    return fd;
}

int
child_accept(struct child *child)
{
    assert(child->listen_fd != -1);
    while (!has_done_enough(child)) {
        int fd;

        /* The kernel wakes one child per caller, so the one it woke must take
         * the caller even if it was asked to leave in the same moment. */
        if (wait_for_caller(child) && (fd = take_caller(child)) != -1)
            return fd;
    }
    board_set_stage(child->board, (size_t)child->slot, BOARD_LEAVING, 0);
    return -1;
}

/* ---- a life ------------------------------------------------------------ */

static int
watch(int epoll_fd, int fd, uint32_t events, struct err *err)
{
    struct epoll_event event = { .events = events, .data = { .fd = fd } };

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == -1)
        return err_set_errno(err, ERR_SYSTEM, "epoll_ctl");
    return 0;
}

static int
open_signals(struct err *err)
{
    static const int signals[] = { SIGQUIT, SIGTERM, SIGUSR1 };

    sig_close_in_child();
    if (sig_open(signals, ARRAY_LEN(signals), err) == -1)
        return -1;
    /* A terminal sends these to everybody; the master decides about them. */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    return 0;
}

/* A set in which the master is heard; -1 when there can be none. */
static int
open_set(const struct child *child, struct err *err)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    if (epoll_fd == -1)
        return err_set_errno(err, ERR_SYSTEM, "epoll_create1");
    if (watch(epoll_fd, sig_fd(), EPOLLIN, err) == -1 ||
        watch(epoll_fd, child->private->wiring->life_fd, EPOLLIN, err) == -1)
        fd_close(&epoll_fd);
    return epoll_fd;
}

static int
open_sets(struct child *child, struct err *err)
{
    struct child_private *own = child->private;

    own->wake_fd = open_set(child, err);
    if (own->wake_fd == -1)
        return -1;
    if (child->listen_fd == -1)
        return 0;
    own->accept_fd = open_set(child, err);
    if (own->accept_fd == -1)
        return -1;
    return watch(own->accept_fd, child->listen_fd, EPOLLIN | EPOLLEXCLUSIVE,
                 err);
}

/* Present only in builds that measure coverage or look for leaks. */
void __gcov_exit(void) __attribute__((weak));
void __gcov_dump(void) __attribute__((weak));
void __lsan_do_leak_check(void) __attribute__((weak));

/*
 * _exit(2), because exit(3) would run what the parent registered with
 * atexit(3), and flush a copy of what lay in the parent's stdio buffers.  What
 * the measuring tools do at exit is therefore called by name.
 */
static ATTR_NORETURN void
end_process(int code)
{
    if (__gcov_dump != NULL)
        __gcov_dump();
    else if (__gcov_exit != NULL)
        __gcov_exit();
    if (__lsan_do_leak_check != NULL)
        __lsan_do_leak_check();
    _exit(code);
}

void
child_run(struct child *child, const struct child_wiring *wiring,
          int (*body)(struct child *child))
{
    struct child_private own = { .wiring = wiring,
                                 .wake_fd = -1,
                                 .accept_fd = -1 };
    struct err err = { 0 };
    int code;

    /* While one child holds it, no child would learn of the master's death. */
    close(wiring->life_write_fd);
    child->private = &own;
    log_set_process(wiring->name, child->slot, child->generation);
    if (open_signals(&err) == -1 || open_sets(child, &err) == -1 ||
        orphan_prepare(wiring->master_pid, &err) == -1) {
        log_error("child_start_failed", "%s", err.text);
        end_process(CHILD_EXIT_SICK);
    }
    sig_unblock(wiring->signal_mask);
    code = body(child);
    if (own.is_ready)
        board_set_stage(child->board, (size_t)child->slot, BOARD_LEAVING, 0);
    end_process(code);
}
