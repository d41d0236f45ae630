/*
 * pg - PostgreSQL with our settings: one connection, one round trip for each
 * transaction, own deadlines for everything.
 *
 *     pg = pg_new(&options, &err);                   after fork(2); no network
 *     pg_start(pg, &order, deadline, &err);
 *     while ((step = pg_step(pg, deadline, &err)) == PG_ROW)
 *         pg_int(pg, 0);                             or, without rows:
 *     pg_finish(pg, deadline, &err);
 *     pg_free(pg);
 *
 * pg_start() connects when there is no connection.  Several hosts in the URL
 * are tried in turn, and every address of each, with their shares of the
 * deadline, so that one that swallows packets does not use all of it up; the
 * host that failed comes last the next time.
 *
 * Statements are sent together (pipeline mode) inside BEGIN and COMMIT.  Rows
 * are taken one at a time, so memory is bounded by the widest row.  Nothing is
 * prepared under a name, nothing outlives a transaction, so a PgBouncer in
 * transaction mode is fine.  Text is UTF-8: a database in another encoding is
 * refused.
 *
 * Whatever fails, the connection is dropped, so that none is ever in an unknown
 * state; what the server did with the transaction is unknown unless it said so.
 *
 * Errors: ERR_INVALID and ERR_LIMIT when the server refuses what it was given
 * (a value, a constraint, a place that is taken), ERR_INVALID as well for a URL
 * or an encoding; ERR_NOMEM; else ERR_SYSTEM, which may heal: the connection,
 * time-outs, locks, a read-only server, grants, a missing table or partition.
 * Texts name host, port and database and what the server said; never a
 * password, a parameter or a row.
 *
 * A handle belongs to one process.  This module does not log and knows no
 * schema.
 */
#ifndef CLIENT_PG_H
#define CLIENT_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/uuid.h"
#include "client/pg_query.h"

#define PG_SQLSTATE_LEN 6 /* five characters and a NUL */
#define PG_MAX_HOSTS    16

struct pg;

enum pg_mode {
    PG_WRITE, /* read-write servers only; COMMIT waits for the disk */
    PG_READ,  /* one snapshot, read-only */
};

struct pg_options {
    const char *url;         /* postgresql:// or key=value pairs; copied */
    const char *application; /* application_name unless the URL has one */
    enum pg_mode mode;
};

/* What to run as one transaction; borrowed until its end. */
struct pg_order {
    struct pg_query *const *queries;
    size_t query_count;
    int64_t statement_ms; /* the server's limit for each; 0: the deadline */

    /* The statements make the settings, all but the server's limit: how long to
     * wait for a lock, that COMMIT waits for the disk, that a client who has gone
     * is soon missed.  Ours are a statement for each, which a small transaction
     * feels. */
    bool sets_itself;
};

/* ERR_INVALID when the URL is none. */
struct pg *pg_new(const struct pg_options *options,
                  struct err *err) ATTR_MUST_CHECK;
void pg_free(struct pg *pg); /* NULL is fine */

/* Does nothing when there is a connection. */
int pg_connect(struct pg *pg, int64_t deadline_mono_ms,
               struct err *err) ATTR_MUST_CHECK;

/* For tests: whoever needs a connection calls pg_connect(), or pg_is_alive(). */
bool pg_is_connected(const struct pg *pg);

/* There is a connection, and the server has not left it. */
bool pg_is_alive(struct pg *pg);
void pg_disconnect(struct pg *pg);

/* "host:port/database", of the connection or of the first host. */
const char *pg_place(const struct pg *pg);

/* The SQLSTATE of the last failure, "" when the server had no part in it. */
const char *pg_sqlstate(const struct pg *pg);

/* ---- transactions ---- */

int pg_start(struct pg *pg, const struct pg_order *order,
             int64_t deadline_mono_ms, struct err *err) ATTR_MUST_CHECK;

enum pg_step { PG_FAILED = -1, PG_DONE = 0, PG_ROW = 1 };

/* The next row of any of the statements, in their order.  PG_DONE: all of it
 * is committed. */
enum pg_step pg_step(struct pg *pg, int64_t deadline_mono_ms,
                     struct err *err) ATTR_MUST_CHECK;

/* Leaves a transaction before its end: drops the connection then.  Does nothing
 * after PG_DONE or PG_FAILED. */
void pg_stop(struct pg *pg);

/* To its end; the rows that are left are passed over. */
int pg_finish(struct pg *pg, int64_t deadline_mono_ms,
              struct err *err) ATTR_MUST_CHECK;

/* ---- the present row; columns count from 0 ---- */

size_t pg_query_index(const struct pg *pg); /* the statement it belongs to */
bool pg_is_null(const struct pg *pg, int column);

/* Of a boolean or an integer of any size; 0 when it is neither, or null. */
int64_t pg_int(const struct pg *pg, int column);

/* Of text or bytea.  Borrowed until the next pg_step(); NULL when null.  Ends in
 * a NUL not in *len; len may be NULL. */
const char *pg_text(const struct pg *pg, int column, size_t *len);

/* -1 when it is null or no uuid. */
int pg_uuid(const struct pg *pg, int column, struct uuid *uuid) ATTR_MUST_CHECK;

/* Of a timestamptz; 0 when it is none, or null. */
int64_t pg_time(const struct pg *pg, int column);

#endif
