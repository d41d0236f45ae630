/* test_idempotency.c - which requests are the same, and what is kept of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ask/idempotency.h"
#include "base/attr.h"
#include "base/str.h"

static struct idempotency
hashes_of(const char *key, const char *principal, const char *body)
{
    const struct request_limits limits = { .max_query_chars = 100 };
    struct idempotency idempotency;
    struct request_fault fault;
    struct request request;

    assert_int_equal(
        request_parse(&request, body, strlen(body), NULL, &limits, &fault), 0);
    assert_int_equal(
        idempotency_set(&idempotency, key, principal, &request, NULL), 0);
    request_close(&request);
    return idempotency;
}

static void
test_what_a_key_may_be(void **state)
{
    char longest[IDEMPOTENCY_KEY_MAX + 2];

    (void)state;
    memset(longest, '~', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_false(idempotency_key_is_valid(longest));
    assert_true(idempotency_key_is_valid(longest + 1));
    assert_true(idempotency_key_is_valid("!"));
    assert_true(idempotency_key_is_valid("\"8e03978e-40d5-43dd\""));
    assert_false(idempotency_key_is_valid(""));
    assert_false(idempotency_key_is_valid("a b"));
    assert_false(idempotency_key_is_valid("a\t"));
    assert_false(idempotency_key_is_valid("\x7f"));
    assert_false(idempotency_key_is_valid("caf\xc3\xa9"));
}

static void
test_without_a_key_nothing_is_hashed(void **state)
{
    const struct idempotency none =
        hashes_of(NULL, "api_key", "{\"query\":\"x\"}");

    (void)state;
    assert_string_equal(none.key, "");
    assert_string_equal(none.request, "");
}

static void
test_the_hashes_are_those_of_the_manual(void **state)
{
    static const char request[] = "\004k-1{\"context\":{\"a\":1.5},"
                                  "\"query\":\"x\"}";
    static const char key[] = "api_key\0k-1";
    const struct idempotency is =
        hashes_of("k-1", "api_key",
                  "{\"query\": \"x\", \"events\": \"both\", "
                  "\"context\": {\"a\": 1.5}}");
    uint8_t digest[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];

    (void)state;
    assert_int_equal(
        crypto_sha256(&(struct crypto_part){ key, sizeof(key) - 1 }, 1, digest,
                      NULL),
        0);
    str_to_hex(digest, sizeof(digest), hex);
    assert_string_equal(is.key, hex);
    assert_int_equal(
        crypto_sha256(&(struct crypto_part){ request, sizeof(request) - 1 }, 1,
                      digest, NULL),
        0);
    str_to_hex(digest, sizeof(digest), hex);
    assert_string_equal(is.request, hex);
}

static void
test_which_requests_are_the_same(void **state)
{
    static const char body[] = "{\"query\":\"x\",\"context\":{\"a\":1}}";
    static const struct {
        const char *key;
        const char *principal;
        const char *body;
        bool same_key;
        bool same_request;
    } others[] = {
        { "k", "p", "{\"context\":{\"a\":1},\"query\":\"x\"}", true, true },
        { "k", "p",
          "{\"query\":\"x\",\"context\":{\"a\":1},\"events\":\"staged\"}", true,
          true },
        { "k", "p", "{\"query\":\"y\",\"context\":{\"a\":1}}", true, false },
        { "k", "p", "{\"query\":\"x\",\"context\":{\"a\":2}}", true, false },
        { "k", "p", "{\"query\":\"x\"}", true, false },
        { "k", "q", body, false, true },
        { "k", NULL, body, false, true },
        { "l", "p", body, false, false },
    };
    const struct idempotency first = hashes_of("k", "p", body);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        const struct idempotency other =
            hashes_of(others[i].key, others[i].principal, others[i].body);

        if ((strcmp(other.key, first.key) == 0) != others[i].same_key ||
            (strcmp(other.request, first.request) == 0) !=
                others[i].same_request)
            fail_msg("number %zu", i);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_key_may_be),
        cmocka_unit_test(test_without_a_key_nothing_is_hashed),
        cmocka_unit_test(test_the_hashes_are_those_of_the_manual),
        cmocka_unit_test(test_which_requests_are_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
