/*
 * test_sse_stream - lib/text/sse: streams cut in every way, long, hostile or
 * our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "text/sse.h"

#include "sse_fixture.h"

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

static int
stop(void *arg, const struct sse_item *item)
{
    (void)ignore(arg, item);
    return -1;
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

static enum buf_status
write_frame(struct buf *out, const char *id, const char *event,
            const char *data)
{
    enum buf_status status = sse_begin_event(out, id, event);
    const size_t data_at = out->len;

    if (status == BUF_OK)
        status = buf_append_str(out, data);
    return status == BUF_OK ? sse_end_event(out, data_at) : status;
}

static void
test_a_frame_is_written_and_read_back(void **state)
{
    static const char data[] = "{\"text\":\"data: \\r\\n \xe2\x80\xa8\"}";
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    assert_int_equal(write_frame(&out, "r:1", "final", data), BUF_OK);
    assert_string_equal(buf_cstr(&out),
                        "id: r:1\nevent: final\n"
                        "data: {\"text\":\"data: \\r\\n \xe2\x80\xa8\"}\n\n");
    assert_reads(out.bytes, out.len,
                 "(final|{\"text\":\"data: \\r\\n \xe2\x80\xa8\"})");
    buf_close(&out);
}

static void
test_a_frame_that_does_not_fit_says_so(void **state)
{
    static const char want[] = "xid: 1\nevent: e\ndata: {}\n\n";
    struct buf out;

    (void)state;
    for (size_t max = 1; max <= strlen(want); max++) {
        buf_init(&out, max);
        assert_int_equal(buf_append_str(&out, "x"), BUF_OK);
        assert_int_equal(write_frame(&out, "1", "e", "{}"),
                         max < strlen(want) ? BUF_FULL : BUF_OK);
        if (max == strlen(want))
            assert_string_equal(buf_cstr(&out), want);
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
        cmocka_unit_test(test_one_piece_and_single_bytes_give_the_same_items),
        cmocka_unit_test(test_a_thousand_random_splits_give_the_same_items),
        cmocka_unit_test(test_a_hundred_thousand_events_take_linear_time),
        cmocka_unit_test(
            test_a_line_of_megabytes_in_small_reads_takes_linear_time),
        cmocka_unit_test(test_lines_and_events_have_a_maximum),
        cmocka_unit_test(test_a_nul_byte_is_refused),
        cmocka_unit_test(test_the_receiver_may_stop_and_hears_no_more),
        cmocka_unit_test(test_a_frame_is_written_and_read_back),
        cmocka_unit_test(test_a_frame_that_does_not_fit_says_so),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
