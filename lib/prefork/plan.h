/*
 * plan - how many children a pool should start or retire now.  Pure: facts and
 * a time in, a decision out.
 */
#ifndef PREFORK_PLAN_H
#define PREFORK_PLAN_H

#include <stdbool.h>
#include <stdint.h>

struct plan_limits {
    int min;         /* children kept even when idle */
    int max;         /* children never passed */
    int spare;       /* idle (or starting) children to keep ready for a burst */
    int64_t idle_ms; /* keep surplus idle children at least this long */
};

struct plan_facts {
    int total;    /* living children of the current generation */
    int starting; /* of them, not ready yet */
    int idle;     /* of them, waiting */
    int leaving;  /* of them, asked to go */
    int64_t surplus_since_mono_ms; /* since when idle > 2 * spare; 0: not */
    int64_t brake_until_mono_ms;   /* no start before; 0: none */
    bool may_rescue;               /* but one, when nobody is left to answer */
    int64_t now_mono_ms;
};

struct plan_decision {
    int start;
    int retire;
};

struct plan_decision plan_decide(const struct plan_limits *limits,
                                 const struct plan_facts *facts);

/* The respawn brake, which plan_decide() breaks for a rescue only: how long to wait after a child that lived lived_ms died,
 * given the last delay: 0 for one that lived long enough (10 s), else 1 s
 * doubling to 30 s. */
int64_t plan_brake_ms(int64_t lived_ms, int64_t last_delay_ms);

#endif
