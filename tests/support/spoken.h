/*
 * spoken - facts that a test has as JSON, on their way to the scribe, which is
 * told them as text.
 *
 *     text = spoken_text_take(json_pack(...));
 *     record.facts = text; record.facts_len = strlen(text);
 */
#ifndef SUPPORT_SPOKEN_H
#define SUPPORT_SPOKEN_H

#include <jansson.h>

#include "ledger/clerk.h"

/* Their canonical text, which is the caller's to free.  Takes over facts. */
char *spoken_text_take(json_t *facts);

/* As frame_append_record() and clerk_submit(). */
int spoken_append(struct buf *out, const struct entry_record *record,
                  struct err *err) ATTR_MUST_CHECK;
int spoken_submit(struct clerk *clerk, const struct entry_record *record,
                  int64_t deadline_mono_ms, struct err *err) ATTR_MUST_CHECK;

#endif
