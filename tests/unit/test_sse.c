/*
 * test_sse - lib/text/sse: what providers send, cut in every way, and frames of
 * our own read back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "text/sse.h"

/* A literal as bytes and length, without its last NUL. */
#define BYTES(literal) literal, sizeof(literal) - 1

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

/* ---- helpers ------------------------------------------------------------ */

static const struct sse_limits limits = {
    .max_line_bytes = 8 * 1024 * 1024,
    .max_event_bytes = 16 * 1024 * 1024,
    .max_raw_bytes = 64 * 1024,
};

/* Writes an item as one word: (name|data), #comment#, !error!; a ~ behind it
 * when it is unfinished. */
static int
record(void *arg, const struct sse_item *item)
{
    struct buf *seen = arg;
    const char *open = item->kind == SSE_EVENT     ? "("
                       : item->kind == SSE_COMMENT ? "#"
                                                   : "!";
    const char *close = item->kind == SSE_EVENT ? ")" : open;

    assert_int_equal(item->data[item->len], '\0');
    assert_int_equal(buf_append_str(seen, open), BUF_OK);
    assert_int_equal(buf_append_str(seen, item->name), BUF_OK);
    if (item->kind == SSE_EVENT)
        assert_int_equal(buf_append_str(seen, "|"), BUF_OK);
    assert_int_equal(buf_append(seen, item->data, item->len), BUF_OK);
    assert_int_equal(buf_append_str(seen, close), BUF_OK);
    if (item->unfinished)
        assert_int_equal(buf_append_str(seen, "~"), BUF_OK);
    return 0;
}

/* Feeds the stream in pieces of the length that next_piece() tells, and adds
 * the raw tail in angle brackets. */
static void
read_in_pieces(const char *bytes, size_t len, size_t (*next_piece)(void),
               struct buf *seen)
{
    struct sse_parser parser;

    sse_parser_init(&parser, &limits, record, seen);
    while (len > 0) {
        size_t piece = next_piece();
        char *copy;

        if (piece > len)
            piece = len;
        copy = malloc(piece); /* so that sanitizers see an over-read */
        assert_non_null(copy);
        memcpy(copy, bytes, piece);
        assert_int_equal(sse_parser_feed(&parser, copy, piece, NULL), 0);
        free(copy);
        bytes += piece;
        len -= piece;
    }
    assert_int_equal(sse_parser_end(&parser, NULL), 0);
    if (sse_parser_raw_tail(&parser)->len > 0)
        assert_int_equal(
            buf_printf(seen, "<%s>", buf_cstr(sse_parser_raw_tail(&parser))),
            BUF_OK);
    sse_parser_close(&parser);
}

static size_t
all_at_once(void)
{
    return SIZE_MAX;
}

static size_t
byte_by_byte(void)
{
    return 1;
}

static size_t
one_to_nine(void)
{
    return 1 + (size_t)rand() % 9;
}

static void
assert_reads(const char *bytes, size_t len, const char *want)
{
    static size_t (*const ways[])(void) = { all_at_once, byte_by_byte,
                                            one_to_nine };

    srand(1);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct buf seen;

        buf_init(&seen, 1000000);
        read_in_pieces(bytes, len, ways[i], &seen);
        assert_string_equal(buf_cstr(&seen), want);
        buf_close(&seen);
    }
}

static int
ignore(void *arg, const struct sse_item *item)
{
    size_t *count = arg;

    (void)item;
    ++*count;
    return 0;
}

static int
stop(void *arg, const struct sse_item *item)
{
    (void)ignore(arg, item);
    return -1;
}

/* ---- lines -------------------------------------------------------------- */

static void
test_lines_end_in_lf_cr_or_crlf(void **state)
{
    (void)state;
    assert_reads(BYTES("data: a\n\ndata: b\n\n"), "(|a)(|b)");
    assert_reads(BYTES("data: a\r\rdata: b\r\r"), "(|a)(|b)");
    assert_reads(BYTES("data: a\r\n\r\ndata: b\r\n\r\n"), "(|a)(|b)");
    assert_reads(BYTES("data: a\r\n\ndata: b\n\r\ndata: c\r\r\n"),
                 "(|a)(|b)(|c)");
}

