/*
 * pg_connect - pg.c's way to a server: which host, which address, until when.
 *
 * For pg.c alone.
 */
#ifndef CLIENT_PG_CONNECT_H
#define CLIENT_PG_CONNECT_H

#include <poll.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/attr.h"
#include "base/err.h"
#include "client/pg.h"

struct pg_connect;

struct pg_connect *pg_connect_new(const struct pg_options *options,
                                  struct err *err) ATTR_MUST_CHECK;
void pg_connect_free(struct pg_connect *connect); /* NULL is fine */

/* A connection in pipeline mode, owned, or NULL.  sqlstate says why the server
 * refused, when it did. */
PGconn *pg_connect_run(struct pg_connect *connect, int64_t deadline_mono_ms,
                       char sqlstate[PG_SQLSTATE_LEN],
                       struct err *err) ATTR_MUST_CHECK;

/* The present host goes to the end of the list. */
void pg_connect_blame(struct pg_connect *connect);

/* "host:port/database" of the present host. */
const char *pg_connect_place(const struct pg_connect *connect);

/* Says what libpq says about the connection.  Returns -1. */
int pg_connect_fail(const struct pg_connect *connect, const PGconn *conn,
                    const char *what, struct err *err);

/* poll(2) for one descriptor, through signals: above 0 when ready, 0 when the
 * deadline came, -1 when it is broken. */
int pg_poll(int fd, short events, int64_t deadline_mono_ms);

#endif
