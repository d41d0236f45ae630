/*
 * lite - SQLite with our settings: durable commits, prepared statements, rows.
 *
 *     db = lite_open(path, LITE_READ_WRITE, busy_ms, &err);   after fork(2)
 *     stmt = lite_prepare(db, "SELECT ... WHERE id = ?", &err);
 *     lite_bind_int(stmt, 1, id);
 *     while ((step = lite_step(stmt, &err)) == LITE_ROW)
 *         lite_int(stmt, 0);
 *     lite_reset(stmt);                    and bind again, or
 *     lite_finalize(stmt);                 all of them before
 *     lite_close(db);
 *
 * A writer's database is in WAL mode with synchronous=FULL: what lite_commit()
 * returned for survives a power cut.  A new database file is readable by its
 * owner alone; the -wal and -shm files stay when it is closed.  Views and
 * triggers may not call unsafe functions, foreign keys hold.  Errors:
 * ERR_INVALID when a constraint or the SQL refuses or, before lite_settle(),
 * the file is damaged, ERR_LIMIT for a value too large, ERR_NOMEM, else
 * ERR_SYSTEM.
 *
 * A handle belongs to one process and never crosses a fork.  This module does
 * not log and knows no schema.
 */
#ifndef CLIENT_LITE_H
#define CLIENT_LITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct lite;
struct lite_stmt;

enum lite_mode {
    LITE_READ_WRITE, /* creates the file when there is none */
    LITE_READ_ONLY,
};

/* busy_ms is the longest wait for another process's lock. */
struct lite *lite_open(const char *path, enum lite_mode mode, int busy_ms,
                       struct err *err) ATTR_MUST_CHECK;

/* The file is the one that was meant, and the statements are ours.  Until now
 * damage and SQL that does not fit are ERR_INVALID, the file's fault; from now
 * on they are ERR_SYSTEM, so that what is written is not blamed for them. */
void lite_settle(struct lite *db);

/* An empty database in memory. */
struct lite *lite_open_memory(struct err *err) ATTR_MUST_CHECK;

/* An empty database in a file of its own that nobody else sees and that goes
 * with the handle; for what is too large for memory. */
struct lite *lite_open_temporary(struct err *err) ATTR_MUST_CHECK;

/* Every statement has been finalized.  NULL is fine. */
void lite_close(struct lite *db);

/* One or more statements without parameters; rows are passed over. */
int lite_exec(struct lite *db, const char *sql,
              struct err *err) ATTR_MUST_CHECK;

/* The number that a statement such as PRAGMA user_version answers with. */
int lite_exec_int(struct lite *db, const char *sql, int64_t *value,
                  struct err *err) ATTR_MUST_CHECK;

/* ---- transactions ---- */

int lite_begin(struct lite *db, struct err *err) ATTR_MUST_CHECK; /* to write */
int lite_commit(struct lite *db, struct err *err) ATTR_MUST_CHECK;

/* Does nothing when no transaction is open. */
void lite_rollback(struct lite *db);

/* ---- statements ---- */

struct lite_stmt *lite_prepare(struct lite *db, const char *sql,
                               struct err *err) ATTR_MUST_CHECK;
void lite_finalize(struct lite_stmt *stmt); /* NULL is fine */

/* Parameters count from 1.  Bytes are borrowed until lite_reset().  What cannot
 * be bound is told by the next lite_step(). */
void lite_bind_null(struct lite_stmt *stmt, int param);
void lite_bind_int(struct lite_stmt *stmt, int param, int64_t value);
void lite_bind_text(struct lite_stmt *stmt, int param, const char *text,
                    size_t len);
void lite_bind_blob(struct lite_stmt *stmt, int param, const void *bytes,
                    size_t len);

enum lite_step { LITE_FAILED = -1, LITE_DONE = 0, LITE_ROW = 1 };

enum lite_step lite_step(struct lite_stmt *stmt,
                         struct err *err) ATTR_MUST_CHECK;

/* Ready to run again, all parameters null. */
void lite_reset(struct lite_stmt *stmt);

/* Runs a statement that has no rows, and resets it. */
int lite_run(struct lite_stmt *stmt, struct err *err) ATTR_MUST_CHECK;

/* ---- the present row; columns count from 0 ---- */

enum lite_type { LITE_NULL, LITE_INT, LITE_REAL, LITE_TEXT, LITE_BLOB };

int lite_column_count(const struct lite_stmt *stmt);
enum lite_type lite_type(struct lite_stmt *stmt, int column);
int64_t lite_int(struct lite_stmt *stmt, int column);

/* Borrowed until the next lite_step() or lite_reset(); NULL when null, "" or
 * len 0 when empty.  Text ends in a NUL not in *len; len may be NULL. */
const char *lite_text(struct lite_stmt *stmt, int column, size_t *len);
const void *lite_blob(struct lite_stmt *stmt, int column, size_t *len);

#endif
