/* merkle.c - see merkle.h. */
#include "ledger/merkle.h"

#include <assert.h>
#include <string.h>

#include "client/crypto.h"

#define LEAF_PREFIX 0x00
#define NODE_PREFIX 0x01

int
merkle_leaf(const char *body, size_t len, uint8_t leaf[ENTRY_HASH_LEN],
            struct err *err)
{
    static const uint8_t prefix = LEAF_PREFIX;
    const struct crypto_part parts[] = { { &prefix, 1 }, { body, len } };

    return crypto_sha256(parts, ARRAY_LEN(parts), leaf, err);
}

int
merkle_node(const uint8_t left[ENTRY_HASH_LEN],
            const uint8_t right[ENTRY_HASH_LEN], uint8_t node[ENTRY_HASH_LEN],
            struct err *err)
{
    static const uint8_t prefix = NODE_PREFIX;
    const struct crypto_part parts[] = { { &prefix, 1 },
                                         { left, ENTRY_HASH_LEN },
                                         { right, ENTRY_HASH_LEN } };

    return crypto_sha256(parts, ARRAY_LEN(parts), node, err);
}

int
merkle_append(struct merkle *tree, const uint8_t leaf[ENTRY_HASH_LEN],
              struct err *err)
{
    uint8_t node[ENTRY_HASH_LEN];
    size_t height = tree->height;

    assert(tree->size < INT64_MAX);
    memcpy(node, leaf, ENTRY_HASH_LEN);
    /* As in adding one to the size: each 1 at its end is a subtree as large as
     * the node so far, and joins it. */
    for (int64_t carry = tree->size; (carry & 1) != 0; carry >>= 1)
        if (merkle_node(tree->subtrees[--height], node, node, err) == -1)
            return -1;
    memcpy(tree->subtrees[height], node, ENTRY_HASH_LEN);
    tree->height = height + 1;
    tree->size++;
    return 0;
}

int
merkle_root(const struct merkle *tree, uint8_t root[ENTRY_HASH_LEN],
            struct err *err)
{
    size_t left = tree->height;

    if (left == 0)
        return crypto_sha256(NULL, 0, root, err);
    memcpy(root, tree->subtrees[--left], ENTRY_HASH_LEN);
    while (left > 0)
        if (merkle_node(tree->subtrees[--left], root, root, err) == -1)
            return -1;
    return 0;
}