static void
test_a_cr_lf_split_over_two_reads_is_one_line_end(void **state)
{
    struct sse_parser parser;
    struct buf seen;

    (void)state;
    buf_init(&seen, 1000);
    sse_parser_init(&parser, &limits, record, &seen);
    assert_int_equal(sse_parser_feed(&parser, "data: a\r", 8, NULL), 0);
    assert_int_equal(sse_parser_feed(&parser, "", 0, NULL), 0);
    assert_int_equal(sse_parser_feed(&parser, "\ndata: b\r", 9, NULL), 0);
    assert_string_equal(buf_cstr(&seen), "");
    assert_int_equal(sse_parser_feed(&parser, "\n\r", 2, NULL), 0);
    assert_string_equal(buf_cstr(&seen), "(|a\nb)"); /* without waiting */
    assert_int_equal(sse_parser_feed(&parser, "\n", 1, NULL), 0);
    assert_int_equal(sse_parser_end(&parser, NULL), 0);
    assert_string_equal(buf_cstr(&seen), "(|a\nb)");
    sse_parser_close(&parser);
    buf_close(&seen);
}

static void
test_an_lf_is_swallowed_only_right_behind_a_cr(void **state)
{
    (void)state;
    assert_reads(BYTES("data: a\rdata: b\n\ndata: c\n\n"), "(|a\nb)(|c)");
    assert_reads(BYTES("data: a\r\r\n\ndata: c\n\n"), "(|a)(|c)");
}

static void
test_one_byte_order_mark_is_skipped_at_the_start(void **state)
{
    (void)state;
    assert_reads(BYTES("\xef\xbb\xbf"
                       "data: a\n\n"),
                 "(|a)");
    assert_reads(BYTES("\xef\xbb\xbf\n"
                       "data: a\n\n"),
                 "(|a)");
    assert_reads(BYTES("\xef\xbb\xbf\xef\xbb\xbf"
                       "data: a\n\ndata: b\n\n"),
                 "(|b)");
    assert_reads(BYTES("\n\xef\xbb\xbf"
                       "data: a\n\n"),
                 "");
    assert_reads(BYTES("\xef\xbb\xbf"), "");
}

/* ---- fields ------------------------------------------------------------- */

static void
test_exactly_one_blank_is_removed_before_a_value(void **state)
{
    (void)state;
    assert_reads(BYTES("data:a\n\ndata: b\n\ndata:  c\n\ndata:\td\n\n"),
                 "(|a)(|b)(| c)(|\td)");
}

static void
test_data_lines_are_joined_by_lf(void **state)
{
    (void)state;
    assert_reads(BYTES("data: {\ndata:  \"a\": 1\ndata: }\n\n"),
                 "(|{\n \"a\": 1\n})");
    assert_reads(BYTES("data\ndata: x\ndata\n\n"), "(|\nx\n)");
}

static void
test_an_event_takes_its_name_from_its_last_event_field(void **state)
{
    (void)state;
    assert_reads(BYTES("event: a\nevent: b\ndata: 1\n\ndata: 2\n\n"),
                 "(b|1)(|2)");
    assert_reads(BYTES("event: ping\n\ndata: 2\n\n"), "(|2)");
}

static void
test_a_long_event_name_is_cut(void **state)
{
    char stream[300];
    char want[100];

    (void)state;
    snprintf(stream, sizeof(stream), "event: %0200d\ndata: x\n\n", 0);
    snprintf(want, sizeof(want), "(%063d|x)", 0);
    assert_reads(stream, strlen(stream), want);
}

static void
test_events_without_data_are_ignored(void **state)
{
    (void)state;
    assert_reads(BYTES("data:\n\nevent: ping\n\ndata\n\n\n\n\n"), "");
}

static void
test_comments_are_signs_of_life_and_no_events(void **state)
{
    (void)state;
    assert_reads(BYTES(":\n: ping\n\ndata: a\n:keepalive\ndata: b\n\n"),
                 "##"
                 "#ping#"
                 "#keepalive#"
                 "(|a\nb)");
}

static void
test_id_retry_and_unknown_fields_are_ignored(void **state)
{
    (void)state;
    assert_reads(BYTES("id: 7\nretry: 3000\nretry: x\nfoo: bar\nfoo\n"
                       " data: y\nDATA: z\ndata: a\n\n"),
                 "(|a)");
}

