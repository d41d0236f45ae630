/*
 * generation - what the children of one generation share: a configuration and
 * what was worked out from it.
 */
#ifndef TANDEMD_GENERATION_H
#define TANDEMD_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"
#include "config.h"

#define GENERATION_MAX_PEERS 16

struct confinement;

struct generation {
    struct config *config;   /* owned */
    struct generation *next; /* in a ring of all that are alive in here */
    const char *ledger_path;
    const char *spool_path;
    const char *checkpoint_key_path;
    const char *checkpoint_path;
    uid_t peers[GENERATION_MAX_PEERS]; /* who may connect to our sockets */
    size_t peer_count;
    const char *unknown_peer; /* the first that this machine lacks; or NULL */
    struct confinement *confinement; /* owned; NULL until it serves */
};

/* Loads and checks everything that can be checked without the network.  NULL
 * with err naming what, where and what to do. */
struct generation *generation_new(const char *config_path, char **environment,
                                  struct err *err) ATTR_MUST_CHECK;
void generation_free(struct generation *generation); /* NULL is fine */

/* Into the ring of those it will live beside, until it is freed. */
void generation_join(struct generation *generation, struct generation *ring);

/* config_forget_database() for everything in the ring: a child inherits the
 * memory of all generations, not only of its own. */
void generation_forget_database(const struct generation *generation,
                                bool keep_reader);

/* Tells what is allowed and hardly meant: an event for the log, and a text. */
void generation_tell_oddities(const struct generation *generation,
                              void (*tell)(const char *event,
                                           const char *text));

bool generation_knows_peer(const struct generation *generation, uid_t uid);

#endif
