/*
 * merkle_proof.c - see merkle_proof.h.
 *
 * Going down from the root towards the leaf (or towards the edge of the smaller
 * tree), each step passes one subtree by.  Their roots, from the bottom up, are
 * the proof; as they do not overlap, one pass over the leaves makes them all.
 */
#include "ledger/merkle_proof.h"

#include <assert.h>
#include <string.h>

/* The largest power of two below size, which is at least 2. */
static int64_t
split_of(int64_t size)
{
    int64_t split = 1;

    while (split < size - split)
        split *= 2;
    return split;
}

/* ---- proving ----------------------------------------------------------- */

static void
note_range(struct merkle_prover *prover, int64_t begin, int64_t end)
{
    assert(prover->path.count < MERKLE_MAX_PATH);
    prover->ranges[prover->path.count++] =
        (struct merkle_range){ .begin = begin, .end = end };
}

/* They were noted from the top down. */
static void
turn_round(struct merkle_prover *prover)
{
    struct merkle_range *first = prover->ranges;
    struct merkle_range *last = first + prover->path.count;

    for (; last - first > 1; first++) {
        const struct merkle_range other = *--last;

        *last = *first;
        *first = other;
    }
}

void
merkle_prover_inclusion(struct merkle_prover *prover, int64_t idx, int64_t size)
{
    int64_t begin = 0, end = size;

    assert(idx >= 0 && idx < size);
    memset(prover, 0, sizeof(*prover));
    while (end - begin > 1) {
        const int64_t middle = begin + split_of(end - begin);

        if (idx < middle) {
            note_range(prover, middle, end);
            end = middle;
        } else {
            note_range(prover, begin, middle);
            begin = middle;
        }
    }
    turn_round(prover);
}

void
merkle_prover_consistency(struct merkle_prover *prover, int64_t from,
                          int64_t size)
{
    int64_t begin = 0, end = size;

    assert(from >= 1 && from <= size);
    memset(prover, 0, sizeof(*prover));
    while (from < end) {
        const int64_t middle = begin + split_of(end - begin);

        if (from <= middle) {
            note_range(prover, middle, end);
            end = middle;
        } else {
            note_range(prover, begin, middle);
            begin = middle;
        }
    }
    /* A subtree of the small tree; when it is all of it, its root is known. */
    if (begin > 0)
        note_range(prover, begin, end);
    turn_round(prover);
}

int
merkle_prover_add(struct merkle_prover *prover,
                  const uint8_t leaf[ENTRY_HASH_LEN], struct err *err)
{
    const int64_t at = prover->next++;

    for (size_t i = 0; i < prover->path.count; i++) {
        const struct merkle_range *range = &prover->ranges[i];

        if (at < range->begin || at >= range->end)
            continue;
        if (at == range->begin)
            memset(&prover->tree, 0, sizeof(prover->tree));
        if (merkle_append(&prover->tree, leaf, err) == -1)
            return -1;
        return at + 1 == range->end
                   ? merkle_root(&prover->tree, prover->path.hashes[i], err)
                   : 0;
    }
    return 0;
}

const struct merkle_path *
merkle_prover_path(const struct merkle_prover *prover)
{
    return &prover->path;
}

/* ---- checking ---------------------------------------------------------- */

static int
wrong_length(struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "the path has not the length that its place asks for");
}

int
merkle_inclusion_root(const uint8_t leaf[ENTRY_HASH_LEN], int64_t idx,
                      int64_t size, const struct merkle_path *path,
                      uint8_t root[ENTRY_HASH_LEN], struct err *err)
{
    int64_t at = idx, last = size - 1;

    if (idx < 0 || idx >= size)
        return err_set(err, ERR_INVALID, "no such leaf in a tree of that size");
    memcpy(root, leaf, ENTRY_HASH_LEN);
    for (size_t i = 0; i < path->count; i++) {
        const uint8_t *hash = path->hashes[i];

        if (last == 0)
            return wrong_length(err);
        if ((at & 1) == 0 && at != last) {
            if (merkle_node(root, hash, root, err) == -1)
                return -1;
        } else {
            if (merkle_node(hash, root, root, err) == -1)
                return -1;
            /* The right edge has no sibling where a level is odd. */
            for (; (at & 1) == 0 && at != 0; at >>= 1)
                last >>= 1;
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 ? 0 : wrong_length(err);
}

/* Both trees from the hash they share up. */
struct climb {
    int64_t at;   /* of the small tree's last subtree, in its level */
    int64_t last; /* of the large tree's */
    uint8_t small[ENTRY_HASH_LEN];
    uint8_t large[ENTRY_HASH_LEN];
};

static int
climb_one(struct climb *climb, const uint8_t *hash, struct err *err)
{
    if (climb->last == 0)
        return wrong_length(err);
    if ((climb->at & 1) == 1 || climb->at == climb->last) {
        if (merkle_node(hash, climb->small, climb->small, err) == -1 ||
            merkle_node(hash, climb->large, climb->large, err) == -1)
            return -1;
        for (; (climb->at & 1) == 0 && climb->at != 0; climb->at >>= 1)
            climb->last >>= 1;
    } else if (merkle_node(climb->large, hash, climb->large, err) == -1) {
        return -1;
    }
    climb->at >>= 1;
    climb->last >>= 1;
    return 0;
}

static int
climb_all(struct climb *climb, int64_t from, const uint8_t *old_root,
          const struct merkle_path *path, struct err *err)
{
    const bool is_whole = (from & (from - 1)) == 0;

    if (!is_whole && path->count == 0)
        return wrong_length(err);
    for (; (climb->at & 1) == 1; climb->at >>= 1)
        climb->last >>= 1;
    memcpy(climb->small, is_whole ? old_root : path->hashes[0], ENTRY_HASH_LEN);
    memcpy(climb->large, climb->small, ENTRY_HASH_LEN);
    for (size_t i = is_whole ? 0 : 1; i < path->count; i++)
        if (climb_one(climb, path->hashes[i], err) == -1)
            return -1;
    return climb->last == 0 ? 0 : wrong_length(err);
}

int
merkle_consistency_check(int64_t from, const uint8_t old_root[ENTRY_HASH_LEN],
                         int64_t size, const uint8_t root[ENTRY_HASH_LEN],
                         const struct merkle_path *path, struct err *err)
{
    struct climb climb = { .at = from - 1, .last = size - 1 };

    if (from < 1 || from > size)
        return err_set(err, ERR_INVALID, "a log cannot shrink");
    if (from == size) {
        if (path->count > 0)
            return wrong_length(err);
        memcpy(climb.small, old_root, ENTRY_HASH_LEN);
        memcpy(climb.large, old_root, ENTRY_HASH_LEN);
    } else if (climb_all(&climb, from, old_root, path, err) == -1) {
        return -1;
    }
    if (memcmp(climb.small, old_root, ENTRY_HASH_LEN) != 0)
        return err_set(err, ERR_INVALID,
                       "the path does not begin at the old root");
    if (memcmp(climb.large, root, ENTRY_HASH_LEN) != 0)
        return err_set(err, ERR_INVALID,
                       "the path does not lead to the new root");
    return 0;
}
