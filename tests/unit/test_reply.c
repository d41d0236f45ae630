/*
 * test_reply - app/model/reply through the real event-stream parser and the
 * gemini dialect: framing, sizes, Unicode, and what the transport's word is
 * worth.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/dialect.h"
#include "support/reply_cases.h"
#include "text/json.h"

#define E      "\r\n\r\n"
#define FFFD   "\xef\xbf\xbd"
#define SMILEY "\xf0\x9f\x98\x80"
#define BOM    "\xef\xbb\xbf"

/* One event with a text, and one with a text and a finish reason. */
#define TEXT(t) \
    "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[" \
    "{\"text\":\"" t "\"}]}}],\"modelVersion\":\"gemini-2.5-flash\"}"
#define LAST(t, reason) \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" t \
    "\"}]},\"finishReason\":\"" reason "\"}]}"
#define FINISH(reason) \
    "data: {\"candidates\":[{\"finishReason\":\"" reason "\",\"index\":0}]}"

#define GOOD_5 \
    TEXT("Once ") \
    E TEXT("upon ") E TEXT("a ") E TEXT("ti") E LAST("me.", "STOP") E

#define WHOLE_ERROR(code, status, message) \
    "{\n  \"error\": {\n    \"code\": " #code ",\n    \"message\": \"" message \
    "\",\n    \"status\": \"" status "\"\n  }\n}\n"

/* What Vertex says last of all. */
#define COUNTS "data: {\"usageMetadata\":{\"totalTokenCount\":9}}"

static void
run(const struct reply_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        reply_case_run(&dialect_vertex, &cases[i]);
}

/* ---- framing ------------------------------------------------------------ */

static void
test_a_stream_is_read_whatever_its_framing(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "five events, CRLF",
          .bytes = GOOD_5,
          .outcome = MODEL_COMPLETE,
          .text = "Once upon a time.",
          .finish = "STOP" },
        { .name = "LF",
          .bytes = TEXT("a") "\n\n" LAST("b", "STOP") "\n\n",
          .outcome = MODEL_COMPLETE,
          .text = "ab",
          .finish = "STOP" },
        { .name = "CR",
          .bytes = TEXT("a") "\r\r" LAST("b", "STOP") "\r\r",
          .outcome = MODEL_COMPLETE,
          .text = "ab",
          .finish = "STOP" },
        { .name = "mixed",
          .bytes = TEXT("a") "\n\r\n" LAST("b", "STOP") "\r\n\n",
          .outcome = MODEL_COMPLETE,
          .text = "ab",
          .finish = "STOP" },
        { .name = "byte order mark",
          .bytes = BOM GOOD_5,
          .outcome = MODEL_COMPLETE,
          .text = "Once upon a time.",
          .finish = "STOP" },
        { .name = "blank lines first",
          .bytes = "\r\n\r\n" GOOD_5,
          .outcome = MODEL_COMPLETE,
          .text = "Once upon a time.",
          .finish = "STOP" },
        { .name = "no space after the colon",
          .bytes = "data:{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                   "\"a\"}]},\"finishReason\":\"STOP\"}]}\n\n",
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "STOP" },
        { .name = "two spaces after the colon",
          .bytes = "data:  {\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                   "\"a\"}]},\"finishReason\":\"STOP\"}]}\n\n",
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "STOP" },
        { .name = "JSON over several data lines",
          .bytes = "data: {\"candidates\":\ndata: [{\"content\":\n"
                   "data: {\"parts\":[{\"text\":\"a\"}]},\n"
                   "data: \"finishReason\":\"STOP\"}]}\n\n",
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "STOP" },
        { .name = "comments",
          .bytes = ":\n\n: ping\n\n" TEXT("a") "\n:keepalive\n\n:\n" LAST(
              "b", "STOP") "\n\n",
          .outcome = MODEL_COMPLETE,
          .text = "ab",
          .finish = "STOP" },
        { .name = "nothing in an event",
          .bytes = "data:\n\nevent: ping\n\ndata\n\n" LAST("b", "STOP") "\n\n",
          .outcome = MODEL_COMPLETE,
          .text = "b",
          .finish = "STOP" },
        { .name = "other fields",
          .bytes = "id: 7\nretry: 3000\nretry: x\nfoo: bar\n" LAST(
              "b", "STOP") "\n\n",
          .outcome = MODEL_COMPLETE,
          .text = "b",
          .finish = "STOP" },
        { .name = "no blank line at the end",
          .bytes = TEXT("a") E LAST("b", "STOP"),
          .outcome = MODEL_COMPLETE,
          .text = "ab",
          .finish = "STOP" },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

