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

enum buf_status
crypto_append_base64url(struct buf *out, const void *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *in = bytes;
    const size_t tail = len % 3;
    const size_t text_len = len / 3 * 4 + (tail > 0 ? tail + 1 : 0);
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
    buf_commit(out, text_len);
    return BUF_OK;
}

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

struct crypto_key *
crypto_key_from_pem(const char *pem, size_t len, struct err *err)
{
    struct crypto_key *key;
    EVP_PKEY *pkey = parse_pem(pem, len, err);

    if (pkey == NULL)
        return NULL;
    if (check_strength(pkey, err) == -1)
        goto fail;
    key = malloc(sizeof(*key));
    if (key == NULL) {
        fail(err, ERR_NOMEM, "private key");
        goto fail;
    }
    key->pkey = pkey;
    /* Parsing tries several forms and may leave the misses behind. */
    ERR_clear_error();
    return key;

fail:
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

void
crypto_wipe(void *bytes, size_t len)
{
    OPENSSL_cleanse(bytes, len);
}
