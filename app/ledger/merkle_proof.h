/*
 * merkle_proof - that a leaf is in a tree, or that a tree grew out of a smaller
 * one, shown by a handful of hashes.
 *
 *     merkle_prover_inclusion(&prover, idx, size);      or
 *     merkle_prover_consistency(&prover, from, size);
 *     merkle_prover_add(&prover, leaf_hash, &err);      leaf by leaf, from idx
 *                                                       0 to size - 1
 *     merkle_prover_path(&prover)                       the proof
 *
 *     merkle_inclusion_root(leaf, idx, size, path, root, &err);
 *     merkle_consistency_check(from, old_root, size, root, path, &err);
 *
 * The audit paths and consistency proofs of RFC 6962, sections 2.1.1 and 2.1.2,
 * in their order.  A prover reads the leaves once and keeps one subtree.
 */
#ifndef LEDGER_MERKLE_PROOF_H
#define LEDGER_MERKLE_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/entry.h"
#include "ledger/merkle.h"

#define MERKLE_MAX_PATH (MERKLE_MAX_HEIGHT + 1)

struct merkle_path {
    size_t count;
    uint8_t hashes[MERKLE_MAX_PATH][ENTRY_HASH_LEN];
};

/* Open because callers embed it; touch nothing inside. */
struct merkle_prover {
    struct merkle_path path;
    /* Whose root each hash of the path is: leaves from begin up to end.  They
     * do not overlap. */
    struct merkle_range {
        int64_t begin;
        int64_t end;
    } ranges[MERKLE_MAX_PATH];
    int64_t next;       /* leaf */
    struct merkle tree; /* of the range that next is in */
};

/* 0 <= idx < size */
void merkle_prover_inclusion(struct merkle_prover *prover, int64_t idx,
                             int64_t size);

/* 1 <= from <= size */
void merkle_prover_consistency(struct merkle_prover *prover, int64_t from,
                               int64_t size);

int merkle_prover_add(struct merkle_prover *prover,
                      const uint8_t leaf[ENTRY_HASH_LEN],
                      struct err *err) ATTR_MUST_CHECK;

/* Once every leaf was added. */
const struct merkle_path *merkle_prover_path(
    const struct merkle_prover *prover);

/* The root of the tree that the path leads to: compare it.  ERR_INVALID when a
 * path of this length belongs to no such place. */
int merkle_inclusion_root(const uint8_t leaf[ENTRY_HASH_LEN], int64_t idx,
                          int64_t size, const struct merkle_path *path,
                          uint8_t root[ENTRY_HASH_LEN],
                          struct err *err) ATTR_MUST_CHECK;

/* Does a tree of size leaves with this root begin with the tree of from leaves
 * and old_root?  ERR_INVALID when the path does not show it. */
int merkle_consistency_check(int64_t from,
                             const uint8_t old_root[ENTRY_HASH_LEN],
                             int64_t size, const uint8_t root[ENTRY_HASH_LEN],
                             const struct merkle_path *path,
                             struct err *err) ATTR_MUST_CHECK;

#endif
