/* store.c - see store.h. */
#include "bench/store.h"

#include <string.h>

#define LONGEST_TEXT 1600

/* Seen in a ledger that this load had filled: `accepted` and `finished`, then
 * query, context and two answers. */
static const size_t lengths[STORE_ROWS_PER_RUN] = { 420, LONGEST_TEXT, 460,
                                                    30,  600,          600 };

const char *
store_text(size_t i)
{
    static char texts[STORE_ROWS_PER_RUN][LONGEST_TEXT + 1];

    if (texts[i][0] == '\0')
        memset(texts[i], 'a' + (int)i, lengths[i]);
    return texts[i];
}

struct store *
store_open(const char *place)
{
    return place[0] == '/' ? store_open_lite(place) : store_open_pg(place);
}

void
store_commit(struct store *store, size_t runs)
{
    store->commit(store, runs);
}
