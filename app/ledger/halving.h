/*
 * halving - which parts of a batch to try when one of its entries is at fault.
 *
 *     halving_begin(&halving, count);
 *     while ((part = halving_part(&halving)) > 0)
 *         ... try so many from halving.done on, then
 *         halving_taken(&halving) or halving_refused(&halving)
 *
 * Pure.  All of them first; a part that is refused is halved, and after one
 * that is taken twice as many are tried.  So an entry at fault among 256 costs
 * some 25 attempts, and when all of them are it is not many more than 256.
 */
#ifndef LEDGER_HALVING_H
#define LEDGER_HALVING_H

#include <stdbool.h>
#include <stddef.h>

/* Open because the desk embeds it. */
struct halving {
    size_t count;
    size_t done; /* those before it are settled */
    size_t size; /* of the next part, when so many are left */
};

void halving_begin(struct halving *halving, size_t count);

/* How many to try together; the same until one of the two below is called.  0:
 * all of them are settled. */
size_t halving_part(const struct halving *halving);

void halving_taken(struct halving *halving);

/* True when it was one alone: it is at fault, and settled by that. */
bool halving_refused(struct halving *halving);

#endif