static void
test_a_stream_that_ends_early_is_incomplete(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "no byte",
          .bytes = "",
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT },
        { .name = "blanks only",
          .bytes = "\r\n \n",
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT },
        { .name = "comments only",
          .bytes = ": a\n\n: b\n\n",
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT },
        { .name = "no marker",
          .bytes = TEXT("a") E TEXT("b") E,
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT,
          .text = "ab" },
        { .name = "cut inside JSON",
          .bytes = TEXT("a") E "data: {\"candidates\":[{\"fini",
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT,
          .text = "a" },
        { .name = "cut inside JSON, with a marker on every chunk",
          .bytes = LAST("a", "STOP") E COUNTS E "data: {\"candidates\":[{\"co",
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT,
          .text = "a",
          .finish = "STOP" },
        { .name = "cut by the transport",
          .bytes = TEXT("a") E "data: {\"candid",
          .transport = HTTP_CUT,
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT,
          .text = "a" },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

static void
test_nonsense_is_a_bad_stream(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "broken JSON in the middle",
          .bytes = TEXT("a") E "data: {\"candidates\":]}" E LAST("b", "STOP") E,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_BAD_STREAM,
          .text = "a" },
        { .name = "a page",
          .bytes = "<!DOCTYPE html><html>502</html>",
          .outcome = MODEL_FAILED,
          .failure = FAILURE_BAD_STREAM },
        { .name = "compressed",
          .bytes = "\x1f\x8b\x08\x00\x01\x02",
          .len = 6,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_BAD_STREAM },
        { .name = "NUL in a line",
          .bytes = TEXT("a") E "data: {\"x\":\"\0\"}" E LAST("b", "STOP") E,
          .len =
              sizeof(TEXT("a") E "data: {\"x\":\"\0\"}" E LAST("b", "STOP") E) -
              1,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_BAD_STREAM,
          .text = "a" },
        { .name = "broken whole JSON",
          .bytes = "{\"candidates\":[",
          .outcome = MODEL_FAILED,
          .failure = FAILURE_BAD_STREAM },
        { .name = "whole JSON cut by the transport",
          .bytes = "{\"candidates\":[",
          .transport = HTTP_CUT,
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

static void
test_values_that_are_no_objects_are_passed_over(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "with a marker after them",
          .bytes = "data: null\n\ndata: []\n\ndata: [1,\"x\"]\n\n" LAST(
              "b", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "b",
          .finish = "STOP" },
        { .name = "and nothing else",
          .bytes = "data: [null]\n\ndata: []\n\n",
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

static void
test_whole_json_in_place_of_a_stream_is_an_answer_too(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "one object",
          .bytes = "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}"
                   "]},\"finishReason\":\"STOP\"}]}",
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "STOP" },
        { .name = "an array of them",
          .bytes = "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                   "\"a\"}]}}]}\n,\r\n{\"candidates\":[{\"content\":{\"parts\":"
                   "[{\"text\":\"b\"}]},\"finishReason\":\"STOP\"}]}\n]",
          .outcome = MODEL_COMPLETE,
          .text = "ab",
          .finish = "STOP" },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

/* ---- big ---------------------------------------------------------------- */

/* An event of len bytes of text, with its marker. */
static char *
big_event(size_t len)
{
    static const char head[] = "data: {\"candidates\":[{\"content\":{\"parts\":"
                               "[{\"text\":\"";
    static const char tail[] = "\"}]},\"finishReason\":\"STOP\"}]}\n\n";
    char *event = malloc(sizeof(head) + len + sizeof(tail));

    assert_non_null(event);
    memcpy(event, head, sizeof(head) - 1);
    memset(event + sizeof(head) - 1, 'x', len);
    memcpy(event + sizeof(head) - 1 + len, tail, sizeof(tail));
    return event;
}

static struct reply_verdict
feed_big(struct reply *reply, size_t text_len, size_t max_answer_bytes)
{
    char *event = big_event(text_len);
    const size_t len = strlen(event);

    reply_init(reply, &dialect_vertex, max_answer_bytes);
    for (size_t at = 0; at < len; at += 16384)
        reply_feed(reply, event + at, len - at < 16384 ? len - at : 16384);
    free(event);
    return reply_end(reply, 200, HTTP_DONE);
}

static void
test_a_line_of_five_megabytes_is_fine(void **state)
{
    const size_t len = 5u << 20;
    struct reply reply;

    (void)state;
    assert_int_equal(feed_big(&reply, len, len).outcome, MODEL_COMPLETE);
    assert_int_equal(reply.text.len, len);
    reply_close(&reply);
}

static void
test_a_line_over_the_cap_is_a_bad_stream(void **state)
{
    struct reply reply;

    (void)state;
    assert_int_equal(feed_big(&reply, 9u << 20, 32u << 20).failure,
                     FAILURE_BAD_STREAM);
    assert_int_equal(reply.text.len, 0);
    reply_close(&reply);
}

static void
test_an_answer_over_its_cap_is_too_large(void **state)
{
    struct reply_verdict verdict;
    struct reply reply;

    (void)state;
    assert_int_equal(feed_big(&reply, 1000, 1000).outcome, MODEL_COMPLETE);
    reply_close(&reply);
    verdict = feed_big(&reply, 1001, 1000);
    assert_int_equal(verdict.outcome, MODEL_FAILED);
    assert_int_equal(verdict.failure, FAILURE_TOO_LARGE);
    reply_close(&reply);
}

static void
test_an_error_body_of_ten_megabytes_is_judged_by_its_status(void **state)
{
    static const char piece[4096] = "{";
    struct reply_verdict verdict;
    struct reply reply;

    (void)state;
    reply_init(&reply, &dialect_vertex, 1000);
    for (size_t i = 0; i < (10u << 20) / sizeof(piece); i++)
        reply_feed(&reply, piece, sizeof(piece));
    assert_true(reply.whole.len <= 1u << 20);
    verdict = reply_end(&reply, 500, HTTP_STOPPED);
    assert_int_equal(verdict.failure, FAILURE_HTTP_5XX);
    reply_close(&reply);
}

static void
test_a_hundred_thousand_tiny_events_take_linear_time(void **state)
{
    struct reply reply;

    (void)state;
    reply_init(&reply, &dialect_vertex, 1u << 20);
    for (size_t i = 0; i < 100000; i++)
        reply_feed(&reply, TEXT("x") E, strlen(TEXT("x") E));
    reply_feed(&reply, FINISH("STOP") E, strlen(FINISH("STOP") E));
    assert_int_equal(reply_end(&reply, 200, HTTP_DONE).outcome, MODEL_COMPLETE);
    assert_int_equal(reply.text.len, 100000);
    reply_close(&reply);
}

/* ---- Unicode ------------------------------------------------------------ */

static void
test_text_arrives_byte_for_byte_or_mended(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "an emoji",
          .bytes = LAST(SMILEY, "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = SMILEY,
          .finish = "STOP" },
        { .name = "Chinese",
          .bytes = LAST("\xe4\xbd\xa0\xe5\xa5\xbd", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "\xe4\xbd\xa0\xe5\xa5\xbd",
          .finish = "STOP" },
        { .name = "a surrogate pair",
          .bytes = LAST("\\ud83d\\ude00", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = SMILEY,
          .finish = "STOP" },
        { .name = "a lone surrogate",
          .bytes = TEXT("a\\ud83d") E LAST("b", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "a" FFFD "b",
          .finish = "STOP" },
        { .name = "halves in two events",
          .bytes = TEXT("\\ud83d") E LAST("\\ude00", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = FFFD FFFD,
          .finish = "STOP" },
        { .name = "an invalid byte",
          .bytes = LAST("a\xff"
                        "b",
                        "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "a" FFFD "b",
          .finish = "STOP" },
        { .name = "U+0000",
          .bytes = LAST("a\\u0000b", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "a" FFFD "b",
          .finish = "STOP" },
        { .name = "line ends and tags",
          .bytes = LAST("a\\r\\n\\ndata: x</script>", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "a\r\n\ndata: x</script>",
          .finish = "STOP" },
        { .name = "U+2028 and a combining accent over two events",
          .bytes = TEXT("e") E LAST("\xcc\x81\xe2\x80\xa8", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "e\xcc\x81\xe2\x80\xa8",
          .finish = "STOP" },
        { .name = "the last of two equal keys",
          .bytes = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                   "\"a\",\"text\":\"b\"}]},\"finishReason\":\"STOP\"}]}" E,
          .outcome = MODEL_COMPLETE,
          .text = "b",
          .finish = "STOP" },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

static void
test_mended_text_is_flagged(void **state)
{
    struct reply reply;

    (void)state;
    reply_case_feed(&reply, &dialect_vertex, LAST("\\ud83d", "STOP") E);
    assert_true(reply.cleaned);
    reply_close(&reply);
    reply_case_feed(&reply, &dialect_vertex, LAST("fine", "STOP") E);
    assert_false(reply.cleaned);
    reply_close(&reply);
}

static void
test_nesting_of_three_thousand_is_a_bad_stream(void **state)
{
    char bytes[6100] = "data: {\"a\":";
    size_t len = strlen(bytes);
    struct reply reply;

    (void)state;
    memset(bytes + len, '[', 3000);
    memset(bytes + len + 3000, ']', 3000);
    strcpy(bytes + len + 6000, "}\n\n");
    assert_int_equal(reply_case_feed(&reply, &dialect_vertex, bytes).failure,
                     FAILURE_BAD_STREAM);
    reply_close(&reply);
}

/* ---- the transport's word ----------------------------------------------- */

static void
test_the_transport_is_heard_only_without_a_marker(void **state)
{
    static const struct {
        enum http_outcome transport;
        enum model_outcome outcome;
        enum failure failure;
    } table[] = {
        { HTTP_TIMEOUT_CONNECT, MODEL_TIMED_OUT, FAILURE_CONNECT_TIMEOUT },
        { HTTP_TIMEOUT_FIRST, MODEL_TIMED_OUT, FAILURE_FIRST_TOKEN_TIMEOUT },
        { HTTP_TIMEOUT_IDLE, MODEL_TIMED_OUT, FAILURE_IDLE_TIMEOUT },
        { HTTP_TIMEOUT_TOTAL, MODEL_TIMED_OUT, FAILURE_TOTAL_TIMEOUT },
        { HTTP_TOO_LARGE, MODEL_FAILED, FAILURE_TOO_LARGE },
        { HTTP_CUT, MODEL_INCOMPLETE, FAILURE_STREAM_CUT },
        { HTTP_CONNECTION_LOST, MODEL_UNAVAILABLE, FAILURE_CONNECTION_LOST },
        { HTTP_UNREACHABLE, MODEL_UNAVAILABLE, FAILURE_CONNECT },
        { HTTP_TLS_FAILED, MODEL_UNAVAILABLE, FAILURE_TLS },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct reply_case without = {
            .name = "without a marker",
            .bytes = TEXT("a") E,
            .transport = table[i].transport,
            .outcome = table[i].outcome,
            .failure = table[i].failure,
            .text = "a",
        };
        const struct reply_case with = {
            .name = "with one",
            .bytes = TEXT("a") E LAST("b", "STOP") E COUNTS E,
            .transport = table[i].transport,
            .outcome = MODEL_COMPLETE,
            .text = "ab",
            .finish = "STOP",
        };
        const struct reply_case unproven = {
            .name = "with one that text came after",
            .bytes = LAST("a", "STOP") E LAST("b", "STOP") E COUNTS E,
            .transport = table[i].transport,
            .outcome = table[i].outcome,
            .failure = table[i].failure,
            .text = "ab",
            .finish = "STOP",
        };
        const struct reply_case uncounted = {
            .name = "with one that may be the first of many",
            .bytes = LAST("a", "STOP") E,
            .transport = table[i].transport,
            .outcome = table[i].outcome,
            .failure = table[i].failure,
            .text = "a",
            .finish = "STOP",
        };
        const struct reply_case counted = {
            .name = "with one and counts, as on every chunk of old models",
            .bytes = LAST("a", "STOP") E COUNTS E,
            .transport = table[i].transport,
            .outcome = table[i].outcome,
            .failure = table[i].failure,
            .text = "a",
            .finish = "STOP",
        };
        const struct reply_case nothing = {
            .name = "before any response",
            .bytes = "",
            .status = -1,
            .transport = table[i].transport,
            .outcome = table[i].outcome,
            .failure = table[i].failure,
        };

        reply_case_run(&dialect_vertex, &without);
        reply_case_run(&dialect_vertex, &with);
        reply_case_run(&dialect_vertex, &unproven);
        reply_case_run(&dialect_vertex, &uncounted);
        reply_case_run(&dialect_vertex, &nothing);
        reply_case_run(&dialect_gemini, &with);
        reply_case_run(&dialect_gemini, &counted);
    }
}

static void
test_an_answer_over_a_broken_connection_is_marked(void **state)
{
    static const char stream[] = LAST("a", "STOP") E COUNTS E;
    struct reply_verdict verdict;
    struct reply reply;

    (void)state;
    reply_init(&reply, &dialect_vertex, 100);
    reply_feed(&reply, stream, strlen(stream));
    verdict = reply_end(&reply, 200, HTTP_CUT);
    assert_int_equal(verdict.outcome, MODEL_COMPLETE);
    assert_true(verdict.transport_unclean);
    reply_close(&reply);
    verdict = reply_case_feed(&reply, &dialect_vertex, LAST("a", "STOP") E);
    assert_false(verdict.transport_unclean);
    reply_close(&reply);
}

static void
test_comments_and_empty_chunks_are_no_substance(void **state)
{
    static const char thought[] =
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\","
        "\"thought\":true}]}}]}\n\n";
    struct reply reply;

    (void)state;
    reply_init(&reply, &dialect_vertex, 100);
    reply_feed(&reply, ": ping\n\n", 8);
    reply_feed(&reply, "data: {}\n\n", 10);
    assert_false(reply_has_substance(&reply));
    reply_feed(&reply, thought, sizeof(thought) - 1);
    assert_true(reply_has_substance(&reply));
    reply_close(&reply);
}

/* ---- hostile bytes ------------------------------------------------------ */

static void
test_damaged_streams_never_crash(void **state)
{
    static const char stream[] = ": ping\r\n\r\n" TEXT("Gr\xc3\xbc\xc3\x9f"
                                                       "e \\ud83d\\ude00") E
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\","
        "\"thought\":true},{\"text\":\"yes\"}]},\"index\":0}],"
        "\"usageMetadata\":{\"promptTokenCount\":9,\"totalTokenCount\":29}}" E
            LAST("end", "STOP") E WHOLE_ERROR(503, "UNAVAILABLE", "busy");

    (void)state;
    reply_case_mutate(&dialect_vertex, stream, 4000);
    reply_case_mutate(&dialect_vertex,
                      "[" WHOLE_ERROR(400, "INVALID_ARGUMENT", "no") "]", 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stream_is_read_whatever_its_framing),
        cmocka_unit_test(test_a_stream_that_ends_early_is_incomplete),
        cmocka_unit_test(test_nonsense_is_a_bad_stream),
        cmocka_unit_test(test_values_that_are_no_objects_are_passed_over),
        cmocka_unit_test(test_whole_json_in_place_of_a_stream_is_an_answer_too),
        cmocka_unit_test(test_a_line_of_five_megabytes_is_fine),
        cmocka_unit_test(test_a_line_over_the_cap_is_a_bad_stream),
        cmocka_unit_test(test_an_answer_over_its_cap_is_too_large),
        cmocka_unit_test(
            test_an_error_body_of_ten_megabytes_is_judged_by_its_status),
        cmocka_unit_test(test_a_hundred_thousand_tiny_events_take_linear_time),
        cmocka_unit_test(test_text_arrives_byte_for_byte_or_mended),
        cmocka_unit_test(test_mended_text_is_flagged),
        cmocka_unit_test(test_nesting_of_three_thousand_is_a_bad_stream),
        cmocka_unit_test(test_the_transport_is_heard_only_without_a_marker),
        cmocka_unit_test(test_an_answer_over_a_broken_connection_is_marked),
        cmocka_unit_test(test_comments_and_empty_chunks_are_no_substance),
        cmocka_unit_test(test_damaged_streams_never_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
