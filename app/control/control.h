/*
 * control - serve one request of the control pool: health, metrics, listings.
 *
 *     control = control_new(&config, &err);       once per worker
 *     control_serve(control, gate);               per request that was begun
 *     control_free(control);
 *
 * Answers while every stream worker is busy; nothing here calls a model or
 * waits for one.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "config.h"
#include "gate/fcgi.h"
#include "prefork/board.h"

/* Borrowed. */
struct control_config {
    const struct config *config;
    const char *ledger_path;
    struct board *board;
    int slot;             /* ours on it */
    unsigned stream_pool; /* the pools' numbers on it */
    unsigned control_pool;
    unsigned scribe_pool;
};

struct control;

struct control *control_new(const struct control_config *config,
                            struct err *err) ATTR_MUST_CHECK;
void control_free(struct control *control); /* NULL is fine */

/* Answers the request; the caller ends it with fcgi_end(). */
void control_serve(struct control *control, struct fcgi *gate);

/* The last request met a ledger that cannot be read. */
bool control_could_not_read(const struct control *control);

#endif
