/* store.c - see store.h. */
#include "ledger/store.h"

struct store *
store_open(const struct store_place *place, int64_t deadline_mono_ms,
           struct err *err)
{
    if (place->url[0] != '\0')
        return store_pg_open(place->url, place->database_ms, err);
    return store_lite_open(place->path, deadline_mono_ms, err);
}
