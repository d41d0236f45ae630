/*
 * service - the pools of Tandem and what the master asks of us.
 */
#ifndef TANDEMD_SERVICE_H
#define TANDEMD_SERVICE_H

#include "base/attr.h"
#include "base/err.h"
#include "tandemd/generation.h"

/* Opens sockets and the board, forks, supervises, and returns the exit code
 * when all is over.  generation is taken; environment and config_path serve
 * reloads. */
int service_run(struct generation *generation, const char *config_path,
                char **environment);

#endif
