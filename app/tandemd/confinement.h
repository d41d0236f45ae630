/*
 * confinement - what stream and control workers may still open once they serve
 * requests, so that whoever takes one over cannot reach the record.
 *
 * Not the ledger (control workers may read it where it is a file), the spool,
 * the signing key, the checkpoints, the configuration file.  Where the kernel
 * has no Landlock, or CONFINE_WORKERS says no, all of this does nothing.
 */
#ifndef TANDEMD_CONFINEMENT_H
#define TANDEMD_CONFINEMENT_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "prefork/child.h"
#include "tandemd/generation.h"

struct confinement;

/* For the children of this generation; made by the master when STATE_DIR is
 * there.  config_path may be NULL. */
struct confinement *confinement_new(const struct generation *generation,
                                    const char *config_path,
                                    struct err *err) ATTR_MUST_CHECK;
void confinement_free(struct confinement *confinement); /* NULL is fine */

/* "none", or "landlock" and the kernel's version of it. */
const char *confinement_name(const struct confinement *confinement);

/* Files that workers need have been replaced, and those forked so far cannot
 * open the new ones. */
bool confinement_is_outdated(const struct confinement *confinement);

/* In the worker, before its first request.  There is no way back; after an
 * error it must end. */
int confinement_enter_stream(const struct generation *generation,
                             struct err *err) ATTR_MUST_CHECK;
int confinement_enter_control(struct child *child,
                              struct err *err) ATTR_MUST_CHECK;

/* In a child that will enter nothing: the rules of all generations in the ring
 * are out of its reach from now on.  Those that enter do so by themselves. */
void confinement_seal(const struct generation *generation);

/* In a control worker that could not read the ledger: it may not, for the
 * files are not those it was let see.  Its successor may. */
bool confinement_hides_ledger(const struct generation *generation);

#endif
