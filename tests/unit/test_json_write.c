/*
 * test_json_write - lib/text/json: canonical texts, plain ones and strings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/json.h"

/* A literal as bytes and length, without its last NUL. */
#define BYTES(literal) literal, sizeof(literal) - 1

static void
assert_canonical(const char *text, const char *want)
{
    json_t *value = json_parse(text, strlen(text), 10, NULL);
    struct buf out;

    assert_non_null(value);
    buf_init(&out, 1000);
    assert_int_equal(json_write_canonical(value, &out, NULL), 0);
    assert_string_equal(buf_cstr(&out), want);
    json_decref(value);
    value = json_parse(out.bytes, out.len, 10, NULL);
    assert_non_null(value);
    buf_clear(&out);
    assert_int_equal(json_write_canonical(value, &out, NULL), 0);
    assert_string_equal(buf_cstr(&out), want);
    json_decref(value);
    buf_close(&out);
}

static void
assert_quoted(const char *bytes, size_t len, const char *want)
{
    struct buf out;

    buf_init(&out, 1000);
    assert_int_equal(json_append_string(&out, bytes, len), BUF_OK);
    assert_string_equal(buf_cstr(&out), want);
    buf_close(&out);
}

/* ---- writing ------------------------------------------------------------ */

static void
test_canonical_text_sorts_keys_by_their_bytes(void **state)
{
    (void)state;
    assert_canonical("{\"b\":1, \"a\":2, \"B\":3, \"ab\":4, \"\":5}",
                     "{\"\":5,\"B\":3,\"a\":2,\"ab\":4,\"b\":1}");
    assert_canonical("{\"\\ud83d\\ude00\":1,\"\\uffff\":2,\"\\u00e4\":3,"
                     "\"z\":[{\"y\":1,\"x\":2}]}",
                     "{\"z\":[{\"x\":2,\"y\":1}],\"\xc3\xa4\":3,"
                     "\"\xef\xbf\xbf\":2,\"\xf0\x9f\x98\x80\":1}");
}

static void
test_canonical_text_is_the_same_for_all_spellings(void **state)
{
    (void)state;
    assert_canonical("[ \"\\u0041\\/\\u000a\\u007F\\u2028\", -0, 1 , null]",
                     "[\"A/\\n\x7f\xe2\x80\xa8\",0,1,null]");
    assert_canonical("\"\\u001f\"", "\"\\u001F\"");
    assert_canonical("true", "true");
    assert_canonical("{ }", "{}");
    assert_canonical("-9223372036854775808", "-9223372036854775808");
}

static void
test_canonical_text_of_shuffled_members_is_one(void **state)
{
    char first[4096] = "";

    (void)state;
    for (unsigned seed = 0; seed < 50; seed++) {
        json_t *value = json_object();
        struct buf out;

        srand(seed);
        for (int i = 0; i < 100; i++) {
            char key[16];

            snprintf(key, sizeof(key), "k%d", rand() % 100);
            json_object_set_new(value, key, json_null());
        }
        for (int i = 0; i < 100; i++) {
            char key[16];

            snprintf(key, sizeof(key), "k%d", i);
            json_object_set_new(value, key, json_integer(i));
        }
        buf_init(&out, sizeof(first) - 1);
        assert_int_equal(json_write_canonical(value, &out, NULL), 0);
        if (seed == 0)
            memcpy(first, out.bytes, out.len + 1);
        assert_string_equal(out.bytes, first);
        buf_close(&out);
        json_decref(value);
    }
}

