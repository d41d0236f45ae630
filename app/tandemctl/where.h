/*
 * where - what the environment says of the ledger and the spool.
 */
#ifndef TANDEMCTL_WHERE_H
#define TANDEMCTL_WHERE_H

#include "base/attr.h"
#include "tandemctl/command.h"

#define WHERE_STATE_DIR "/var/lib/tandem"
#define WHERE_LEDGER    "ledger.db"

/* Fills ledger (unless it was given), url and spool.  -1 when it was complained
 * about. */
int where_find(struct command_options *options) ATTR_MUST_CHECK;

#endif
