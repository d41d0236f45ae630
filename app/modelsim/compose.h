/*
 * compose - a reply, a wire and the settings become a script.
 *
 * Here, and only here, faults are what they are: which words are left out,
 * where a stream stops, how it ends.
 */
#ifndef MODELSIM_COMPOSE_H
#define MODELSIM_COMPOSE_H

#include "modelsim/script.h"
#include "modelsim/settings.h"
#include "modelsim/wire.h"

/* Writes a whole script; ask script_failed() afterwards.  reply->finish is
 * chosen here; script has been initialised. */
void compose(struct script *script, const struct wire *wire,
             struct reply *reply, const struct settings *settings);

/* An error as the whole answer, at once. */
void compose_error(struct script *script, const struct wire *wire,
                   const struct reply *reply, const struct fail *fail);

#endif
