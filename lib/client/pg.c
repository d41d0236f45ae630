/*
 * pg.c - see pg.h.
 *
 * How a transaction goes over the wire, all of it before the first answer is
 * awaited: BEGIN, a time-out, the settings, the statements, COMMIT, Sync.
 * Results come back in the same order, a NULL behind each; after an error the
 * server skips the rest.  libpq is non-blocking throughout: poll(2) and the
 * deadline are ours.  PQcancel() is not used, since it blocks.
 */
#include "client/pg.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/clock.h"
#include "client/pg_connect.h"

#define MAX_IDLE_READS 16
#define BINARY         1

struct pg {
    struct pg_connect *connect;
    PGconn *conn;     /* NULL without a connection */
    PGresult *result; /* the present row */
    enum pg_mode mode;
    size_t leading_count; /* statements of ours before the caller's */
    size_t query_count;   /* of the running transaction, without ours */
    size_t position;      /* in the order of sending */
    bool running;
    bool committed;
    char sqlstate[PG_SQLSTATE_LEN];
};

/* Statements of their own: the server plans nothing for them, which it would do
 * each time for a SELECT of set_config(). */
static const char *const settings[] = {
    "SET LOCAL synchronous_commit = on",
    /* Whoever lost its client in the middle must not keep its locks. */
    "SET LOCAL tcp_keepalives_idle = 5",
    "SET LOCAL tcp_keepalives_interval = 2",
    "SET LOCAL tcp_keepalives_count = 3",
};

/* ---- errors ------------------------------------------------------------ */

static bool
is_class(const char *sqlstate, const char *class)
{
    return strncmp(sqlstate, class, 2) == 0;
}

/* A check without a name is the missing partition of a month. */
static enum err_kind
kind_of(const char *sqlstate, bool names_constraint)
{
    if (strcmp(sqlstate, "23514") == 0 && !names_constraint)
        return ERR_SYSTEM;
    if (is_class(sqlstate, "22") || is_class(sqlstate, "23") ||
        strcmp(sqlstate, "TD001") == 0 || strcmp(sqlstate, "TD002") == 0 ||
        strcmp(sqlstate, "TD005") == 0)
        return ERR_INVALID;
    return is_class(sqlstate, "54") ? ERR_LIMIT : ERR_SYSTEM;
}

static const char *
field_of(const PGresult *result, int field)
{
    const char *text = PQresultErrorField(result, field);

    return text != NULL ? text : "";
}

/* Messages of class 22 quote values, so their code alone is told. */
static int
fail_result(struct pg *pg, const PGresult *result, struct err *err)
{
    const char *sqlstate = field_of(result, PG_DIAG_SQLSTATE);
    const char *constraint = field_of(result, PG_DIAG_CONSTRAINT_NAME);
    const char *message = field_of(result, PG_DIAG_MESSAGE_PRIMARY);
    const enum err_kind kind = kind_of(sqlstate, constraint[0] != '\0');

    if (sqlstate[0] == '\0') {
        pg_connect_fail(pg->connect, pg->conn, "lost", err);
    } else {
        snprintf(pg->sqlstate, sizeof(pg->sqlstate), "%s", sqlstate);
        err_set(err, kind, "PostgreSQL at %s: %s (%s)", pg_place(pg),
                is_class(sqlstate, "22") ? "a value is refused" : message,
                sqlstate);
    }
    if (kind == ERR_SYSTEM)
        pg_connect_blame(pg->connect);
    pg_disconnect(pg);
    return -1;
}

static int
fail_connection(struct pg *pg, const char *what, struct err *err)
{
    pg_connect_fail(pg->connect, pg->conn, what, err);
    pg_connect_blame(pg->connect);
    pg_disconnect(pg);
    return -1;
}

static int
fail_deadline(struct pg *pg, struct err *err)
{
    err_set(err, ERR_SYSTEM, "PostgreSQL at %s did not answer in time",
            pg_place(pg));
    pg_connect_blame(pg->connect);
    pg_disconnect(pg);
    return -1;
}

