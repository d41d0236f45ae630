/*
 * note - text with a signature that anybody can check: C2SP's signed note.
 *
 *     text, ending in a newline
 *     (an empty line)
 *     — NAME BASE64(key id || Ed25519 signature of the text)
 *
 * More than one may sign.  Whoever checks knows a verifier key,
 *
 *     NAME+KEYID+BASE64(0x01 || public key)
 *
 * where the key id is the first four bytes of SHA-256(NAME || 0x0a || 0x01 ||
 * public key), in hex.
 */
#ifndef LEDGER_NOTE_H
#define LEDGER_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "client/crypto.h"

#define NOTE_MAX_BYTES  8192
#define NOTE_NAME_LEN   256 /* with its NUL */
#define NOTE_KEY_ID_LEN 4
#define NOTE_MAX_KEYS   16

/* Who signs: what a verifier key says.  Plain bytes. */
struct note_key {
    char name[NOTE_NAME_LEN];
    uint8_t id[NOTE_KEY_ID_LEN];
    uint8_t public[ED25519_PUBLIC_LEN];
};

/* Not empty, without blanks, control characters and plus signs. */
bool note_name_is_valid(const char *name);

/* ERR_INVALID when the name is not valid. */
int note_key_make(struct note_key *key, const char *name,
                  const uint8_t public[ED25519_PUBLIC_LEN],
                  struct err *err) ATTR_MUST_CHECK;

/* A verifier key, from its text and to it.  ERR_INVALID. */
int note_key_parse(struct note_key *key, const char *text,
                   struct err *err) ATTR_MUST_CHECK;
enum buf_status note_key_append(const struct note_key *key,
                                struct buf *out) ATTR_MUST_CHECK;

/* Appends the text, which ends in a newline, and its signature. */
int note_sign(struct buf *out, const char *text,
              const struct crypto_key *private_key, const struct note_key *key,
              struct err *err) ATTR_MUST_CHECK;

/* A note taken apart; borrowed from its bytes. */
struct note {
    const char *text;
    size_t text_len;
    const char *signatures; /* one or more lines */
    size_t signatures_len;
};

/* ERR_INVALID when it is no note. */
int note_split(struct note *note, const char *bytes, size_t len,
               struct err *err) ATTR_MUST_CHECK;

enum note_verdict {
    NOTE_SIGNED,  /* by one of the keys */
    NOTE_UNKNOWN, /* by none of them */
    NOTE_FORGED,  /* one of them is named, and did not sign this */
};

/* -1 only when it could not be tried. */
int note_check(const struct note *note, const struct note_key *keys,
               size_t key_count, enum note_verdict *verdict,
               struct err *err) ATTR_MUST_CHECK;

#endif
