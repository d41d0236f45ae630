/*
 * provider.c - see provider.h.
 *
 * Many workers write at once without a lock: a class is four 8-byte atomics, so
 * a reader may see a mix of two class names for a moment, never a wrong byte.
 */
#include "guard/provider.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "sys/shm.h"

#define WORDS (PROVIDER_CLASS_LEN / 8)

/* A balancer that sends no queries while we are not ready would never let us
 * find out that the provider was mended. */
#define SHUT_OUT_US (60 * INT64_C(1000000))

struct cell {
    _Atomic int64_t last_attempt_unix_us;
    _Atomic uint64_t failure_count;
    _Atomic uint64_t error_class[WORDS];
};

static struct cell *cells;

int
provider_init(struct err *err)
{
    cells = shm_new(PROVIDER_ROLES * sizeof(*cells), err);
    return cells != NULL ? 0 : -1;
}

static void
store_class(struct cell *cell, const char *error_class)
{
    uint64_t words[WORDS] = { 0 };

    memcpy(words, error_class, strnlen(error_class, sizeof(words) - 1));
    for (size_t i = 0; i < WORDS; i++)
        atomic_store_explicit(&cell->error_class[i], words[i],
                              memory_order_relaxed);
}

void
provider_note(size_t role, const char *error_class)
{
    struct cell *cell;

    assert(role < PROVIDER_ROLES);
    if (cells == NULL)
        return;
    cell = &cells[role];
    store_class(cell, error_class);
    atomic_store_explicit(&cell->last_attempt_unix_us, clock_unix_us(),
                          memory_order_relaxed);
    if (error_class[0] == '\0')
        atomic_store_explicit(&cell->failure_count, 0, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&cell->failure_count, 1,
                                  memory_order_relaxed);
}

void
provider_forget(void)
{
    for (size_t role = 0; cells != NULL && role < PROVIDER_ROLES; role++) {
        store_class(&cells[role], "");
        atomic_store_explicit(&cells[role].last_attempt_unix_us, 0,
                              memory_order_relaxed);
        atomic_store_explicit(&cells[role].failure_count, 0,
                              memory_order_relaxed);
    }
}

/* What says that no call can succeed until somebody acts. */
static bool
shuts_us_out(const char *error_class)
{
    static const char *const classes[] = { "AuthError", "ModelNotFound",
                                           "TokenError" };

    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (strcmp(error_class, classes[i]) == 0)
            return true;
    return false;
}

struct provider_view
provider_look(size_t role)
{
    struct provider_view view = { .initialized = true, .worth_trying = true };
    uint64_t words[WORDS];
    const struct cell *cell;

    assert(role < PROVIDER_ROLES);
    if (cells == NULL)
        return view;
    cell = &cells[role];
    for (size_t i = 0; i < WORDS; i++)
        words[i] =
            atomic_load_explicit(&cell->error_class[i], memory_order_relaxed);
    memcpy(view.last_error, words, sizeof(view.last_error));
    view.last_error[sizeof(view.last_error) - 1] = '\0';
    view.last_attempt_unix_us =
        atomic_load_explicit(&cell->last_attempt_unix_us, memory_order_relaxed);
    view.failure_count =
        atomic_load_explicit(&cell->failure_count, memory_order_relaxed);
    view.initialized = !shuts_us_out(view.last_error);
    view.worth_trying =
        view.initialized ||
        clock_unix_us() - view.last_attempt_unix_us > SHUT_OUT_US;
    return view;
}
