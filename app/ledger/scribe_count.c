/* scribe_count.c - see scribe_count.h. */
#include "ledger/scribe_count.h"

void
scribe_count_batch(const struct scribe_metrics *to,
                   const struct desk_tally *tally)
{
    if (tally->commit_us == 0)
        return;
    counters_observe(to->counters, to->commit, 0, tally->commit_us);
    counters_add(to->counters, to->spooled, 0, tally->spooled);
    for (size_t kind = 0; kind < ENTRY_KIND_COUNT; kind++)
        if (tally->written[kind] > 0)
            counters_add(to->counters, to->entries, kind, tally->written[kind]);
}

void
scribe_show_vault(const struct scribe_metrics *to, const struct vault *vault,
                  struct scribe_told *told)
{
    const struct spool_counts spool = spool_counts(vault->spool);
    struct counters *counters = to->counters;

    counters_set(counters, to->failing, 0, !vault_takes_runs(vault));
    counters_set(counters, to->away, 0, outage_is_open(&vault->outage));
    counters_set(counters, to->schema, 0, vault->schema.found);
    counters_set(counters, to->schema, 1, vault->schema.min);
    counters_set(counters, to->schema, 2, vault->schema.max);
    counters_set(counters, to->spool_batches, 0, (int64_t)spool.batches);
    counters_set(counters, to->spool_bytes, 0, (int64_t)spool.bytes);
    counters_set(counters, to->set_aside, 0, (int64_t)spool.set_aside);
    counters_add(counters, to->failures, 0,
                 vault->failure_count - told->failures);
    counters_add(counters, to->replayed, 0,
                 vault->replayed_count - told->replayed);
    told->failures = vault->failure_count;
    told->replayed = vault->replayed_count;
}
