/* claim.c - see claim.h. */
#include "ledger/claim.h"

void
claim_release(struct run *run)
{
    run->owner->run = NULL;
    run->owner = NULL;
    run->misses = 0;
}

void
claim_run(struct run *run, struct link *link)
{
    if (run->owner != NULL)
        claim_release(run);
    if (link->run != NULL)
        claim_release(link->run);
    run->owner = link;
    link->run = run;
}

void
claim_end_run(struct runs *runs, const struct uuid *run_id)
{
    struct run *run = runs_find(runs, run_id);

    if (run == NULL)
        return;
    if (run->owner != NULL)
        claim_release(run);
    runs_remove(runs, run);
}
