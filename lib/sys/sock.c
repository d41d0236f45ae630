/* sock.c - see sock.h. */
#include "sys/sock.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "sys/fd.h"

#define GROUP_ENTRY_BYTES 16384
#define SYSTEMD_FIRST_FD  3
#define SYSTEMD_MAX_FDS   64

static int
make_address(const char *path, struct sockaddr_un *address, struct err *err)
{
    const size_t len = strlen(path);

    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (len == 0 || len >= sizeof(address->sun_path))
        return err_set(err, ERR_INVALID,
                       "a socket path has 1 to %zu bytes, not %zu: %s",
                       sizeof(address->sun_path) - 1, len, path);
    memcpy(address->sun_path, path, len);
    return 0;
}

static int
new_socket(struct err *err)
{
    const int fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd == -1)
        err_set_errno(err, ERR_SYSTEM, "socket");
    return fd;
}

static int
connect_to(int fd, const struct sockaddr_un *address)
{
    return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

/* Removes what is at the path when it is a socket nobody listens on. */
static int
remove_stale(const struct sockaddr_un *address, struct err *err)
{
    const char *path = address->sun_path;
    struct stat info;
    int fd;
    int answer;

    if (lstat(path, &info) == -1)
        return err_set_errno(err, ERR_SYSTEM, "%s", path);
    if (!S_ISSOCK(info.st_mode))
        return err_set(err, ERR_INVALID, "%s exists and is no socket", path);
    fd = new_socket(err);
    if (fd == -1)
        return -1;
    answer = connect_to(fd, address);
    fd_close(&fd);
    if (answer == 0 || errno == EAGAIN)
        return err_set(err, ERR_INVALID, "another process listens on %s", path);
    if (errno != ECONNREFUSED)
        return err_set_errno(err, ERR_SYSTEM, "cannot tell who listens on %s",
                             path);
    if (unlink(path) == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot remove stale %s", path);
    return 0;
}

/* The file appears with its final mode: there is no moment at which it is
 * wider than asked for. */
static int
bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode)
{
    const mode_t old = umask(~mode & 0777);
    const int result =
        bind(fd, (const struct sockaddr *)address, sizeof(*address));

    umask(old);
    return result;
}

static int
bind_fresh(int fd, const struct sockaddr_un *address, mode_t mode,
           struct err *err)
{
    if (bind_with_mode(fd, address, mode) == 0)
        return 0;
    if (errno == EADDRINUSE) {
        if (remove_stale(address, err) == -1)
            return -1;
        if (bind_with_mode(fd, address, mode) == 0)
            return 0;
    }
    return err_set_errno(err, ERR_SYSTEM, "cannot bind %s", address->sun_path);
}

static int
find_group(const char *name, gid_t *gid, struct err *err)
{
    char space[GROUP_ENTRY_BYTES];
    struct group entry;
    struct group *found;

    errno = getgrnam_r(name, &entry, space, sizeof(space), &found);
    if (errno != 0)
        return err_set_errno(err, ERR_SYSTEM, "group %s", name);
    if (found == NULL)
        return err_set(err, ERR_INVALID, "there is no group %s", name);
    *gid = found->gr_gid;
    return 0;
}

static int
grant(const char *path, const struct sock_access *access, struct err *err)
{
    gid_t gid;

    if (access->group != NULL && access->group[0] != '\0') {
        if (find_group(access->group, &gid, err) == -1)
            return -1;
        if (chown(path, (uid_t)-1, gid) == -1)
            return err_set_errno(err, ERR_SYSTEM, "cannot give %s to group %s",
                                 path, access->group);
    }
    /* A folder with a default ACL makes bind(2) overlook the umask. */
    if (chmod(path, access->mode) == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot set the mode of %s",
                             path);
    return 0;
}

int
sock_listen_unix(const char *path, const struct sock_access *access,
                 struct err *err)
{
    struct sockaddr_un address;
    int fd;

    if (make_address(path, &address, err) == -1)
        return -1;
    fd = new_socket(err);
    if (fd == -1)
        return -1;
    if (bind_fresh(fd, &address, access->mode, err) == -1)
        goto close_it;
    if (grant(path, access, err) == -1)
        goto remove_it;
    if (listen(fd, SOCK_BACKLOG) == -1) {
        err_set_errno(err, ERR_SYSTEM, "cannot listen on %s", path);
        goto remove_it;
    }
    return fd;

remove_it:
    unlink(path);
close_it:
    fd_close(&fd);
    return -1;
}

int
sock_connect_unix(const char *path, struct err *err)
{
    struct sockaddr_un address;
    int fd;

    if (make_address(path, &address, err) == -1)
        return -1;
    fd = new_socket(err);
    if (fd != -1 && connect_to(fd, &address) == -1) {
        err_set_errno(err, ERR_SYSTEM, "cannot connect to %s", path);
        fd_close(&fd);
    }
    return fd;
}

int
sock_accept(int listen_fd)
{
    return accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
}

int
sock_peer_uid(int fd, uid_t *uid, struct err *err)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot tell who the peer is");
    if (peer.uid == (uid_t)-1)
        return err_set(err, ERR_INVALID, "the peer of this socket has no user");
    *uid = peer.uid;
    return 0;
}

static int
set_timeout(int fd, int option, int64_t timeout_ms, struct err *err)
{
    const struct timeval timeout = { .tv_sec = timeout_ms / 1000,
                                     .tv_usec = timeout_ms % 1000 * 1000 };

    if (timeout_ms != 0 &&
        setsockopt(fd, SOL_SOCKET, option, &timeout, sizeof(timeout)) == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot set a socket time-out");
    return 0;
}

int
sock_set_timeouts(int fd, int64_t receive_ms, int64_t send_ms, struct err *err)
{
    if (set_timeout(fd, SO_RCVTIMEO, receive_ms, err) == -1)
        return -1;
    return set_timeout(fd, SO_SNDTIMEO, send_ms, err);
}

/* A socket option that is a number, or -1. */
static int
get_option(int fd, int option)
{
    int value;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

bool
sock_is_listening(int fd)
{
    const int family = get_option(fd, SO_DOMAIN);

    return get_option(fd, SO_ACCEPTCONN) == 1 &&
           get_option(fd, SO_TYPE) == SOCK_STREAM &&
           (family == AF_UNIX || family == AF_INET || family == AF_INET6);
}

bool
sock_peer_is_gone(int fd)
{
    char byte;
    const ssize_t len = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    if (len == -1)
        return errno != EAGAIN && errno != EINTR && errno != ENOMEM;
    return len == 0;
}

/* A variable as a number; 0, which is neither a pid nor a count, otherwise. */
static int
number_in_environment(const char *name, int max)
{
    const char *text = getenv(name);
    int64_t value;

    if (text == NULL || str_to_int(text, 1, max, &value) == -1)
        return 0;
    return (int)value;
}

int
sock_systemd_fds(void)
{
    const bool for_us =
        number_in_environment("LISTEN_PID", INT32_MAX) == (int)getpid();
    const int count = number_in_environment("LISTEN_FDS", SYSTEMD_MAX_FDS);

    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (!for_us)
        return 0;
    for (int i = 0; i < count; i++)
        if (fd_set_cloexec(SYSTEMD_FIRST_FD + i, NULL) == -1)
            return 0;
    return count;
}