static void
test_an_error_field_is_told_at_once(void **state)
{
    (void)state;
    assert_reads(BYTES("data: a\nerror: {\"code\":500}\n\n"),
                 "!{\"code\":500}!(|a)");
    assert_reads(BYTES("error: {\"code\":500}"), "!{\"code\":500}!~");
}

/* ---- ends --------------------------------------------------------------- */

static void
test_what_the_end_cuts_off_is_unfinished(void **state)
{
    (void)state;
    assert_reads(BYTES("data: a\n\ndata: [DONE]"), "(|a)(|[DONE])~");
    assert_reads(BYTES("data: a\n\ndata: b\n"), "(|a)(|b)~");
    assert_reads(BYTES("data: a\n\n: x"), "(|a)#x#~");
    assert_reads(BYTES("data: a\n\ndat"), "(|a)");
    assert_reads(BYTES(""), "");
    assert_reads(BYTES("\r"), "");
}

/* ---- raw tail ----------------------------------------------------------- */

static void
test_raw_json_lines_become_the_tail(void **state)
{
    (void)state;
    assert_reads(BYTES("data: a\r\n\r\n{\r\n  \"error\": {\r\n"
                       "    \"code\": 503\r\n  }\r\n}"),
                 "(|a)<{\n  \"error\": {\n    \"code\": 503\n  }\n}\n>");
    assert_reads(BYTES("data: a\n\n[{\n  \"error\":\n  503\n}]\n"),
                 "(|a)<[{\n  \"error\":\n  503\n}]\n>");
}

static void
test_a_known_field_or_a_blank_line_ends_a_raw_block(void **state)
{
    (void)state;
    assert_reads(BYTES("12\n{\n34\ndata: a\n56\n\n}\n78\n\n90\n"),
                 "(|a)<{\n34\n}\n78\n>");
    assert_reads(BYTES("{\n: x\n56\n"), "#x#<{\n>");
}

static void
test_a_raw_tail_is_cut_at_its_maximum(void **state)
{
    const struct sse_limits tight = { 100, 100, 10 };
    struct sse_parser parser;
    size_t count = 0;

    (void)state;
    sse_parser_init(&parser, &tight, ignore, &count);
    assert_int_equal(
        sse_parser_feed(&parser, BYTES("{1234\n{67890\n{x\n"), NULL), 0);
    assert_int_equal(sse_parser_end(&parser, NULL), 0);
    assert_string_equal(buf_cstr(sse_parser_raw_tail(&parser)), "{1234\n{678");
    assert_int_equal(count, 0);
    sse_parser_close(&parser);
}

/* ---- splits ------------------------------------------------------------- */

static const char long_story[] =
    "\xef\xbb\xbf: hello\r\n\r\n"
    "data: {\"text\":\"\xf0\x9f\x98\x80\"}\r\n\r\n"
    "event: named\rdata: \xe4\xbd\xa0\xe5\xa5\xbd\r\r"
    "id: 1\nretry: 5\nfoo\ndata:  two\ndata: lines\r\n\n"
    ":\ndata\n\nerror: {\"code\":1}\n\r\n"
    "data: e\xcc\x81 \xe2\x80\xa8 \xe2\x80\x8f\n\n"
    "{\r\n  \"error\": {\r\n    503\r\n  }\r\n}\r\n"
    "event: last\ndata: [DONE]";

static const char long_story_read[] = "#hello#"
                                      "(|{\"text\":\"\xf0\x9f\x98\x80\"})"
                                      "(named|\xe4\xbd\xa0\xe5\xa5\xbd)"
                                      "(| two\nlines)"
                                      "##!{\"code\":1}!"
                                      "(|e\xcc\x81 \xe2\x80\xa8 \xe2\x80\x8f)"
                                      "(last|[DONE])~"
                                      "<{\n  \"error\": {\n    503\n  }\n}\n>";

static void
test_one_piece_and_single_bytes_give_the_same_items(void **state)
{
    (void)state;
    assert_reads(long_story, strlen(long_story), long_story_read);
}

static void
test_a_thousand_random_splits_give_the_same_items(void **state)
{
    (void)state;
    srand(20230);
    for (int round = 0; round < 1000; round++) {
        struct buf seen;

        buf_init(&seen, 10000);
        read_in_pieces(long_story, strlen(long_story), one_to_nine, &seen);
        assert_string_equal(buf_cstr(&seen), long_story_read);
        buf_close(&seen);
    }
}

