/* selftest_patience.c - see selftest_patience.h. */
#include "tandemctl/selftest_patience.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "sys/sig.h"

#define SLICE_MS 10 /* between looks at what has no descriptor */

bool
patience_wait(struct patience *patience, struct pollfd *fds, size_t count)
{
    struct pollfd all[PATIENCE_MAX_FDS + 1];
    int wait_ms = clock_left_ms(patience->deadline_mono_ms);

    assert(count <= PATIENCE_MAX_FDS);
    if (patience->interrupted || wait_ms == 0)
        return false;
    if (wait_ms > SLICE_MS)
        wait_ms = SLICE_MS;
    if (count > 0)
        memcpy(all, fds, count * sizeof(*fds));
    all[count] = (struct pollfd){ .fd = sig_fd(), .events = POLLIN };
    if (poll(all, count + 1, wait_ms) == -1)
        return true; /* a signal: the next call reads it */
    if (count > 0)
        memcpy(fds, all, count * sizeof(*fds));
    if (sig_next() != 0)
        patience->interrupted = true;
    return !patience->interrupted;
}
