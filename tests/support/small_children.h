/*
 * small_children - what the children of a small_master do: a worker that serves
 * callers and a scribe that only waits, well-behaved or as their configuration
 * says (see enum small_mode).
 */
#ifndef SUPPORT_SMALL_CHILDREN_H
#define SUPPORT_SMALL_CHILDREN_H

#include <sys/resource.h>

#include "prefork/child.h"
#include "support/small_master.h"

/* Before the fork: where to report.  Borrowed. */
void small_children_begin(struct small_shared *memory);

/* For struct master_pool's main. */
int small_work(struct child *child);
int small_scribe(struct child *child);

/* 0 gives back all that there were. */
void small_limit_descriptors(rlim_t count);

#endif
