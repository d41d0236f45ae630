/*
 * breakers.c - see breakers.h.
 *
 * A decision is taken on a copy and put in place with compare-and-swap, or taken
 * again: of all processes that want to be the prober one gets through, and one
 * that is killed at any point leaves a word that is whole.
 */
#include "guard/breakers.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "metrics.h"
#include "sys/log.h"
#include "sys/shm.h"

static _Atomic uint64_t *words;

static const char *
component_name(enum breakers_component component)
{
    static const char *const names[BREAKERS_COUNT] = { "flash", "pro",
                                                       "flash_fallback",
                                                       "pro_fallback" };

    return names[component];
}

int
breakers_init(struct err *err)
{
    words = shm_new(BREAKERS_COUNT * sizeof(*words), err);
    return words != NULL ? 0 : -1;
}

/* Only who made the change says so.  By now it may be another state, which is
 * then the one to show. */
static void
announce(enum breakers_component component, enum breaker_state before,
         enum breaker_state now)
{
    if (before == now)
        return;
    metrics_gauge(METRICS_CIRCUIT_STATE, component, breakers_state(component));
    if (now == BREAKER_OPEN && before == BREAKER_CLOSED) {
        metrics_count(METRICS_CIRCUIT_OPENED, component);
        log_warn("circuit_opened",
                 "model=%s its provider failed too often in a row: calls are "
                 "refused until a probe succeeds",
                 component_name(component));
    } else if (now == BREAKER_CLOSED) {
        log_info("circuit_closed", "model=%s", component_name(component));
    }
}

enum breaker_pass
breakers_ask(enum breakers_component component,
             const struct breaker_policy *policy, int64_t lease_mono_ms)
{
    const int64_t now_mono_ms = clock_mono_ms();
    struct breaker breaker;
    enum breaker_state before;
    enum breaker_pass pass;
    uint64_t word;

    assert(component < BREAKERS_COUNT);
    if (words == NULL || policy->failures == 0)
        return BREAKER_PASSED;
    word = atomic_load(&words[component]);
    do {
        breaker = breaker_unpack(word);
        before = breaker.state;
        pass = breaker_ask(&breaker, now_mono_ms, lease_mono_ms);
    } while (!atomic_compare_exchange_weak(&words[component], &word,
                                           breaker_pack(&breaker)));
    announce(component, before, breaker.state);
    return pass;
}

void
breakers_tell(enum breakers_component component,
              const struct breaker_policy *policy, enum breaker_pass pass,
              enum breaker_news news)
{
    const int64_t now_mono_ms = clock_mono_ms();
    struct breaker breaker;
    enum breaker_state before;
    uint64_t word;

    assert(component < BREAKERS_COUNT);
    if (words == NULL || policy->failures == 0)
        return;
    word = atomic_load(&words[component]);
    do {
        breaker = breaker_unpack(word);
        before = breaker.state;
        breaker_tell(&breaker, policy, pass, news, now_mono_ms);
    } while (!atomic_compare_exchange_weak(&words[component], &word,
                                           breaker_pack(&breaker)));
    announce(component, before, breaker.state);
}

enum breaker_state
breakers_state(enum breakers_component component)
{
    assert(component < BREAKERS_COUNT);
    if (words == NULL)
        return BREAKER_CLOSED;
    return breaker_unpack(atomic_load(&words[component])).state;
}

void
breakers_forget(void)
{
    for (int component = 0; words != NULL && component < BREAKERS_COUNT;
         component++) {
        atomic_store(&words[component], 0);
        metrics_gauge(METRICS_CIRCUIT_STATE, (size_t)component, BREAKER_CLOSED);
    }
}
