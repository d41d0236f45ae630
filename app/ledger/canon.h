/*
 * canon - read canonical JSON, and nothing else, without allocating.
 *
 *     canon_init(&in, body, len);
 *     canon_object(&in);
 *     while (canon_next_key(&in, &key))
 *         if (canon_key_is(&key, "idx"))
 *             canon_int(&in, &idx);
 *         else
 *             canon_skip(&in);
 *     canon_end(&in);
 *     if (canon_failed(&in)) ...
 *
 * Canonical is the one text that equal values have: keys rising by their bytes
 * and so never doubled, no blanks, integers only, the shortest escapes and those
 * only where they must be; without U+0000.  With jsonw, write names in order.
 * The first departure makes everything after it fail, so that it is asked about
 * once.  A value is taken by exactly one call.  Whether the bytes are UTF-8 is
 * not looked at here: see utf8_is_clean().
 *
 * For bodies of entries, which the scribe makes and verification reads by the
 * million.
 */
#ifndef LEDGER_CANON_H
#define LEDGER_CANON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CANON_MAX_DEPTH 16

/* Borrowed from the body. */
struct canon_text {
    const char *bytes; /* between the quotes, escapes as they are */
    size_t len;
    bool escaped; /* it has some: see canon_unescape() */
};

/* Open because callers embed it; touch nothing inside. */
struct canon {
    const char *at;
    const char *end;
    int depth;
    bool failed;
};

enum canon_type {
    CANON_NULL,
    CANON_BOOL,
    CANON_INT,
    CANON_STRING,
    CANON_ARRAY,
    CANON_OBJECT,
    CANON_NOTHING, /* failed, or no value begins here */
};

void canon_init(struct canon *in, const char *body, size_t len);
bool canon_failed(const struct canon *in);

/* Fails unless all of it has been read. */
void canon_end(struct canon *in);

/* What comes next; takes nothing. */
enum canon_type canon_peek(const struct canon *in);

/* Into an object or array.  The two next functions return false at its end,
 * which they pass.  *key begins as { 0 } and belongs to one object. */
void canon_object(struct canon *in);
bool canon_next_key(struct canon *in, struct canon_text *key);
void canon_array(struct canon *in);
bool canon_next_element(struct canon *in);

static inline bool
canon_key_is(const struct canon_text *key, const char *name)
{
    return strlen(name) == key->len && memcmp(key->bytes, name, key->len) == 0;
}

/* <0, 0, >0: the order that keys rise in. */
int canon_key_compare(const struct canon_text *a, const struct canon_text *b);

/* ---- values: each fails on another type ---- */

void canon_int(struct canon *in, int64_t *value);
void canon_string(struct canon *in, struct canon_text *text);
void canon_bool(struct canon *in, bool *value);
void canon_skip(struct canon *in); /* any value */

/* Any value, as it stands. */
void canon_raw(struct canon *in, struct canon_text *raw);

/* Writes at most text->len bytes and returns how many. */
size_t canon_unescape(const struct canon_text *text, char *out);

#endif
