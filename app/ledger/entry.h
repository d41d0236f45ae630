/*
 * entry - the words and shapes of the ledger that its two ends share.
 *
 * An entry is a fact without personal text.  Its body is canonical JSON (see
 * canon.h): the facts the caller gave and, between them, what the scribe adds,
 *
 *     v idx kind log_id recorded_at run_id content
 *
 * where recorded_at is RFC 3339 with microseconds, run_id is null for entries
 * about the log itself, and content lists each part as {part, sha256, len,
 * cleaned}: sha256 = SHA-256(0x03 || salt || bytes), lower-case hex.
 * leaf_hash = SHA-256(0x00 || body) as in RFC 6962, so that the entries of a
 * log are the leaves of a Merkle tree.
 */
#ifndef LEDGER_ENTRY_H
#define LEDGER_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/uuid.h"

#define ENTRY_FORMAT       1 /* v */
#define ENTRY_HASH_LEN     32
#define ENTRY_SALT_LEN     32
#define ENTRY_HASH_HEX_LEN (2 * ENTRY_HASH_LEN)
#define ENTRY_MAX_PARTS    8

enum entry_kind {
    ENTRY_LOG_OPENED,
    ENTRY_ACCEPTED,
    ENTRY_FINISHED,
    ENTRY_LEFT, /* the client went while `finished` was being written */
    ENTRY_ORPHANED,
    ENTRY_LOG_CLOSED,
    ENTRY_LOG_LINKED, /* names the log before, when log_opened could not */
    ENTRY_ADMIN,      /* the service changed; its run_id is an id of its own */
    ENTRY_KIND_COUNT,
};

enum entry_part {
    ENTRY_PART_QUERY,
    ENTRY_PART_CONTEXT,
    ENTRY_PART_FLASH,
    ENTRY_PART_PRO,
    ENTRY_PART_FLASH_PARTIAL,
    ENTRY_PART_PRO_PARTIAL,
    ENTRY_PART_COUNT,
};

const char *entry_kind_name(enum entry_kind kind);
const char *entry_part_name(enum entry_part part);

/* The part of that name, which need not end in a NUL.  -1: there is none. */
int entry_part_parse(const char *name, size_t len,
                     enum entry_part *part) ATTR_MUST_CHECK;

/* A piece of personal text on its way to the content table.  Clean UTF-8
 * (utf8_is_clean()); borrowed by whoever is handed it. */
struct entry_content {
    enum entry_part part;
    const char *bytes;
    size_t len;
    bool cleaned; /* something in it had to become U+FFFD or a placeholder */
};

/* What the logbook is to write.  Borrowed by whoever is handed it. */
struct entry_record {
    enum entry_kind kind;
    struct uuid run_id;
    const char *facts; /* the canonical text of an object; members as listed in
                        * docs/LEDGER.md */
    size_t facts_len;
    const struct entry_content *parts;
    size_t part_count;
};

enum entry_state {
    ENTRY_COMMITTED, /* in the database, durable */
    ENTRY_SPOOLED,   /* in the host's spool, durable */
};

/* The proof of having been written. */
struct entry_receipt {
    enum entry_state state;
    struct uuid log_id;
    int64_t idx;
    int64_t recorded_unix_us;
    uint8_t leaf_hash[ENTRY_HASH_LEN];
};

/* The run that has an idempotency key already. */
struct entry_holder {
    struct uuid run_id;
    bool same_request; /* as the one that comes now */
    bool ended;
};

#endif