/* ---- the connection ---------------------------------------------------- */

struct pg *
pg_new(const struct pg_options *options, struct err *err)
{
    struct pg *pg = calloc(1, sizeof(*pg));

    if (pg == NULL) {
        err_set(err, ERR_NOMEM, "a PostgreSQL client");
        return NULL;
    }
    pg->mode = options->mode;
    pg->connect = pg_connect_new(options, err);
    if (pg->connect != NULL)
        return pg;
    pg_free(pg);
    return NULL;
}

void
pg_free(struct pg *pg)
{
    if (pg == NULL)
        return;
    pg_disconnect(pg);
    pg_connect_free(pg->connect);
    free(pg);
}

void
pg_disconnect(struct pg *pg)
{
    PQclear(pg->result);
    pg->result = NULL;
    PQfinish(pg->conn);
    pg->conn = NULL;
    pg->running = false;
}

bool
pg_is_connected(const struct pg *pg)
{
    return pg->conn != NULL;
}

const char *
pg_place(const struct pg *pg)
{
    return pg_connect_place(pg->connect);
}

const char *
pg_sqlstate(const struct pg *pg)
{
    return pg->sqlstate;
}

/* An idle connection is readable when the server said something: mostly that it
 * has gone.  One that does not stop talking is as good as gone. */
static bool
is_stale(struct pg *pg)
{
    for (int i = 0; i < MAX_IDLE_READS; i++) {
        if (pg_poll(PQsocket(pg->conn), POLLIN, 0) <= 0)
            return PQstatus(pg->conn) != CONNECTION_OK;
        if (PQconsumeInput(pg->conn) == 0)
            return true;
        (void)PQisBusy(pg->conn); /* takes the message in */
    }
    return true;
}

bool
pg_is_alive(struct pg *pg)
{
    assert(!pg->running);
    if (pg->conn != NULL && is_stale(pg))
        pg_disconnect(pg);
    return pg->conn != NULL;
}

int
pg_connect(struct pg *pg, int64_t deadline_mono_ms, struct err *err)
{
    if (!pg_is_alive(pg))
        pg->conn =
            pg_connect_run(pg->connect, deadline_mono_ms, pg->sqlstate, err);
    return pg->conn != NULL ? 0 : -1;
}

/* ---- sending ----------------------------------------------------------- */

static int
send_text(struct pg *pg, const char *sql, struct err *err)
{
    if (PQsendQueryParams(pg->conn, sql, 0, NULL, NULL, NULL, NULL, BINARY) ==
        1)
        return 0;
    return fail_connection(pg, "lost", err);
}

/* One of ours, for the whole transaction. */
static int
send_leading(struct pg *pg, const char *sql, struct err *err)
{
    pg->leading_count++;
    return send_text(pg, sql, err);
}

static int
send_timeout(struct pg *pg, const char *name, int64_t ms, struct err *err)
{
    char sql[64];

    snprintf(sql, sizeof(sql), "SET LOCAL %s = %" PRId64, name, ms);
    return send_leading(pg, sql, err);
}

static int
send_settings(struct pg *pg, int64_t statement_ms, struct err *err)
{
    if (send_timeout(pg, "lock_timeout", (statement_ms + 1) / 2, err) == -1)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (send_leading(pg, settings[i], err) == -1)
            return -1;
    return 0;
}

static int
send_query(struct pg *pg, const struct pg_query *query, struct err *err)
{
    Oid oids[PG_MAX_PARAMS];
    const char *values[PG_MAX_PARAMS];
    int lengths[PG_MAX_PARAMS], formats[PG_MAX_PARAMS];

    for (size_t i = 0; i < query->param_count; i++) {
        const struct pg_param *param = &query->params[i];

        oids[i] = param->oid;
        values[i] = param->is_null ? NULL : buf_cstr(&query->bytes) + param->at;
        lengths[i] = (int)param->len;
        formats[i] = BINARY;
    }
    if (PQsendQueryParams(pg->conn, query->sql, (int)query->param_count, oids,
                          values, lengths, formats, BINARY) == 1)
        return 0;
    return fail_connection(pg, "lost", err);
}

