/*
 * fd - descriptors: flags, closing, whole reads and writes with a deadline.
 */
#ifndef SYS_FD_H
#define SYS_FD_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

int fd_set_nonblock(int fd, struct err *err) ATTR_MUST_CHECK;
int fd_set_cloexec(int fd, struct err *err) ATTR_MUST_CHECK;

/* Closes *fd unless it is -1, and makes it -1.  errno is left as it was. */
void fd_close(int *fd);

/* poll(2) on one descriptor, restarted after signals.  Returns revents, 0 at
 * the deadline, or -1. */
int fd_wait(int fd, short events, int64_t deadline_mono_ms);

/* Writes all of it, waiting on a non-blocking fd until the deadline. */
int fd_write_all(int fd, const void *bytes, size_t len,
                 int64_t deadline_mono_ms, struct err *err) ATTR_MUST_CHECK;

/* Raises RLIMIT_NOFILE's soft limit to the hard one.  Returns the limit. */
size_t fd_raise_limit(void);

#endif
