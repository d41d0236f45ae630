/*
 * confine - which files a process may open from now on, for good: Landlock.
 *
 *     confine = confine_new(&err);                before fork(2)
 *     confine_hide(confine, "/etc/our", &err);    what nobody may see, first
 *     confine_show(confine, "/etc", &err);        what may be read
 *     confine_enter(confine, &err);               in the child
 *     confine_seal(confine);
 *
 * Whatever is not shown can be neither opened nor made, changed, renamed or
 * deleted, by this process and all it starts, whoever its user is.  It can also
 * not signal or trace processes outside (signals: Linux 6.12).  Descriptors
 * that are open stay as they are, and so does connect(2).
 *
 * A rule goes with a file, not with its name.  So a folder that holds something
 * hidden is shown entry by entry, and what comes into it later is not shown:
 * confine_is_outdated() tells.
 *
 * Needs a kernel with Landlock (Linux 5.13, and not turned off).  This module
 * does not log.
 */
#ifndef SYS_CONFINE_H
#define SYS_CONFINE_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"

struct confine;

/* The kernel's version of Landlock; 0 when it has none. */
int confine_abi(void);

/* ERR_SYSTEM without Landlock. */
struct confine *confine_new(struct err *err) ATTR_MUST_CHECK;
void confine_free(struct confine *confine); /* NULL is fine */

/* Keeps path, and all below it, out of what is shown above it from now on.  It
 * need not exist yet. */
int confine_hide(struct confine *confine, const char *path,
                 struct err *err) ATTR_MUST_CHECK;

/* Path, and all below it, may be read; symbolic links are followed, but those
 * below it lead nowhere new.  What is not there, or may not be looked at, is
 * passed over; so is what is hidden by this very name. */
int confine_show(struct confine *confine, const char *path,
                 struct err *err) ATTR_MUST_CHECK;

/* The file that is at path may be written to and made anew, as a log that is
 * rotated; so may all else in its folder, but not be read.  A folder that is
 * hidden or holds something hidden stays shut: then only the file that is there
 * now.  So it is with what is no regular file. */
int confine_let_write(struct confine *confine, const char *path,
                      struct err *err) ATTR_MUST_CHECK;

/* Something that was shown by itself has been replaced, has come or has gone,
 * or there is something new in a folder that was shown entry by entry. */
bool confine_is_outdated(const struct confine *confine);

/* Confines the calling process, which has no other threads.  After an error it
 * must end. */
int confine_enter(const struct confine *confine,
                  struct err *err) ATTR_MUST_CHECK;

/* Gives up the rules, whose descriptor is shared with all that were forked
 * beside it: a rule added through it holds for whoever enters later.  What can
 * be asked then is confine_is_outdated(). */
void confine_seal(struct confine *confine);

#endif
