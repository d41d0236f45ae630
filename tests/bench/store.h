/*
 * store - the least that makes the record of a run durable: the floor of any
 * ledger.
 *
 *     store = store_open(place);        once per process; ends it on failure
 *     store_commit(store, runs);        returns when it is on the disk
 *
 * A place with a slash in front is a file for SQLite, all else a connection
 * string for PostgreSQL.  What is written for a run is as much as Tandem
 * writes: two entries and four texts, in one table without an index.
 */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include <stddef.h>

#define STORE_ROWS_PER_RUN 6

struct store;

struct store *store_open(const char *place);
void store_commit(struct store *store, size_t runs);

/* The text of row number i of a run: one of STORE_ROWS_PER_RUN lengths. */
const char *store_text(size_t i);

/* One kind of store; the first member of each is its table. */
struct store {
    void (*commit)(struct store *store, size_t runs);
};

struct store *store_open_lite(const char *path);
struct store *store_open_pg(const char *conninfo);

#endif
