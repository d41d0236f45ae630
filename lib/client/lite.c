/*
 * lite.c - see lite.h.
 *
 * The only file that includes sqlite3.h.
 */
#include "client/lite.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

struct lite {
    sqlite3 *handle;
    bool settled; /* see lite_settle() */
};

struct lite_stmt {
    struct lite *db; /* borrowed */
    sqlite3_stmt *handle;
    int bind_code; /* the first bind that failed, SQLITE_OK when none */
};

/* ---- errors ------------------------------------------------------------ */

static enum err_kind
kind_of(const struct lite *db, int code)
{
    switch (code & 0xff) { /* the primary code of an extended one */
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
        return ERR_LIMIT;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return ERR_INVALID;
    case SQLITE_ERROR:
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return db->settled ? ERR_SYSTEM : ERR_INVALID;
    default:
        return ERR_SYSTEM;
    }
}

/* SQLite's words name tables and columns, never values. */
static int
fail(const struct lite *db, int code, struct err *err)
{
    const int os_errno = sqlite3_system_errno(db->handle);

    if ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN) {
        errno = os_errno;
        return err_set_errno(err, kind_of(db, code), "SQLite: %s (%d)",
                             sqlite3_errstr(code), code);
    }
    return err_set(err, kind_of(db, code), "SQLite: %s (%d)",
                   sqlite3_errmsg(db->handle), code);
}

/* ---- the database ------------------------------------------------------ */

/* SQLite would create the file readable by all; the -wal and -shm files beside
 * it take over its permissions.  Only a file that is not there is opened here:
 * closing a descriptor of a database in use would drop its locks. */
static int
create_private(const char *path, struct err *err)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd != -1)
        close(fd);
    else if (errno != EEXIST)
        return err_set_errno(err, ERR_SYSTEM, "cannot create %s", path);
    return 0;
}

/* The last to close the database would delete its -wal and -shm files, and a
 * reader that may only read could not make them anew.  With the size limit the
 * -wal that stays is empty. */
static int
keep_files(struct lite *db, struct err *err)
{
    int on = 1;
    const int code =
        sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &on);

    return code == SQLITE_OK ? 0 : fail(db, code, err);
}

static int
configure(struct lite *db, enum lite_mode mode, int busy_ms, struct err *err)
{
    static const char for_all[] = "PRAGMA foreign_keys = ON;"
                                  "PRAGMA trusted_schema = OFF;"
                                  "PRAGMA cell_size_check = ON;";
    static const char for_writer[] = "PRAGMA journal_mode = WAL;"
                                     "PRAGMA synchronous = FULL;"
                                     "PRAGMA journal_size_limit = 16777216;";

    sqlite3_busy_timeout(db->handle, busy_ms);
    if (lite_exec(db, for_all, err) == -1)
        return -1;
    if (mode == LITE_READ_ONLY)
        return 0;
    if (lite_exec(db, for_writer, err) == -1)
        return -1;
    return keep_files(db, err);
}

static struct lite *
open_handle(const char *path, int flags, struct err *err)
{
    struct lite *db = calloc(1, sizeof(*db));
    int code;

    if (db == NULL) {
        err_set(err, ERR_NOMEM, "SQLite handle");
        return NULL;
    }
    code = sqlite3_open_v2(path, &db->handle,
                           flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                           NULL);
    if (code == SQLITE_OK)
        return db;
    fail(db, code, err);
    lite_close(db);
    return NULL;
}

struct lite *
lite_open(const char *path, enum lite_mode mode, int busy_ms, struct err *err)
{
    const int flags =
        mode == LITE_READ_ONLY ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    struct lite *db;

    if (mode == LITE_READ_WRITE && create_private(path, err) == -1)
        return NULL;
    db = open_handle(path, flags, err);
    if (db != NULL && configure(db, mode, busy_ms, err) == 0)
        return db;
    err_prefix(err, "%s", path);
    lite_close(db);
    return NULL;
}

void
lite_settle(struct lite *db)
{
    db->settled = true;
}

struct lite *
lite_open_memory(struct err *err)
{
    return open_handle(":memory:", SQLITE_OPEN_READWRITE, err);
}

struct lite *
lite_open_temporary(struct err *err)
{
    struct lite *db = open_handle("", SQLITE_OPEN_READWRITE, err);

    /* Nobody waits for it after a crash. */
    if (db == NULL ||
        lite_exec(db, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF",
                  err) == 0)
        return db;
    lite_close(db);
    return NULL;
}

void
lite_close(struct lite *db)
{
    int code;

    if (db == NULL)
        return;
    code = sqlite3_close(db->handle);
    assert(code == SQLITE_OK); /* else a statement was not finalized */
    (void)code;
    free(db);
}

int
lite_exec(struct lite *db, const char *sql, struct err *err)
{
    const int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? 0 : fail(db, code, err);
}

