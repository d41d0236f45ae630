/*
 * test_redact - lib/text/redact with sample rules and hostile texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "text/redact.h"

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static int faults_after = -1;

static int
is_fault(void)
{
    return faults_after >= 0 && faults_after-- == 0;
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return is_fault() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
    return is_fault() ? NULL : __real_realloc(old, size);
}

/* ---- helpers ------------------------------------------------------------ */

static const struct redact_rule samples[] = {
    { "credential", "(?i)\\bpassword\\s?[:=]\\s?(?<v>\\S{1,64})", "[SECRET]" },
    { "email", "\\b[\\w.+-]{1,64}@[\\w-]{1,63}(?:\\.[\\w-]{1,63}){1,8}",
      "[EMAIL]" },
    { "phone", "(?<!\\d)\\+?\\d(?:[ -]?\\d){6,14}(?!\\d)", "[PHONE]" },
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void
assert_redacts(const struct redact_rule *rules, size_t count, const char *text,
               const char *want)
{
    struct redactor *redactor = redact_new(rules, count, NULL);
    struct buf out;

    assert_non_null(redactor);
    buf_init(&out, 1000);
    for (int round = 0; round < 2; round++) { /* it keeps no state */
        assert_int_equal(
            redact_apply(redactor, text, strlen(text), &out, NULL, NULL), 0);
        assert_string_equal(buf_cstr(&out), want);
    }
    buf_close(&out);
    redact_free(redactor);
}

static void
assert_replaces(const char *pattern, const char *text, const char *want)
{
    const struct redact_rule rule = { "x", pattern, "#" };

    assert_redacts(&rule, 1, text, want);
}

static double
cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- replacing ---------------------------------------------------------- */

static void
test_each_find_becomes_its_placeholder(void **state)
{
    (void)state;
    assert_redacts(samples, SAMPLES,
                   "Write to ada@example.org or +44 20 7946 0958; "
                   "password: hunter2!",
                   "Write to [EMAIL] or [PHONE]; password: [SECRET]");
    assert_redacts(samples, SAMPLES, "a@b.c,d@e.f", "[EMAIL],[EMAIL]");
}

static void
test_text_without_finds_stays_byte_for_byte(void **state)
{
    static const char text[] = "\xc3\xa4 \xe2\x80\xa8 \xf0\x9f\x98\x80 12-34\n";

    (void)state;
    assert_redacts(samples, SAMPLES, text, text);
    assert_redacts(samples, SAMPLES, "", "");
    assert_redacts(samples, 0, "a@b.c", "a@b.c");
}

static void
test_finds_are_added_to_the_counts_of_their_rules(void **state)
{
    static const char text[] = "a@b.c d@e.f 1234567";
    struct redactor *redactor = redact_new(samples, SAMPLES, NULL);
    size_t counts[SAMPLES] = { 5, 0, 0 };
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (int round = 0; round < 2; round++)
        assert_int_equal(
            redact_apply(redactor, text, strlen(text), &out, counts, NULL), 0);
    assert_int_equal(counts[0], 5);
    assert_int_equal(counts[1], 4);
    assert_int_equal(counts[2], 2);
    buf_close(&out);
    redact_free(redactor);
}

static void
test_rules_apply_in_order_to_what_the_ones_before_left(void **state)
{
    static const struct redact_rule rules[] = { { "a", "a", "b" },
                                                { "b", "b", "c" },
                                                { "a", "a", "d" } };

    (void)state;
    assert_redacts(rules, 3, "aba", "ccc");
}

static void
test_only_the_group_v_is_replaced(void **state)
{
    (void)state;
    assert_replaces("id (?<v>\\d+);", "id 12;id 3; 4;", "id #;id #; 4;");
    assert_replaces("(x)(?<v>y)(z)", "xyzxyz", "x#zx#z");
}

static void
test_a_match_without_the_group_is_replaced_whole(void **state)
{
    (void)state;
    assert_replaces("id (?<v>\\d+)|secret", "id 12, secret", "id #, #");
}

static void
test_a_group_outside_the_match_is_replaced_once(void **state)
{
    (void)state;
    assert_replaces("(?<=(?<v>\\d))x", "1x2x", "#x#x");
    assert_replaces("x(?=(?<v>\\d\\d))", "x12x34", "x#x#");
    assert_replaces("(?<=(?<v>x))x", "xxx", "##x");
    assert_replaces("(?<=(?<v>..))x", "abxx", "##x");
    assert_replaces("\\w(?=(?<v>..))", "abcd", "a#d");
}

static void
test_a_match_of_nothing_is_none_and_does_not_loop(void **state)
{
    (void)state;
    assert_replaces("x*", "axxb", "a#b");
    assert_replaces("", "ab", "ab");
    assert_replaces("(?=a)", "aa", "aa");
    assert_replaces("a(?<v>x*)", "aax", "aa#");
    assert_replaces("\\b", "\xc3\xa4 b", "\xc3\xa4 b");
    assert_replaces("$", "a\n", "a\n");
}

static void
test_letters_of_all_scripts_are_letters(void **state)
{
    (void)state;
    assert_replaces("\\w+@\\w+", "\xc3\xa4\xe4\xbd\xa0@\xd0\xb6!", "#!");
    assert_replaces("(?i)\xc3\x84", "\xc3\xa4", "#");
    assert_replaces(".", "\xf0\x9f\x98\x80\xc3\xa4", "##");
    assert_replaces("\\d+", "\xd9\xa1\xd9\xa2", "#");
}

/* ---- failures ----------------------------------------------------------- */

static void
assert_fails(const struct redact_rule *rules, size_t count, const char *text,
             struct buf *out, enum err_kind kind)
{
    struct redactor *redactor = redact_new(rules, count, NULL);
    size_t counts[SAMPLES] = { 0 };
    struct err err = { 0 };

    assert_non_null(redactor);
    assert_int_equal(buf_append_str(out, "x"), BUF_OK);
    assert_int_equal(
        redact_apply(redactor, text, strlen(text), out, counts, &err), -1);
    assert_int_equal(err.kind, kind);
    assert_int_equal(out->len, 0);
    assert_int_equal(counts[0], 0);
    redact_free(redactor);
}

static void
test_a_catastrophic_pattern_fails_soon(void **state)
{
    static const char *const patterns[] = { "(a+)+$", "(?:a|aa)+$" };
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabab!";
    const double begin = cpu_seconds();

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct redact_rule rules[] = { { "fine", "!", "?" },
                                             { "x", patterns[i], "#" } };
        struct buf out;

        buf_init(&out, 1000);
        assert_fails(rules, 2, text, &out, ERR_LIMIT);
        buf_close(&out);
    }
    assert_true(cpu_seconds() - begin < 2);
}

