/*
 * Against RFC 6962, section 2.1, written down a second time in the words of the
 * standard: a list is split at the largest power of two below its length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "client/crypto.h"
#include "ledger/merkle.h"

#define MAX_LEAVES 70

static uint8_t leaves[MAX_LEAVES][ENTRY_HASH_LEN];

static void
tree_head(uint8_t (*list)[ENTRY_HASH_LEN], size_t count,
          uint8_t head[ENTRY_HASH_LEN])
{
    uint8_t left[ENTRY_HASH_LEN], right[ENTRY_HASH_LEN];
    size_t split = 1;

    if (count == 1) {
        memcpy(head, list[0], ENTRY_HASH_LEN);
        return;
    }
    while (2 * split < count)
        split *= 2;
    tree_head(list, split, left);
    tree_head(list + split, count - split, right);
    assert_int_equal(
        crypto_sha256(
            (struct crypto_part[]){ { "\1", 1 }, { left, 32 }, { right, 32 } },
            3, head, NULL),
        0);
}

static void
test_every_size_has_the_root_of_the_standard(void **state)
{
    struct merkle tree = { 0 };
    uint8_t expected[ENTRY_HASH_LEN], root[ENTRY_HASH_LEN];

    (void)state;
    for (size_t i = 0; i < MAX_LEAVES; i++) {
        char body[16];
        const int len = snprintf(body, sizeof(body), "entry %zu", i);

        assert_int_equal(merkle_leaf(body, (size_t)len, leaves[i], NULL), 0);
        assert_int_equal(merkle_append(&tree, leaves[i], NULL), 0);
        assert_int_equal(tree.size, i + 1);
        assert_int_equal(merkle_root(&tree, root, NULL), 0);
        tree_head(leaves, i + 1, expected);
        assert_memory_equal(root, expected, sizeof(root));
    }
}

/* The values that implementations of Certificate Transparency test with. */
static void
test_known_values(void **state)
{
    static const struct {
        const char *hex;
        size_t len;
    } inputs[] = { { "", 0 },
                   { "00", 1 },
                   { "10", 1 },
                   { "2021", 2 },
                   { "3031", 2 },
                   { "40414243", 4 },
                   { "5051525354555657", 8 },
                   { "606162636465666768696a6b6c6d6e6f", 16 } };
    static const char *const roots[] = {
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    };
    struct merkle tree = { 0 };
    uint8_t root[ENTRY_HASH_LEN];
    char hex[2 * ENTRY_HASH_LEN + 1];

    (void)state;
    assert_int_equal(merkle_root(&tree, root, NULL), 0);
    str_to_hex(root, sizeof(root), hex);
    assert_string_equal(
        hex,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        uint8_t bytes[16], leaf[ENTRY_HASH_LEN];

        assert_int_equal(str_from_hex(inputs[i].hex, bytes, inputs[i].len), 0);
        assert_int_equal(
            merkle_leaf((const char *)bytes, inputs[i].len, leaf, NULL), 0);
        assert_int_equal(merkle_append(&tree, leaf, NULL), 0);
        assert_int_equal(merkle_root(&tree, root, NULL), 0);
        str_to_hex(root, sizeof(root), hex);
        assert_string_equal(hex, roots[i]);
    }
}

static void
test_a_copy_is_a_snapshot(void **state)
{
    struct merkle tree = { 0 }, copy;
    uint8_t before[ENTRY_HASH_LEN], after[ENTRY_HASH_LEN];

    (void)state;
    assert_int_equal(merkle_append(&tree, leaves[0], NULL), 0);
    assert_int_equal(merkle_root(&tree, before, NULL), 0);
    copy = tree;
    assert_int_equal(merkle_append(&copy, leaves[1], NULL), 0);
    assert_int_equal(merkle_root(&tree, after, NULL), 0);
    assert_memory_equal(before, after, sizeof(before));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_size_has_the_root_of_the_standard),
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_a_copy_is_a_snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