static void
test_a_real_number_has_no_canonical_text(void **state)
{
    static const char *const texts[] = { "1.5", "12.0", "[1,[2e5]]",
                                         "{\"a\":{\"b\":0.0}}" };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *value = json_parse(texts[i], strlen(texts[i]), 10, NULL);
        struct err err = { 0 };
        struct buf out;

        buf_init(&out, 100);
        assert_int_equal(json_write_canonical(value, &out, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
        assert_int_equal(out.len, 0);
        assert_int_equal(json_write(value, &out, NULL), 0);
        buf_close(&out);
        json_decref(value);
    }
}

static void
test_plain_writing_keeps_the_order_of_insertion(void **state)
{
    static const char text[] = "{\"b\": 1, \"a\": [true, \"\xc3\xa4\"]}";
    json_t *value = json_parse(text, strlen(text), 10, NULL);
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    assert_int_equal(json_write(value, &out, NULL), 0);
    assert_string_equal(buf_cstr(&out), "{\"b\":1,\"a\":[true,\"\xc3\xa4\"]}");
    buf_close(&out);
    json_decref(value);
}

static void
test_a_text_that_does_not_fit_adds_nothing(void **state)
{
    json_t *value = json_parse("[1,2,3]", 7, 10, NULL);
    struct err err = { 0 };
    struct buf out;

    (void)state;
    buf_init(&out, 7);
    assert_int_equal(buf_append_str(&out, "x"), BUF_OK);
    assert_int_equal(json_write(value, &out, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_string_equal(buf_cstr(&out), "x");
    assert_int_equal(json_append_string(&out, "abcde", 5), BUF_FULL);
    assert_int_equal(json_append_string(&out, "\n\n\n", 3), BUF_FULL);
    assert_string_equal(buf_cstr(&out), "x");
    assert_int_equal(json_append_string(&out, "abcd", 4), BUF_OK);
    assert_string_equal(buf_cstr(&out), "x\"abcd\"");
    buf_close(&out);
    json_decref(value);
}

static void
test_a_string_is_escaped_only_where_json_demands_it(void **state)
{
    (void)state;
    assert_quoted(BYTES(""), "\"\"");
    assert_quoted(BYTES("say \"hi\" \\ / </script>"),
                  "\"say \\\"hi\\\" \\\\ / </script>\"");
    assert_quoted(BYTES("\n\r\t\b\f\x01\x1f\x7f"),
                  "\"\\n\\r\\t\\b\\f\\u0001\\u001F\x7f\"");
    assert_quoted(BYTES("\0"), "\"\\u0000\"");
    assert_quoted(BYTES("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\x8f\xf0\x9f\x98\x80"),
                  "\"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\x8f\xf0\x9f\x98\x80\"");
}

static void
test_both_ways_of_writing_a_string_agree(void **state)
{
    char all[127 + 2];
    size_t len = 0;
    struct buf ours, theirs;
    json_t *value;

    (void)state;
    for (int c = 1; c < 128; c++)
        all[len++] = (char)c;
    value = json_stringn(all, len);
    buf_init(&ours, 1000);
    buf_init(&theirs, 1000);
    assert_int_equal(json_append_string(&ours, all, len), BUF_OK);
    assert_int_equal(json_write_canonical(value, &theirs, NULL), 0);
    assert_string_equal(buf_cstr(&ours), buf_cstr(&theirs));
    buf_close(&theirs);
    buf_close(&ours);
    json_decref(value);
}

/* Strings are looked at in words of eight bytes. */
static void
test_each_byte_is_escaped_wherever_it_stands(void **state)
{
    static const char *const around[] = {
        "xxxxxxxxxxxxxxxxx", "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""
    };
    const size_t len = 17;
    struct buf ours, theirs;

    (void)state;
    buf_init(&ours, 1000);
    buf_init(&theirs, 1000);
    for (size_t i = 0; i < 2 * 127 * len; i++) {
        char text[17];
        json_t *value;

        memcpy(text, around[i % 2], len);
        text[i / 2 % len] = (char)(i / 2 / len + 1);
        value = json_stringn(text, len);
        assert_non_null(value);
        buf_clear(&ours);
        buf_clear(&theirs);
        assert_int_equal(json_append_string(&ours, text, len), BUF_OK);
        assert_int_equal(json_write(value, &theirs, NULL), 0); /* Jansson's */
        assert_string_equal(ours.bytes, theirs.bytes);
        json_decref(value);
    }
    buf_close(&theirs);
    buf_close(&ours);
    assert_quoted(
        BYTES("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\x1f\xc3\xa4\"\xf0\x9f\x98\x80"),
        "\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\\u001F\xc3\xa4"
        "\\\"\xf0\x9f\x98\x80\"");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_text_sorts_keys_by_their_bytes),
        cmocka_unit_test(test_canonical_text_is_the_same_for_all_spellings),
        cmocka_unit_test(test_canonical_text_of_shuffled_members_is_one),
        cmocka_unit_test(test_a_real_number_has_no_canonical_text),
        cmocka_unit_test(test_plain_writing_keeps_the_order_of_insertion),
        cmocka_unit_test(test_a_text_that_does_not_fit_adds_nothing),
        cmocka_unit_test(test_a_string_is_escaped_only_where_json_demands_it),
        cmocka_unit_test(test_both_ways_of_writing_a_string_agree),
        cmocka_unit_test(test_each_byte_is_escaped_wherever_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
