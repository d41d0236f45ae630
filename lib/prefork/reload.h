/*
 * reload - one generation of children takes over from another.
 *
 *     reload_init(&reload, &crew, pools);       generation 1 is the current one
 *     reload_begin(&reload, now_mono_ms);       asks the caller for the next
 *     reload_note_ready(&reload, slot);         one gets ready, one old leaves
 *     reload_step(&reload, now_mono_ms);        after anything happened
 *
 * Pools that may overlap change over first, exclusive ones after them; so a
 * configuration that does not work is found out while the exclusive children
 * still do their work.  A reload that fails puts everything back.
 *
 * Inside the master's process only; logs what it decides.
 */
#ifndef PREFORK_RELOAD_H
#define PREFORK_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prefork/crew.h"
#include "prefork/pool.h"

struct reload {
    struct crew *crew;                /* borrowed */
    struct pool *pools;               /* borrowed; one per master_pool */
    struct crew_generation *current;  /* what new children belong to */
    struct crew_generation *previous; /* while reloading: where to go back to */
    struct master_pool saved[MASTER_MAX_POOLS]; /* of previous */
    int64_t deadline_mono_ms;
};

enum reload_outcome {
    RELOAD_GOES_ON,
    RELOAD_FINISHED,  /* the new generation has taken over */
    RELOAD_ABANDONED, /* the old one is the current one again */
};

void reload_init(struct reload *reload, struct crew *crew, struct pool *pools);

/* False when too many configurations are still in use to begin one more. */
bool reload_is_possible(const struct reload *reload);

/* False when there is no new configuration: nothing has changed then. */
bool reload_begin(struct reload *reload, int64_t now_mono_ms);

void reload_note_ready(struct reload *reload, size_t slot);
enum reload_outcome reload_step(struct reload *reload, int64_t now_mono_ms);

/* The service stops: neither forth nor back. */
void reload_drop(struct reload *reload);

#endif
