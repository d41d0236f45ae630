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

static void
load_class(const struct cell *cell, char error_class[PROVIDER_CLASS_LEN])
{
    uint64_t words[WORDS];

    for (size_t i = 0; i < WORDS; i++)
        words[i] =
            atomic_load_explicit(&cell->error_class[i], memory_order_relaxed);
    memcpy(error_class, words, sizeof(words));
    error_class[PROVIDER_CLASS_LEN - 1] = '\0';
}

bool
provider_note(size_t role, const char *error_class)
{
    char before[PROVIDER_CLASS_LEN];
    struct cell *cell;

    assert(role < PROVIDER_ROLES);
    if (cells == NULL)
        return false;
    cell = &cells[role];
    load_class(cell, before);
    store_class(cell, error_class);
    atomic_store_explicit(&cell->last_attempt_unix_us, clock_unix_us(),
                          memory_order_relaxed);
    if (error_class[0] == '\0')
        atomic_store_explicit(&cell->failure_count, 0, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&cell->failure_count, 1,
                                  memory_order_relaxed);
    return strncmp(before, error_class, PROVIDER_CLASS_LEN - 1) != 0;
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

/* What somebody can mend.  The first three say that no call can succeed until
 * it is. */
static const struct remedy {
    const char *error_class;
    bool shuts_us_out;
    const char *hint;
} remedies[] = {
    { "AuthError", true,
      "check the API key, or the role of the service account and whether the "
      "API is enabled in PROJECT_ID" },
    { "ModelNotFound", true,
      "the model was retired, is misspelled or is not served there: check "
      "FLASH_MODEL, PRO_MODEL, LOCATION and the base URL" },
    { "TokenError", true,
      "no Google token: check GOOGLE_APPLICATION_CREDENTIALS" },
    { "TlsError", false,
      "the provider's certificate is not trusted: check the base URL, the "
      "certificates of this host and its clock" },
    { "HttpErrorOther", false,
      "the provider answered with a redirect or without content: check the "
      "base URL" },
    { "OnlyThought", false,
      "thinking left no room for the answer: raise *_MAX_OUTPUT_TOKENS or "
      "lower *_THINKING" },
};

static const struct remedy *
remedy_of(const char *error_class)
{
    for (size_t i = 0; i < ARRAY_LEN(remedies); i++)
        if (strcmp(error_class, remedies[i].error_class) == 0)
            return &remedies[i];
    return NULL;
}

const char *
provider_hint(const char *error_class)
{
    const struct remedy *remedy = remedy_of(error_class);

    return remedy != NULL ? remedy->hint : NULL;
}

static bool
shuts_us_out(const char *error_class)
{
    const struct remedy *remedy = remedy_of(error_class);

    return remedy != NULL && remedy->shuts_us_out;
}

struct provider_view
provider_look(size_t role)
{
    struct provider_view view = { .initialized = true, .worth_trying = true };
    const struct cell *cell;

    assert(role < PROVIDER_ROLES);
    if (cells == NULL)
        return view;
    cell = &cells[role];
    load_class(cell, view.last_error);
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
