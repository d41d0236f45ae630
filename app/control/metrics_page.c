/* metrics_page.c - the metrics page of pages.h. */
#include "control/pages.h"

#include <math.h>

#include "metrics.h"
#include "text/prom.h"

static double
scaled(const struct counters_family *family, double value)
{
    return family->scale == 0.0 ? value : value * family->scale;
}

static const char *
type_name(enum counters_kind kind)
{
    switch (kind) {
    case COUNTERS_COUNTER:
        return "counter";
    case COUNTERS_GAUGE:
        return "gauge";
    case COUNTERS_HISTOGRAM:
        break;
    }
    return "histogram";
}

/* Our buckets stand side by side; Prometheus wants them heaped up. */
static bool
write_histogram(struct buf *out, size_t family, size_t label,
                const char *labels)
{
    const struct counters_family *about = &metrics_families[family];
    const struct counters *set = metrics_counters();
    uint64_t heap = 0;
    bool written = true;

    for (size_t i = 0; i < about->bound_count && written; i++) {
        heap += counters_bucket(set, family, label, i);
        written = prom_bucket(out, about->name, labels,
                              scaled(about, (double)about->bounds[i]),
                              heap) == BUF_OK;
    }
    heap += counters_bucket(set, family, label, about->bound_count);
    return written &&
           prom_bucket(out, about->name, labels, INFINITY, heap) == BUF_OK &&
           prom_sample(out, about->name, "_sum", labels,
                       scaled(about, (double)counters_sum(set, family,
                                                          label))) == BUF_OK &&
           prom_sample(out, about->name, "_count", labels, (double)heap) ==
               BUF_OK;
}

static bool
write_value(struct buf *out, size_t family, size_t label, const char *labels)
{
    const struct counters_family *about = &metrics_families[family];
    const uint64_t value = counters_get(metrics_counters(), family, label);
    const double shown =
        about->kind == COUNTERS_GAUGE ? (double)(int64_t)value : (double)value;

    return prom_sample(out, about->name, "", labels, scaled(about, shown)) ==
           BUF_OK;
}

static bool
write_family(struct buf *out, size_t family)
{
    const struct counters_family *about = &metrics_families[family];
    const size_t count = about->label_count > 0 ? about->label_count : 1;

    if (prom_family(out, about->name, type_name(about->kind), about->help) !=
        BUF_OK)
        return false;
    for (size_t label = 0; label < count; label++) {
        const char *labels =
            about->labels != NULL ? about->labels[label] : NULL;
        const bool written = about->kind == COUNTERS_HISTOGRAM
                                 ? write_histogram(out, family, label, labels)
                                 : write_value(out, family, label, labels);

        if (!written)
            return false;
    }
    return true;
}

int
pages_metrics(struct buf *out)
{
    if (metrics_counters() == NULL)
        return 500;
    for (size_t family = 0; family < METRICS_FAMILY_COUNT; family++)
        if (!write_family(out, family))
            return 500;
    return 200;
}
