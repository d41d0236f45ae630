#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "ledger/canon.h"
#include "ledger/columns.h"
#include "text/json.h"

/* In memory of its own size, so that reading beyond it shows. */
static bool
is_canonical(const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    struct canon in;
    bool failed;

    assert_non_null(copy);
    copy = realloc(copy, len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    canon_init(&in, copy, len);
    canon_skip(&in);
    canon_end(&in);
    failed = canon_failed(&in);
    free(copy);
    return !failed;
}

static void
test_canonical_texts_are_read(void **state)
{
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "\"\"",
        "\"a\\\"\\\\\\n\\u0001\\u001F\"",
        "[]",
        "[1,[],{}]",
        "{}",
        "{\"a\":1,\"aa\":2,\"b\":[null]}",
        "\"\xc3\xa4\xe2\x80\xa8\x7f\"",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!is_canonical(texts[i], strlen(texts[i])))
            fail_msg("%s", texts[i]);
}

static void
test_everything_else_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        " 1",
        "1 ",
        "01",
        "-0",
        "+1",
        "1.5",
        "1e3",
        "nul",
        "truE",
        "9223372036854775808",
        "-9223372036854775809",
        "\"",
        "\"\\\"",
        "\"\\/\"",
        "\"\\u0041\"",
        "\"\\u0000\"",
        "\"\\u000a\"",
        "\"\\u000A\"",
        "\"\\u001f\"",
        "\"\\x\"",
        "\"a\nb\"",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 ,2]",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"b\":1,\"a\":2}",
        "{\"a\":1,\"a\":1}",
        "{\"a\" :1}",
        "{a:1}",
        "{\"\\n\":1}",
        "1,2",
        "[1]]",
        "\"\\u00",
        "-",
        "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", /* too deep */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (is_canonical(texts[i], strlen(texts[i])))
            fail_msg("%s", texts[i]);
}

static void
test_what_our_writer_writes_is_read_back(void **state)
{
    char every[256];
    struct canon in;
    struct canon_text text;
    struct buf out;
    char back[256];

    (void)state;
    for (int i = 1; i < 128; i++)
        every[i - 1] = (char)i;
    every[127] = '\0';
    buf_init(&out, 4096);
    assert_int_equal(json_append_string(&out, every, 127), BUF_OK);
    canon_init(&in, out.bytes, out.len);
    canon_string(&in, &text);
    canon_end(&in);
    assert_false(canon_failed(&in));
    assert_true(text.escaped);
    assert_int_equal(canon_unescape(&text, back), 127);
    assert_memory_equal(back, every, 127);
    buf_close(&out);
}

static void
test_cut_and_changed_texts_never_do_harm(void **state)
{
    static const char text[] =
        "{\"a\":[1,{\"b\":\"x\\n\\u0001\"},null],\"c\":-12,\"d\":true}";
    const size_t len = sizeof(text) - 1;
    unsigned seed = 7;

    (void)state;
    assert_true(is_canonical(text, len));
    for (size_t cut = 0; cut < len; cut++)
        assert_false(is_canonical(text, cut));
    for (int round = 0; round < 20000; round++) {
        char copy[sizeof(text)];

        memcpy(copy, text, sizeof(text));
        copy[(size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
        copy[(size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
        is_canonical(copy, len);
    }
}

/* ---- columns ----------------------------------------------------------- */

static struct columns columns;

static int
read_columns(const char *body, struct err *err)
{
    return columns_read(&columns, body, strlen(body), err);
}

static void
test_columns_come_from_their_members(void **state)
{
    (void)state;
    assert_int_equal(
        read_columns("{\"flash\":{\"input_tokens\":1,\"latency_ms\":2,"
                     "\"output_tokens\":3,\"served_model\":\"q\\\"1\"},"
                     "\"idx\":5,\"pro\":null,"
                     "\"started_at\":\"1970-01-01T00:00:01.000002Z\","
                     "\"user_id\":null,\"v\":1}",
                     NULL),
        0);
    assert_int_equal(columns.at[COLUMN_FLASH_INPUT_TOKENS].number, 1);
    assert_int_equal(columns.at[COLUMN_FLASH_LATENCY_MS].number, 2);
    assert_int_equal(columns.at[COLUMN_FLASH_OUTPUT_TOKENS].number, 3);
    assert_int_equal(columns.at[COLUMN_FLASH_MODEL].len, 3);
    assert_memory_equal(columns.at[COLUMN_FLASH_MODEL].text, "q\"1", 3);
    assert_int_equal(columns.at[COLUMN_IDX].number, 5);
    assert_int_equal(columns.at[COLUMN_STARTED_AT].number, 1000002);
    assert_int_equal(columns.at[COLUMN_PRO_MODEL].type, COLUMN_NULL);
    assert_int_equal(columns.at[COLUMN_USER_ID].type, COLUMN_NULL);
    assert_int_equal(columns.format, 1);
}

static void
test_members_of_a_wrong_type_are_refused(void **state)
{
    static const char *const bodies[] = {
        "{\"idx\":\"1\"}",
        "{\"kind\":1}",
        "{\"flash\":[]}",
        "{\"recorded_at\":\"2026-01-31\"}",
        "{\"content\":{}}",
        "{\"content\":[{\"len\":1}]}",
        "{\"previous\":{\"root\":\"00\"}}",
        "[]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct err err = { 0 };

        if (read_columns(bodies[i], &err) != -1 || err.kind != ERR_INVALID)
            fail_msg("%s", bodies[i]);
    }
}

static int
read_started_at(const char *text)
{
    char body[64];

    snprintf(body, sizeof(body), "{\"started_at\":\"%s\"}", text);
    return read_columns(body, NULL);
}

static void
test_times_are_exact_or_nothing(void **state)
{
    static const char *const wrong[] = {
        "2026-02-29T00:00:00.000000Z", "2026-13-01T00:00:00.000000Z",
        "2026-01-01T24:00:00.000000Z", "2026-01-01T00:00:60.000000Z",
        "2026-01-01 00:00:00.000000Z", "2026-01-01T00:00:00.00000aZ",
        "2026-01-01T00:00:00.000000z", "2026-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z", "",
    };
    char text[CLOCK_UTC_LEN];

    (void)state;
    for (int64_t at = 0; at < INT64_C(250000000000000000);
         at += INT64_C(7654321098765)) {
        clock_format_utc(at, text);
        assert_int_equal(read_started_at(text), 0);
        assert_true(columns.at[COLUMN_STARTED_AT].number == at);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (read_started_at(wrong[i]) != -1)
            fail_msg("%s", wrong[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_texts_are_read),
        cmocka_unit_test(test_everything_else_is_refused),
        cmocka_unit_test(test_what_our_writer_writes_is_read_back),
        cmocka_unit_test(test_cut_and_changed_texts_never_do_harm),
        cmocka_unit_test(test_columns_come_from_their_members),
        cmocka_unit_test(test_members_of_a_wrong_type_are_refused),
        cmocka_unit_test(test_times_are_exact_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
