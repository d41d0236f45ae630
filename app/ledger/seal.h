/*
 * seal - turn a record into the entry that is stored: body, salts and hashes.
 *
 *     struct seal entry;
 *     seal_init(&entry);
 *     seal_record(&entry, &record, &place, &err);   and again for the next
 *     seal_close(&entry);
 *
 * How the hashes are made is written in entry.h and, for others, in
 * docs/LEDGER.md.
 */
#ifndef LEDGER_SEAL_H
#define LEDGER_SEAL_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "ledger/columns.h"
#include "ledger/entry.h"

#define SEAL_MAX_BODY_BYTES (2u << 20)

/* Where an entry stands. */
struct seal_place {
    struct uuid log_id;
    int64_t idx;
    int64_t recorded_unix_us;
};

/* Open because callers embed it.  The parts are borrowed from the record; the
 * columns point into the body. */
struct seal {
    enum entry_kind kind;
    struct uuid run_id; /* zero for entries about the log itself */
    struct seal_place place;
    struct buf body;
    uint8_t leaf_hash[ENTRY_HASH_LEN];
    const struct entry_content *parts;
    size_t part_count;
    uint8_t salts[ENTRY_MAX_PARTS][ENTRY_SALT_LEN];
    struct columns columns;
};

void seal_init(struct seal *seal);
void seal_close(struct seal *seal);

/* A record about the log itself has the zero run_id.  -1 on ERR_INVALID when
 * the facts cannot be an entry's, ERR_LIMIT, ERR_NOMEM, ERR_SYSTEM. */
int seal_record(struct seal *seal, const struct entry_record *record,
                const struct seal_place *place,
                struct err *err) ATTR_MUST_CHECK;

/* The same from a body that was sealed before, as a spool or an export keeps
 * it; parts are not touched.  -1 on ERR_INVALID when it is no entry's body,
 * ERR_LIMIT, ERR_NOMEM, ERR_SYSTEM. */
int seal_restore(struct seal *seal, const char *body, size_t len,
                 struct err *err) ATTR_MUST_CHECK;

/* SHA-256(0x03 || salt || bytes). */
int seal_commitment(const uint8_t salt[ENTRY_SALT_LEN], const void *bytes,
                    size_t len, uint8_t hash[ENTRY_HASH_LEN],
                    struct err *err) ATTR_MUST_CHECK;

struct entry_receipt seal_receipt(const struct seal *seal);

#endif
