/* fd.c - see fd.h. */
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

int
fd_set_nonblock(int fd, struct err *err)
{
    const int flags = fcntl(fd, F_GETFL);

    if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot set O_NONBLOCK");
    return 0;
}

int
fd_set_cloexec(int fd, struct err *err)
{
    const int flags = fcntl(fd, F_GETFD);

    if (flags == -1 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot set FD_CLOEXEC");
    return 0;
}

void
fd_close(int *fd)
{
    const int saved = errno;

    /* Not repeated after EINTR: Linux has released the number by then. */
    if (*fd != -1)
        close(*fd);
    *fd = -1;
    errno = saved;
}

int
fd_wait(int fd, short events, int64_t deadline_mono_ms)
{
    struct pollfd entry = { .fd = fd, .events = events };

    for (;;) {
        const int left_ms = clock_left_ms(deadline_mono_ms);
        const int count = poll(&entry, 1, left_ms);

        if (count > 0)
            return entry.revents;
        if (count == 0 && clock_left_ms(deadline_mono_ms) == 0)
            return 0;
        if (count == -1 && errno != EINTR)
            return -1;
    }
}

/* True when writing may go on: it was only interrupted, or there is room. */
static bool
may_go_on(int fd, int64_t deadline_mono_ms)
{
    if (errno == EINTR)
        return true;
    if (errno != EAGAIN)
        return false;
    switch (fd_wait(fd, POLLOUT, deadline_mono_ms)) {
    case -1:
        return false;
    case 0:
        errno = ETIMEDOUT;
        return false;
    default:
        return true;
    }
}

int
fd_write_all(int fd, const void *bytes, size_t len, int64_t deadline_mono_ms,
             struct err *err)
{
    const char *next = bytes;

    while (len > 0) {
        const ssize_t written = write(fd, next, len);

        if (written >= 0) {
            next += written;
            len -= (size_t)written;
        } else if (!may_go_on(fd, deadline_mono_ms)) {
            return err_set_errno(err, ERR_SYSTEM, "write");
        }
    }
    return 0;
}

size_t
fd_raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        const struct rlimit raised = { limit.rlim_max, limit.rlim_max };

        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    return (size_t)limit.rlim_cur;
}
