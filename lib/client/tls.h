/*
 * tls - one certificate store for all processes.
 *
 * Loading Debian's 144 authorities costs 26 ms and 1.6 MB per connection when
 * every process does it.  The master loads them once, before it forks;
 * http.c hands each new SSL_CTX here.
 */
#ifndef CLIENT_TLS_H
#define CLIENT_TLS_H

#include "base/attr.h"
#include "base/err.h"

/* Loads the system's authorities (SSL_CERT_FILE and SSL_CERT_DIR are
 * honoured) and performs one handshake in memory, so that what OpenSSL
 * allocates once is shared by all children. */
int tls_store_load(struct err *err) ATTR_MUST_CHECK;
void tls_store_free(void);

/* ssl_ctx is an SSL_CTX *; it gets its own reference to the store. */
int tls_store_attach(void *ssl_ctx, struct err *err) ATTR_MUST_CHECK;

#endif
