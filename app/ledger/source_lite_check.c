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

static int
on_lacking(void *arg, const struct schema_object *object, struct err *err)
{
    (void)err;
    tell(arg, "schema", "%s %s is missing or was changed", object->type,
         object->name);
    return 0;
}

static int
on_foreign(void *arg, const struct schema_object *object, struct err *err)
{
    (void)err;
    tell(arg, "schema", "%s %s is not part of the ledger or was changed",
         object->type, object->name);
    return 0;
}

static int
check_schema(struct looking *looking, struct err *err)
{
    struct lite *model = schema_model(err);
    int result = -1;

    if (model != NULL &&
        schema_compare(model, looking->db, on_lacking, looking, err) == 0 &&
        schema_compare(looking->db, model, on_foreign, looking, err) == 0)
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
    struct looking looking = {
        .db = ((struct source_lite *)source)->db,
        .report = report,
        .arg = arg,
    };

    if (check_schema(&looking, err) == -1)
        return -1;
    return check_integrity(&looking, err);
}
