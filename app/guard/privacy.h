/*
 * privacy - which personal data is taken out of text before it is stored.
 *
 *     privacy = privacy_new(&err);                   once per worker
 *     privacy_redact_text(privacy, text, len, &out, counts, &err);
 *     copy = privacy_redact_json(privacy, value, counts, &err);
 *     privacy_free(privacy);
 *
 * A first pass: e-mail addresses, phone numbers, social security numbers,
 * medical record numbers, credentials.  A failure leaves no text behind; the
 * caller refuses the run.
 */
#ifndef GUARD_PRIVACY_H
#define GUARD_PRIVACY_H

#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

enum privacy_kind {
    PRIVACY_EMAIL,
    PRIVACY_PHONE,
    PRIVACY_SSN,
    PRIVACY_MRN,
    PRIVACY_CREDENTIAL,
    PRIVACY_KIND_COUNT,
};

/* How many of each kind were replaced; added to. */
struct privacy_counts {
    size_t of[PRIVACY_KIND_COUNT];
};

struct privacy;

struct privacy *privacy_new(struct err *err) ATTR_MUST_CHECK;
void privacy_free(struct privacy *privacy); /* NULL is fine */

/* Replaces out's content.  text is clean UTF-8. */
int privacy_redact_text(struct privacy *privacy, const char *text, size_t len,
                        struct buf *out, struct privacy_counts *counts,
                        struct err *err) ATTR_MUST_CHECK;

/* A redacted copy, a new reference: strings, numbers and the names of members,
 * which get a number where one is taken ("[EMAIL]", "[EMAIL] 2").  Whatever
 * stands under a name such as password or token is a credential as a whole.
 * NULL when it fails. */
json_t *privacy_redact_json(struct privacy *privacy, const json_t *value,
                            struct privacy_counts *counts,
                            struct err *err) ATTR_MUST_CHECK;

#endif
