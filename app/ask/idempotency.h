/*
 * idempotency - an Idempotency-Key and what it was sent with, as hashes.
 *
 * The key itself is never kept.  It salts the hash of the request, because a
 * bare hash of a question could be guessed.
 */
#ifndef ASK_IDEMPOTENCY_H
#define ASK_IDEMPOTENCY_H

#include <stdbool.h>

#include "ask/request.h"
#include "base/attr.h"
#include "base/err.h"
#include "client/crypto.h"

#define IDEMPOTENCY_KEY_MAX 255

/* Lower-case hex; "" when there is no key. */
struct idempotency {
    char key[2 * SHA256_LEN + 1];     /* SHA-256(principal || 0x00 || key) */
    char request[2 * SHA256_LEN + 1]; /* SHA-256(0x04 || key || request) */
};

/* 1 to IDEMPOTENCY_KEY_MAX visible ASCII characters. */
bool idempotency_key_is_valid(const char *key);

/* key is valid, or NULL; principal may be NULL.  The request counts without
 * its choice of events: an answer can be told again in other words.  -1 on
 * ERR_NOMEM, ERR_SYSTEM. */
int idempotency_set(struct idempotency *idempotency, const char *key,
                    const char *principal, const struct request *request,
                    struct err *err) ATTR_MUST_CHECK;

#endif
