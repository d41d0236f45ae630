/*
 * test_sse - lib/text/sse: what lines, fields and ends of a stream mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "text/sse.h"

#include "sse_fixture.h"

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
