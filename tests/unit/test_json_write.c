/*
 * test_json_write - lib/text/json: texts and strings.
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
    assert_int_equal(json_write(value, &theirs, NULL), 0);
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
        cmocka_unit_test(test_plain_writing_keeps_the_order_of_insertion),
        cmocka_unit_test(test_a_text_that_does_not_fit_adds_nothing),
        cmocka_unit_test(test_a_string_is_escaped_only_where_json_demands_it),
        cmocka_unit_test(test_both_ways_of_writing_a_string_agree),
        cmocka_unit_test(test_each_byte_is_escaped_wherever_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
