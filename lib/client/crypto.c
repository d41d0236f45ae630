/*
 * crypto.c - see crypto.h.
 *
 * OpenSSL keeps a queue of errors per thread, and what is left in it is taken
 * for the failure of the next TLS call.  So everything that fails here empties
 * the queue before it returns.
 */
#include "client/crypto.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#define MIN_RSA_BITS  2048
#define MAX_PEM_BYTES 65536

struct crypto_key {
    EVP_PKEY *pkey;
};

/* Always returns -1. */
static int
fail(struct err *err, enum err_kind kind, const char *what)
{
    ERR_clear_error();
    return err_set(err, kind, "%s", what);
}

int
crypto_sha256(const struct crypto_part *parts, size_t count,
              uint8_t digest[SHA256_LEN], struct err *err)
{
    /* For the life of the process: to look the algorithm up and to allocate
     * takes OpenSSL longer than to hash an ordinary entry. */
    static EVP_MD *sha256;
    static EVP_MD_CTX *ctx;
    bool ok;

    if (sha256 == NULL)
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (ctx == NULL)
        ctx = EVP_MD_CTX_new();
    if (sha256 == NULL || ctx == NULL)
        return fail(err, ERR_NOMEM, "SHA-256 context");
    ok = EVP_DigestInit_ex(ctx, sha256, NULL) == 1;
    for (size_t i = 0; ok && i < count; i++)
        ok = EVP_DigestUpdate(ctx, parts[i].bytes, parts[i].len) == 1;
    ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
    return ok ? 0 : fail(err, ERR_SYSTEM, "SHA-256 failed");
}

int
crypto_random(void *bytes, size_t len, struct err *err)
{
    if (RAND_bytes_ex(NULL, bytes, len, 0) != 1)
        return fail(err, ERR_SYSTEM, "no random bytes");
    return 0;
}

/* ---- base64 ------------------------------------------------------------ */

#define LETTERS_AND_DIGITS \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char base64_digits[] = LETTERS_AND_DIGITS "+/";
static const char base64url_digits[] = LETTERS_AND_DIGITS "-_";

static enum buf_status
append_digits(struct buf *out, const uint8_t *in, size_t len,
              const char *digits, bool padded)
{
    const size_t tail = len % 3;
    const size_t tail_len = tail == 0 ? 0 : padded ? 4 : tail + 1;
    const size_t text_len = len / 3 * 4 + tail_len;
    char *text;

    if (text_len > out->max_bytes - out->len)
        return BUF_FULL;
    text = buf_reserve(out, text_len);
    if (text == NULL)
        return BUF_NOMEM;
    for (size_t i = 0; i < len; i += 3) {
        const unsigned second = i + 1 < len ? in[i + 1] : 0;
        const unsigned third = i + 2 < len ? in[i + 2] : 0;

        *text++ = digits[in[i] >> 2];
        *text++ = digits[(in[i] << 4 & 63) | second >> 4];
        if (i + 1 < len)
            *text++ = digits[(second << 2 & 63) | third >> 6];
        if (i + 2 < len)
            *text++ = digits[third & 63];
    }
    for (size_t i = tail; padded && tail > 0 && i < 3; i++)
        *text++ = '=';
    buf_commit(out, text_len);
    return BUF_OK;
}

enum buf_status
crypto_append_base64url(struct buf *out, const void *bytes, size_t len)
{
    return append_digits(out, bytes, len, base64url_digits, false);
}

enum buf_status
crypto_append_base64(struct buf *out, const void *bytes, size_t len)
{
    return append_digits(out, bytes, len, base64_digits, true);
}

/* The value of four digits, of which the last pads are "="; -1 when they are
 * not canonical. */
