/* test_keys.c - which run has a key, for how long, and how many are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "ledger/keys.h"

#define TTL_US 1000
#define NOW_US 5000000

/* All but the last digit of a hash. */
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

static struct key
key_of(unsigned number, int64_t used_unix_us)
{
    struct key key = { .used_unix_us = used_unix_us };

    snprintf(key.hash, sizeof(key.hash), "%064x", number);
    memmove(key.hash, key.hash + 56, 8); /* the digits that choose a bucket */
    snprintf(key.request_hash, sizeof(key.request_hash), "%064x", number);
    key.run_id.bytes[0] = (uint8_t)number;
    return key;
}

static void
test_a_key_is_known_until_its_time_is_over(void **state)
{
    struct keys *keys = keys_new(TTL_US, NULL);
    struct key key = key_of(7, NOW_US);
    const struct key *found;

    (void)state;
    assert_null(keys_find(keys, key.hash, NOW_US));
    keys_add(keys, &key);
    found = keys_find(keys, key.hash, NOW_US + TTL_US);
    assert_non_null(found);
    assert_int_equal(found->run_id.bytes[0], 7);
    assert_string_equal(found->request_hash, key.request_hash);
    assert_null(keys_find(keys, key.hash, NOW_US + TTL_US + 1));
    key.run_id.bytes[0] = 8; /* the key is used again */
    key.used_unix_us += TTL_US + 1;
    keys_add(keys, &key);
    found = keys_find(keys, key.hash, NOW_US + TTL_US + 1);
    assert_int_equal(found->run_id.bytes[0], 8);
    keys_free(keys);
}

static void
test_the_oldest_makes_room(void **state)
{
    struct keys *keys = keys_new(TTL_US, NULL);
    struct key key;

    (void)state;
    for (unsigned i = 0; i < KEYS_MAX + 3; i++) {
        key = key_of(i, NOW_US);
        keys_add(keys, &key);
    }
    for (unsigned i = 0; i < KEYS_MAX + 3; i++) {
        key = key_of(i, NOW_US);
        if ((keys_find(keys, key.hash, NOW_US) != NULL) != (i >= 3))
            fail_msg("key %u", i);
    }
    keys_free(keys);
}

static int
read_key(const char *facts, struct key *key, struct err *err)
{
    return keys_read(facts, strlen(facts), key, err);
}

static void
test_facts_without_a_key_or_with_half_of_one(void **state)
{
    static const char *const bad[] = {
        "{\"idempotency_key\":\"" HASH "f\"}",
        "{\"request_hash\":\"" HASH "f\"}",
        "{\"idempotency_key\":\"" HASH "f\",\"request_hash\":null}",
        "{\"idempotency_key\":\"" HASH "f\",\"request_hash\":\"short\"}",
        "{\"idempotency_key\":\"" HASH "X\",\"request_hash\":\"" HASH "f\"}",
        "{\"idempotency_key\":5,\"request_hash\":\"" HASH "f\"}",
        "{\"idempotency_key\":\"" HASH "f\",\"request_hash\":\"" HASH "f\"",
    };
    struct key key;

    (void)state;
    assert_int_equal(read_key("{}", &key, NULL), 0);
    assert_string_equal(key.hash, "");
    assert_int_equal(
        read_key("{\"idempotency_key\":null,\"request_hash\":null}", &key,
                 NULL),
        0);
    assert_string_equal(key.hash, "");
    assert_int_equal(read_key("{\"a\":1,\"idempotency_key\":\"" HASH
                              "f\",\"request_hash\":\"" HASH "e\",\"z\":[]}",
                              &key, NULL),
                     0);
    assert_string_equal(key.hash, HASH "f");
    assert_string_equal(key.request_hash, HASH "e");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = { 0 };

        if (read_key(bad[i], &key, &err) != -1 || err.kind != ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_known_until_its_time_is_over),
        cmocka_unit_test(test_the_oldest_makes_room),
        cmocka_unit_test(test_facts_without_a_key_or_with_half_of_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