static void
test_nesting_without_end_fails_soon(void **state)
{
    const struct redact_rule rule = { "x", "(?:(a)|b)*+c|(a(?2)?b?)!", "#" };
    const size_t len = 2 * 1024 * 1024;
    const double begin = cpu_seconds();
    char *text = malloc(len + 1);
    struct buf out;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', len);
    text[len - 1] = '!';
    text[len] = '\0';
    buf_init(&out, 2 * len);
    assert_fails(&rule, 1, text, &out, ERR_LIMIT);
    buf_close(&out);
    free(text);
    assert_true(cpu_seconds() - begin < 5);
}

static void
test_a_long_hostile_text_is_redacted_in_time(void **state)
{
    const size_t len = 1024 * 1024;
    const double begin = cpu_seconds();
    struct redactor *redactor = redact_new(samples, SAMPLES, NULL);
    char *text = malloc(len);
    struct buf out;

    (void)state;
    assert_non_null(redactor);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = i % 64 == 63 ? '@' : 'a';
    buf_init(&out, 2 * len);
    assert_int_equal(redact_apply(redactor, text, len, &out, NULL, NULL), 0);
    assert_int_equal(out.len, len);
    buf_close(&out);
    free(text);
    redact_free(redactor);
    assert_true(cpu_seconds() - begin < 10);
}

static void
test_a_result_that_does_not_fit_is_no_result(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 10);
    assert_fails(samples, SAMPLES, "a@b.c d@e.f", &out, ERR_LIMIT);
    assert_fails(samples, SAMPLES, "a@b.c 1234", &out, ERR_LIMIT);
    assert_fails(samples, SAMPLES, "12345678 a@b.c", &out, ERR_LIMIT);
    buf_close(&out);
}

static void
test_text_that_is_no_utf8_is_refused(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    assert_fails(samples, SAMPLES, "a@b.c \xff", &out, ERR_INVALID);
    assert_fails(samples, SAMPLES, "a@b.c \xe2\x82", &out, ERR_INVALID);
    buf_close(&out);
}

static void
assert_no_rule(const char *pattern, const char *want)
{
    const struct redact_rule rules[] = { { "fine", "x", "#" },
                                         { "bad", pattern, "#" } };
    struct err err = { 0 };

    assert_null(redact_new(rules, 2, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.text, want);
}

static void
test_a_pattern_that_does_not_compile_is_refused(void **state)
{
    (void)state;
    assert_no_rule("a(b", "redaction rule bad: missing closing parenthesis at "
                          "offset 3");
    assert_no_rule("(?J)(?<v>a)|(?<v>b)", "redaction rule bad: two groups v");
    assert_no_rule("\\C", "redaction rule bad: using \\C is disabled by the "
                          "application at offset 2");
    redact_free(NULL);
}

static void
test_every_allocation_may_fail(void **state)
{
    static const char text[] = "a@b.c";
    int round;

    (void)state;
    for (round = 0; round < 10; round++) {
        struct err err = { 0 };
        struct redactor *redactor;
        struct buf out;
        int done;

        buf_init(&out, 1000);
        faults_after = round;
        redactor = redact_new(samples, SAMPLES, &err);
        done = redactor != NULL && redact_apply(redactor, text, strlen(text),
                                                &out, NULL, &err) == 0;
        faults_after = -1;
        assert_int_equal(err.kind, done ? ERR_NONE : ERR_NOMEM);
        assert_string_equal(buf_cstr(&out), done ? "[EMAIL]" : "");
        buf_close(&out);
        redact_free(redactor);
        if (done)
            break;
    }
    assert_in_range(round, 1, 9);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_find_becomes_its_placeholder),
        cmocka_unit_test(test_text_without_finds_stays_byte_for_byte),
        cmocka_unit_test(test_finds_are_added_to_the_counts_of_their_rules),
        cmocka_unit_test(
            test_rules_apply_in_order_to_what_the_ones_before_left),
        cmocka_unit_test(test_only_the_group_v_is_replaced),
        cmocka_unit_test(test_a_match_without_the_group_is_replaced_whole),
        cmocka_unit_test(test_a_group_outside_the_match_is_replaced_once),
        cmocka_unit_test(test_a_match_of_nothing_is_none_and_does_not_loop),
        cmocka_unit_test(test_letters_of_all_scripts_are_letters),
        cmocka_unit_test(test_a_catastrophic_pattern_fails_soon),
        cmocka_unit_test(test_nesting_without_end_fails_soon),
        cmocka_unit_test(test_a_long_hostile_text_is_redacted_in_time),
        cmocka_unit_test(test_a_result_that_does_not_fit_is_no_result),
        cmocka_unit_test(test_text_that_is_no_utf8_is_refused),
        cmocka_unit_test(test_a_pattern_that_does_not_compile_is_refused),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
