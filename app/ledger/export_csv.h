/*
 * export_csv - an entry as a row of a spreadsheet; for export*.c alone.
 */
#ifndef LEDGER_EXPORT_CSV_H
#define LEDGER_EXPORT_CSV_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "ledger/seal.h"
#include "ledger/source.h"

enum buf_status export_csv_heading(struct buf *out, bool texts) ATTR_MUST_CHECK;

/* The columns as they are stored; the entry's parts are its texts. */
enum buf_status export_csv_row(struct buf *out, const struct source_row *row,
                               const struct seal *entry,
                               bool texts) ATTR_MUST_CHECK;

#endif
