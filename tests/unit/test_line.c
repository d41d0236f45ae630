/* test_line.c - entries as lines: byte for byte there and back, and hostile
 * lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "ledger/line.h"
#include "text/json.h"

#define TEXT "quotes \" \\ \n\ttab =HYPERLINK( \xe2\x80\xa8 \xf0\x9f\x98\x80"

#define FACTS \
    "{\"started_at\":\"2026-01-31T23:59:59.123456Z\"," \
    "\"user_id\":\"some \\\"one\\\"\\n\"}"

static struct seal seal;
static struct buf out;
static struct line line;
static const struct entry_content parts[] = {
    { .part = ENTRY_PART_QUERY, .bytes = TEXT, .len = sizeof(TEXT) - 1 },
    { .part = ENTRY_PART_PRO, .bytes = NULL, .len = 0, .cleaned = true },
};

static int
set_up(void **state)
{
    struct entry_record record = { .kind = ENTRY_ACCEPTED,
                                   .facts = FACTS,
                                   .facts_len = strlen(FACTS),
                                   .parts = parts,
                                   .part_count = ARRAY_LEN(parts) };
    struct seal_place place = { .idx = 41, .recorded_unix_us = 1234567 };
    int result;

    (void)state;
    if (uuid_v7_new(&record.run_id, NULL) == -1 ||
        uuid_v7_new(&place.log_id, NULL) == -1)
        return -1;
    seal_init(&seal);
    buf_init(&out, 1 << 20);
    line_init(&line);
    result = seal_record(&seal, &record, &place, NULL);
    return result == 0 ? line_append(&out, &seal, NULL) : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    line_close(&line);
    buf_close(&out);
    seal_close(&seal);
    return 0;
}

static int
read_again(struct err *err)
{
    return line_read(&line, out.bytes, out.len - 1, err);
}

static void
test_an_entry_comes_back_byte_for_byte(void **state)
{
    const struct seal *back = &line.seal;

    (void)state;
    assert_int_equal(out.bytes[out.len - 1], '\n');
    assert_null(memchr(out.bytes, '\n', out.len - 1));
    for (int round = 0; round < 2; round++) {
        struct err err = { 0 };

        if (read_again(&err) == -1)
            fail_msg("%s", err.text);
        assert_int_equal(back->kind, ENTRY_ACCEPTED);
        assert_memory_equal(&back->run_id, &seal.run_id, sizeof(seal.run_id));
        assert_memory_equal(&back->place, &seal.place, sizeof(seal.place));
        assert_int_equal(back->body.len, seal.body.len);
        assert_memory_equal(back->body.bytes, seal.body.bytes, seal.body.len);
        assert_memory_equal(back->leaf_hash, seal.leaf_hash, ENTRY_HASH_LEN);
        assert_int_equal(back->part_count, 2);
        assert_memory_equal(back->salts[1], seal.salts[1], ENTRY_SALT_LEN);
        assert_int_equal(back->parts[0].len, sizeof(TEXT) - 1);
        assert_memory_equal(back->parts[0].bytes, TEXT, sizeof(TEXT) - 1);
        assert_int_equal(back->parts[1].part, ENTRY_PART_PRO);
        assert_int_equal(back->parts[1].len, 0);
    }
}

static void
test_an_entry_about_the_log_has_no_run(void **state)
{
    static const struct uuid none = { { 0 } };
    const struct entry_record record = { .kind = ENTRY_LOG_CLOSED,
                                         .facts = "{}",
                                         .facts_len = 2 };
    struct seal_place place = { .idx = 2 };

    (void)state;
    assert_int_equal(seal_record(&seal, &record, &place, NULL), 0);
    buf_clear(&out);
    assert_int_equal(line_append(&out, &seal, NULL), 0);
    assert_int_equal(read_again(NULL), 0);
    assert_int_equal(line.seal.kind, ENTRY_LOG_CLOSED);
    assert_memory_equal(&line.seal.run_id, &none, sizeof(none));
}

static void
test_a_changed_byte_is_never_taken_for_the_entry(void **state)
{
    (void)state;
    for (size_t i = 0; i < out.len - 1; i++) {
        const char was = out.bytes[i];

        out.bytes[i] = was == 'a' ? 'b' : 'a';
        assert_int_equal(read_again(NULL), -1);
        out.bytes[i] = was;
    }
    assert_int_equal(read_again(NULL), 0);
}

static void
test_a_cut_line_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < out.len - 1; len++)
        assert_int_equal(line_read(&line, out.bytes, len, NULL), -1);
}

static void
expect_refused(json_t *json)
{
    struct err err = { 0 };

    buf_clear(&out);
    assert_int_equal(json_write(json, &out, NULL), 0);
    assert_int_equal(line_read(&line, out.bytes, out.len, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
}

static void
test_texts_that_the_body_does_not_speak_of_are_refused(void **state)
{
    json_t *json = json_loadb(out.bytes, out.len, 0, NULL);
    json_t *content = json_object_get(json, "content");

    (void)state;
    json_object_set_new(json_array_get(content, 1), "part",
                        json_string("flash"));
    expect_refused(json);
    json_object_set_new(json_array_get(content, 1), "part",
                        json_string("query")); /* twice */
    expect_refused(json);
    json_decref(json);
}

static void
test_a_text_may_be_missing(void **state)
{
    json_t *json = json_loadb(out.bytes, out.len, 0, NULL);

    (void)state;
    json_array_remove(json_object_get(json, "content"), 0);
    buf_clear(&out);
    assert_int_equal(json_write(json, &out, NULL), 0);
    assert_int_equal(line_read(&line, out.bytes, out.len, NULL), 0);
    assert_int_equal(line.seal.part_count, 1);
    json_decref(json);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_an_entry_comes_back_byte_for_byte),
        TEST(test_an_entry_about_the_log_has_no_run),
        TEST(test_a_changed_byte_is_never_taken_for_the_entry),
        TEST(test_a_cut_line_is_refused),
        TEST(test_texts_that_the_body_does_not_speak_of_are_refused),
        TEST(test_a_text_may_be_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
