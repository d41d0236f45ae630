/*
 * pg_connect.c - see pg_connect.h.
 *
 * PQconnectPoll() never blocks but for names, so those are looked up here and
 * handed over as hostaddr; host stays, since certificates are checked by it.
 */
#include "client/pg_connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/pg_url.h"
#include "sys/resolve.h"

#define MAX_OWN_SETTINGS 8
#define MAX_SETTINGS     (PG_URL_MAX_SETTINGS + MAX_OWN_SETTINGS)
#define PLACE_LEN        128

struct pg_connect {
    struct pg_url url;
    const char *application;
    const char *session; /* target_session_attrs */
    /* By host; a look-up that was too slow goes on until the next time. */
    struct resolve *lookups[PG_MAX_HOSTS];
    size_t order[PG_MAX_HOSTS]; /* the present host first */
    char place[PLACE_LEN];
};

/* One attempt's names and values, NULL-terminated. */
struct settings {
    const char *names[MAX_SETTINGS + 1];
    const char *values[MAX_SETTINGS + 1];
    size_t count;
};

/* ---- which host -------------------------------------------------------- */

static void
name_place(struct pg_connect *connect)
{
    const struct pg_url_host *host = &connect->url.hosts[connect->order[0]];
    const char *name = host->name != NULL ? host->name : host->address;

    snprintf(connect->place, sizeof(connect->place), "%s:%s/%s",
             name != NULL ? name : "localhost",
             host->port != NULL ? host->port : "5432",
             connect->url.database != NULL ? connect->url.database : "");
}

struct pg_connect *
pg_connect_new(const struct pg_options *options, struct err *err)
{
    struct pg_connect *connect = calloc(1, sizeof(*connect));
    const char *session;

    if (connect == NULL) {
        err_set(err, ERR_NOMEM, "a PostgreSQL client");
        return NULL;
    }
    if (pg_url_parse(&connect->url, options->url, err) == -1)
        goto fail;
    session = pg_url_get(&connect->url, "target_session_attrs");
    if (options->mode == PG_WRITE)
        session = "read-write";
    connect->session = session != NULL ? session : "any";
    connect->application =
        arena_strdup(&connect->url.arena, options->application);
    if (connect->application == NULL) {
        err_set(err, ERR_NOMEM, "a PostgreSQL client");
        goto fail;
    }
    for (size_t i = 0; i < connect->url.host_count; i++)
        connect->order[i] = i;
    name_place(connect);
    return connect;

fail:
    pg_connect_free(connect);
    return NULL;
}

void
pg_connect_free(struct pg_connect *connect)
{
    if (connect == NULL)
        return;
    for (size_t i = 0; i < PG_MAX_HOSTS; i++)
        resolve_free(connect->lookups[i]);
    pg_url_close(&connect->url);
    free(connect);
}

void
pg_connect_blame(struct pg_connect *connect)
{
    const size_t last = connect->url.host_count - 1;
    const size_t host = connect->order[0];

    memmove(connect->order, connect->order + 1, last * sizeof(host));
    connect->order[last] = host;
}

const char *
pg_connect_place(const struct pg_connect *connect)
{
    return connect->place;
}

/* ---- errors ------------------------------------------------------------ */

/* "FATAL:  53300: too many clients", as PQERRORS_VERBOSE has it. */
static void
take_sqlstate(const char *said, char sqlstate[PG_SQLSTATE_LEN])
{
    const char *at = strstr(said, "FATAL:  ");

    sqlstate[0] = '\0';
    if (at == NULL)
        return;
    at += strlen("FATAL:  ");
    if (strcspn(at, ":") == PG_SQLSTATE_LEN - 1)
        snprintf(sqlstate, PG_SQLSTATE_LEN, "%s", at);
}

int
pg_connect_fail(const struct pg_connect *connect, const PGconn *conn,
                const char *what, struct err *err)
{
    const char *said = PQerrorMessage(conn);
    const char *cause = strstr(said, " failed: ");

    if (cause != NULL) /* where is said by us */
        said = cause + strlen(" failed: ");
    return err_set(err, ERR_SYSTEM, "PostgreSQL at %s: %s: %.*s",
                   connect->place, what, (int)strcspn(said, "\n"), said);
}

