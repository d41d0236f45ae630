/*
 * pg_cluster - a private PostgreSQL for one unit test.
 */
#ifndef SUPPORT_PG_CLUSTER_H
#define SUPPORT_PG_CLUSTER_H

/* Starts it, and stops it.  0 or -1. */
int pg_cluster_start(void);
int pg_cluster_stop(void);

/* The folder of its socket: the host of a URL. */
const char *pg_cluster_folder(void);

/* As pg_cluster.sh has them: "deploy ledger".  0 or -1. */
int pg_cluster_say(const char *command);

/* A statement of the superuser's; its first value, or "" when there is none.
 * Good until the next call. */
const char *pg_cluster_sql(const char *database, const char *sql);

#endif
