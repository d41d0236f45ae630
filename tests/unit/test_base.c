/* test_base.c - the base layer: err, clock, arena, buf, str, uuid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/uuid.h"

/* ---- allocations that fail on demand (ld --wrap) ------------------------- */

static int faults_after = -1; /* -1: none; else this many succeed first */

void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static int
fails_now(void)
{
    return faults_after == 0 || (faults_after > 0 && faults_after-- == 0);
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *memory, size_t size)
{
    return fails_now() ? NULL : __real_realloc(memory, size);
}

/* ---- err ----------------------------------------------------------------- */

static void
test_the_first_error_is_kept(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(err_set(&err, ERR_LIMIT, "too many: %d", 3), -1);
    assert_int_equal(err_set(&err, ERR_SYSTEM, "later"), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_string_equal(err.text, "too many: 3");
    assert_int_equal(err_set(NULL, ERR_SYSTEM, "nobody listens"), -1);
}

static void
test_an_errno_ends_the_text_and_survives(void **state)
{
    struct err err = { 0 };

    (void)state;
    errno = ENOENT;
    assert_int_equal(err_set_errno(&err, ERR_SYSTEM, "open %s", "x"), -1);
    assert_string_equal(err.text, "open x: No such file or directory");
    assert_int_equal(errno, ENOENT);
}

static void
test_a_prefix_says_where(void **state)
{
    struct err err = { 0 };

    (void)state;
    err_prefix(&err, "nothing");
    assert_string_equal(err.text, "");
    err_set(&err, ERR_INVALID, "bad value");
    err_prefix(&err, "file:%d", 12);
    assert_string_equal(err.text, "file:12: bad value");
}

/* ---- clock --------------------------------------------------------------- */

static void
test_what_is_left_is_never_negative_and_fits_poll(void **state)
{
    const int64_t begin_ms = clock_mono_ms();
    const int left_ms = clock_left_ms(begin_ms + 60000);

    (void)state;
    assert_in_range(left_ms, begin_ms + 60000 - clock_mono_ms(), 60000);
    assert_int_equal(clock_left_ms(begin_ms - 1000), 0);
    assert_int_equal(clock_left_ms(INT64_MAX), INT32_MAX);
}

static void
test_utc_is_rfc_3339_with_microseconds(void **state)
{
    char text[CLOCK_UTC_LEN];

    (void)state;
    clock_format_utc(1700000000000042, text);
    assert_string_equal(text, "2023-11-14T22:13:20.000042Z");
    clock_format_utc(951827696987654, text);
    assert_string_equal(text, "2000-02-29T12:34:56.987654Z");
    clock_format_utc(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
}

/* ---- arena --------------------------------------------------------------- */

static void
test_a_date_of_http_is_read_whole_or_not(void **state)
{
    int64_t unix_s = 7;

    (void)state;
    assert_int_equal(str_to_unix_s("Sun, 06 Nov 1994 08:49:37", &unix_s), -1);
    assert_int_equal(str_to_unix_s("Sun, 06 Nov 1994 08:49:37 GMT+1", &unix_s),
                     -1);
    assert_int_equal(str_to_unix_s("", &unix_s), -1);
    assert_int_equal(unix_s, 7);
    assert_int_equal(str_to_unix_s(" Sun, 06 Nov 1994 08:49:37 GMT ", &unix_s),
                     0);
    assert_int_equal(unix_s, 784111777);
}

static void
test_an_arena_hands_out_zeroes_also_after_a_reset(void **state)
{
    struct arena arena;
    char *bytes;

    (void)state;
    arena_init(&arena, 100000);
    bytes = arena_alloc(&arena, 100);
    assert_non_null(bytes);
    memset(bytes, 'x', 100);
    arena_reset(&arena);
    bytes = arena_alloc(&arena, 100);
    assert_non_null(bytes);
    for (int i = 0; i < 100; i++)
        assert_int_equal(bytes[i], 0);
    assert_string_equal(arena_printf(&arena, "%s-%d", "a", 7), "a-7");
    assert_string_equal(arena_strndup(&arena, "abcdef", 3), "abc");
    assert_string_equal(arena_strdup(&arena, ""), "");
    arena_close(&arena);
    arena_close(&arena);
}

static void
test_an_arena_stops_at_its_maximum_and_recovers(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 20000);
    assert_non_null(arena_alloc(&arena, 15000));
    assert_null(arena_alloc(&arena, 15000));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 15000));
    arena_close(&arena);
}

