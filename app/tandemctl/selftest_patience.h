/*
 * selftest_patience - how long a drill waits: to its deadline, or Ctrl-C.
 *
 *     while (!what_i_wait_for())
 *         if (!patience_wait(patience, fds, count))
 *             return false;
 *
 * sig_open() has been called with the signals that interrupt.
 */
#ifndef TANDEMCTL_SELFTEST_PATIENCE_H
#define TANDEMCTL_SELFTEST_PATIENCE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define PATIENCE_MAX_FDS 32

struct patience {
    int64_t deadline_mono_ms;
    bool interrupted; /* stays so */
};

/* Waits until a descriptor is ready or some milliseconds have passed; fds are
 * poll(2)'s, at most PATIENCE_MAX_FDS.  False when there is no more waiting. */
bool patience_wait(struct patience *patience, struct pollfd *fds,
                   size_t count) ATTR_MUST_CHECK;

#endif