static double
cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Quadratic time would take minutes for either. */
static void
test_a_hundred_thousand_events_take_linear_time(void **state)
{
    static const char event[] = "data: x\n\n";
    const size_t events = 100000;
    const double begin = cpu_seconds();
    char *stream = malloc(events * strlen(event) + 1);
    struct sse_parser parser;
    size_t count = 0;

    (void)state;
    assert_non_null(stream);
    for (size_t i = 0; i < events; i++)
        memcpy(stream + i * strlen(event), event, sizeof(event));
    sse_parser_init(&parser, &limits, ignore, &count);
    for (size_t i = 0; i < events * strlen(event); i++)
        assert_int_equal(sse_parser_feed(&parser, stream + i, 1, NULL), 0);
    assert_int_equal(count, events);
    assert_int_equal(
        sse_parser_feed(&parser, stream, events * strlen(event), NULL), 0);
    assert_int_equal(count, 2 * events);
    sse_parser_close(&parser);
    free(stream);
    assert_true(cpu_seconds() - begin < 5);
}

static void
test_a_line_of_megabytes_in_small_reads_takes_linear_time(void **state)
{
    const size_t len = 5 * 1024 * 1024;
    const double begin = cpu_seconds();
    char piece[1000];
    struct sse_parser parser;
    size_t count = 0;

    (void)state;
    memset(piece, 'x', sizeof(piece));
    sse_parser_init(&parser, &limits, ignore, &count);
    assert_int_equal(sse_parser_feed(&parser, "data: ", 6, NULL), 0);
    for (size_t done = 0; done < len; done += sizeof(piece))
        assert_int_equal(sse_parser_feed(&parser, piece, sizeof(piece), NULL),
                         0);
    assert_int_equal(sse_parser_feed(&parser, "\n\n", 2, NULL), 0);
    assert_int_equal(count, 1);
    sse_parser_close(&parser);
    assert_true(cpu_seconds() - begin < 5);
}

/* ---- limits and refusals ------------------------------------------------ */

static void
assert_feed_fails(const struct sse_limits *tight, const char *bytes, size_t len,
                  enum err_kind kind)
{
    struct sse_parser parser;
    struct err err = { 0 };
    size_t count = 0;

    sse_parser_init(&parser, tight, ignore, &count);
    assert_int_equal(sse_parser_feed(&parser, bytes, len, &err), -1);
    assert_int_equal(err.kind, kind);
    assert_int_equal(count, 0);
    sse_parser_close(&parser);
    sse_parser_close(&parser);
}

static void
test_lines_and_events_have_a_maximum(void **state)
{
    const struct sse_limits tight = { 10, 10, 10 };
    struct sse_parser parser;
    size_t count = 0;

    (void)state;
    assert_feed_fails(&tight, BYTES("data: 12345"), ERR_LIMIT);
    assert_feed_fails(&tight, BYTES(": 123456789\n"), ERR_LIMIT);
    assert_feed_fails(&tight, BYTES("data:12345\ndata:12345\n"), ERR_LIMIT);
    sse_parser_init(&parser, &tight, ignore, &count);
    assert_int_equal(sse_parser_feed(&parser,
                                     BYTES("data:12345\ndata:1234\n\n"
                                           "data:12345\ndata:1234\n\n"),
                                     NULL),
                     0);
    assert_int_equal(count, 2);
    sse_parser_close(&parser);
}

static void
test_a_nul_byte_is_refused(void **state)
{
    (void)state;
    assert_feed_fails(&limits, BYTES("data: a\0b\n\n"), ERR_INVALID);
    assert_feed_fails(&limits, BYTES("\0"), ERR_INVALID);
    assert_feed_fails(&limits, BYTES("data: a\n\0\n"), ERR_INVALID);
}

static void
test_the_receiver_may_stop_and_hears_no_more(void **state)
{
    struct sse_parser parser;
    struct err err = { 0 };
    size_t count = 0;

    (void)state;
    sse_parser_init(&parser, &limits, stop, &count);
    assert_int_equal(
        sse_parser_feed(&parser, BYTES("data: a\n\ndata: b\n\n"), &err), -1);
    assert_int_equal(err.kind, ERR_NONE);
    assert_int_equal(count, 1);
    sse_parser_close(&parser);
    sse_parser_init(&parser, &limits, stop, &count);
    assert_int_equal(sse_parser_feed(&parser, BYTES("data: a"), &err), 0);
    assert_int_equal(sse_parser_end(&parser, &err), -1);
    assert_int_equal(count, 2);
    sse_parser_close(&parser);
}

