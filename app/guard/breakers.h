/*
 * breakers - one breaker for each model, shared by all processes of this host.
 *
 *     breakers_init(&err)                 in the master, before the first fork
 *     pass = breakers_ask(BREAKERS_PRO, &policy, lease_mono_ms);
 *     breakers_tell(BREAKERS_PRO, &policy, pass, news);   for each not refused
 *
 * The rules are breaker's; here is the shared word and who gets told of a
 * change: the log and /metrics, once for the host.  Before breakers_init(), as
 * in unit tests, everybody passes.
 */
#ifndef GUARD_BREAKERS_H
#define GUARD_BREAKERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "guard/breaker.h"

enum breakers_component {
    BREAKERS_FLASH,
    BREAKERS_PRO,
    BREAKERS_FLASH_FALLBACK,
    BREAKERS_PRO_FALLBACK,
    BREAKERS_COUNT,
};

int breakers_init(struct err *err) ATTR_MUST_CHECK;

enum breaker_pass breakers_ask(enum breakers_component component,
                               const struct breaker_policy *policy,
                               int64_t lease_mono_ms);
void breakers_tell(enum breakers_component component,
                   const struct breaker_policy *policy, enum breaker_pass pass,
                   enum breaker_news news);

enum breaker_state breakers_state(enum breakers_component component);

/* A new configuration: what the old one met says nothing any more. */
void breakers_forget(void);

#endif
