/*
 * store_lite.c - see store.h: SQLite as durable as the embedded ledger has it.
 *
 * Writers queue at a lock of their own: SQLite's would let them sleep and try
 * again.
 */
#include "bench/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

struct store_lite {
    struct store store;
    sqlite3 *db;
    sqlite3_stmt *insert;
    int lock_fd;
};

static void
check(struct store_lite *lite, int code)
{
    if (code == SQLITE_OK || code == SQLITE_DONE)
        return;
    fprintf(stderr, "floor: SQLite: %s\n", sqlite3_errmsg(lite->db));
    exit(1);
}

static void
execute(struct store_lite *lite, const char *sql)
{
    check(lite, sqlite3_exec(lite->db, sql, NULL, NULL, NULL));
}

static void
commit(struct store *store, size_t runs)
{
    struct store_lite *lite = (struct store_lite *)store;

    lockf(lite->lock_fd, F_LOCK, 0);
    execute(lite, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < runs * STORE_ROWS_PER_RUN; i++) {
        sqlite3_bind_text(lite->insert, 1, store_text(i % STORE_ROWS_PER_RUN),
                          -1, SQLITE_STATIC);
        check(lite, sqlite3_step(lite->insert));
        check(lite, sqlite3_reset(lite->insert));
    }
    execute(lite, "COMMIT");
    lockf(lite->lock_fd, F_ULOCK, 0);
}

struct store *
store_open_lite(const char *path)
{
    struct store_lite *lite = calloc(1, sizeof(*lite));
    char lock_path[4096];

    if (lite == NULL)
        exit(1);
    lite->store.commit = commit;
    snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    lite->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    lockf(lite->lock_fd, F_LOCK, 0);
    check(lite, sqlite3_open(path, &lite->db));
    execute(lite, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                  "CREATE TABLE IF NOT EXISTS row (body TEXT NOT NULL);");
    check(lite, sqlite3_prepare_v2(lite->db, "INSERT INTO row VALUES (?)", -1,
                                   &lite->insert, NULL));
    lockf(lite->lock_fd, F_ULOCK, 0);
    return &lite->store;
}
