/* source_lite_check.c - is a ledger's file what we made?  See source.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ledger/schema.h"
#include "ledger/source_lite.h"

struct looking {
    struct lite *db;
    void (*report)(void *arg, const char *check, const char *text);
    void *arg;
};

static void tell(const struct looking *looking, const char *check,
                 const char *fmt, ...) ATTR_PRINTF(3, 4);

static void
tell(const struct looking *looking, const char *check, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    looking->report(looking->arg, check, text);
}

/* SQLite's own check of pages, indexes and constraints. */
static int
check_integrity(const struct looking *looking, struct err *err)
{
    struct lite_stmt *stmt =
        lite_prepare(looking->db, "PRAGMA integrity_check", err);
    enum lite_step step;

    if (stmt == NULL)
        return -1;
    while ((step = lite_step(stmt, err)) == LITE_ROW) {
        const char *text = lite_text(stmt, 0, NULL);

        if (text == NULL || strcmp(text, "ok") != 0)
            tell(looking, "file", "SQLite finds the file damaged: %s",
                 text != NULL ? text : "no reason given");
    }
    lite_finalize(stmt);
    return step == LITE_DONE ? 0 : -1;
}

/* Reports every object of one database that the other has not, or has
 * otherwise. */
static int
compare_schemas(const struct looking *looking, struct lite *one,
                struct lite *other, const char *what, struct err *err)
{
    struct lite_stmt *objects =
        lite_prepare(one,
                     "SELECT type, name, sql FROM sqlite_schema "
                     "WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
                     err);
    struct lite_stmt *same = lite_prepare(
        other,
        "SELECT 1 FROM sqlite_schema WHERE type = ? AND name = ? AND sql = ?",
        err);
    enum lite_step step = LITE_FAILED;

    while (objects != NULL && same != NULL &&
           (step = lite_step(objects, err)) == LITE_ROW) {
        for (int i = 0; i < 3; i++) {
            size_t len;
            const char *text = lite_text(objects, i, &len);

            lite_bind_text(same, i + 1, text, len);
        }
        step = lite_step(same, err);
        lite_reset(same);
        if (step == LITE_FAILED)
            break;
        if (step == LITE_DONE)
            tell(looking, "schema", "%s %s %s", lite_text(objects, 0, NULL),
                 lite_text(objects, 1, NULL), what);
    }
    lite_finalize(objects);
    lite_finalize(same);
    return step == LITE_DONE ? 0 : -1;
}

static int
check_schema(const struct looking *looking, struct err *err)
{
    struct lite *model = schema_model(err);
    int result = -1;

    if (model != NULL &&
        compare_schemas(looking, model, looking->db,
                        "is missing or was changed", err) == 0 &&
        compare_schemas(looking, looking->db, model,
                        "is not part of the ledger or was changed", err) == 0)
        result = 0;
    lite_close(model);
    return result;
}

int
source_lite_check(struct source *source,
                  void (*report)(void *arg, const char *check,
                                 const char *text),
                  void *arg, struct err *err)
{
    const struct looking looking = {
        .db = ((struct source_lite *)source)->db,
        .report = report,
        .arg = arg,
    };

    if (check_schema(&looking, err) == -1)
        return -1;
    return check_integrity(&looking, err);
}
