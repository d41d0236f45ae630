/*
 * sealed - entries for tests of what keeps them: sealed, numbered, with texts.
 *
 *     sealed_init(&sealed, 3);            idx 0..2 of a log of its own
 *     sealed.entries, sealed.count
 *     sealed_close(&sealed);
 */
#ifndef SUPPORT_SEALED_H
#define SUPPORT_SEALED_H

#include <stddef.h>

#include "ledger/seal.h"

#define SEALED_MAX  16
#define SEALED_TEXT "what was \"asked\"\n"

struct sealed {
    struct seal seals[SEALED_MAX];
    const struct seal *entries[SEALED_MAX];
    struct uuid runs[SEALED_MAX];
    size_t count;
};

/* All accepted entries, each of a new run. */
void sealed_init(struct sealed *sealed, size_t count);
void sealed_close(struct sealed *sealed);

/* Makes entry i a finished one of this run. */
void sealed_finish(struct sealed *sealed, size_t i, const struct uuid *run_id);

#endif
