/*
 * door - who may come in.
 */
#ifndef GUARD_DOOR_H
#define GUARD_DOOR_H

#include <stdbool.h>

#include "config.h"
#include "gate/fcgi.h"

/* True when no key is asked for or the caller's X-API-Key is right; otherwise
 * the failure is counted and the caller answers 401. */
bool door_admits(const struct config *config, const struct fcgi *gate);

/* Who an admitted caller is; NULL when nobody was asked. */
const char *door_principal(const struct config *config);

#endif
