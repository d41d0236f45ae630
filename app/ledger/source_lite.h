/*
 * source_lite - rows out of a SQLite database; for source_*.c alone.
 */
#ifndef LEDGER_SOURCE_LITE_H
#define LEDGER_SOURCE_LITE_H

#include "client/lite.h"
#include "ledger/source.h"

struct source_lite {
    struct source source; /* first: a source is one of us */
    struct source_ops ops;
    struct lite *db;
    const struct source_plan *plan; /* borrowed; NULL before begin() */
    size_t at;                      /* the reading in the plan */
    struct lite_stmt *rows;         /* of it; NULL before its first row */
    struct lite_stmt *texts;
    char id_text[UUID_TEXT_LEN]; /* what the reading is about */
};

/* Takes over db, whose tables are a ledger's, and has no ops->check yet. */
struct source_lite *source_lite_new_take(struct lite *db,
                                         struct err *err) ATTR_MUST_CHECK;

/* ops->check for a ledger's own file. */
int source_lite_check(struct source *source,
                      void (*report)(void *arg, const char *check,
                                     const char *text),
                      void *arg, struct err *err) ATTR_MUST_CHECK;

#endif