static long
value_of(const char *text, size_t pads)
{
    long value = 0;

    for (size_t i = 0; i < 4; i++) {
        const char *digit = i < 4 - pads && text[i] != '\0'
                                ? strchr(base64_digits, text[i])
                                : NULL;

        if (digit == NULL && (i < 4 - pads || text[i] != '='))
            return -1;
        value = value * 64 + (digit != NULL ? digit - base64_digits : 0);
    }
    /* Bits that stand for nothing are zero. */
    return pads > 0 && (value & ((1L << (8 * pads)) - 1)) != 0 ? -1 : value;
}

int
crypto_append_unbase64(struct buf *out, const char *text, size_t len,
                       struct err *err)
{
    const size_t most = len / 4 * 3;
    char *bytes;

    if (len % 4 != 0)
        return err_set(err, ERR_INVALID, "this is no base64");
    if (most > out->max_bytes - out->len)
        return err_set(err, ERR_LIMIT, "the base64 is too long");
    bytes = buf_reserve(out, most);
    if (bytes == NULL)
        return err_set(err, ERR_NOMEM, "base64");
    for (size_t i = 0; i < len; i += 4) {
        const bool last = i + 4 == len;
        const size_t pads = !last || text[i + 3] != '=' ? 0
                            : text[i + 2] != '='        ? 1
                                                        : 2;
        const long value = value_of(text + i, pads);

        if (value == -1)
            return err_set(err, ERR_INVALID, "this is no base64");
        for (size_t k = 0; k < 3 - pads; k++)
            bytes[i / 4 * 3 + k] = (char)(value >> (16 - 8 * k) & 0xff);
        if (last)
            buf_commit(out, most - pads);
    }
    return 0;
}

/* ---- private keys ------------------------------------------------------ */

/* Without a callback of ours OpenSSL would ask on the terminal. */
static int
refuse_password(char *password, int size, int for_writing, void *was_asked)
{
    (void)password;
    (void)size;
    (void)for_writing;
    *(bool *)was_asked = true;
    return -1;
}

static EVP_PKEY *
parse_pem(const char *pem, size_t len, struct err *err)
{
    bool is_encrypted = false;
    EVP_PKEY *pkey;
    BIO *bio;

    if (len == 0 || len > MAX_PEM_BYTES) {
        fail(err, ERR_INVALID, "the private key is empty or too long");
        return NULL;
    }
    bio = BIO_new_mem_buf(pem, (int)len);
    if (bio == NULL) {
        fail(err, ERR_NOMEM, "private key");
        return NULL;
    }
    pkey = PEM_read_bio_PrivateKey(bio, NULL, refuse_password, &is_encrypted);
    BIO_free(bio);
    if (pkey == NULL)
        fail(err, ERR_INVALID,
             is_encrypted ? "the private key is encrypted"
                          : "the private key is not PEM");
    return pkey;
}

static int
check_strength(const EVP_PKEY *pkey, struct err *err)
{
    if (!EVP_PKEY_is_a(pkey, "RSA"))
        return fail(err, ERR_INVALID, "the private key is not for RSA");
    if (EVP_PKEY_get_bits(pkey) < MIN_RSA_BITS)
        return fail(err, ERR_INVALID, "the private key is below 2048 bits");
    return 0;
}

static struct crypto_key *
new_key_take(EVP_PKEY *pkey, struct err *err)
{
    struct crypto_key *key = malloc(sizeof(*key));

    if (key == NULL) {
        fail(err, ERR_NOMEM, "private key");
        EVP_PKEY_free(pkey);
        return NULL;
    }
    key->pkey = pkey;
    /* Parsing tries several forms and may leave the misses behind. */
    ERR_clear_error();
    return key;
}

struct crypto_key *
crypto_key_from_pem(const char *pem, size_t len, struct err *err)
{
    EVP_PKEY *pkey = parse_pem(pem, len, err);

    if (pkey == NULL)
        return NULL;
    if (check_strength(pkey, err) == 0)
        return new_key_take(pkey, err);
    EVP_PKEY_free(pkey);
    return NULL;
}

