/* keys.c - see keys.h. */
#include "ledger/keys.h"

#include <stdlib.h>
#include <string.h>

#include "ledger/canon.h"

#define BUCKET_COUNT 4096
#define HASH_DIGITS  3 /* as many buckets as these can say */

struct keys {
    int64_t ttl_us;
    size_t next; /* the place for the next one: its own, or the oldest's */
    struct key *buckets[BUCKET_COUNT];
    struct key all[KEYS_MAX];
};

struct keys *
keys_new(int64_t ttl_us, struct err *err)
{
    struct keys *keys = calloc(1, sizeof(*keys));

    if (keys == NULL)
        err_set(err, ERR_NOMEM, "table of idempotency keys");
    else
        keys->ttl_us = ttl_us;
    return keys;
}

void
keys_free(struct keys *keys)
{
    free(keys);
}

int64_t
keys_horizon_unix_us(const struct keys *keys, int64_t now_unix_us)
{
    return now_unix_us - keys->ttl_us;
}

static size_t
bucket_of(const char *hash)
{
    char digits[HASH_DIGITS + 1] = "";

    memcpy(digits, hash, HASH_DIGITS);
    return strtoul(digits, NULL, 16) % BUCKET_COUNT;
}

/* The newest use comes first. */
const struct key *
keys_find(const struct keys *keys, const char *hash, int64_t now_unix_us)
{
    const struct key *key = keys->buckets[bucket_of(hash)];

    while (key != NULL && strcmp(key->hash, hash) != 0)
        key = key->next;
    if (key != NULL &&
        key->used_unix_us < keys_horizon_unix_us(keys, now_unix_us))
        return NULL;
    return key;
}

static void
forget(struct keys *keys, struct key *key)
{
    struct key **at = &keys->buckets[bucket_of(key->hash)];

    while (*at != key)
        at = &(*at)->next;
    *at = key->next;
}

void
keys_add(struct keys *keys, const struct key *key)
{
    struct key *added = &keys->all[keys->next];
    struct key **bucket = &keys->buckets[bucket_of(key->hash)];

    if (added->hash[0] != '\0')
        forget(keys, added);
    *added = *key;
    added->next = *bucket;
    *bucket = added;
    keys->next = (keys->next + 1) % KEYS_MAX;
}

/* ---- facts ------------------------------------------------------------- */

static bool
is_hash(const struct canon_text *text)
{
    static const char digits[] = "0123456789abcdef";

    if (text->len != ENTRY_HASH_HEX_LEN)
        return false;
    for (size_t i = 0; i < text->len; i++)
        if (memchr(digits, text->bytes[i], sizeof(digits) - 1) == NULL)
            return false;
    return true;
}

static int
read_hash(struct canon *in, const char *name, char hash[ENTRY_HASH_HEX_LEN + 1],
          struct err *err)
{
    struct canon_text text;

    if (canon_peek(in) == CANON_NULL) {
        canon_skip(in);
        return 0;
    }
    canon_string(in, &text);
    if (canon_failed(in) || !is_hash(&text))
        return err_set(err, ERR_INVALID, "%s is no hash", name);
    memcpy(hash, text.bytes, text.len);
    hash[text.len] = '\0';
    return 0;
}

int
keys_read(const char *facts, size_t len, struct key *key, struct err *err)
{
    struct canon_text name = { 0 };
    struct canon in;
    int result = 0;

    key->hash[0] = key->request_hash[0] = '\0';
    canon_init(&in, facts, len);
    canon_object(&in);
    while (result == 0 && canon_next_key(&in, &name)) {
        if (canon_key_is(&name, "idempotency_key"))
            result = read_hash(&in, "idempotency_key", key->hash, err);
        else if (canon_key_is(&name, "request_hash"))
            result = read_hash(&in, "request_hash", key->request_hash, err);
        else
            canon_skip(&in);
    }
    if (result == -1)
        return -1;
    canon_end(&in);
    if (canon_failed(&in))
        return err_set(err, ERR_INVALID,
                       "the facts are not one canonical JSON object");
    if ((key->hash[0] == '\0') != (key->request_hash[0] == '\0'))
        return err_set(err, ERR_INVALID,
                       "idempotency_key and request_hash go together");
    return 0;
}
