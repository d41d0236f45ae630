/* test_seal.c - bodies are what they would be, had their facts and what the
 * scribe adds been one tree; facts that cannot be an entry's are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/str.h"
#include "ledger/merkle.h"
#include "ledger/seal.h"
#include "support/canonical.h"
#include "support/spoken.h"

#define ROUNDS 2000

static struct seal seal;
static const struct entry_content parts[] = {
    { .part = ENTRY_PART_QUERY, .bytes = "why?", .len = 4 },
    { .part = ENTRY_PART_PRO, .bytes = NULL, .len = 0, .cleaned = true },
};

static int
set_up(void **state)
{
    (void)state;
    seal_init(&seal);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    seal_close(&seal);
    return 0;
}

/* ---- facts by chance ---------------------------------------------------- */

static uint32_t chance = 1;

static uint32_t
below(uint32_t limit)
{
    chance = chance * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)chance * limit) >> 32);
}

static json_t *
any_text(void)
{
    static const char *const pieces[] = {
        "a",
        "Z",
        "\"",
        "\\",
        "\n",
        "\x01",
        "\x1f",
        "\x7f",
        "/",
        ",",
        "}",
        "{",
        "\xc3\xa4",
        "\xe2\x80\xa8",
        "\xf0\x9f\x98\x80",
        "\\u0000",
    };
    char text[64] = "";

    for (uint32_t i = below(8); i > 0; i--)
        strcat(text, pieces[below(ARRAY_LEN(pieces))]);
    return json_string(text);
}

static json_t *any_object(int depth);

static json_t *
any_value(int depth)
{
    json_t *list;

    switch (below(depth > 0 ? 8 : 6)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(below(2));
    case 2:
        return json_integer((json_int_t)below(1000) - 500);
    case 3:
        return json_integer(below(2) == 0 ? INT64_MIN : INT64_MAX);
    case 6:
        list = json_array();
        for (uint32_t i = below(4); i > 0; i--)
            json_array_append_new(list, any_value(depth - 1));
        return list;
    case 7:
        return any_object(depth - 1);
    default:
        return any_text();
    }
}

/* Its names lie before, between, and after those of the scribe, begin like
 * them or end in the midst of them. */
static json_t *
any_object(int depth)
{
    static const char *const names[] = {
        "",         "A",        "a",       "client", "conten",
        "contents", "d",        "id",      "idx_",   "kin",
        "kinds",    "log_i",    "log_ids", "p",      "r",
        "recorded", "run_i",    "run_id2", "u",      "v1",
        "w",        "\xc3\xa4", "_",       "z",      "error_class",
        "Content",  "V",        "~",
    };
    json_t *object = json_object();

    for (uint32_t i = below(12); i > 0; i--)
        json_object_set_new(object, names[below(ARRAY_LEN(names))],
                            any_value(depth));
    return object;
}

/* ---- the same in one tree ------------------------------------------------ */

static json_t *
content_of(const struct entry_record *record)
{
    json_t *list = json_array();

    for (size_t i = 0; i < record->part_count; i++) {
        const struct entry_content *part = &record->parts[i];
        char hex[ENTRY_HASH_HEX_LEN + 1];
        uint8_t hash[ENTRY_HASH_LEN];

        assert_int_equal(
            seal_commitment(seal.salts[i], part->bytes, part->len, hash, NULL),
            0);
        str_to_hex(hash, sizeof(hash), hex);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:I, s:b}", "part",
                                        entry_part_name(part->part), "sha256",
                                        hex, "len", (json_int_t)part->len,
                                        "cleaned", part->cleaned ? 1 : 0));
    }
    return list;
}

static void
assert_body_is_of(const struct entry_record *record,
                  const struct seal_place *place, const json_t *facts)
{
    char log_id[UUID_TEXT_LEN], run_id[UUID_TEXT_LEN], at[CLOCK_UTC_LEN];
    uint8_t leaf_hash[ENTRY_HASH_LEN];
    json_t *tree;
    char *want;

    uuid_format(&place->log_id, log_id);
    uuid_format(&record->run_id, run_id);
    clock_format_utc(place->recorded_unix_us, at);
    tree =
        json_pack("{s:i, s:I, s:s, s:s, s:s, s:s?, s:o}", "v", 1, "idx",
                  (json_int_t)place->idx, "kind", entry_kind_name(record->kind),
                  "log_id", log_id, "recorded_at", at, "run_id",
                  uuid_is_nil(&record->run_id) ? NULL : run_id, "content",
                  content_of(record));
    assert_non_null(tree);
    assert_int_equal(json_object_update(tree, (json_t *)(uintptr_t)facts), 0);
    want = json_dumps(tree, CANONICAL);
    assert_non_null(want);
    assert_string_equal(buf_cstr(&seal.body), want);
    assert_int_equal(merkle_leaf(want, strlen(want), leaf_hash, NULL), 0);
    assert_memory_equal(seal.leaf_hash, leaf_hash, ENTRY_HASH_LEN);
    free(want);
    json_decref(tree);
}

