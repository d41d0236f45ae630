/*
 * counters - families of counters, gauges and histograms in shared memory.
 *
 *     set = counters_new(families, count, &err);     before the first fork
 *     counters_add(set, FAMILY, label, 1);           anywhere after it
 *     counters_observe(set, FAMILY, label, value);
 *
 * A family is named by its index in the table the caller made; a label by its
 * index in that family's list.  Cells are 64-bit relaxed atomics shared by all
 * processes: nothing is lost when a process is killed, nothing is locked, and
 * they live until the last process has gone.
 */
#ifndef SYS_COUNTERS_H
#define SYS_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum counters_kind { COUNTERS_COUNTER, COUNTERS_GAUGE, COUNTERS_HISTOGRAM };

struct counters_family {
    const char *name; /* as exposed, such as requests_total */
    const char *help;
    enum counters_kind kind;
    const char *const *labels; /* label_count texts such as model="flash";
                                * NULL for one series without a label */
    size_t label_count;        /* 0 counts as 1 */
    const int64_t *bounds; /* histogram: rising upper bounds, without +Inf */
    size_t bound_count;
    double scale; /* shown value = stored value * scale; 0 is 1 */
};

struct counters;

/* Families are borrowed for ever.  NULL on ERR_SYSTEM or ERR_NOMEM. */
struct counters *counters_new(const struct counters_family *families,
                              size_t family_count,
                              struct err *err) ATTR_MUST_CHECK;

/* For tests: a service keeps its set as long as it lives.  NULL is fine. */
void counters_free(struct counters *set);

/* A set may be NULL: then these do nothing (collection is switched off). */
void counters_add(struct counters *set, size_t family, size_t label,
                  uint64_t amount);
void counters_set(struct counters *set, size_t family, size_t label,
                  int64_t value); /* gauges */
void counters_observe(struct counters *set, size_t family, size_t label,
                      int64_t value); /* histograms */

/* For the reader.  A histogram's buckets are not cumulative here; bucket
 * bound_count is the one above all bounds. */
uint64_t counters_get(const struct counters *set, size_t family, size_t label);
uint64_t counters_bucket(const struct counters *set, size_t family,
                         size_t label, size_t bucket);
int64_t counters_sum(const struct counters *set, size_t family, size_t label);

#endif