static int
send_all(struct pg *pg, const struct pg_order *order, int64_t deadline_mono_ms,
         struct err *err)
{
    const char *begin =
        pg->mode == PG_WRITE
            ? "BEGIN ISOLATION LEVEL READ COMMITTED"
            : "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
    int64_t statement_ms = order->statement_ms > 0
                               ? order->statement_ms
                               : clock_left_ms(deadline_mono_ms);

    if (statement_ms < 1)
        statement_ms = 1;
    pg->leading_count = 0;
    /* The server gives up before we do, so that we hear why. */
    if (send_leading(pg, begin, err) == -1 ||
        send_timeout(pg, "statement_timeout", statement_ms - statement_ms / 10,
                     err) == -1 ||
        (!order->sets_itself && send_settings(pg, statement_ms, err) == -1))
        return -1;
    for (size_t i = 0; i < order->query_count; i++)
        if (send_query(pg, order->queries[i], err) == -1)
            return -1;
    if (send_text(pg, "COMMIT", err) == -1)
        return -1;
    if (PQpipelineSync(pg->conn) == 1)
        return 0;
    return fail_connection(pg, "lost", err);
}

/* Sends what waits and reads what came, until there is nothing more to send
 * and, when an answer is awaited, a whole one is there. */
static int
exchange(struct pg *pg, bool answer, int64_t deadline_mono_ms, struct err *err)
{
    for (;;) {
        const int unsent = PQflush(pg->conn);
        short events = POLLIN;

        if (unsent == -1)
            return fail_connection(pg, "lost", err);
        if (unsent == 0 && (!answer || PQisBusy(pg->conn) == 0))
            return 0;
        if (clock_left_ms(deadline_mono_ms) == 0) /* however much arrives */
            return fail_deadline(pg, err);
        if (unsent == 1)
            events |= POLLOUT;
        switch (pg_poll(PQsocket(pg->conn), events, deadline_mono_ms)) {
        case 0:
            return fail_deadline(pg, err);
        case -1:
            return fail_connection(pg, "lost", err);
        default:
            if (PQconsumeInput(pg->conn) == 0)
                return fail_connection(pg, "lost", err);
        }
    }
}

static int
check_queries(const struct pg_order *order, struct err *err)
{
    for (size_t i = 0; i < order->query_count; i++) {
        assert(!order->queries[i]->in_array);
        switch (order->queries[i]->status) {
        case BUF_OK:
            break;
        case BUF_FULL:
            return err_set(err, ERR_LIMIT, "too much for one statement");
        case BUF_NOMEM:
            return err_set(err, ERR_NOMEM, "the parameters of a statement");
        }
    }
    return 0;
}

int
pg_start(struct pg *pg, const struct pg_order *order, int64_t deadline_mono_ms,
         struct err *err)
{
    pg->sqlstate[0] = '\0';
    if (check_queries(order, err) == -1 ||
        pg_connect(pg, deadline_mono_ms, err) == -1)
        return -1;
    pg->query_count = order->query_count;
    pg->position = 0;
    pg->committed = false;
    pg->running = true;
    if (send_all(pg, order, deadline_mono_ms, err) == -1)
        return -1;
    return exchange(pg, false, deadline_mono_ms, err);
}

/* ---- receiving --------------------------------------------------------- */

static bool
is_callers(const struct pg *pg)
{
    return pg->position >= pg->leading_count &&
           pg->position < pg->leading_count + pg->query_count;
}

/* What one result means. */
enum heard { HEARD_NOTHING, HEARD_ROW, HEARD_END, HEARD_ERROR };

