/*
 * store_lite.c - see store.h: SQLite as durable as the embedded ledger has it.
 *
 * Writers queue at a lock of their own: SQLite's would let them sleep and try
 * again.  It is a mutex in shared memory, because lockf(3) wakes many of those
 * who wait for each that goes on: thirty for a commit when they are a thousand.
 */
#include "bench/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

struct store_lite {
    struct store store;
    sqlite3 *db;
    sqlite3_stmt *insert;
    pthread_mutex_t *turn; /* in memory that all of them share */
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

    pthread_mutex_lock(lite->turn);
    execute(lite, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < runs * STORE_ROWS_PER_RUN; i++) {
        sqlite3_bind_text(lite->insert, 1, store_text(i % STORE_ROWS_PER_RUN),
                          -1, SQLITE_STATIC);
        check(lite, sqlite3_step(lite->insert));
        check(lite, sqlite3_reset(lite->insert));
    }
    execute(lite, "COMMIT");
    pthread_mutex_unlock(lite->turn);
}

/* The first of them, whose file is still empty, makes it. */
static pthread_mutex_t *
open_turn(int lock_fd)
{
    pthread_mutexattr_t shared;
    pthread_mutex_t *turn;
    struct stat before;

    if (fstat(lock_fd, &before) == -1 ||
        ftruncate(lock_fd, sizeof(*turn)) == -1)
        exit(1);
    turn = mmap(NULL, sizeof(*turn), PROT_READ | PROT_WRITE, MAP_SHARED,
                lock_fd, 0);
    if (turn == MAP_FAILED)
        exit(1);
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    if (before.st_size == 0)
        pthread_mutex_init(turn, &shared);
    return turn;
}

struct store *
store_open_lite(const char *path)
{
    struct store_lite *lite = calloc(1, sizeof(*lite));
    char lock_path[4096];
    int lock_fd;

    if (lite == NULL)
        exit(1);
    lite->store.commit = commit;
    snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    lockf(lock_fd, F_LOCK, 0);
    lite->turn = open_turn(lock_fd);
    check(lite, sqlite3_open(path, &lite->db));
    execute(lite, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                  "CREATE TABLE IF NOT EXISTS row (body TEXT NOT NULL);");
    check(lite, sqlite3_prepare_v2(lite->db, "INSERT INTO row VALUES (?)", -1,
                                   &lite->insert, NULL));
    close(lock_fd);
    return &lite->store;
}
