/*
 * listings - runs out of the ledger: GET /api/experiments and one of them.
 */
#ifndef CONTROL_LISTINGS_H
#define CONTROL_LISTINGS_H

#include "base/attr.h"
#include "base/buf.h"
#include "ledger/reader.h"

enum listings_result {
    LISTINGS_OK,
    LISTINGS_BAD_LIMIT,  /* not 1 to LISTINGS_MAX */
    LISTINGS_BAD_CURSOR, /* none of ours */
    LISTINGS_BAD_ID,     /* no UUID */
    LISTINGS_NOT_FOUND,
    LISTINGS_AWAY,   /* the ledger cannot be read now; err says why */
    LISTINGS_FAILED, /* err says why, for the log */
};

#define LISTINGS_MAX 500

/* Appends {"experiments": [...], "next_cursor": text or null}.  limit and
 * cursor are as the query string has them, or NULL. */
enum listings_result listings_page(struct reader *reader, const char *limit,
                                   const char *cursor, struct buf *out,
                                   struct err *err) ATTR_MUST_CHECK;

/* Appends what reader_get() knows of one run. */
enum listings_result listings_run(struct reader *reader, const char *run_id,
                                  struct buf *out,
                                  struct err *err) ATTR_MUST_CHECK;

#endif
