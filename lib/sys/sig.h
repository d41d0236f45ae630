/*
 * sig - a signal is a byte in a pipe; the work happens in the loop.
 *
 *     sig_open(signals, count, &err);    handlers in, pipe ready
 *     poll sig_fd(); while ((signo = sig_next()) != 0) ...
 *     sig_close_in_child();              first thing after fork(2)
 *
 * Handlers save errno, check the pid (a fresh child must not feed its
 * parent's pipe) and use SA_RESTART.  SIGPIPE is ignored by sig_open().
 */
#ifndef SYS_SIG_H
#define SYS_SIG_H

#include <stddef.h>
#include <signal.h>

#include "base/attr.h"
#include "base/err.h"

int sig_open(const int *signals, size_t count, struct err *err) ATTR_MUST_CHECK;
int sig_fd(void);

/* The next signal that came, or 0.  Never blocks. */
int sig_next(void);

/* Blocks the signals given to sig_open() across a fork, or a call that must
 * not be interrupted; restores. */
void sig_block(sigset_t *old);
void sig_unblock(const sigset_t *old);

/* Closes the inherited pipe and sets the default action for each signal that
 * sig_open() took; the child then calls sig_open() for its own. */
void sig_close_in_child(void);

#endif
