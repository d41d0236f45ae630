/*
 * keyfile - the private key that signs checkpoints, in a file of its own.
 *
 * PKCS#8 PEM with an Ed25519 key, as `openssl genpkey -algorithm ed25519` makes
 * it.  The file belongs to us or to root and is closed to everybody else; any
 * other is refused with what to do.
 */
#ifndef LEDGER_KEYFILE_H
#define LEDGER_KEYFILE_H

#include "base/attr.h"
#include "base/err.h"
#include "client/crypto.h"

/* ERR_INVALID when the file's owner, mode or content is wrong, ERR_SYSTEM when
 * it cannot be read. */
struct crypto_key *keyfile_read(const char *path,
                                struct err *err) ATTR_MUST_CHECK;

/* Makes a key and its file, mode 0600.  ERR_INVALID when there is a file. */
struct crypto_key *keyfile_create(const char *path,
                                  struct err *err) ATTR_MUST_CHECK;

#endif
