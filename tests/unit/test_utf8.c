/*
 * test_utf8 - lib/text/utf8 against the tables of the Unicode Standard and
 * against every sequence of two bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "text/utf8.h"

#define FFFD "\xef\xbf\xbd"

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static int faults_after = -1;

void *
__wrap_realloc(void *old, size_t size)
{
    if (faults_after >= 0 && faults_after-- == 0)
        return NULL;
    return __real_realloc(old, size);
}

/* A literal as bytes and length, without its last NUL. */
#define BYTES(literal) literal, sizeof(literal) - 1

static void
assert_cleans(const char *bytes, size_t len, const char *want, size_t want_len)
{
    const bool clean = len == want_len && memcmp(bytes, want, len) == 0;
    bool cleaned = false;
    struct buf out;

    buf_init(&out, 1000);
    assert_int_equal(utf8_is_clean(bytes, len), clean);
    assert_int_equal(utf8_append_clean(&out, bytes, len, &cleaned), BUF_OK);
    assert_int_equal(cleaned, !clean);
    assert_int_equal(out.len, want_len);
    assert_memory_equal(buf_cstr(&out), want, want_len);
    buf_close(&out);
}

static void
test_well_formed_text_stays_byte_for_byte(void **state)
{
    (void)state;
    assert_cleans(BYTES(""), BYTES(""));
    assert_cleans(BYTES("plain\r\n\x7f"), BYTES("plain\r\n\x7f"));
    assert_cleans(BYTES("\xc2\x80\xdf\xbf"), BYTES("\xc2\x80\xdf\xbf"));
    assert_cleans(BYTES("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"),
                  BYTES("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"));
    assert_cleans(BYTES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
                  BYTES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    assert_cleans(BYTES(FFFD), BYTES(FFFD));
}

static void
test_a_nul_becomes_a_replacement_character(void **state)
{
    (void)state;
    assert_cleans(BYTES("a\0b"), BYTES("a" FFFD "b"));
    assert_cleans(BYTES("\0"), BYTES(FFFD));
}

/* The examples of section 3.9, tables 3-8 to 3-11. */
static void
test_each_maximal_ill_formed_part_becomes_one_character(void **state)
{
    (void)state;
    assert_cleans(BYTES("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"),
                  BYTES(FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A"));
    assert_cleans(BYTES("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41"),
                  BYTES(FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A"));
    assert_cleans(BYTES("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42"),
                  BYTES(FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B"));
    assert_cleans(BYTES("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"),
                  BYTES(FFFD FFFD FFFD FFFD "A"));
}

static void
test_a_character_cut_at_the_end_becomes_one_replacement(void **state)
{
    (void)state;
    assert_cleans(BYTES("a\xc3"), BYTES("a" FFFD));
    assert_cleans(BYTES("a\xe2\x82"), BYTES("a" FFFD));
    assert_cleans(BYTES("a\xf0\x9f\x98"), BYTES("a" FFFD));
}

static void
test_two_bytes_are_one_character_only_in_the_one_legal_block(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            const char pair[] = { (char)first, (char)second };
            const bool ascii =
                first > 0 && first < 128 && second > 0 && second < 128;
            const bool latin =
                first >= 0xc2 && first < 0xe0 && second >> 6 == 2;

            assert_int_equal(utf8_is_clean(pair, 2), ascii || latin);
        }
    }
}

static void
test_cleaned_is_left_alone_by_clean_text(void **state)
{
    bool cleaned = true;
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    assert_int_equal(utf8_append_clean(&out, "a", 1, &cleaned), BUF_OK);
    assert_true(cleaned);
    buf_close(&out);
}

static void
test_an_append_that_does_not_fit_adds_nothing(void **state)
{
    bool cleaned = false;
    struct buf out;

    (void)state;
    buf_init(&out, 5);
    assert_int_equal(buf_append_str(&out, "x"), BUF_OK);
    assert_int_equal(utf8_append_clean(&out, "ab\xff", 3, &cleaned), BUF_FULL);
    assert_string_equal(buf_cstr(&out), "x");
    assert_false(cleaned);
    assert_int_equal(utf8_append_clean(&out, "a\xff", 2, &cleaned), BUF_OK);
    assert_string_equal(buf_cstr(&out), "xa" FFFD);
    assert_true(cleaned);
    buf_close(&out);
}

static void
test_characters_are_counted_and_not_bytes(void **state)
{
    (void)state;
    assert_int_equal(utf8_count(BYTES("")), 0);
    assert_int_equal(utf8_count(BYTES("abc")), 3);
    assert_int_equal(utf8_count(BYTES("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")),
                     3);
}

static void
test_a_cut_falls_between_characters(void **state)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
    static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11 };

    (void)state;
    for (size_t len = 0; len < sizeof(text); len++)
        assert_int_equal(utf8_cut(text, len), want[len]);
    assert_int_equal(utf8_cut("\x82\xac", 2), 0);
}

static void
test_every_allocation_may_fail(void **state)
{
    int round;

    (void)state;
    for (round = 0; round < 10; round++) {
        enum buf_status status;
        bool cleaned = false;
        char bad[300];
        struct buf out;

        memset(bad, 0xff, sizeof(bad));
        buf_init(&out, 1000);
        faults_after = round;
        status = utf8_append_clean(&out, bad, sizeof(bad), &cleaned);
        faults_after = -1;
        assert_int_equal(cleaned, status == BUF_OK);
        assert_int_equal(out.len, status == BUF_OK ? 900 : 0);
        buf_close(&out);
        if (status == BUF_OK)
            break;
        assert_int_equal(status, BUF_NOMEM);
    }
    assert_in_range(round, 1, 9);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed_text_stays_byte_for_byte),
        cmocka_unit_test(test_a_nul_becomes_a_replacement_character),
        cmocka_unit_test(
            test_each_maximal_ill_formed_part_becomes_one_character),
        cmocka_unit_test(
            test_a_character_cut_at_the_end_becomes_one_replacement),
        cmocka_unit_test(
            test_two_bytes_are_one_character_only_in_the_one_legal_block),
        cmocka_unit_test(test_cleaned_is_left_alone_by_clean_text),
        cmocka_unit_test(test_an_append_that_does_not_fit_adds_nothing),
        cmocka_unit_test(test_characters_are_counted_and_not_bytes),
        cmocka_unit_test(test_a_cut_falls_between_characters),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