static enum heard
hear(struct pg *pg, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
        return is_callers(pg) ? HEARD_ROW : HEARD_NOTHING;
    case PGRES_COMMAND_OK:
        /* In a transaction that failed, COMMIT says ROLLBACK. */
        if (strcmp(PQcmdStatus(result), "COMMIT") == 0)
            pg->committed = true;
        return HEARD_NOTHING;
    case PGRES_TUPLES_OK:
        return HEARD_NOTHING;
    case PGRES_PIPELINE_SYNC:
        return HEARD_END;
    case PGRES_EMPTY_QUERY:
    case PGRES_COPY_OUT:
    case PGRES_COPY_IN:
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_FATAL_ERROR:
    case PGRES_COPY_BOTH:
    case PGRES_PIPELINE_ABORTED:
        break;
    }
    return HEARD_ERROR;
}

static enum pg_step
finish(struct pg *pg, struct err *err)
{
    pg->running = false;
    if (pg->committed)
        return PG_DONE;
    err_set(err, ERR_SYSTEM, "PostgreSQL at %s did not commit", pg_place(pg));
    pg_disconnect(pg);
    return PG_FAILED;
}

enum pg_step
pg_step(struct pg *pg, int64_t deadline_mono_ms, struct err *err)
{
    assert(pg->running);
    PQclear(pg->result);
    pg->result = NULL;
    for (;;) {
        PGresult *result;

        (void)PQsetSingleRowMode(pg->conn); /* for the statement at hand */
        if (exchange(pg, true, deadline_mono_ms, err) == -1)
            return PG_FAILED;
        result = PQgetResult(pg->conn);
        if (result == NULL) {
            if (PQstatus(pg->conn) != CONNECTION_OK) {
                fail_connection(pg, "lost", err);
                return PG_FAILED;
            }
            pg->position++;
            continue;
        }
        switch (hear(pg, result)) {
        case HEARD_ROW:
            pg->result = result;
            return PG_ROW;
        case HEARD_END:
            PQclear(result);
            return finish(pg, err);
        case HEARD_ERROR:
            pg->result = result; /* pg_disconnect() clears it */
            fail_result(pg, result, err);
            return PG_FAILED;
        case HEARD_NOTHING:
            PQclear(result);
            break;
        }
    }
}

void
pg_stop(struct pg *pg)
{
    if (pg->running)
        pg_disconnect(pg);
}

int
pg_finish(struct pg *pg, int64_t deadline_mono_ms, struct err *err)
{
    enum pg_step step;

    while ((step = pg_step(pg, deadline_mono_ms, err)) == PG_ROW)
        continue;
    return step == PG_DONE ? 0 : -1;
}

/* ---- rows -------------------------------------------------------------- */

size_t
pg_query_index(const struct pg *pg)
{
    return pg->position - pg->leading_count;
}

bool
pg_is_null(const struct pg *pg, int column)
{
    return PQgetisnull(pg->result, 0, column) == 1;
}

const char *
pg_text(const struct pg *pg, int column, size_t *len)
{
    if (len != NULL)
        *len = (size_t)PQgetlength(pg->result, 0, column);
    if (pg_is_null(pg, column))
        return NULL;
    return PQgetvalue(pg->result, 0, column);
}

int64_t
pg_int(const struct pg *pg, int column)
{
    const int len = PQgetlength(pg->result, 0, column);
    uint8_t bytes[8] = { 0 };
    uint64_t value = 0;

    if (len < 1 || len > (int)sizeof(bytes))
        return 0;
    memcpy(bytes, PQgetvalue(pg->result, 0, column), (size_t)len);
    if (bytes[0] >= 0x80) /* the sign goes all the way up */
        value = UINT64_MAX;
    for (int i = 0; i < len; i++)
        value = value << 8 | bytes[i];
    return (int64_t)value;
}

int
pg_uuid(const struct pg *pg, int column, struct uuid *uuid)
{
    if (PQgetlength(pg->result, 0, column) != (int)sizeof(uuid->bytes))
        return -1;
    memcpy(uuid->bytes, PQgetvalue(pg->result, 0, column), sizeof(uuid->bytes));
    return 0;
}

int64_t
pg_time(const struct pg *pg, int column)
{
    if (PQgetlength(pg->result, 0, column) != (int)sizeof(int64_t))
        return 0;
    return pg_int(pg, column) + PG_EPOCH_UNIX_US;
}
