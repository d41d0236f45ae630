/*
 * test_json - lib/text/json: reading good, mendable and hostile texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/canonical.h"
#include "text/json.h"

#define FFFD "\xef\xbf\xbd"

/* A literal as bytes and length, without its last NUL. */
#define BYTES(literal) literal, sizeof(literal) - 1

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static int faults_after = -1;

static bool
is_faulty(void)
{
    return faults_after >= 0 && faults_after-- == 0;
}

void *
__wrap_realloc(void *old, size_t size)
{
    return is_faulty() ? NULL : __real_realloc(old, size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return is_faulty() ? NULL : __real_calloc(count, size);
}

/* ---- helpers ------------------------------------------------------------ */

static void
assert_refused(const char *bytes, size_t len, enum err_kind kind)
{
    struct err err = { 0 };
    struct err lenient = { 0 };
    bool cleaned = false;

    assert_null(json_parse(bytes, len, 10, &err));
    assert_int_equal(err.kind, kind);
    assert_null(json_parse_lenient(bytes, len, 10, &cleaned, &lenient));
    assert_int_equal(lenient.kind, kind);
    assert_false(cleaned);
}

/* Refused by the strict parser; mended by the lenient one to want, which is
 * canonical. */
static void
assert_mended(const char *bytes, size_t len, const char *want)
{
    struct err err = { 0 };
    bool cleaned = false;
    json_t *value;
    char *text;

    assert_null(json_parse(bytes, len, 10, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    value = json_parse_lenient(bytes, len, 10, &cleaned, NULL);
    assert_non_null(value);
    assert_true(cleaned);
    text = json_dumps(value, CANONICAL);
    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
    json_decref(value);
}

/* Accepted by the strict parser; want is canonical. */
static void
assert_parsed(const char *text, const char *want)
{
    json_t *value = json_parse(text, strlen(text), 10, NULL);
    char *canonical;

    assert_non_null(value);
    canonical = json_dumps(value, CANONICAL);
    assert_non_null(canonical);
    assert_string_equal(canonical, want);
    free(canonical);
    json_decref(value);
}

static json_t *
nested(size_t depth, size_t max_depth, struct err *err)
{
    char *text = malloc(2 * depth);
    json_t *value;

    assert_non_null(text);
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    value = json_parse(text, 2 * depth, max_depth, err);
    free(text);
    return value;
}

/* ---- parsing ------------------------------------------------------------ */

static void
test_any_json_value_is_parsed(void **state)
{
    static const char *const texts[] = { "{}",  "[]",          "\"x\"",
                                         "42",  "null",        " true ",
                                         "1.5", "{\"a\":[{}]}" };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        bool cleaned = false;
        json_t *value = json_parse(texts[i], strlen(texts[i]), 10, NULL);

        assert_non_null(value);
        json_decref(value);
        value =
            json_parse_lenient(texts[i], strlen(texts[i]), 10, &cleaned, NULL);
        assert_non_null(value);
        assert_false(cleaned);
        json_decref(value);
    }
}

static void
test_what_is_not_json_is_refused_by_both_parsers(void **state)
{
    (void)state;
    assert_refused(NULL, 0, ERR_INVALID);
    assert_refused(BYTES("{"), ERR_INVALID);
    assert_refused(BYTES("{}x"), ERR_INVALID);
    assert_refused(BYTES("[1,]"), ERR_INVALID);
    assert_refused(BYTES("NaN"), ERR_INVALID);
    assert_refused(BYTES("1e999"), ERR_INVALID);
    assert_refused(BYTES("99999999999999999999"), ERR_INVALID);
    assert_refused(BYTES("\"\x01\""), ERR_INVALID);
    assert_refused(BYTES("\"\\"), ERR_INVALID);
    assert_refused(BYTES("\"\\u12\""), ERR_INVALID);
    assert_refused(BYTES("\"\\u00g0\""), ERR_INVALID);
    assert_refused(BYTES("\\ud83d"), ERR_INVALID);
    assert_refused(BYTES("\xef\xbb\xbf{}"), ERR_INVALID);
    assert_refused(BYTES("{}\0"), ERR_INVALID);
    assert_refused(BYTES("\xff{}"), ERR_INVALID);
}

static void
test_errors_tell_the_place_and_never_the_text(void **state)
{
    static const char text[] = "{\"patient\":\n  \"Ada\" \"Lovelace\"}";
    struct err err = { 0 };

    (void)state;
    assert_null(json_parse(text, strlen(text), 10, &err));
    assert_string_equal(err.text,
                        "bad JSON in line 2, column 18: syntax error");
}

static void
test_depth_is_counted_in_containers_and_limited(void **state)
{
    static const char quiet[] = "{\"[[[[\\\"[[[[\":\"]]]][[[[\"}";
    struct err err = { 0 };
    json_t *value = nested(5, 5, NULL);

    (void)state;
    assert_non_null(value);
    json_decref(value);
    assert_null(nested(6, 5, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    err = (struct err){ 0 };
    assert_null(nested(3000, 64, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    err = (struct err){ 0 };
    assert_null(nested(3000, 100000, &err)); /* Jansson's own limit */
    assert_int_equal(err.kind, ERR_LIMIT);
    value = json_parse(quiet, strlen(quiet), 1, NULL);
    assert_non_null(value);
    json_decref(value);
}

static void
test_siblings_do_not_add_to_the_depth(void **state)
{
    static const char text[] = "[[],{},[],{},[]]";
    json_t *value = json_parse(text, strlen(text), 2, NULL);

    (void)state;
    assert_non_null(value);
    json_decref(value);
}

static void
test_of_duplicate_keys_the_last_wins(void **state)
{
    (void)state;
    assert_parsed("{\"text\":\"a\",\"text\":\"b\"}", "{\"text\":\"b\"}");
}

/* ---- mending ------------------------------------------------------------ */

static void
test_lone_surrogates_become_replacement_characters(void **state)
{
    (void)state;
    assert_mended(BYTES("[\"a\\ud83d\"]"), "[\"a" FFFD "\"]");
    assert_mended(BYTES("[\"\\uDE00b\"]"), "[\"" FFFD "b\"]");
    assert_mended(BYTES("[\"\\ud83d\\u0041\"]"), "[\"" FFFD "A\"]");
    assert_mended(BYTES("[\"\\ud83d\\n\"]"), "[\"" FFFD "\\n\"]");
    assert_mended(BYTES("[\"\\ude00\\ud83d\"]"), "[\"" FFFD FFFD "\"]");
    assert_mended(BYTES("{\"k\\ud83d\":1}"), "{\"k" FFFD "\":1}");
}

static void
test_whole_pairs_survive_beside_lone_surrogates(void **state)
{
    (void)state;
    assert_parsed("[\"\\ud83d\\ude00\"]", "[\"\xf0\x9f\x98\x80\"]");
    assert_mended(BYTES("[\"\\ud83d\\ud83d\\ude00\\ude00\"]"),
                  "[\"" FFFD "\xf0\x9f\x98\x80" FFFD "\"]");
}

static void
test_escaped_nuls_become_replacement_characters(void **state)
{
    (void)state;
    assert_mended(BYTES("{\"a\\u0000\":\"\\u0000b\"}"),
                  "{\"a" FFFD "\":\"" FFFD "b\"}");
}

static void
test_an_escaped_backslash_before_u_is_no_escape(void **state)
{
    (void)state;
    assert_parsed("[\"\\\\u0000\\\\ud83d\"]", "[\"\\\\u0000\\\\ud83d\"]");
    assert_mended(BYTES("[\"\\\\u0000\\u0000\\\\\\u0000\\\\ud83d\"]"),
                  "[\"\\\\u0000" FFFD "\\\\" FFFD "\\\\ud83d\"]");
    assert_mended(BYTES("[\"\\\"\\u0000\\\"\",\"\\\\\",\"\\u0000\"]"),
                  "[\"\\\"" FFFD "\\\"\",\"\\\\\",\"" FFFD "\"]");
}

static void
test_invalid_utf8_becomes_replacement_characters(void **state)
{
    (void)state;
    assert_mended(BYTES("[\"a\xff\xe2\x82z\"]"), "[\"a" FFFD FFFD "z\"]");
    assert_mended(BYTES("[\"\xc0\xaf\\ud83d\"]"), "[\"" FFFD FFFD FFFD "\"]");
    assert_mended(BYTES("[\"a\0b\"]"), "[\"a" FFFD "b\"]");
}

static void
test_mending_leaves_other_faults_standing(void **state)
{
    (void)state;
    assert_refused(BYTES("[\"\\ud83d\",]"), ERR_INVALID);
    assert_refused(BYTES("[\"\xff\""), ERR_INVALID);
    assert_refused(BYTES("[\"\\u0000\"] [\"\\u0000\"]"), ERR_INVALID);
    assert_refused(BYTES("[[[[[[[[[[[\"\\u0000\"]]]]]]]]]]]"), ERR_LIMIT);
}

/* ---- reading ------------------------------------------------------------ */

static void
test_containers_and_scalars_are_counted(void **state)
{
    static const char text[] = "{\"a\":[1,2,{}],\"b\":null}";
    json_t *value = json_parse(text, strlen(text), 10, NULL);

    (void)state;
    assert_int_equal(json_count(value), 6);
    assert_int_equal(json_count(json_object_get(value, "b")), 1);
    json_decref(value);
}

static void
test_members_of_another_type_count_as_absent(void **state)
{
    static const char text[] = "{\"s\":\"x\",\"i\":-7,\"w\":12.0,\"r\":12.5,"
                               "\"h\":1e300,\"n\":null}";
    json_t *value = json_parse(text, strlen(text), 10, NULL);

    (void)state;
    assert_string_equal(json_get_string(value, "s"), "x");
    assert_null(json_get_string(value, "i"));
    assert_null(json_get_string(value, "absent"));
    assert_null(json_get_string(json_object_get(value, "s"), "s"));
    assert_null(json_get_string(NULL, "s"));
    assert_int_equal(json_get_int(value, "i", 1), -7);
    assert_int_equal(json_get_int(value, "w", 1), 12);
    assert_int_equal(json_get_int(value, "r", 1), 1);
    assert_int_equal(json_get_int(value, "h", 1), 1);
    assert_int_equal(json_get_int(value, "s", 1), 1);
    assert_int_equal(json_get_int(value, "n", 1), 1);
    assert_int_equal(json_get_int(value, "absent", 1), 1);
    json_decref(value);
}

/* ---- faults ------------------------------------------------------------- */

static void *
no_memory(size_t size)
{
    (void)size;
    return NULL;
}

static void
test_jansson_without_memory_is_no_fault_of_the_text(void **state)
{
    struct err err = { 0 };
    bool cleaned = false;
    json_t *value;
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    json_set_alloc_funcs(no_memory, free);
    assert_null(json_parse("[1]", 3, 10, &err));
    assert_int_equal(err.kind, ERR_NOMEM);
    err = (struct err){ 0 };
    assert_null(json_parse_lenient("[1]", 3, 10, &cleaned, &err));
    assert_int_equal(err.kind, ERR_NOMEM);
    json_set_alloc_funcs(malloc, free);
    value = json_parse("{\"a\":1}", 7, 10, NULL);
    json_set_alloc_funcs(no_memory, free);
    err = (struct err){ 0 };
    assert_int_equal(json_write(value, &out, &err), -1);
    assert_int_equal(err.kind, ERR_NOMEM);
    assert_int_equal(out.len, 0);
    json_set_alloc_funcs(malloc, free);
    json_decref(value);
    buf_close(&out);
}

static bool
round_trip(struct err *err)
{
    static const char text[] = "{\"a\":\"\\u0000\",\"b\":\"\xff\"}";
    bool cleaned = false;
    json_t *value = json_parse_lenient(text, strlen(text), 10, &cleaned, err);
    struct buf out;
    bool ok;

    buf_init(&out, 1000);
    ok = value != NULL && json_write(value, &out, err) == 0;
    if (!ok)
        assert_int_equal(out.len, 0);
    buf_close(&out);
    json_decref(value);
    return ok;
}

static void
test_every_allocation_may_fail(void **state)
{
    int round;

    (void)state;
    for (round = 0; round < 20; round++) {
        struct err err = { 0 };
        bool done;

        faults_after = round;
        done = round_trip(&err);
        faults_after = -1;
        assert_int_equal(err.kind, done ? ERR_NONE : ERR_NOMEM);
        if (done)
            break;
    }
    assert_in_range(round, 1, 19);
}

static void
test_integers_beyond_64_bits_are_read_when_nobody_writes_them(void **state)
{
    static const char text[] = "[99999999999999999999,-99999999999999999999,7]";
    bool cleaned = false;
    json_t *value;

    (void)state;
    assert_null(json_parse_lenient(text, strlen(text), 10, &cleaned, NULL));
    value = json_parse_inexact(text, strlen(text), 10, &cleaned, NULL);
    assert_non_null(value);
    assert_false(cleaned);
    assert_true(json_number_value(json_array_get(value, 0)) > 9.9e19);
    assert_true(json_number_value(json_array_get(value, 1)) < -9.9e19);
    assert_true(json_number_value(json_array_get(value, 2)) == 7);
    json_decref(value);
    value = json_parse_inexact("[\"\\ud83d\"]", 10, 10, &cleaned, NULL);
    assert_non_null(value);
    assert_true(cleaned);
    json_decref(value);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_integers_beyond_64_bits_are_read_when_nobody_writes_them),
        cmocka_unit_test(test_any_json_value_is_parsed),
        cmocka_unit_test(test_what_is_not_json_is_refused_by_both_parsers),
        cmocka_unit_test(test_errors_tell_the_place_and_never_the_text),
        cmocka_unit_test(test_depth_is_counted_in_containers_and_limited),
        cmocka_unit_test(test_siblings_do_not_add_to_the_depth),
        cmocka_unit_test(test_of_duplicate_keys_the_last_wins),
        cmocka_unit_test(test_lone_surrogates_become_replacement_characters),
        cmocka_unit_test(test_whole_pairs_survive_beside_lone_surrogates),
        cmocka_unit_test(test_escaped_nuls_become_replacement_characters),
        cmocka_unit_test(test_an_escaped_backslash_before_u_is_no_escape),
        cmocka_unit_test(test_invalid_utf8_becomes_replacement_characters),
        cmocka_unit_test(test_mending_leaves_other_faults_standing),
        cmocka_unit_test(test_containers_and_scalars_are_counted),
        cmocka_unit_test(test_members_of_another_type_count_as_absent),
        cmocka_unit_test(test_jansson_without_memory_is_no_fault_of_the_text),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
