/*
 * sock - unix stream sockets: listen, connect, who is there.
 */
#ifndef SYS_SOCK_H
#define SYS_SOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"

#define SOCK_BACKLOG 4096

/* How a listening socket file looks to others. */
struct sock_access {
    mode_t mode;       /* such as 0660 */
    const char *group; /* group name, or NULL or "" to leave it */
};

/* A non-blocking, close-on-exec listener at path.  A stale socket file is
 * replaced; one that somebody still answers on is an error that says so, as is
 * a path too long for sun_path.  Returns the descriptor, owned, or -1. */
int sock_listen_unix(const char *path, const struct sock_access *access,
                     struct err *err) ATTR_MUST_CHECK;

/* A non-blocking, close-on-exec connection, owned, or -1.  A unix connect
 * either succeeds at once or fails (EAGAIN when the backlog is full). */
int sock_connect_unix(const char *path, struct err *err) ATTR_MUST_CHECK;

/* accept4(2), close-on-exec, blocking.  -1 with errno. */
int sock_accept(int listen_fd);

/* The user at the other end of a unix socket, by SO_PEERCRED. */
int sock_peer_uid(int fd, uid_t *uid, struct err *err) ATTR_MUST_CHECK;

/* SO_RCVTIMEO and SO_SNDTIMEO; 0 leaves one alone.  Per call, not in total. */
int sock_set_timeouts(int fd, int64_t receive_ms, int64_t send_ms,
                      struct err *err) ATTR_MUST_CHECK;

/* True when fd is a listening unix or TCP socket, as a web server or spawn-fcgi
 * leaves on descriptor 0 and systemd on 3 and up. */
bool sock_is_listening(int fd);

/* True when the peer has closed its end: recv(MSG_PEEK) says end of file or a
 * broken connection.  Never blocks, consumes nothing. */
bool sock_peer_is_gone(int fd);

/* How many descriptors systemd passed (LISTEN_FDS, for this pid), from 3 on.
 * Takes the variables out of the environment.  0 when none. */
int sock_systemd_fds(void);

#endif