static void
test_arena_memory_is_aligned_for_any_type(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 100000);
    for (size_t len = 1; len < 40; len++)
        assert_int_equal(
            (uintptr_t)arena_alloc(&arena, len) % _Alignof(max_align_t), 0);
    arena_close(&arena);
}

/* ---- buf ----------------------------------------------------------------- */

static void
test_a_buffer_grows_to_its_maximum_and_no_further(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    assert_string_equal(buf_cstr(&buf), "");
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_append(&buf, "y", 1), BUF_OK);
    assert_int_equal(buf_append(&buf, "y", 1), BUF_FULL);
    assert_int_equal(buf_printf(&buf, "%d", 1), BUF_FULL);
    assert_null(buf_reserve(&buf, 1));
    assert_int_equal(buf.len, 1000);
    assert_int_equal(strlen(buf_cstr(&buf)), 1000);
    buf_close(&buf);
    buf_close(&buf);
}

static void
test_a_buffer_that_could_not_grow_is_an_error_with_its_reason(void **state)
{
    struct err err = { 0 };
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    assert_int_equal(buf_error(&buf, BUF_OK, "a page", &err), 0);
    assert_int_equal(err.kind, ERR_NONE);
    assert_int_equal(buf_error(&buf, BUF_FULL, "a page", &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_string_equal(err.text, "a page longer than 1000 bytes");
    err = (struct err){ 0 };
    assert_int_equal(buf_error(&buf, BUF_NOMEM, "a page", &err), -1);
    assert_int_equal(err.kind, ERR_NOMEM);
    assert_string_equal(err.text, "no memory for a page");
}

static void
test_a_buffer_is_consumed_from_the_front(void **state)
{
    struct buf buf;
    char *room;

    (void)state;
    buf_init(&buf, 1000);
    assert_int_equal(buf_append_str(&buf, "abcdef"), BUF_OK);
    buf_consume(&buf, 2);
    assert_string_equal(buf_cstr(&buf), "cdef");
    buf_truncate(&buf, 3);
    assert_string_equal(buf_cstr(&buf), "cde");
    room = buf_reserve(&buf, 2);
    assert_non_null(room);
    memcpy(room, "XY", 2);
    buf_commit(&buf, 2);
    assert_string_equal(buf_cstr(&buf), "cdeXY");
    buf_consume(&buf, 5);
    assert_string_equal(buf_cstr(&buf), "");
    buf_close(&buf);
}

static void
test_shrinking_gives_large_memory_back_and_keeps_small(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100000);
    assert_int_equal(buf_printf(&buf, "%*d", 50000, 1), BUF_OK);
    buf_shrink(&buf, 1000);
    assert_int_equal(buf.capacity, 0);
    assert_int_equal(buf_append_str(&buf, "small"), BUF_OK);
    buf_shrink(&buf, 1000);
    assert_int_not_equal(buf.capacity, 0);
    assert_int_equal(buf.len, 0);
    buf_close(&buf);
}

static void
test_a_failed_allocation_leaves_the_buffer_as_it_was(void **state)
{
    struct arena arena;
    struct buf buf;

    (void)state;
    buf_init(&buf, 100000);
    assert_int_equal(buf_append_str(&buf, "kept"), BUF_OK);
    arena_init(&arena, 100000);
    faults_after = 0;
    assert_int_equal(buf_printf(&buf, "%*d", 5000, 1), BUF_NOMEM);
    assert_null(arena_alloc(&arena, 10));
    faults_after = -1;
    assert_string_equal(buf_cstr(&buf), "kept");
    assert_non_null(arena_alloc(&arena, 10));
    arena_close(&arena);
    buf_close(&buf);
}

/* ---- str ----------------------------------------------------------------- */

static void
test_garbage_is_no_number(void **state)
{
    static const char *const bad[] = { "",    " 1",   "1 ",
                                       "1x",  "x",    "+1",
                                       "--1", "0x10", "99999999999999999999",
                                       "1e3", "101",  "-1" };
    int64_t value = 42;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(str_to_int(bad[i], 0, 100, &value), -1);
    assert_int_equal(value, 42);
    assert_int_equal(str_to_int("100", 0, 100, &value), 0);
    assert_int_equal(value, 100);
    assert_int_equal(str_to_int("-7", -10, 0, &value), 0);
    assert_int_equal(value, -7);
}

static void
test_seconds_become_milliseconds_rounded_up(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = { { "5", 5000 },   { "0.25", 250 },    { "0", 0 },
                 { "0.0001", 1 }, { "1.0000", 1000 }, { "36.429760048", 36430 },
                 { "2.5", 2500 }, { "0.999", 999 },   { "10.0010", 10001 } };
    static const char *const bad[] = { "",    ".5", "5.",
                                       "1,5", "-1", "1e3",
                                       "nan", "5s", "99999999999999999999" };
    int64_t value;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(str_to_ms(good[i].text, 0, 100000, &value), 0);
        assert_int_equal(value, good[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(str_to_ms(bad[i], 0, 100000, &value), -1);
    assert_int_equal(str_to_ms("101", 0, 100000, &value), -1);
}

static void
test_booleans_have_eight_words(void **state)
{
    bool value;

    (void)state;
    assert_int_equal(str_to_bool("YES", &value), 0);
    assert_true(value);
    assert_int_equal(str_to_bool("off", &value), 0);
    assert_false(value);
    assert_int_equal(str_to_bool("maybe", &value), -1);
    assert_int_equal(str_to_bool("", &value), -1);
}

static void
test_whole_numbers_become_text(void **state)
{
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { 7, "7" },
        { -7, "-7" },
        { 1000, "1000" },
        { INT64_MAX, "9223372036854775807" },
        { INT64_MIN, "-9223372036854775808" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[STR_INT_SIZE];
        struct buf buf;

        assert_int_equal(str_from_int(cases[i].value, text),
                         strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
        buf_init(&buf, STR_INT_SIZE);
        assert_int_equal(buf_append_int(&buf, cases[i].value), BUF_OK);
        assert_string_equal(buf_cstr(&buf), cases[i].text);
        buf_close(&buf);
    }
}

static void
test_an_empty_text_gives_way_to_the_other(void **state)
{
    (void)state;
    assert_string_equal(str_or("own", "other"), "own");
    assert_string_equal(str_or("", "other"), "other");
}

static void
test_visible_is_ascii_without_blanks(void **state)
{
    (void)state;
    assert_true(str_is_visible(""));
    assert_true(str_is_visible("!09AZaz~"));
    assert_false(str_is_visible("a b"));
    assert_false(str_is_visible("a\n"));
    assert_false(str_is_visible("\x7f"));
    assert_false(str_is_visible("\xc3\xa4"));
}

static void
test_hex_goes_there_and_back(void **state)
{
    const uint8_t bytes[] = { 0x00, 0x7f, 0xff, 0x1a };
    uint8_t back[4];
    char hex[9];

    (void)state;
    str_to_hex(bytes, sizeof(bytes), hex);
    assert_string_equal(hex, "007fff1a");
    assert_int_equal(str_from_hex("007FfF1a", back, 4), 0);
    assert_memory_equal(back, bytes, 4);
    assert_int_equal(str_from_hex("007fff1", back, 4), -1);
    assert_int_equal(str_from_hex("007fff1g", back, 4), -1);
}

static void
test_secrets_are_equal_only_when_every_byte_is(void **state)
{
    (void)state;
    assert_true(str_equals_secret("abcd", "abcd", 4));
    assert_false(str_equals_secret("abcd", "abce", 4));
    assert_false(str_equals_secret("xbcd", "abcd", 4));
    assert_true(str_equals_secret("a", "b", 0));
}

/* ---- uuid ---------------------------------------------------------------- */

static void
test_a_new_uuid_is_version_7_and_sorts_by_time(void **state)
{
    const uint64_t before_ms = (uint64_t)clock_unix_us() / 1000;
    uint64_t stamp_ms = 0;
    struct uuid first;
    struct uuid second;
    char text[UUID_TEXT_LEN];

    (void)state;
    assert_int_equal(uuid_v7_new(&first, NULL), 0);
    assert_int_equal(uuid_v7_new(&second, NULL), 0);
    assert_memory_not_equal(&first, &second, sizeof(first));
    for (int i = 0; i < 6; i++)
        stamp_ms = stamp_ms << 8 | first.bytes[i];
    assert_in_range(stamp_ms, before_ms, (uint64_t)clock_unix_us() / 1000);
    uuid_format(&first, text);
    assert_int_equal(strlen(text), 36);
    assert_int_equal(text[14], '7');
    assert_non_null(strchr("89ab", text[19]));
}

static void
test_uuid_text_goes_there_and_back(void **state)
{
    static const char *const bad[] = {
        "",
        "0197f7a0-0000-7000-8000-00000000000",
        "0197f7a0-0000-7000-8000-0000000000011",
        "0197f7a000000-7000-8000-000000000001",
        "0197f7a0-0000-7000-8000-00000000000g",
    };
    struct uuid uuid;
    char text[UUID_TEXT_LEN];

    (void)state;
    assert_int_equal(uuid_parse("0197F7a0-0000-7000-8000-000000000001", &uuid),
                     0);
    uuid_format(&uuid, text);
    assert_string_equal(text, "0197f7a0-0000-7000-8000-000000000001");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(uuid_parse(bad[i], &uuid), -1);
}

static void
test_a_uuid_is_another_when_any_byte_is(void **state)
{
    const struct uuid nil = { { 0 } };

    (void)state;
    assert_true(uuid_is_nil(&nil));
    assert_true(uuid_equals(&nil, &nil));
    for (size_t i = 0; i < sizeof(nil.bytes); i++) {
        struct uuid other = nil;

        other.bytes[i] = 1;
        assert_false(uuid_is_nil(&other));
        assert_false(uuid_equals(&other, &nil));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_error_is_kept),
        cmocka_unit_test(test_an_errno_ends_the_text_and_survives),
        cmocka_unit_test(test_a_prefix_says_where),
        cmocka_unit_test(test_what_is_left_is_never_negative_and_fits_poll),
        cmocka_unit_test(test_utc_is_rfc_3339_with_microseconds),
        cmocka_unit_test(test_a_date_of_http_is_read_whole_or_not),
        cmocka_unit_test(test_an_arena_hands_out_zeroes_also_after_a_reset),
        cmocka_unit_test(test_an_arena_stops_at_its_maximum_and_recovers),
        cmocka_unit_test(test_arena_memory_is_aligned_for_any_type),
        cmocka_unit_test(test_a_buffer_grows_to_its_maximum_and_no_further),
        cmocka_unit_test(
            test_a_buffer_that_could_not_grow_is_an_error_with_its_reason),
        cmocka_unit_test(test_a_buffer_is_consumed_from_the_front),
        cmocka_unit_test(
            test_shrinking_gives_large_memory_back_and_keeps_small),
        cmocka_unit_test(test_a_failed_allocation_leaves_the_buffer_as_it_was),
        cmocka_unit_test(test_garbage_is_no_number),
        cmocka_unit_test(test_seconds_become_milliseconds_rounded_up),
        cmocka_unit_test(test_booleans_have_eight_words),
        cmocka_unit_test(test_whole_numbers_become_text),
        cmocka_unit_test(test_an_empty_text_gives_way_to_the_other),
        cmocka_unit_test(test_visible_is_ascii_without_blanks),
        cmocka_unit_test(test_hex_goes_there_and_back),
        cmocka_unit_test(test_secrets_are_equal_only_when_every_byte_is),
        cmocka_unit_test(test_a_new_uuid_is_version_7_and_sorts_by_time),
        cmocka_unit_test(test_uuid_text_goes_there_and_back),
        cmocka_unit_test(test_a_uuid_is_another_when_any_byte_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
