/*
 * pool - one pool's size: facts from the crew, a plan, and the respawn brake.
 *
 *     pool_begin(&pool, &crew, index);        also for each new generation
 *     pool_keep_size(&pool, generation, now_mono_ms);    after anything
 *     pool_note_ready(&pool);
 *     pool_note_loss(&pool, &loss, now_mono_ms);
 *
 * Inside the master's process only.  Forks and signals through crew; the sums
 * are plan's.
 */
#ifndef PREFORK_POOL_H
#define PREFORK_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "prefork/crew.h"

struct pool {
    struct crew *crew; /* borrowed */
    unsigned index;
    bool is_ready;    /* a child of this generation has been ready */
    bool is_refused;  /* one said that the configuration will not do */
    bool is_crowded;  /* the last start found no free slot */
    bool was_crowded; /* that happened, and has been told */
    int brake_count;  /* how often the brake was pulled */
    int64_t brake_ms;
    int64_t brake_until_mono_ms;
    int64_t braked_mono_ms;  /* when it was pulled; 0: never */
    int64_t rescued_mono_ms; /* when one was started in spite of it */
    bool is_futile;          /* the last that failed had not been ready */
    int64_t surplus_since_mono_ms;
};

/* Forgets what it knew: a new configuration is a new chance. */
void pool_begin(struct pool *pool, struct crew *crew, unsigned index);

void pool_note_ready(struct pool *pool);
void pool_note_loss(struct pool *pool, const struct crew_loss *loss,
                    int64_t now_mono_ms);

/* True when it makes no sense to go on trying with this generation. */
bool pool_is_hopeless(const struct pool *pool);

/* Starts what is missing of the generation, and no exclusive one beside one of
 * another generation.  While the brake is on, one child at most, and only when
 * nobody is left: a pool whose children can work always has somebody. */
void pool_grow(struct pool *pool, struct crew_generation *generation,
               int64_t now_mono_ms);

/* The same, and retires one that has been too many for long enough. */
void pool_keep_size(struct pool *pool, struct crew_generation *generation,
                    int64_t now_mono_ms);

/* True when the generation has as many ready children as a quiet hour needs. */
bool pool_is_settled(const struct pool *pool,
                     const struct crew_generation *generation);

/* True when the pool has children of any other generation. */
bool pool_has_others(const struct pool *pool,
                     const struct crew_generation *generation);

/* Asks one child of any other generation to leave, the longest idle first. */
void pool_retire_one_other(struct pool *pool,
                           const struct crew_generation *generation);
void pool_retire_all_others(struct pool *pool,
                            const struct crew_generation *generation);

#endif
