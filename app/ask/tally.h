/*
 * tally - a run that is over, as counters and as one log line.
 */
#ifndef ASK_TALLY_H
#define ASK_TALLY_H

#include "ask/run.h"

void tally_run(const struct run *run);

#endif