int
lite_exec_int(struct lite *db, const char *sql, int64_t *value, struct err *err)
{
    struct lite_stmt *stmt = lite_prepare(db, sql, err);
    enum lite_step step;

    if (stmt == NULL)
        return -1;
    step = lite_step(stmt, err);
    if (step == LITE_ROW)
        *value = lite_int(stmt, 0);
    else if (step == LITE_DONE)
        err_set(err, ERR_INVALID, "SQLite: no row where one was expected");
    lite_finalize(stmt);
    return step == LITE_ROW ? 0 : -1;
}

/* ---- transactions ------------------------------------------------------ */

int
lite_begin(struct lite *db, struct err *err)
{
    return lite_exec(db, "BEGIN IMMEDIATE", err);
}

int
lite_commit(struct lite *db, struct err *err)
{
    return lite_exec(db, "COMMIT", err);
}

void
lite_rollback(struct lite *db)
{
    /* Some errors (a full disk, for one) have rolled back already. */
    if (sqlite3_get_autocommit(db->handle) == 0)
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- statements -------------------------------------------------------- */

struct lite_stmt *
lite_prepare(struct lite *db, const char *sql, struct err *err)
{
    struct lite_stmt *stmt = calloc(1, sizeof(*stmt));
    int code;

    if (stmt == NULL) {
        err_set(err, ERR_NOMEM, "SQLite statement");
        return NULL;
    }
    stmt->db = db;
    code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT,
                              &stmt->handle, NULL);
    if (code == SQLITE_OK)
        return stmt;
    fail(db, code, err);
    free(stmt);
    return NULL;
}

void
lite_finalize(struct lite_stmt *stmt)
{
    if (stmt == NULL)
        return;
    sqlite3_finalize(stmt->handle);
    free(stmt);
}

static void
note_bind(struct lite_stmt *stmt, int code)
{
    if (stmt->bind_code == SQLITE_OK)
        stmt->bind_code = code;
}

void
lite_bind_null(struct lite_stmt *stmt, int param)
{
    note_bind(stmt, sqlite3_bind_null(stmt->handle, param));
}

void
lite_bind_int(struct lite_stmt *stmt, int param, int64_t value)
{
    note_bind(stmt, sqlite3_bind_int64(stmt->handle, param, value));
}

void
lite_bind_text(struct lite_stmt *stmt, int param, const char *text, size_t len)
{
    note_bind(stmt, sqlite3_bind_text64(stmt->handle, param, text, len,
                                        SQLITE_STATIC, SQLITE_UTF8));
}

void
lite_bind_blob(struct lite_stmt *stmt, int param, const void *bytes, size_t len)
{
    note_bind(stmt, sqlite3_bind_blob64(stmt->handle, param, bytes, len,
                                        SQLITE_STATIC));
}

enum lite_step
lite_step(struct lite_stmt *stmt, struct err *err)
{
    int code = stmt->bind_code;

    if (code != SQLITE_OK) {
        err_set(err, kind_of(stmt->db, code), "SQLite: bind: %s",
                sqlite3_errstr(code));
        return LITE_FAILED;
    }
    code = sqlite3_step(stmt->handle);
    if (code == SQLITE_ROW)
        return LITE_ROW;
    if (code == SQLITE_DONE)
        return LITE_DONE;
    fail(stmt->db, code, err);
    return LITE_FAILED;
}

void
lite_reset(struct lite_stmt *stmt)
{
    sqlite3_reset(stmt->handle);
    sqlite3_clear_bindings(stmt->handle);
    stmt->bind_code = SQLITE_OK;
}

int
lite_run(struct lite_stmt *stmt, struct err *err)
{
    const enum lite_step step = lite_step(stmt, err);

    lite_reset(stmt);
    if (step == LITE_ROW)
        err_set(err, ERR_INVALID, "SQLite: a row where none was expected");
    return step == LITE_DONE ? 0 : -1;
}

/* ---- rows -------------------------------------------------------------- */

int
lite_column_count(const struct lite_stmt *stmt)
{
    return sqlite3_column_count(stmt->handle);
}

enum lite_type
lite_type(struct lite_stmt *stmt, int column)
{
    switch (sqlite3_column_type(stmt->handle, column)) {
    case SQLITE_INTEGER:
        return LITE_INT;
    case SQLITE_FLOAT:
        return LITE_REAL;
    case SQLITE_TEXT:
        return LITE_TEXT;
    case SQLITE_BLOB:
        return LITE_BLOB;
    default:
        return LITE_NULL;
    }
}

int64_t
lite_int(struct lite_stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->handle, column);
}

const char *
lite_text(struct lite_stmt *stmt, int column, size_t *len)
{
    const void *text = sqlite3_column_text(stmt->handle, column);

    if (len != NULL) /* after the text: its conversion decides the length */
        *len = (size_t)sqlite3_column_bytes(stmt->handle, column);
    return text;
}

const void *
lite_blob(struct lite_stmt *stmt, int column, size_t *len)
{
    const void *bytes = sqlite3_column_blob(stmt->handle, column);

    if (len != NULL)
        *len = (size_t)sqlite3_column_bytes(stmt->handle, column);
    return bytes;
}
