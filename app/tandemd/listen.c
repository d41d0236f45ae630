/* listen.c - see listen.h. */
#include "tandemd/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fd.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/sock.h"

#define SYSTEMD_FIRST_FD 3

static int
make_parent(const char *path, struct err *err)
{
    const mode_t old = umask(0022); /* others must get through to the socket */
    char copy[LISTEN_PATH_LEN];
    int result;

    snprintf(copy, sizeof(copy), "%s", path);
    result = file_make_folder(dirname(copy), 0755, err);
    umask(old);
    return result;
}

int
listen_check(const struct config *config, mode_t *mode, struct err *err)
{
    char *end;
    const unsigned long parsed = strtoul(config->socket_mode, &end, 8);

    if (*end != '\0' || parsed > 0777)
        return err_set(err, ERR_INVALID,
                       "SOCKET_MODE=%s: must be octal, such as 0660",
                       config->socket_mode);
    if (config->socket_group[0] != '\0' &&
        getgrnam(config->socket_group) == NULL)
        return err_set(err, ERR_INVALID, "SOCKET_GROUP=%s: no such group",
                       config->socket_group);
    *mode = (mode_t)parsed;
    return 0;
}

/* Fills *fd and, so that it is removed one day, own_path. */
static int
open_own(const char *path, const struct sock_access *access, int *fd,
         char own_path[LISTEN_PATH_LEN], struct err *err)
{
    if (make_parent(path, err) == -1)
        return -1;
    *fd = sock_listen_unix(path, access, err);
    if (*fd == -1)
        return -1;
    snprintf(own_path, LISTEN_PATH_LEN, "%s", path);
    return 0;
}

/* A socket that somebody else opened for us. */
static int
adopt(int inherited, int *fd, struct err *err)
{
    if (!sock_is_listening(inherited))
        return err_set(err, ERR_INVALID,
                       "descriptor %d was passed to us but is no listening "
                       "socket",
                       inherited);
    *fd = fcntl(inherited, F_DUPFD_CLOEXEC, 10);
    if (*fd == -1)
        return err_set_errno(err, ERR_SYSTEM, "descriptor %d", inherited);
    return fd_set_nonblock(*fd, err);
}

/* Descriptor 0 must not stay a socket: every child would hold it. */
static int
replace_stdin(struct err *err)
{
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null == -1 || dup2(null, 0) == -1)
        return err_set_errno(err, ERR_SYSTEM, "/dev/null");
    close(null);
    return 0;
}

static int
inherit(struct listen *sockets, struct err *err)
{
    const int passed = sock_systemd_fds();

    if (passed > 2)
        return err_set(err, ERR_INVALID,
                       "LISTEN_FDS=%d: pass the stream socket, then the "
                       "control socket",
                       passed);
    for (int i = 0; i < passed; i++) {
        int inherited = SYSTEMD_FIRST_FD + i;

        if (adopt(inherited,
                  i == 0 ? &sockets->stream_fd : &sockets->control_fd,
                  err) == -1)
            return -1;
        fd_close(&inherited);
    }
    if (passed > 0 || !sock_is_listening(0))
        return 0;
    if (adopt(0, &sockets->stream_fd, err) == -1)
        return -1;
    return replace_stdin(err);
}

static int
open_missing(struct listen *sockets, const struct config *config,
             struct err *err)
{
    struct sock_access access = { .group = config->socket_group };
    const struct sock_access ours_alone = { .mode = 0600 };

    if (listen_check(config, &access.mode, err) == -1)
        return -1;
    if (sockets->stream_fd == -1 &&
        open_own(config->stream_socket, &access, &sockets->stream_fd,
                 sockets->stream_path, err) == -1)
        return -1;
    if (sockets->control_fd == -1 &&
        open_own(config->control_socket, &access, &sockets->control_fd,
                 sockets->control_path, err) == -1)
        return -1;
    return open_own(config->scribe_socket, &ours_alone, &sockets->scribe_fd,
                    sockets->scribe_path, err);
}

int
listen_open(struct listen *sockets, const struct config *config,
            struct err *err)
{
    *sockets =
        (struct listen){ .stream_fd = -1, .control_fd = -1, .scribe_fd = -1 };
    if (inherit(sockets, err) == 0 && open_missing(sockets, config, err) == 0)
        return 0;
    listen_close(sockets);
    return -1;
}

static bool
is_deleted(const char *path)
{
    return path[0] != '\0' && access(path, F_OK) == -1 && errno == ENOENT;
}

static bool
renew(const char *path, const struct sock_access *access, int fd,
      struct err *err)
{
    int fresh;

    if (!is_deleted(path) || make_parent(path, err) == -1)
        return false;
    fresh = sock_listen_unix(path, access, err);
    if (fresh == -1)
        return false;
    dup3(fresh, fd, O_CLOEXEC);
    fd_close(&fresh);
    log_warn("socket_renewed", "%s had been deleted", path);
    return true;
}

unsigned
listen_renew(struct listen *sockets, const struct config *config)
{
    struct sock_access access = { .group = config->socket_group };
    const struct sock_access ours_alone = { .mode = 0600 };
    struct err err = { 0 };
    unsigned renewed = 0;

    if (listen_check(config, &access.mode, &err) == 0) {
        renewed |= (unsigned)renew(sockets->stream_path, &access,
                                   sockets->stream_fd, &err)
                   << LISTEN_STREAM;
        renewed |= (unsigned)renew(sockets->control_path, &access,
                                   sockets->control_fd, &err)
                   << LISTEN_CONTROL;
        renewed |= (unsigned)renew(sockets->scribe_path, &ours_alone,
                                   sockets->scribe_fd, &err)
                   << LISTEN_SCRIBE;
    }
    if (err.kind != ERR_NONE && !sockets->renewal_fails)
        log_error("socket_not_renewed", "%s", err.text);
    sockets->renewal_fails = err.kind != ERR_NONE;
    return renewed;
}

static void
remove_own(char path[LISTEN_PATH_LEN])
{
    if (path[0] != '\0')
        unlink(path);
    path[0] = '\0';
}

void
listen_stop_stream(struct listen *sockets)
{
    remove_own(sockets->stream_path);
    fd_close(&sockets->stream_fd);
}

void
listen_close(struct listen *sockets)
{
    listen_stop_stream(sockets);
    remove_own(sockets->control_path);
    fd_close(&sockets->control_fd);
    remove_own(sockets->scribe_path);
    fd_close(&sockets->scribe_fd);
}
