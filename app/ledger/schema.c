/* schema.c - see schema.h. */
#include "ledger/schema.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"

#define MAX_DROP_BYTES 256

/* The same number as at the end of schema.sql. */
#define NUMBER(version)         #version
#define SET_VERSION_TO(version) "PRAGMA user_version = " NUMBER(version)
#define SET_VERSION             SET_VERSION_TO(SCHEMA_VERSION)

static const char schema_sql[] = {
#include "ledger/schema.inc"
    0,
};

/* A new file answers 0 and has no tables. */
static int
read_version(struct lite *db, int64_t *version, struct err *err)
{
    return lite_exec_int(db, "PRAGMA user_version", version, err);
}

/* Somebody else's database may have any version, ours among them. */
static int
refuse_foreign(struct lite *db, struct err *err)
{
    int64_t is_foreign;

    if (lite_exec_int(db,
                      "SELECT count(*) > 0 AND "
                      "sum(type = 'table' AND name = 'entry') = 0 "
                      "FROM sqlite_schema",
                      &is_foreign, err) == -1)
        return -1;
    if (is_foreign == 0)
        return 0;
    return err_set(err, ERR_INVALID,
                   "the file is an SQLite database and no ledger of Tandem: "
                   "it has tables, and no table entry");
}

static int
is_empty(struct lite *db, bool *empty, struct err *err)
{
    int64_t count;

    if (lite_exec_int(db, "SELECT count(*) FROM sqlite_schema", &count, err) ==
        -1)
        return -1;
    *empty = count == 0;
    return 0;
}

int
schema_check(struct lite *db, struct err *err)
{
    int64_t version;

    if (refuse_foreign(db, err) == -1 || read_version(db, &version, err) == -1)
        return -1;
    if (version > SCHEMA_VERSION)
        return err_set(err, ERR_INVALID,
                       "the ledger has schema version %" PRId64
                       ", this program knows up to %d: use a newer one",
                       version, SCHEMA_VERSION);
    if (version < SCHEMA_VERSION)
        return err_set(err, ERR_INVALID,
                       "the ledger has schema version %" PRId64
                       ", this program needs %d: tandemd brings it up to "
                       "date when it starts",
                       version, SCHEMA_VERSION);
    return 0;
}

/* ---- objects ----------------------------------------------------------- */

/* 1 when the database has the object just so, 0, or -1. */
static int
has_object(struct lite_stmt *lookup, struct lite_stmt *wanted, struct err *err)
{
    enum lite_step step;

    for (int i = 0; i < 3; i++) {
        size_t len;
        const char *text = lite_text(wanted, i, &len);

        lite_bind_text(lookup, i + 1, text, len);
    }
    step = lite_step(lookup, err);
    lite_reset(lookup);
    return step == LITE_FAILED ? -1 : step == LITE_ROW;
}

int
schema_compare(struct lite *one, struct lite *other,
               int (*differs)(void *arg, const struct schema_object *object,
                              struct err *err),
               void *arg, struct err *err)
{
    struct lite_stmt *objects =
        lite_prepare(one,
                     "SELECT type, name, sql FROM sqlite_schema "
                     "WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
                     "ORDER BY CASE type WHEN 'table' THEN 0 ELSE 1 END, name",
                     err);
    struct lite_stmt *lookup = lite_prepare(
        other,
        "SELECT 1 FROM sqlite_schema WHERE type = ? AND name = ? AND sql = ?",
        err);
    enum lite_step step = LITE_FAILED;

    while (objects != NULL && lookup != NULL &&
           (step = lite_step(objects, err)) == LITE_ROW) {
        const int has = has_object(lookup, objects, err);
        const struct schema_object object = {
            .type = lite_text(objects, 0, NULL),
            .name = lite_text(objects, 1, NULL),
            .sql = lite_text(objects, 2, NULL),
        };

        if (has == -1 || (has == 0 && differs(arg, &object, err) == -1)) {
            step = LITE_FAILED;
            break;
        }
    }
    lite_finalize(objects);
    lite_finalize(lookup);
    return step == LITE_DONE ? 0 : -1;
}

/* ---- older versions ---------------------------------------------------- */

/* So far every version only added tables and changed what can be made anew. */
static int
replace_object(void *arg, const struct schema_object *wanted, struct err *err)
{
    struct lite *db = arg;
    struct buf drop;
    int result = -1;

    buf_init(&drop, MAX_DROP_BYTES);
    if (strcmp(wanted->type, "table") == 0)
        result = 0; /* one that is there already is refused below */
    else if (buf_printf(&drop, "DROP %s IF EXISTS %s", wanted->type,
                        wanted->name) == BUF_OK)
        result = lite_exec(db, drop.bytes, err);
    else
        err_set(err, ERR_NOMEM, "upgrade of the ledger");
    buf_close(&drop);
    return result == 0 ? lite_exec(db, wanted->sql, err) : -1;
}

static int
upgrade(struct lite *db, struct err *err)
{
    struct lite *model = schema_model(err);
    int result = -1;

    if (model != NULL &&
        schema_compare(model, db, replace_object, db, err) == 0)
        result = lite_exec(db, SET_VERSION, err);
    lite_close(model);
    return result;
}

/* ---- all of it --------------------------------------------------------- */

int
schema_create(struct lite *db, struct err *err)
{
    int64_t version;
    bool empty;

    if (lite_begin(db, err) == -1)
        return -1;
    if (refuse_foreign(db, err) == -1 ||
        read_version(db, &version, err) == -1 ||
        is_empty(db, &empty, err) == -1)
        goto fail;
    if (version == 0 && empty && lite_exec(db, schema_sql, err) == -1)
        goto fail;
    if (version > 0 && version < SCHEMA_VERSION && upgrade(db, err) == -1)
        goto fail;
    if (lite_commit(db, err) == -1)
        goto fail;
    return schema_check(db, err);

fail:
    lite_rollback(db);
    return -1;
}

struct lite *
schema_model(struct err *err)
{
    struct lite *db = lite_open_memory(err);

    if (db == NULL || schema_create(db, err) == 0)
        return db;
    lite_close(db);
    return NULL;
}
