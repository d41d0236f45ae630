/*
 * Every proof of every tree up to 70 leaves, against roots that merkle.c makes
 * (test_merkle.c holds those against the standard), and the vectors that
 * implementations of Certificate Transparency test with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "ledger/merkle_proof.h"

#define MAX_LEAVES 70

static uint8_t leaves[MAX_LEAVES][ENTRY_HASH_LEN];
static uint8_t roots[MAX_LEAVES + 1][ENTRY_HASH_LEN];

static int
set_up(void **state)
{
    struct merkle tree = { 0 };

    (void)state;
    for (size_t i = 0; i < MAX_LEAVES; i++) {
        char body[16];
        const int len = snprintf(body, sizeof(body), "entry %zu", i);

        assert_int_equal(merkle_leaf(body, (size_t)len, leaves[i], NULL), 0);
        assert_int_equal(merkle_append(&tree, leaves[i], NULL), 0);
        assert_int_equal(merkle_root(&tree, roots[i + 1], NULL), 0);
    }
    return 0;
}

static const struct merkle_path *
feed(struct merkle_prover *prover, uint8_t (*list)[ENTRY_HASH_LEN],
     int64_t size)
{
    for (int64_t i = 0; i < size; i++)
        assert_int_equal(merkle_prover_add(prover, list[i], NULL), 0);
    return merkle_prover_path(prover);
}

/* 1 when the path shows that the leaf is in the tree, else 0. */
static int
includes(const uint8_t *leaf, int64_t idx, int64_t size,
         const struct merkle_path *path)
{
    uint8_t root[ENTRY_HASH_LEN];

    return merkle_inclusion_root(leaf, idx, size, path, root, NULL) == 0 &&
           memcmp(root, roots[size], sizeof(root)) == 0;
}

static void
test_every_leaf_of_every_tree_is_proved_to_be_in_it(void **state)
{
    struct merkle_prover prover;

    (void)state;
    for (int64_t size = 1; size <= MAX_LEAVES; size++)
        for (int64_t idx = 0; idx < size; idx++) {
            merkle_prover_inclusion(&prover, idx, size);
            assert_true(
                includes(leaves[idx], idx, size, feed(&prover, leaves, size)));
        }
}

static void
test_no_path_serves_another_leaf_place_or_size(void **state)
{
    struct merkle_prover prover;

    (void)state;
    for (int64_t size = 2; size <= MAX_LEAVES; size++)
        for (int64_t idx = 0; idx < size; idx += 3) {
            const struct merkle_path *path;
            struct merkle_path changed;

            merkle_prover_inclusion(&prover, idx, size);
            path = feed(&prover, leaves, size);
            assert_false(includes(leaves[(idx + 1) % size], idx, size, path));
            assert_false(includes(leaves[idx], (idx + 1) % size, size, path));
            assert_false(includes(leaves[idx], idx, size - 1, path));
            assert_false(includes(leaves[idx], -1, size, path));
            changed = *path;
            changed.count--;
            assert_false(includes(leaves[idx], idx, size, &changed));
            changed.count += 2;
            assert_false(includes(leaves[idx], idx, size, &changed));
            changed = *path;
            changed.hashes[path->count - 1][31] ^= 1;
            assert_false(includes(leaves[idx], idx, size, &changed));
        }
}

static int
continues(int64_t from, const uint8_t *old_root, int64_t size,
          const struct merkle_path *path)
{
    return merkle_consistency_check(from, old_root, size, roots[size], path,
                                    NULL) == 0;
}

static void
test_every_tree_is_proved_to_continue_every_smaller_one(void **state)
{
    struct merkle_prover prover;

    (void)state;
    for (int64_t size = 1; size <= MAX_LEAVES; size++)
        for (int64_t from = 1; from <= size; from++) {
            merkle_prover_consistency(&prover, from, size);
            assert_true(continues(from, roots[from], size,
                                  feed(&prover, leaves, size)));
        }
}

static void
test_no_consistency_path_serves_another_history(void **state)
{
    struct merkle_prover prover;

    (void)state;
    for (int64_t size = 2; size <= MAX_LEAVES; size++)
        for (int64_t from = 1; from < size; from++) {
            const struct merkle_path *path;
            struct merkle_path changed;

            merkle_prover_consistency(&prover, from, size);
            path = feed(&prover, leaves, size);
            assert_false(continues(from, roots[from + 1], size, path));
            assert_false(continues(from + 1, roots[from + 1], size, path) &&
                         from + 1 < size);
            assert_false(continues(size + 1, roots[size], size, path));
            for (size_t i = 0; i < path->count; i++) {
                changed = *path;
                changed.hashes[i][0] ^= 1;
                assert_false(continues(from, roots[from], size, &changed));
            }
            changed = *path;
            changed.count--;
            assert_false(continues(from, roots[from], size, &changed));
        }
}

/* ---- known values ------------------------------------------------------ */

#define H2  "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
#define L0  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
#define L1  "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
#define L4  "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
#define R2  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
#define R4  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
#define H67 "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
#define H45 "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
#define H47 "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"

static void
assert_path(const struct merkle_path *path, const char *const *expected)
{
    size_t i;

    for (i = 0; expected[i] != NULL; i++) {
        char hex[2 * ENTRY_HASH_LEN + 1];

        assert_true(i < path->count);
        str_to_hex(path->hashes[i], ENTRY_HASH_LEN, hex);
        assert_string_equal(hex, expected[i]);
    }
    assert_int_equal(path->count, i);
}

static void
test_known_values(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } inputs[] = { { "", 0 },         { "\x00", 1 },
                   { "\x10", 1 },     { "\x20\x21", 2 },
                   { "\x30\x31", 2 }, { "@ABC", 4 },
                   { "PQRSTUVW", 8 }, { "`abcdefghijklmno", 16 } };
    static const struct {
        int64_t at, size;
        const char *path[4];
    } inclusions[] = { { 0, 1, { NULL } },
                       { 0, 8, { L1, H2, H47 } },
                       { 5, 8, { L4, H67, R4 } },
                       { 2, 3, { R2 } },
                       { 1, 5, { L0, H2, L4 } } },
      consistencies[] = { { 1, 1, { NULL } },
                          { 1, 8, { L1, H2, H47 } },
                          { 6, 8, { H45, H67, R4 } },
                          { 2, 5, { H2, L4 } } };
    uint8_t list[8][ENTRY_HASH_LEN];
    struct merkle_prover prover;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++)
        assert_int_equal(
            merkle_leaf(inputs[i].bytes, inputs[i].len, list[i], NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(inclusions); i++) {
        merkle_prover_inclusion(&prover, inclusions[i].at, inclusions[i].size);
        assert_path(feed(&prover, list, inclusions[i].size),
                    inclusions[i].path);
    }
    for (size_t i = 0; i < ARRAY_LEN(consistencies); i++) {
        merkle_prover_consistency(&prover, consistencies[i].at,
                                  consistencies[i].size);
        assert_path(feed(&prover, list, consistencies[i].size),
                    consistencies[i].path);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_leaf_of_every_tree_is_proved_to_be_in_it),
        cmocka_unit_test(test_no_path_serves_another_leaf_place_or_size),
        cmocka_unit_test(
            test_every_tree_is_proved_to_continue_every_smaller_one),
        cmocka_unit_test(test_no_consistency_path_serves_another_history),
        cmocka_unit_test(test_known_values),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
