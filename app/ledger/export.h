/*
 * export - the ledger, or the entries of some of its runs, as a text that
 * leaves it.
 *
 *     export_write(source, &request, write, arg, &err);
 *
 * JSONL: a header {"tandem_export":1, "made_at", "asked", "logs"} with the
 * head of every log; the entries as line.h has them, by log and number;
 * a line {"checkpoint": note} for each; and {"entries", "logs", "checkpoints"},
 * which says what was written before it: how much, and the root over the leaf
 * hashes of each log's lines.
 *
 * CSV: RFC 4180, a row for each entry, its texts in columns of their own.  A
 * text that a spreadsheet could take for a formula, or that begins with an
 * apostrophe, gets an apostrophe in front; take one away to have it back.
 *
 * Memory is bounded by the largest entry with its texts, and the number of
 * logs.
 */
#ifndef LEDGER_EXPORT_H
#define LEDGER_EXPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/source.h"

#define EXPORT_MARK    "tandem_export"
#define EXPORT_VERSION 1

struct export_request {
    bool as_csv;
    bool texts;
    const struct source_selection *selection; /* NULL: everything */
};

/* write() takes a piece of the text, or says -1 and why. */
typedef int export_sink(void *arg, const char *bytes, size_t len,
                        struct err *err);

int export_write(struct source *source, const struct export_request *request,
                 export_sink *sink, void *arg, struct err *err) ATTR_MUST_CHECK;

#endif
