/*
 * merkle - the root over a log's leaf hashes, in one pass and little memory.
 *
 *     struct merkle tree = { 0 };
 *     merkle_append(&tree, leaf_hash, &err);      leaf by leaf, from idx 0
 *     merkle_root(&tree, root, &err);             at any size, as often as
 *                                                 needed
 *
 * The tree of RFC 6962: node = SHA-256(0x01 || left || right), the left
 * subtree as large a power of two as fits.  Only the roots of the complete
 * subtrees are kept, one for each bit of the size.
 */
#ifndef LEDGER_MERKLE_H
#define LEDGER_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/entry.h"

#define MERKLE_MAX_HEIGHT 63

/* Open because callers embed it; plain bytes, so a copy is a snapshot. */
struct merkle {
    int64_t size;                                        /* leaves so far */
    size_t height;                                       /* subtrees held */
    uint8_t subtrees[MERKLE_MAX_HEIGHT][ENTRY_HASH_LEN]; /* largest first */
};

/* leaf = SHA-256(0x00 || body). */
int merkle_leaf(const char *body, size_t len, uint8_t leaf[ENTRY_HASH_LEN],
                struct err *err) ATTR_MUST_CHECK;

/* node = SHA-256(0x01 || left || right); node may be one of the two. */
int merkle_node(const uint8_t left[ENTRY_HASH_LEN],
                const uint8_t right[ENTRY_HASH_LEN],
                uint8_t node[ENTRY_HASH_LEN], struct err *err) ATTR_MUST_CHECK;

/* -1 on ERR_SYSTEM or ERR_NOMEM; the tree is as it was. */
int merkle_append(struct merkle *tree, const uint8_t leaf[ENTRY_HASH_LEN],
                  struct err *err) ATTR_MUST_CHECK;

int merkle_root(const struct merkle *tree, uint8_t root[ENTRY_HASH_LEN],
                struct err *err) ATTR_MUST_CHECK;

#endif
