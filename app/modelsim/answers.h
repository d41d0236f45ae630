/*
 * answers - what the simulated models say: the same question, the same words.
 *
 * A few topics have real content; for every other question there is a general
 * pattern that takes the question up.  Every answer ends by saying that it is
 * simulated.
 */
#ifndef MODELSIM_ANSWERS_H
#define MODELSIM_ANSWERS_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "modelsim/settings.h"

/* Flash says two sentences, Pro five paragraphs.  prompt is clean UTF-8. */
enum buf_status answers_write(struct buf *out, enum role role,
                              const char *prompt) ATTR_MUST_CHECK;

/* Exactly len bytes of clean UTF-8 with characters of one to four bytes. */
enum buf_status answers_fill(struct buf *out, size_t len) ATTR_MUST_CHECK;

#endif
