/*
 * redact - replace personal data in text by placeholders, and count them.
 *
 *     r = redact_new(rules, count, &err);      once per worker, compiled
 *     redact_apply(r, text, len, &out, counts, &err);
 *     redact_free(r);
 *
 * Rules are PCRE2 patterns with UTF, tried in order over the whole text; where
 * a pattern has a group named v, only that group is replaced.  A match of
 * nothing is none.  Matching is bounded (match and depth limits), so hostile
 * text fails instead of hanging, and a failure leaves no half-redacted text
 * behind.  The limits count anew at each place in the text: rules keep their
 * repeats short, as {1,64} does and + does not.  Errors never quote the text.
 */
#ifndef TEXT_REDACT_H
#define TEXT_REDACT_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

struct redact_rule {
    const char *kind;        /* such as email; several rules may share one */
    const char *pattern;     /* PCRE2 */
    const char *placeholder; /* such as [EMAIL] */
};

struct redactor;

/* The rules' strings are borrowed until redact_free().  ERR_INVALID for a
 * pattern that does not compile. */
struct redactor *redact_new(const struct redact_rule *rules, size_t count,
                            struct err *err) ATTR_MUST_CHECK;
void redact_free(struct redactor *redactor); /* NULL is fine */

/* Replaces out's content; out does not hold text.  counts has one cell per rule
 * and is added to; it may be NULL.  -1 on ERR_LIMIT, ERR_NOMEM, ERR_SYSTEM, or
 * ERR_INVALID when text is no clean UTF-8, with out emptied and counts left
 * alone. */
int redact_apply(struct redactor *redactor, const char *text, size_t len,
                 struct buf *out, size_t *counts,
                 struct err *err) ATTR_MUST_CHECK;

#endif
