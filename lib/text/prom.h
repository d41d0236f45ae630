/*
 * prom - the Prometheus text exposition format, version 0.0.4.
 *
 * Families are written one after the other: prom_family(), then its samples.
 * The caller keeps each family together and each series single.
 */
#ifndef TEXT_PROM_H
#define TEXT_PROM_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

#define PROM_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* HELP and TYPE; type is counter, gauge or histogram. */
enum buf_status prom_family(struct buf *out, const char *name, const char *type,
                            const char *help) ATTR_MUST_CHECK;

/* name{labels} value.  suffix is "" or such as _sum; labels is a ready list
 * such as model="flash", or NULL or "". */
enum buf_status prom_sample(struct buf *out, const char *name,
                            const char *suffix, const char *labels,
                            double value) ATTR_MUST_CHECK;

/* name_bucket{labels,le="bound"} cumulative; bound INFINITY writes +Inf. */
enum buf_status prom_bucket(struct buf *out, const char *name,
                            const char *labels, double bound,
                            uint64_t cumulative) ATTR_MUST_CHECK;

#endif