/* ---- one attempt ------------------------------------------------------- */

int
pg_poll(int fd, short events, int64_t deadline_mono_ms)
{
    struct pollfd ready = { .fd = fd, .events = events };
    int count;

    do {
        count = poll(&ready, 1, clock_left_ms(deadline_mono_ms));
    } while (count == -1 && errno == EINTR);
    return count;
}

static void
set(struct settings *settings, const char *name, const char *value)
{
    if (value == NULL)
        return;
    settings->names[settings->count] = name;
    settings->values[settings->count++] = value;
}

/* Those of the URL first: ours win where both have one. */
static void
fill_settings(struct settings *settings, const struct pg_connect *connect,
              const struct pg_url_host *host, const char *address,
              const char *session)
{
    const struct pg_url *url = &connect->url;

    memset(settings, 0, sizeof(*settings));
    if (pg_url_get(url, "gssencmode") == NULL)
        set(settings, "gssencmode", "disable"); /* it would ask a KDC */
    for (size_t i = 0; i < url->setting_count; i++)
        set(settings, url->names[i], url->values[i]);
    set(settings, "host", host->name);
    set(settings, "hostaddr", address);
    set(settings, "port", host->port);
    set(settings, "target_session_attrs", session);
    set(settings, "fallback_application_name", connect->application);
    set(settings, "client_encoding", "UTF8");
}

/* libpq prints notices to standard error by itself. */
static void
ignore_notice(void *arg, const PGresult *notice)
{
    (void)arg;
    (void)notice;
}

static int
drive(PGconn *conn, int64_t deadline_mono_ms)
{
    PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;

    while (wanted == PGRES_POLLING_WRITING || wanted == PGRES_POLLING_READING) {
        const short events = wanted == PGRES_POLLING_WRITING ? POLLOUT : POLLIN;

        if (clock_left_ms(deadline_mono_ms) == 0 || /* however much arrives */
            pg_poll(PQsocket(conn), events, deadline_mono_ms) == 0)
            return 0;
        wanted = PQconnectPoll(conn); /* the socket may be another now */
    }
    return wanted == PGRES_POLLING_OK ? 1 : -1;
}

static int
check_encoding(const struct pg_connect *connect, const PGconn *conn,
               struct err *err)
{
    const char *encoding = PQparameterStatus(conn, "server_encoding");

    if (encoding == NULL || strcmp(encoding, "UTF8") == 0)
        return 0;
    return err_set(err, ERR_INVALID,
                   "the database at %s is in %s: make another one with "
                   "ENCODING 'UTF8' TEMPLATE template0",
                   connect->place, encoding);
}

static int
prepare(const struct pg_connect *connect, PGconn *conn, struct err *err)
{
    if (check_encoding(connect, conn, err) == -1)
        return -1;
    PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    if (PQsetnonblocking(conn, 1) == -1 || PQenterPipelineMode(conn) != 1)
        return pg_connect_fail(connect, conn, "no pipeline mode", err);
    return 0;
}

static PGconn *
attempt(const struct pg_connect *connect, const struct settings *settings,
        int64_t deadline_mono_ms, char sqlstate[PG_SQLSTATE_LEN],
        struct err *err)
{
    PGconn *conn = PQconnectStartParams(settings->names, settings->values, 0);

    if (conn == NULL) {
        err_set(err, ERR_NOMEM, "a PostgreSQL connection");
        return NULL;
    }
    PQsetNoticeReceiver(conn, ignore_notice, NULL);
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    if (PQstatus(conn) == CONNECTION_BAD) {
        pg_connect_fail(connect, conn, "cannot connect", err);
        goto fail;
    }
    switch (drive(conn, deadline_mono_ms)) {
    case 1:
        if (prepare(connect, conn, err) == 0)
            return conn;
        break;
    case 0:
        err_set(err, ERR_SYSTEM, "PostgreSQL at %s: no connection in time",
                connect->place);
        break;
    default:
        take_sqlstate(PQerrorMessage(conn), sqlstate);
        pg_connect_fail(connect, conn, "cannot connect", err);
    }

fail:
    PQfinish(conn);
    return NULL;
}

