/*
 * store_pg.c - see store.h: PostgreSQL in one round trip.
 *
 * A pipeline with one sync is one transaction.
 */
#include "bench/store.h"

#include <stdio.h>
#include <stdlib.h>

#include <libpq-fe.h>

struct store_pg {
    struct store store;
    PGconn *connection;
};

static void
check(struct store_pg *pg, int ok)
{
    if (ok)
        return;
    fprintf(stderr, "floor: PostgreSQL: %s\n", PQerrorMessage(pg->connection));
    exit(1);
}

/* One result for each row, each followed by a NULL, and one for the sync. */
static void
take_results(struct store_pg *pg)
{
    for (;;) {
        PGresult *result = PQgetResult(pg->connection);
        const ExecStatusType status = PQresultStatus(result);

        check(pg, result == NULL || status == PGRES_COMMAND_OK ||
                      status == PGRES_PIPELINE_SYNC);
        PQclear(result);
        if (result != NULL && status == PGRES_PIPELINE_SYNC)
            return;
    }
}

static void
commit(struct store *store, size_t runs)
{
    struct store_pg *pg = (struct store_pg *)store;

    for (size_t i = 0; i < runs * STORE_ROWS_PER_RUN; i++) {
        const char *text = store_text(i % STORE_ROWS_PER_RUN);

        check(pg, PQsendQueryPrepared(pg->connection, "insert", 1, &text, NULL,
                                      NULL, 0));
    }
    check(pg, PQpipelineSync(pg->connection));
    take_results(pg);
}

static void
execute(struct store_pg *pg, const char *sql)
{
    PGresult *result = PQexec(pg->connection, sql);

    check(pg, PQresultStatus(result) == PGRES_COMMAND_OK);
    PQclear(result);
}

struct store *
store_open_pg(const char *conninfo)
{
    struct store_pg *pg = calloc(1, sizeof(*pg));
    PGresult *result;

    if (pg == NULL)
        exit(1);
    pg->store.commit = commit;
    pg->connection = PQconnectdb(conninfo);
    check(pg, PQstatus(pg->connection) == CONNECTION_OK);
    execute(pg, "SET client_min_messages = warning");
    /* Workers start at once, and two of them must not both create it. */
    execute(pg, "BEGIN; SELECT pg_advisory_xact_lock(1);"
                "CREATE TABLE IF NOT EXISTS floor_row (body text NOT NULL);"
                "COMMIT");
    result = PQprepare(pg->connection, "insert",
                       "INSERT INTO floor_row VALUES ($1)", 1, NULL);
    check(pg, PQresultStatus(result) == PGRES_COMMAND_OK);
    PQclear(result);
    check(pg, PQenterPipelineMode(pg->connection));
    return &pg->store;
}
