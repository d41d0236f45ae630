/*
 * schema - the embedded ledger's tables and the version they have.
 *
 * The text is sql/sqlite/schema.sql, made part of the program by the build.
 */
#ifndef LEDGER_SCHEMA_H
#define LEDGER_SCHEMA_H

#include "base/attr.h"
#include "base/err.h"
#include "client/lite.h"

#define SCHEMA_VERSION 2

/* Creates everything in an empty database, and in one of an older version what
 * has come since; leaves one of our version alone.  ERR_INVALID with both
 * numbers for a newer one, and for a database that is somebody else's. */
int schema_create(struct lite *db, struct err *err) ATTR_MUST_CHECK;

/* ERR_INVALID unless the database has our version. */
int schema_check(struct lite *db, struct err *err) ATTR_MUST_CHECK;

/* A table, an index or a trigger; borrowed for the call. */
struct schema_object {
    const char *type;
    const char *name;
    const char *sql;
};

/* Calls differs() for every object of one database that the other has not, or
 * has otherwise; tables come first.  -1 when that says so. */
int schema_compare(struct lite *one, struct lite *other,
                   int (*differs)(void *arg, const struct schema_object *object,
                                  struct err *err),
                   void *arg, struct err *err) ATTR_MUST_CHECK;

/* An empty database in memory with the schema as it should be. */
struct lite *schema_model(struct err *err) ATTR_MUST_CHECK;

#endif
