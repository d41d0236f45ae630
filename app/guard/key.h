/*
 * key - does this caller know the API key?
 */
#ifndef GUARD_KEY_H
#define GUARD_KEY_H

#include <stdbool.h>

/* presented may be NULL.  Takes the same time wherever the two differ: their
 * hashes are compared, not they themselves.  false as well when hashing
 * fails. */
bool key_matches(const char *expected, const char *presented);

#endif