static void
test_a_body_is_the_canonical_text_of_one_tree(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct entry_record record = { .kind = ENTRY_ADMIN,
                                       .parts = parts,
                                       .part_count = below(3) };
        const struct seal_place place = { .log_id = { { 1, 2, 3 } },
                                          .idx = below(1000),
                                          .recorded_unix_us = 1234567 };
        json_t *facts = any_object(3);
        struct err err = { 0 };
        char *text = spoken_text_take(json_incref(facts));

        record.run_id.bytes[0] = (uint8_t)below(2);
        record.facts = text;
        record.facts_len = strlen(text);
        if (seal_record(&seal, &record, &place, &err) == -1)
            fail_msg("%s: %s", err.text, text);
        assert_body_is_of(&record, &place, facts);
        free(text);
        json_decref(facts);
    }
}

/* ---- what is refused ----------------------------------------------------- */

static int
seal_facts(const char *facts, size_t len, struct err *err)
{
    const struct entry_record record = { .kind = ENTRY_ADMIN,
                                         .facts = facts,
                                         .facts_len = len };
    const struct seal_place place = { .idx = 1 };

    return seal_record(&seal, &record, &place, err);
}

static void
test_facts_that_cannot_be_an_entrys_are_refused(void **state)
{
    static const struct {
        const char *facts;
        const char *why;
    } bad[] = {
        { "", "not one canonical" },
        { "[]", "not one canonical" },
        { "null", "not one canonical" },
        { "{}{}", "not one canonical" },
        { "{} ", "not one canonical" },
        { "{\"a\":1", "not one canonical" },
        { "{\"a\":1,}", "not one canonical" },
        { "{\"a\": 1}", "not one canonical" },
        { "{\"a\":1.0}", "not one canonical" },
        { "{\"a\":01}", "not one canonical" },
        { "{\"a\":\"\\/\"}", "not one canonical" },
        { "{\"a\":\"\\u0000\"}", "not one canonical" },
        { "{\"a\\n\":1}", "not one canonical" },
        { "{\"b\":1,\"a\":2}", "not one canonical" },
        { "{\"a\":1,\"a\":1}", "not one canonical" },
        { "{\"a\":{\"b\":1,\"b\":1}}", "not one canonical" },
        { "{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", "not one canonical" },
        { "{\"a\":\"\xff\"}", "not clean UTF-8" },
        { "{\"a\":\"\xed\xa0\x80\"}", "not clean UTF-8" },
        { "{\"content\":[]}", "content, which is the scribe's" },
        { "{\"a\":1,\"idx\":0}", "idx, which is the scribe's" },
        { "{\"kind\":\"admin\"}", "kind, which is the scribe's" },
        { "{\"log_id\":1,\"m\":1}", "log_id, which is the scribe's" },
        { "{\"recorded_at\":null}", "recorded_at, which is the scribe's" },
        { "{\"run_id\":null}", "run_id, which is the scribe's" },
        { "{\"u\":1,\"v\":1}", "v, which is the scribe's" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = { 0 };

        if (seal_facts(bad[i].facts, strlen(bad[i].facts), &err) == 0)
            fail_msg("taken: %s", bad[i].facts);
        assert_int_equal(err.kind, ERR_INVALID);
        if (strstr(err.text, bad[i].why) == NULL)
            fail_msg("%s: %s", bad[i].facts, err.text);
    }
    assert_int_equal(seal_facts("{\"a\":\"\0\"}", 9, NULL), -1);
    assert_int_equal(seal_facts("{}", 2, NULL), 0);
}

/* A text of this many bytes in all. */
static char *
long_facts(size_t len)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, 'x', len);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + len - 2, "\"}", 3);
    return text;
}

static void
test_facts_that_leave_no_room_are_refused(void **state)
{
    char *text = long_facts(SEAL_MAX_BODY_BYTES);
    struct err err = { 0 };

    (void)state;
    assert_int_equal(seal_facts(text, strlen(text), &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    free(text);
    text = long_facts(SEAL_MAX_BODY_BYTES / 2);
    assert_int_equal(seal_facts(text, strlen(text), NULL), 0);
    free(text);
}

#define SEAL_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SEAL_TEST(test_a_body_is_the_canonical_text_of_one_tree),
        SEAL_TEST(test_facts_that_cannot_be_an_entrys_are_refused),
        SEAL_TEST(test_facts_that_leave_no_room_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
