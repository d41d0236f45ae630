/*
 * tls.c - see tls.h.
 *
 * The rehearsal handshake is against ourselves, with a certificate that lives
 * for its duration.  Our own authorities do not know it, so the client side
 * verifies it (that touches the store) and goes on whatever the verdict: no
 * setting of this handshake reaches any other.
 */
#include "client/tls.h"

#include <stdbool.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define REHEARSAL_ROUNDS     10
#define REHEARSAL_VALIDITY_S 3600

static X509_STORE *store;

/* An error left in OpenSSL's queue would be taken for that of a later call.
 * Always returns -1. */
static int
fail(struct err *err, enum err_kind kind, const char *what)
{
    ERR_clear_error();
    return err_set(err, kind, "%s", what);
}

static X509 *
self_signed(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name;

    if (cert == NULL)
        return NULL;
    name = X509_get_subject_name(cert);
    if (X509_set_version(cert, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(cert), 0) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(cert), REHEARSAL_VALIDITY_S) !=
            NULL &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                   (const unsigned char *)"rehearsal", -1, -1,
                                   0) == 1 &&
        X509_set_issuer_name(cert, name) == 1 &&
        X509_set_pubkey(cert, key) == 1 &&
        X509_sign(cert, key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

static SSL_CTX *
server_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key != NULL ? self_signed(key) : NULL;
    const bool ok = ctx != NULL && cert != NULL &&
                    SSL_CTX_use_certificate(ctx, cert) == 1 &&
                    SSL_CTX_use_PrivateKey(ctx, key) == 1;

    X509_free(cert);
    EVP_PKEY_free(key);
    if (ok)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static SSL_CTX *
client_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set1_cert_store(ctx, store);
    return ctx;
}

/* Lets the two sides talk in memory until both are satisfied. */
static bool
shake_hands(SSL *client, SSL *server)
{
    BIO *client_end, *server_end;
    bool done = false;

    if (BIO_new_bio_pair(&client_end, 0, &server_end, 0) != 1)
        return false;
    SSL_set_bio(client, client_end, client_end);
    SSL_set_bio(server, server_end, server_end);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (int i = 0; !done && i < REHEARSAL_ROUNDS; i++) {
        const int client_status = SSL_do_handshake(client);
        const int server_status = SSL_do_handshake(server);

        done = client_status == 1 && server_status == 1;
    }
    return done;
}

static int
rehearse(struct err *err)
{
    SSL_CTX *client_ctx = client_context();
    SSL_CTX *server_ctx = server_context();
    SSL *client = client_ctx != NULL ? SSL_new(client_ctx) : NULL;
    SSL *server = server_ctx != NULL ? SSL_new(server_ctx) : NULL;
    const bool ok =
        client != NULL && server != NULL && shake_hands(client, server);

    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    if (!ok)
        return fail(err, ERR_SYSTEM, "TLS does not work with itself");
    ERR_clear_error();
    return 0;
}

/* OpenSSL says nothing about a file that is not there.  Without any authority
 * plain HTTP still works, but a file that was asked for has to be one. */
static int
load_system_paths(struct err *err)
{
    const char *wanted = getenv(X509_get_default_cert_file_env());

    if (X509_STORE_set_default_paths(store) != 1)
        return fail(err, ERR_SYSTEM, "certificate authorities");
    ERR_clear_error();
    if (wanted != NULL &&
        sk_X509_OBJECT_num(X509_STORE_get0_objects(store)) == 0)
        return err_set(err, ERR_INVALID, "no certificate in %s=%s",
                       X509_get_default_cert_file_env(), wanted);
    return 0;
}

int
tls_store_load(struct err *err)
{
    tls_store_free();
    store = X509_STORE_new();
    if (store == NULL)
        return fail(err, ERR_NOMEM, "certificate store");
    if (load_system_paths(err) == 0 && rehearse(err) == 0)
        return 0;
    tls_store_free();
    return -1;
}

void
tls_store_free(void)
{
    X509_STORE_free(store);
    store = NULL;
}

int
tls_store_attach(void *ssl_ctx, struct err *err)
{
    if (store == NULL)
        return err_set(err, ERR_SYSTEM, "no certificate store was loaded");
    SSL_CTX_set1_cert_store(ssl_ctx, store);
    return 0;
}
