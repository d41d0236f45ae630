/*
 * columns_lite - columns as parameters of SQLite's statements.
 */
#ifndef LEDGER_COLUMNS_LITE_H
#define LEDGER_COLUMNS_LITE_H

#include "client/lite.h"
#include "ledger/columns.h"

/* Each column in its order, from the first parameter on.  Texts are borrowed
 * until lite_reset(). */
void columns_bind_lite(const struct columns *columns, struct lite_stmt *stmt);

/* One of them. */
void column_bind_lite(const struct column_value *value, struct lite_stmt *stmt,
                      int param);

#endif
