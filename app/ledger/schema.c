/* schema.c - see schema.h. */
#include "ledger/schema.h"

#include <inttypes.h>

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

    if (read_version(db, &version, err) == -1)
        return -1;
    if (version > SCHEMA_VERSION)
        return err_set(err, ERR_INVALID,
                       "the ledger has schema version %" PRId64
                       ", this program knows up to %d: use a newer one",
                       version, SCHEMA_VERSION);
    if (version < SCHEMA_VERSION)
        return err_set(err, ERR_INVALID,
                       "the ledger has schema version %" PRId64
                       ", this program needs %d",
                       version, SCHEMA_VERSION);
    return 0;
}

int
schema_create(struct lite *db, struct err *err)
{
    int64_t version;
    bool empty;

    if (lite_begin(db, err) == -1)
        return -1;
    if (read_version(db, &version, err) == -1 ||
        is_empty(db, &empty, err) == -1)
        goto fail;
    if (version == 0 && empty && lite_exec(db, schema_sql, err) == -1)
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
