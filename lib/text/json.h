/*
 * json - Jansson with our limits: parse hostile text, write text.
 *
 * Jansson 2.14 rejects what providers do send: lone surrogate escapes,
 * \u0000 and invalid UTF-8.  json_parse_lenient() mends those once, to U+FFFD,
 * and says so; everything else that is wrong stays an error.
 */
#ifndef TEXT_JSON_H
#define TEXT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

/* A new reference, or NULL on ERR_INVALID (with line and column, never with
 * the text itself), ERR_LIMIT (deeper than max_depth) or ERR_NOMEM. */
json_t *json_parse(const char *bytes, size_t len, size_t max_depth,
                   struct err *err) ATTR_MUST_CHECK;

/* The same, mending; *cleaned is set when anything was mended and left alone
 * otherwise. */
json_t *json_parse_lenient(const char *bytes, size_t len, size_t max_depth,
                           bool *cleaned, struct err *err) ATTR_MUST_CHECK;

/* The same, with every number a real, so that an integer beyond 64 bits is no
 * error.  For values that are read and never written again. */
json_t *json_parse_inexact(const char *bytes, size_t len, size_t max_depth,
                           bool *cleaned, struct err *err) ATTR_MUST_CHECK;

/* Compact, keys in insertion order.  Adds to out the whole text or nothing. */
int json_write(const json_t *value, struct buf *out,
               struct err *err) ATTR_MUST_CHECK;

/* Appends clean UTF-8 as a quoted JSON string, or nothing.  Only the quote, the
 * backslash and what is below U+0020 are escaped; all else, U+2028 and U+2029
 * among it, arrives byte for byte. */
enum buf_status json_append_string(struct buf *out, const char *bytes,
                                   size_t len) ATTR_MUST_CHECK;

/* The count of containers and scalars inside value, itself included. */
size_t json_count(const json_t *value);

/* Members of an object, tolerant: NULL or the default when absent or of another
 * type.  Strings are borrowed from the object.  A whole real such as 12.0 is an
 * integer too, as JSON itself knows only numbers. */
const char *json_get_string(const json_t *object, const char *key);
int64_t json_get_int(const json_t *object, const char *key, int64_t otherwise);

#endif