void
crypto_key_free(struct crypto_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

int
crypto_sign_rs256(struct crypto_key *key, const void *bytes, size_t len,
                  struct buf *out, struct err *err)
{
    size_t signature_len = (size_t)EVP_PKEY_get_size(key->pkey);
    EVP_MD_CTX *ctx;
    char *signature;
    bool ok;

    if (signature_len > out->max_bytes - out->len)
        return fail(err, ERR_LIMIT, "no room for the signature");
    signature = buf_reserve(out, signature_len);
    if (signature == NULL)
        return fail(err, ERR_NOMEM, "signature");
    ctx = EVP_MD_CTX_new();
    if (ctx == NULL)
        return fail(err, ERR_NOMEM, "signature context");
    /* RSA signs with PKCS#1 v1.5 unless told otherwise; RS256 wants that. */
    ok = EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
         EVP_DigestSign(ctx, (unsigned char *)signature, &signature_len, bytes,
                        len) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return fail(err, ERR_SYSTEM, "RS256 signing failed");
    buf_commit(out, signature_len);
    return 0;
}

/* ---- Ed25519 ----------------------------------------------------------- */

struct crypto_key *
crypto_ed25519_new(struct err *err)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    if (pkey == NULL) {
        fail(err, ERR_SYSTEM, "no new Ed25519 key");
        return NULL;
    }
    return new_key_take(pkey, err);
}

struct crypto_key *
crypto_ed25519_from_pem(const char *pem, size_t len, struct err *err)
{
    EVP_PKEY *pkey = parse_pem(pem, len, err);

    if (pkey == NULL)
        return NULL;
    if (EVP_PKEY_is_a(pkey, "ED25519"))
        return new_key_take(pkey, err);
    fail(err, ERR_INVALID, "the private key is not for Ed25519");
    EVP_PKEY_free(pkey);
    return NULL;
}

int
crypto_ed25519_to_pem(const struct crypto_key *key, struct buf *out,
                      struct err *err)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    enum buf_status status = BUF_NOMEM;
    char *text;

    if (bio == NULL)
        return fail(err, ERR_NOMEM, "private key");
    if (PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL,
                                      NULL) == 1) {
        const long len = BIO_get_mem_data(bio, &text);

        status = buf_append(out, text, (size_t)len);
    }
    BIO_free(bio);
    return status == BUF_OK ? 0 : fail(err, ERR_NOMEM, "private key");
}

int
crypto_ed25519_public(const struct crypto_key *key,
                      uint8_t public[ED25519_PUBLIC_LEN], struct err *err)
{
    size_t len = ED25519_PUBLIC_LEN;

    if (EVP_PKEY_get_raw_public_key(key->pkey, public, &len) != 1 ||
        len != ED25519_PUBLIC_LEN)
        return fail(err, ERR_SYSTEM, "the key has no public half");
    return 0;
}

int
crypto_ed25519_sign(const struct crypto_key *key, const void *bytes, size_t len,
                    uint8_t signature[ED25519_SIGNATURE_LEN], struct err *err)
{
    size_t signature_len = ED25519_SIGNATURE_LEN;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok;

    if (ctx == NULL)
        return fail(err, ERR_NOMEM, "signature context");
    ok = EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
         EVP_DigestSign(ctx, signature, &signature_len, bytes, len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : fail(err, ERR_SYSTEM, "Ed25519 signing failed");
}

int
crypto_ed25519_verify(const uint8_t public[ED25519_PUBLIC_LEN],
                      const void *bytes, size_t len,
                      const uint8_t signature[ED25519_SIGNATURE_LEN],
                      bool *valid, struct err *err)
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL,
                                                    public, ED25519_PUBLIC_LEN);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool begun;

    begun = pkey != NULL && ctx != NULL &&
            EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1;
    *valid = begun && EVP_DigestVerify(ctx, signature, ED25519_SIGNATURE_LEN,
                                       bytes, len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return begun ? 0 : fail(err, ERR_NOMEM, "signature check");
}

void
crypto_wipe(void *bytes, size_t len)
{
    OPENSSL_cleanse(bytes, len);
}