/* ---- writing ------------------------------------------------------------ */

static void
test_a_frame_is_written_and_read_back(void **state)
{
    static const char data[] = "{\"text\":\"data: \\r\\n \xe2\x80\xa8\"}";
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    assert_int_equal(sse_append_event(&out, "r:1", "final", data, strlen(data)),
                     BUF_OK);
    assert_string_equal(buf_cstr(&out),
                        "id: r:1\nevent: final\n"
                        "data: {\"text\":\"data: \\r\\n \xe2\x80\xa8\"}\n\n");
    assert_reads(out.bytes, out.len,
                 "(final|{\"text\":\"data: \\r\\n \xe2\x80\xa8\"})");
    buf_close(&out);
}

static void
test_a_frame_that_does_not_fit_adds_nothing(void **state)
{
    static const char want[] = "xid: 1\nevent: e\ndata: {}\n\n";
    struct buf out;

    (void)state;
    for (size_t max = 1; max <= strlen(want); max++) {
        enum buf_status status;

        buf_init(&out, max);
        assert_int_equal(buf_append_str(&out, "x"), BUF_OK);
        status = sse_append_event(&out, "1", "e", "{}", 2);
        assert_int_equal(status, max < strlen(want) ? BUF_FULL : BUF_OK);
        assert_string_equal(buf_cstr(&out), max < strlen(want) ? "x" : want);
        buf_close(&out);
    }
}

static void
test_every_allocation_may_fail(void **state)
{
    int round;

    (void)state;
    for (round = 0; round < 20; round++) {
        struct sse_parser parser;
        struct err err = { 0 };
        size_t count = 0;
        bool done;

        sse_parser_init(&parser, &limits, ignore, &count);
        faults_after = round;
        done = sse_parser_feed(&parser, long_story, strlen(long_story), &err) ==
                   0 &&
               sse_parser_end(&parser, &err) == 0;
        faults_after = -1;
        assert_int_equal(err.kind, done ? ERR_NONE : ERR_NOMEM);
        sse_parser_close(&parser);
        if (done)
            break;
    }
    assert_in_range(round, 1, 19);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_end_in_lf_cr_or_crlf),
        cmocka_unit_test(test_a_cr_lf_split_over_two_reads_is_one_line_end),
        cmocka_unit_test(test_an_lf_is_swallowed_only_right_behind_a_cr),
        cmocka_unit_test(test_one_byte_order_mark_is_skipped_at_the_start),
        cmocka_unit_test(test_exactly_one_blank_is_removed_before_a_value),
        cmocka_unit_test(test_data_lines_are_joined_by_lf),
        cmocka_unit_test(
            test_an_event_takes_its_name_from_its_last_event_field),
        cmocka_unit_test(test_a_long_event_name_is_cut),
        cmocka_unit_test(test_events_without_data_are_ignored),
        cmocka_unit_test(test_comments_are_signs_of_life_and_no_events),
        cmocka_unit_test(test_id_retry_and_unknown_fields_are_ignored),
        cmocka_unit_test(test_an_error_field_is_told_at_once),
        cmocka_unit_test(test_what_the_end_cuts_off_is_unfinished),
        cmocka_unit_test(test_raw_json_lines_become_the_tail),
        cmocka_unit_test(test_a_known_field_or_a_blank_line_ends_a_raw_block),
        cmocka_unit_test(test_a_raw_tail_is_cut_at_its_maximum),
        cmocka_unit_test(test_one_piece_and_single_bytes_give_the_same_items),
        cmocka_unit_test(test_a_thousand_random_splits_give_the_same_items),
        cmocka_unit_test(test_a_hundred_thousand_events_take_linear_time),
        cmocka_unit_test(
            test_a_line_of_megabytes_in_small_reads_takes_linear_time),
        cmocka_unit_test(test_lines_and_events_have_a_maximum),
        cmocka_unit_test(test_a_nul_byte_is_refused),
        cmocka_unit_test(test_the_receiver_may_stop_and_hears_no_more),
        cmocka_unit_test(test_a_frame_is_written_and_read_back),
        cmocka_unit_test(test_a_frame_that_does_not_fit_adds_nothing),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
