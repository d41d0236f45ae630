/*
 * keys - which run an idempotency key was used for, lately.
 *
 *     keys_find(keys, hash, now)         NULL: as far as we know it is free
 *     keys_add(keys, &key)               after the run's accepted entry
 *
 * A table of fixed size in memory; when it is full, the oldest key makes room.
 * What it does not know, the database may.
 */
#ifndef LEDGER_KEYS_H
#define LEDGER_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/uuid.h"
#include "ledger/entry.h"

#define KEYS_MAX 65536

struct key {
    char hash[ENTRY_HASH_HEX_LEN + 1];
    char request_hash[ENTRY_HASH_HEX_LEN + 1];
    struct uuid run_id;
    int64_t used_unix_us; /* when the run was accepted */
    struct key *next;     /* in its bucket */
};

struct keys;

/* A key is remembered for ttl_us. */
struct keys *keys_new(int64_t ttl_us, struct err *err) ATTR_MUST_CHECK;
void keys_free(struct keys *keys); /* NULL is fine */

/* Nothing that was used before is remembered. */
int64_t keys_horizon_unix_us(const struct keys *keys, int64_t now_unix_us);

/* Borrowed until the next is added. */
const struct key *keys_find(const struct keys *keys, const char *hash,
                            int64_t now_unix_us);

/* Copied. */
void keys_add(struct keys *keys, const struct key *key);

/* The key in the facts, or the body, of an accepted entry: hash and
 * request_hash; "" when it has none.  -1 on ERR_INVALID when they are not as
 * they should be. */
int keys_read(const char *facts, size_t len, struct key *key,
              struct err *err) ATTR_MUST_CHECK;

#endif
