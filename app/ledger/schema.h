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

#define SCHEMA_VERSION 1

/* Creates what is missing in an empty database; leaves one of our version
 * alone.  ERR_INVALID with both numbers for another version. */
int schema_create(struct lite *db, struct err *err) ATTR_MUST_CHECK;

/* ERR_INVALID unless the database has our version. */
int schema_check(struct lite *db, struct err *err) ATTR_MUST_CHECK;

/* An empty database in memory with the schema as it should be. */
struct lite *schema_model(struct err *err) ATTR_MUST_CHECK;

#endif
