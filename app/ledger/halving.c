/* halving.c - see halving.h. */
#include "ledger/halving.h"

void
halving_begin(struct halving *halving, size_t count)
{
    *halving = (struct halving){ .count = count, .size = count };
}

size_t
halving_part(const struct halving *halving)
{
    const size_t left = halving->count - halving->done;

    return halving->size < left ? halving->size : left;
}

void
halving_taken(struct halving *halving)
{
    const size_t part = halving_part(halving);

    halving->done += part;
    halving->size = 2 * part;
}

bool
halving_refused(struct halving *halving)
{
    const size_t part = halving_part(halving);

    halving->size = part > 1 ? part / 2 : 1;
    halving->done += part == 1;
    return part == 1;
}
