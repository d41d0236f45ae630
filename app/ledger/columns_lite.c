/* columns_lite.c - see columns_lite.h. */
#include "ledger/columns_lite.h"

void
column_bind_lite(const struct column_value *value, struct lite_stmt *stmt,
                 int param)
{
    switch (value->type) {
    case COLUMN_NULL:
        lite_bind_null(stmt, param);
        break;
    case COLUMN_INT:
        lite_bind_int(stmt, param, value->number);
        break;
    case COLUMN_TEXT:
        lite_bind_text(stmt, param, value->text, value->len);
        break;
    }
}

void
columns_bind_lite(const struct columns *columns, struct lite_stmt *stmt)
{
    for (int i = 0; i < COLUMN_COUNT; i++)
        column_bind_lite(&columns->at[i], stmt, i + 1);
}
