/* sig.c - see sig.h.  Handlers are process-wide, and so is the state here. */
#include "sys/sig.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "sys/fd.h"

static struct {
    int read_fd;
    int write_fd;
    pid_t owner_pid;
    sigset_t taken;
} state = { .read_fd = -1, .write_fd = -1 };

static void
handle(int signo)
{
    const int saved = errno;
    const unsigned char byte = (unsigned char)signo;

    if (getpid() != state.owner_pid)
        return;
    /* A full pipe holds thousands of unread signals; one more adds nothing. */
    while (write(state.write_fd, &byte, 1) == -1 && errno == EINTR)
        continue;
    errno = saved;
}

static void
set_default_actions(void)
{
    for (int signo = 1; signo < NSIG; signo++)
        if (sigismember(&state.taken, signo) == 1)
            signal(signo, SIG_DFL);
    sigemptyset(&state.taken);
}

static int
take(int signo)
{
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };

    sigfillset(&action.sa_mask);
    if (sigaction(signo, &action, NULL) == -1)
        return -1;
    sigaddset(&state.taken, signo);
    return 0;
}

int
sig_open(const int *signals, size_t count, struct err *err)
{
    int ends[2];

    assert(state.read_fd == -1);
    sigemptyset(&state.taken);
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot open the signal pipe");
    state.read_fd = ends[0];
    state.write_fd = ends[1];
    state.owner_pid = getpid();
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < count; i++)
        if (take(signals[i]) == -1) {
            err_set_errno(err, ERR_SYSTEM, "cannot handle signal %d",
                          signals[i]);
            sig_close_in_child();
            return -1;
        }
    return 0;
}

int
sig_fd(void)
{
    return state.read_fd;
}

int
sig_next(void)
{
    unsigned char byte;
    ssize_t len;

    do
        len = read(state.read_fd, &byte, 1);
    while (len == -1 && errno == EINTR);
    return len == 1 ? byte : 0;
}

void
sig_block(sigset_t *old)
{
    sigprocmask(SIG_BLOCK, &state.taken, old);
}

void
sig_unblock(const sigset_t *old)
{
    sigprocmask(SIG_SETMASK, old, NULL);
}

void
sig_close_in_child(void)
{
    set_default_actions();
    fd_close(&state.read_fd);
    fd_close(&state.write_fd);
    state.owner_pid = 0;
}