/* ---- all attempts ------------------------------------------------------ */

/* A part of what is left, for one of so many. */
static int64_t
share_of(int64_t deadline_mono_ms, size_t sharers)
{
    return clock_mono_ms() + clock_left_ms(deadline_mono_ms) / (int64_t)sharers;
}

static bool
needs_lookup(const struct pg_url_host *host)
{
    struct in6_addr address;

    return host->address == NULL && host->name != NULL &&
           host->name[0] != '/' && host->name[0] != '@' &&
           inet_pton(AF_INET, host->name, &address) != 1 &&
           inet_pton(AF_INET6, host->name, &address) != 1;
}

/* The number of addresses, or -1. */
static int
look_up(struct pg_connect *connect, size_t host, int64_t deadline_mono_ms,
        struct err *err)
{
    struct resolve **lookup = &connect->lookups[host];
    int count;

    if (*lookup == NULL)
        *lookup = resolve_start(connect->url.hosts[host].name, err);
    if (*lookup == NULL)
        return -1;
    count = resolve_wait(*lookup, deadline_mono_ms, err);
    if (count > 0)
        return count;
    if (count == 0)
        return err_set(err, ERR_SYSTEM,
                       "PostgreSQL at %s: no address for the name in time",
                       connect->place);
    resolve_free(*lookup);
    *lookup = NULL;
    return -1;
}

static PGconn *
try_addresses(struct pg_connect *connect, const char *session,
              int64_t deadline_mono_ms, char sqlstate[PG_SQLSTATE_LEN],
              struct err *err)
{
    const size_t index = connect->order[0];
    const struct pg_url_host *host = &connect->url.hosts[index];
    const bool by_name = needs_lookup(host);
    const int count =
        by_name ? look_up(connect, index, deadline_mono_ms, err) : 1;
    PGconn *conn = NULL;

    for (int i = 0; conn == NULL && i < count; i++) {
        char address[RESOLVE_TEXT_LEN];
        struct settings settings;

        if (by_name)
            resolve_address(connect->lookups[index], (size_t)i, address);
        fill_settings(&settings, connect, host,
                      by_name ? address : host->address, session);
        conn = attempt(connect, &settings,
                       share_of(deadline_mono_ms, (size_t)(count - i)),
                       sqlstate, err);
    }
    if (by_name && count > 0) { /* the next time the name is asked anew */
        resolve_free(connect->lookups[index]);
        connect->lookups[index] = NULL;
    }
    return conn;
}

static PGconn *
try_hosts(struct pg_connect *connect, const char *session,
          int64_t deadline_mono_ms, char sqlstate[PG_SQLSTATE_LEN],
          struct err *err)
{
    for (size_t left = connect->url.host_count; left > 0; left--) {
        PGconn *conn;

        name_place(connect);
        conn = try_addresses(connect, session, share_of(deadline_mono_ms, left),
                             sqlstate, err);
        if (conn != NULL)
            return conn;
        pg_connect_blame(connect);
    }
    return NULL;
}

PGconn *
pg_connect_run(struct pg_connect *connect, int64_t deadline_mono_ms,
               char sqlstate[PG_SQLSTATE_LEN], struct err *err)
{
    const bool prefers = strcmp(connect->session, "prefer-standby") == 0;
    struct err why = { 0 }; /* one host may fail before another answers */
    PGconn *conn = NULL;

    sqlstate[0] = '\0';
    if (prefers)
        conn = try_hosts(connect, "standby", share_of(deadline_mono_ms, 2),
                         sqlstate, NULL);
    if (conn == NULL)
        conn = try_hosts(connect, prefers ? "any" : connect->session,
                         deadline_mono_ms, sqlstate, &why);
    if (conn == NULL)
        err_set(err, why.kind, "%s", why.text);
    return conn;
}
