/*
 * selftest_look - what an instance's ledger, spool, metrics and modelsim say.
 *
 * Looks from outside, as anybody could; changes nothing.
 */
#ifndef TANDEMCTL_SELFTEST_LOOK_H
#define TANDEMCTL_SELFTEST_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/verify.h"
#include "tandemctl/selftest_instance.h"
#include "tandemctl/selftest_patience.h"
#include "tandemctl/selftest_stream.h"

/* The body of the run's entry of that kind; owned.  NULL when there is none or
 * the ledger cannot be read, and *count, unless NULL, is how many there are. */
json_t *look_at_entry(const struct instance *instance, const char *run_id,
                      const char *kind, size_t *count) ATTR_MUST_CHECK;

/* Is the entry there that the stream's `done` told of, exactly once, and in the
 * place and with the hash that were told? */
bool look_at_receipt(const struct instance *instance,
                     const struct stream *stream);

/* Batches that wait, and those that were set aside; -1 when it cannot be read.
 */
int look_at_spool(const struct instance *instance);

/* Runs that stream workers serve now; -1 when nobody answers. */
int64_t look_at_busy(const struct instance *instance,
                     struct patience *patience);

/* Calls to both models together. */
struct look_calls {
    int64_t open;
    int64_t aborted;
    int64_t last_abort_unix_us;
};

int look_at_calls(const struct instance *instance, struct look_calls *calls,
                  struct err *err) ATTR_MUST_CHECK;

/* As tandemctl verify. */
int look_at_all(const struct instance *instance, struct verify_counts *counts,
                struct err *err) ATTR_MUST_CHECK;

#endif
