/*
 * workers - what the children of each pool do (struct master_pool's main).
 */
#ifndef TANDEMD_WORKERS_H
#define TANDEMD_WORKERS_H

#include "prefork/child.h"

/* The pools, in the order of the master's table: a child's pool number. */
enum workers_pool {
    WORKERS_STREAM,
    WORKERS_CONTROL,
    WORKERS_SCRIBE,
    WORKERS_POOL_COUNT,
};

int workers_stream(struct child *child);
int workers_control(struct child *child);
int workers_scribe(struct child *child);

#endif
