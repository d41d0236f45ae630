/*
 * crypto - hashes, signatures and random bytes, from OpenSSL's libcrypto.
 */
#ifndef CLIENT_CRYPTO_H
#define CLIENT_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

#define SHA256_LEN 32

struct crypto_part {
    const void *bytes;
    size_t len;
};

/* SHA-256 of the parts one after the other. */
int crypto_sha256(const struct crypto_part *parts, size_t count,
                  uint8_t digest[SHA256_LEN], struct err *err) ATTR_MUST_CHECK;

int crypto_random(void *bytes, size_t len, struct err *err) ATTR_MUST_CHECK;

/* Appends base64url without padding (RFC 4648, section 5). */
enum buf_status crypto_append_base64url(struct buf *out, const void *bytes,
                                        size_t len) ATTR_MUST_CHECK;

/* The ordinary alphabet, padded (RFC 4648, section 4). */
enum buf_status crypto_append_base64(struct buf *out, const void *bytes,
                                     size_t len) ATTR_MUST_CHECK;

/* Appends the bytes that padded base64 stands for: canonical, without blanks
 * or line ends.  -1 on ERR_INVALID, ERR_LIMIT, ERR_NOMEM. */
int crypto_append_unbase64(struct buf *out, const char *text, size_t len,
                           struct err *err) ATTR_MUST_CHECK;

/* ---- RSA ---- */

/* An RSA private key of at least 2048 bits, from PKCS#8 or PKCS#1 PEM.  An
 * encrypted one is refused, never prompted for. */
struct crypto_key;
struct crypto_key *crypto_key_from_pem(const char *pem, size_t len,
                                       struct err *err) ATTR_MUST_CHECK;
void crypto_key_free(struct crypto_key *key);

/* Appends the RS256 signature (RSASSA-PKCS1-v1_5, SHA-256) of bytes. */
int crypto_sign_rs256(struct crypto_key *key, const void *bytes, size_t len,
                      struct buf *out, struct err *err) ATTR_MUST_CHECK;

/* ---- Ed25519 ---- */

#define ED25519_PUBLIC_LEN    32
#define ED25519_SIGNATURE_LEN 64

/* A new private key, freed with crypto_key_free(). */
struct crypto_key *crypto_ed25519_new(struct err *err) ATTR_MUST_CHECK;

/* From PKCS#8 PEM, and to it: text that the caller wipes. */
struct crypto_key *crypto_ed25519_from_pem(const char *pem, size_t len,
                                           struct err *err) ATTR_MUST_CHECK;
int crypto_ed25519_to_pem(const struct crypto_key *key, struct buf *out,
                          struct err *err) ATTR_MUST_CHECK;

int crypto_ed25519_public(const struct crypto_key *key,
                          uint8_t public[ED25519_PUBLIC_LEN],
                          struct err *err) ATTR_MUST_CHECK;

int crypto_ed25519_sign(const struct crypto_key *key, const void *bytes,
                        size_t len, uint8_t signature[ED25519_SIGNATURE_LEN],
                        struct err *err) ATTR_MUST_CHECK;

/* *valid says what became of it; -1 only when it could not be tried. */
int crypto_ed25519_verify(const uint8_t public[ED25519_PUBLIC_LEN],
                          const void *bytes, size_t len,
                          const uint8_t signature[ED25519_SIGNATURE_LEN],
                          bool *valid, struct err *err) ATTR_MUST_CHECK;

/* Overwrites memory in a way that the compiler keeps. */
void crypto_wipe(void *bytes, size_t len);

#endif
