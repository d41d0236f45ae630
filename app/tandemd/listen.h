/*
 * listen - the service's sockets: inherited where somebody left us some, else
 * our own.
 *
 * A web server (lighttpd's bin-path) or spawn-fcgi leaves the stream socket on
 * descriptor 0.  systemd passes LISTEN_FDS: first the stream socket, then the
 * control socket.  The scribe's is always our own.
 */
#ifndef TANDEMD_LISTEN_H
#define TANDEMD_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"
#include "config.h"

#define LISTEN_PATH_LEN 108 /* of sun_path, with its NUL */

struct listen {
    int stream_fd;
    int control_fd;
    int scribe_fd;
    char stream_path[LISTEN_PATH_LEN]; /* ours to remove; "" when inherited */
    char control_path[LISTEN_PATH_LEN];
    char scribe_path[LISTEN_PATH_LEN];
    bool renewal_fails; /* and we have said so */
};

/* The part of listen_open() that needs no socket: SOCKET_MODE, SOCKET_GROUP. */
int listen_check(const struct config *config, mode_t *mode,
                 struct err *err) ATTR_MUST_CHECK;

int listen_open(struct listen *sockets, const struct config *config,
                struct err *err) ATTR_MUST_CHECK;

enum listen_socket { LISTEN_STREAM, LISTEN_CONTROL, LISTEN_SCRIBE };

/* Makes those of our own sockets anew whose names somebody has deleted, for
 * nobody could reach them any more; their descriptors keep their numbers.
 * Returns which, as a mask of 1u << LISTEN_... */
unsigned listen_renew(struct listen *sockets, const struct config *config);

/* No new queries: callers of our own stream socket fail at once from here on,
 * those of an inherited one wait for whoever serves it next. */
void listen_stop_stream(struct listen *sockets);

/* Closes all and removes what is ours.  Repeatable. */
void listen_close(struct listen *sockets);

#endif
