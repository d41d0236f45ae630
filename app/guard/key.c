/* key.c - see key.h. */
#include "guard/key.h"

#include <string.h>

#include "base/str.h"
#include "client/crypto.h"

static int
digest_of(const char *text, uint8_t digest[SHA256_LEN])
{
    const struct crypto_part part = { text, strlen(text) };

    return crypto_sha256(&part, 1, digest, NULL);
}

bool
key_matches(const char *expected, const char *presented)
{
    uint8_t want[SHA256_LEN];
    uint8_t have[SHA256_LEN];

    if (presented == NULL || digest_of(expected, want) == -1 ||
        digest_of(presented, have) == -1)
        return false;
    return str_equals_secret(want, have, SHA256_LEN);
}
