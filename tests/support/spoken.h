/*
 * spoken - records whose facts a test has as JSON, on their way to the scribe,
 * which is told them as text.
 */
#ifndef SUPPORT_SPOKEN_H
#define SUPPORT_SPOKEN_H

#include "ledger/clerk.h"

/* As frame_append_record() and clerk_submit(). */
int spoken_append(struct buf *out, const struct entry_record *record,
                  struct err *err) ATTR_MUST_CHECK;
int spoken_submit(struct clerk *clerk, const struct entry_record *record,
                  int64_t deadline_mono_ms, struct err *err) ATTR_MUST_CHECK;

#endif
