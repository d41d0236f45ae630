/*
 * ask - serve one request of the stream pool: one question, two answers.
 *
 *     ask = ask_new(config, child, &err);         once per worker
 *     ask_serve(ask, gate);                       per request that was begun
 *     ask_settle(ask);                            after its end
 *     ask_refuse(gate);                           when every worker is busy
 *     ask_free(ask);
 */
#ifndef ASK_ASK_H
#define ASK_ASK_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "config.h"
#include "gate/fcgi.h"
#include "prefork/child.h"

struct ask;

/* config and child are borrowed. */
struct ask *ask_new(const struct config *config, struct child *child,
                    struct err *err) ATTR_MUST_CHECK;
void ask_free(struct ask *ask); /* NULL is fine */

/* Answers the request; the caller ends it with fcgi_end(). */
void ask_serve(struct ask *ask, struct fcgi *gate);

/* What a request leaves to do that its client need not wait for. */
void ask_settle(struct ask *ask);

/* True when this process should make room for another. */
bool ask_is_sick(const struct ask *ask);

/* 503 with Retry-After, at once. */
void ask_refuse(struct fcgi *gate);

#endif
