/*
 * utf8 - make any bytes storable and printable.
 */
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"

/* True when all of it is well-formed UTF-8 (no surrogates, no overlong forms,
 * nothing above U+10FFFF) without U+0000. */
bool utf8_is_clean(const char *bytes, size_t len);

/* Appends a copy in which U+0000 and each maximal ill-formed part (Unicode,
 * section 3.9) became U+FFFD.  *cleaned is set when anything changed and left
 * alone otherwise. */
enum buf_status utf8_append_clean(struct buf *out, const char *bytes,
                                  size_t len, bool *cleaned) ATTR_MUST_CHECK;

/* The number of characters in clean text. */
size_t utf8_count(const char *bytes, size_t len);

/* The largest length <= len that does not cut a character of clean text. */
size_t utf8_cut(const char *bytes, size_t len);

#endif
