/*
 * test_gemini - app/model/gemini: what Google's chunks mean, what its errors
 * mean wherever they hide, and what is sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/dialect.h"
#include "support/reply_cases.h"
#include "text/json.h"

#define E "\r\n\r\n"

/* One event with a text, and one with a text and a finish reason. */
#define TEXT(t) \
    "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[" \
    "{\"text\":\"" t "\"}]}}],\"modelVersion\":\"gemini-2.5-flash\"}"
#define LAST(t, reason) \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" t \
    "\"}]},\"finishReason\":\"" reason "\"}]}"
#define FINISH(reason) \
    "data: {\"candidates\":[{\"finishReason\":\"" reason "\",\"index\":0}]}"

#define WHOLE_ERROR(code, status, message) \
    "{\n  \"error\": {\n    \"code\": " #code ",\n    \"message\": \"" message \
    "\",\n    \"status\": \"" status "\"\n  }\n}\n"

static void
run(const struct reply_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        reply_case_run(&dialect_vertex, &cases[i]);
}

/* ---- what Gemini means -------------------------------------------------- */

static void
test_finish_reasons_mean_what_they_mean(void **state)
{
    static const struct {
        const char *reason;
        enum model_outcome outcome;
        enum failure failure;
    } table[] = {
        { "STOP", MODEL_COMPLETE, FAILURE_NONE },
        { "MAX_TOKENS", MODEL_CUT, FAILURE_NONE },
        { "SAFETY", MODEL_BLOCKED, FAILURE_BLOCKED },
        { "BLOCKLIST", MODEL_BLOCKED, FAILURE_BLOCKED },
        { "PROHIBITED_CONTENT", MODEL_BLOCKED, FAILURE_BLOCKED },
        { "SPII", MODEL_BLOCKED, FAILURE_BLOCKED },
        { "RECITATION", MODEL_BLOCKED, FAILURE_BLOCKED },
        { "LANGUAGE", MODEL_BLOCKED, FAILURE_BLOCKED },
        { "MODEL_ARMOR", MODEL_BLOCKED, FAILURE_BLOCKED },
        { "IMAGE_SAFETY", MODEL_BLOCKED, FAILURE_BLOCKED },
        { "OTHER", MODEL_FAILED, FAILURE_BAD_FINISH },
        { "MALFORMED_FUNCTION_CALL", MODEL_FAILED, FAILURE_BAD_FINISH },
        { "FINISH_REASON_UNSPECIFIED", MODEL_FAILED, FAILURE_BAD_FINISH },
        { "FOO", MODEL_FAILED, FAILURE_BAD_FINISH },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char bytes[300];
        const struct reply_case c = {
            .name = table[i].reason,
            .bytes = bytes,
            .outcome = table[i].outcome,
            .failure = table[i].failure,
            .text = "a",
            .finish = table[i].reason,
        };

        snprintf(bytes, sizeof(bytes),
                 TEXT("a") E "data: {\"candidates\":[{\"finishReason\":\"%s\","
                             "\"index\":0}]}" E,
                 table[i].reason);
        reply_case_run(&dialect_vertex, &c);
    }
}

static void
test_odd_but_legal_chunks_are_understood(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "STOP on every chunk",
          .bytes = LAST("a", "STOP") E LAST("b", "STOP") E LAST("c", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "abc",
          .finish = "STOP" },
        { .name = "a finish without content",
          .bytes = TEXT("a") E FINISH("STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "STOP" },
        { .name = "an empty text with the finish",
          .bytes = TEXT("a") E LAST("", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "STOP" },
        { .name = "content without parts",
          .bytes = TEXT("a") E
          "data: {\"candidates\":[{\"content\":{}}]}" E
          "data: {\"candidates\":[{\"content\":{\"role\":\"model\"}}]}" E
          "data: {\"candidates\":[{}]}" E "data: {}" E LAST("b", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "ab",
          .finish = "STOP" },
        { .name = "thoughts first",
          .bytes = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                   "\"hmm\",\"thought\":true}]}}]}" E LAST("b", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "b",
          .finish = "STOP" },
        { .name = "thoughts and text in one chunk",
          .bytes = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                   "\"a\"},{\"thought\":true,\"text\":\"hmm\"},{\"text\":"
                   "\"b\"},{\"thought\":false,\"text\":\"c\"}]},"
                   "\"finishReason\":\"STOP\"}]}" E,
          .outcome = MODEL_COMPLETE,
          .text = "abc",
          .finish = "STOP" },
        { .name = "thoughts used the budget",
          .bytes = "data: {\"candidates\":[{\"finishReason\":\"MAX_TOKENS\"}],"
                   "\"usageMetadata\":{\"thoughtsTokenCount\":500}}" E,
          .outcome = MODEL_EMPTY,
          .failure = FAILURE_ONLY_THOUGHT,
          .finish = "MAX_TOKENS" },
        { .name = "nothing at all",
          .bytes = FINISH("STOP") E,
          .outcome = MODEL_EMPTY,
          .failure = FAILURE_EMPTY,
          .finish = "STOP" },
        { .name = "blanks only",
          .bytes = LAST(" \\n", "STOP") E,
          .outcome = MODEL_EMPTY,
          .failure = FAILURE_EMPTY,
          .text = " \n",
          .finish = "STOP" },
        { .name = "a blocked prompt",
          .bytes = "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}" E,
          .outcome = MODEL_BLOCKED,
          .failure = FAILURE_BLOCKED,
          .finish = "SAFETY" },
        { .name = "feedback that blocks nothing",
          .bytes = "data: {\"promptFeedback\":{\"safetyRatings\":[]},"
                   "\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}"
                   ",\"finishReason\":\"STOP\"}]}" E,
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "STOP" },
        { .name = "two candidates",
          .bytes = "data: {\"candidates\":[{\"index\":1,\"content\":{\"parts\":"
                   "[{\"text\":\"no\"}]}},{\"index\":0,\"content\":{\"parts\":"
                   "[{\"text\":\"yes\"}]},\"finishReason\":\"STOP\"}]}" E,
          .outcome = MODEL_COMPLETE,
          .text = "yes",
          .finish = "STOP" },
        { .name = "members of other types",
          .bytes = "data: {\"candidates\":7}" E "data: {\"candidates\":[{"
                   "\"content\":[],\"finishReason\":3}]}" E "data: {"
                   "\"candidates\":[{\"content\":{\"parts\":[{\"text\":5},"
                   "null,{\"inlineData\":{}}]}}],\"modelVersion\":[],"
                   "\"usageMetadata\":\"x\"}" E LAST("b", "STOP") E,
          .outcome = MODEL_COMPLETE,
          .text = "b",
          .finish = "STOP" },
        { .name = "no more than letters in a reason",
          .bytes = TEXT("a") E FINISH("<b>OH\\n\\u00e9 NO</b>") E,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_BAD_FINISH,
          .text = "a",
          .finish = "bOHNOb" },
        { .name = "no more than 40 of them",
          .bytes = TEXT("a") E FINISH("ABCDEFGHIJABCDEFGHIJABCDEFGHIJ"
                                      "ABCDEFGHIJABCDEFGHIJ") E,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_BAD_FINISH,
          .text = "a",
          .finish = "ABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJ" },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

/* ---- counts and names --------------------------------------------------- */

static void
assert_usage(const char *bytes, int64_t input, int64_t output, int64_t thought,
             int64_t cached, int64_t total)
{
    struct reply reply;

    reply_case_feed(&reply, &dialect_vertex, bytes);
    assert_int_equal(reply.usage.input_tokens, input);
    assert_int_equal(reply.usage.output_tokens, output);
    assert_int_equal(reply.usage.thought_tokens, thought);
    assert_int_equal(reply.usage.cached_tokens, cached);
    assert_int_equal(reply.usage.total_tokens, total);
    reply_close(&reply);
}

#define USAGE(members) "data: {\"usageMetadata\":{" members "}}" E

static void
test_the_last_count_of_each_kind_is_kept(void **state)
{
    (void)state;
    /* Vertex: in the last chunk only. */
    assert_usage(USAGE("\"trafficType\":\"ON_DEMAND\"") USAGE(
                     "\"promptTokenCount\":9,\"candidatesTokenCount\":134,"
                     "\"thoughtsTokenCount\":1067,\"totalTokenCount\":1210,"
                     "\"cachedContentTokenCount\":4"),
                 9, 134, 1067, 4, 1210);
    /* Developer API: cumulative, in each. */
    assert_usage(USAGE("\"promptTokenCount\":9,\"candidatesTokenCount\":10,"
                       "\"totalTokenCount\":19")
                     USAGE("\"promptTokenCount\":9,\"candidatesTokenCount\":20,"
                           "\"totalTokenCount\":29"),
                 9, 20, 0, 0, 29);
    /* Field by field: a chunk without counts takes none away. */
    assert_usage(USAGE("\"promptTokenCount\":9,\"candidatesTokenCount\":20,"
                       "\"totalTokenCount\":29") USAGE("\"x\":1"),
                 9, 20, 0, 0, 29);
}

static void
test_unknown_counts_stay_unknown(void **state)
{
    (void)state;
    assert_usage(TEXT("a") E, -1, -1, -1, -1, -1);
    assert_usage(USAGE("\"trafficType\":\"ON_DEMAND\""), -1, -1, -1, -1, -1);
    assert_usage(USAGE("\"promptTokenCount\":-1,\"candidatesTokenCount\":null,"
                       "\"thoughtsTokenCount\":\"many\""),
                 -1, -1, -1, -1, -1);
}

static void
test_a_missing_total_is_computed(void **state)
{
    (void)state;
    assert_usage(USAGE("\"promptTokenCount\":9,\"candidatesTokenCount\":20,"
                       "\"thoughtsTokenCount\":5"),
                 9, 20, 5, -1, 34);
}

static void
test_counts_of_odd_types_are_read_or_clamped(void **state)
{
    (void)state;
    assert_usage(USAGE("\"promptTokenCount\":\"12\",\"candidatesTokenCount\":"
                       "12.0,\"totalTokenCount\":9000000000000000000"),
                 12, 12, 0, 0, 1000000000000);
    assert_usage(USAGE("\"promptTokenCount\":99999999999999999999,"
                       "\"candidatesTokenCount\":-99999999999999999999"),
                 1000000000000, -1, -1, -1, -1);
}

static void
test_the_first_model_and_response_id_are_kept(void **state)
{
    struct reply reply;

    (void)state;
    reply_case_feed(&reply, &dialect_vertex,
                    "data: {\"modelVersion\":\"gemini-a\",\"responseId\":"
                    "\"r1\"}" E "data: {\"modelVersion\":\"gemini-b\","
                    "\"responseId\":\"r2\"}" E);
    assert_string_equal(reply.served_model, "gemini-a");
    assert_string_equal(reply.response_id, "r1");
    assert_true(reply.renamed);
    reply_close(&reply);
    reply_case_feed(&reply, &dialect_vertex,
                    "data: {\"modelVersion\":\"a b\\n\xc3\xa9\"}" E);
    assert_string_equal(reply.served_model, "a_b___");
    assert_false(reply.renamed);
    reply_close(&reply);
}

static void
test_another_model_is_told_from_another_edition(void **state)
{
    static const struct {
        const char *asked;
        const char *served;
        bool rerouted;
    } table[] = {
        { "gemini-2.5-flash", "gemini-2.5-flash", false },
        { "gemini-2.5-flash", "gemini-2.5-flash-001", false },
        { "gemini-2.5-flash", "gemini-2.5-flash-preview-09-2025", false },
        { "models/gemini-2.5-flash", "gemini-2.5-flash", false },
        { "gemini-2.5-flash", "publishers/google/models/gemini-2.5-flash@001",
          false },
        { "gemini-2.0-flash-001", "gemini-2.0-flash", false },
        { "gemini-2.0-flash-001", "gemini-2.0-flash-002", true },
        { "gemini-2.5-flash", "gemini-2.5-flash-lite", true },
        { "gemini-2.5-flash", "gemini-3.5-flash-lite", true },
        { "gemini-2.5-pro", "gemini-3.8-flash", true },
        { "gemini-2.5-pro", "gemini-2.5", true },
        { "gemini-flash-latest", "gemini-2.5-flash-preview-09-2025", false },
        { "gemini-flash-latest", "gemini-flash-latest", false },
        { "gemini-flash-latest", "gemini-2.5-flash-lite", true },
        { "gemini-flash-latest", "gemini-2.5-pro", true },
        { "gemini-flash-lite-latest", "gemini-3.5-flash-lite", false },
        { "gpt-5", "gpt-5-2026-01-01", false },
        { "gpt-5", "gpt-5-mini", true },
        { "Llama3", "llama3:8b", false },
        { "llama3:free", "llama3", false },
        { "llama3:8b", "llama3:70b", true },
        { "gemini-2.5-pro@default", "gemini-2.5-pro", false },
        { "a", "", true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (dialect_is_rerouted(table[i].asked, table[i].served) !=
            table[i].rerouted)
            fail_msg("asked %s, served %s", table[i].asked, table[i].served);
}

/* ---- errors ------------------------------------------------------------- */

static void
test_the_status_of_an_error_decides(void **state)
{
    static const struct {
        long status;
        enum model_outcome outcome;
        enum failure failure;
    } table[] = {
        { 400, MODEL_FAILED, FAILURE_HTTP_4XX },
        { 401, MODEL_UNAVAILABLE, FAILURE_AUTH },
        { 403, MODEL_UNAVAILABLE, FAILURE_AUTH },
        { 404, MODEL_UNAVAILABLE, FAILURE_MODEL_NOT_FOUND },
        { 408, MODEL_FAILED, FAILURE_HTTP_4XX },
        { 413, MODEL_FAILED, FAILURE_INPUT_TOO_LONG },
        { 429, MODEL_UNAVAILABLE, FAILURE_RATE_LIMITED },
        { 500, MODEL_FAILED, FAILURE_HTTP_5XX },
        { 502, MODEL_FAILED, FAILURE_HTTP_5XX },
        { 503, MODEL_UNAVAILABLE, FAILURE_HTTP_503 },
        { 504, MODEL_FAILED, FAILURE_HTTP_5XX },
        { 204, MODEL_FAILED, FAILURE_HTTP_OTHER },
        { 206, MODEL_FAILED, FAILURE_HTTP_OTHER },
        { 302, MODEL_FAILED, FAILURE_HTTP_OTHER },
    };
    static const char *const bodies[] = {
        "",
        "<html>no</html>",
        "Internal error",
        "{\"detail\":\"x\"}",
        "{\"er",
        WHOLE_ERROR(418, "SOMETHING", "no"),
        LAST("a", "STOP") E,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        for (size_t k = 0; k < ARRAY_LEN(bodies); k++) {
            const bool is_stream = k == ARRAY_LEN(bodies) - 1;
            const struct reply_case c = {
                .name = bodies[k],
                .bytes = bodies[k],
                .status = table[i].status,
                .outcome = table[i].outcome,
                .failure = table[i].failure,
                .text = is_stream ? "a" : NULL,
                .finish = is_stream ? "STOP" : NULL,
            };

            reply_case_run(&dialect_vertex, &c);
        }
}

static void
test_the_body_refines_a_status_that_says_little(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "input too long",
          .status = 400,
          .bytes = WHOLE_ERROR(400, "INVALID_ARGUMENT",
                               "The input token count (9) exceeds 5."),
          .outcome = MODEL_FAILED,
          .failure = FAILURE_INPUT_TOO_LONG },
        { .name = "a bad key",
          .status = 400,
          .bytes = "{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\","
                   "\"details\":[{\"reason\":\"API_KEY_INVALID\"}]}}",
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_AUTH },
        { .name = "a bad key in an array of one",
          .status = 400,
          .bytes = "[{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\","
                   "\"details\":[{\"reason\":\"API_KEY_INVALID\"}]}}\n]",
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_AUTH },
        { .name = "over the wire as 500",
          .status = 500,
          .bytes = WHOLE_ERROR(429, "RESOURCE_EXHAUSTED", "slow down"),
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_RATE_LIMITED },
        { .name = "no permission, whatever the body",
          .status = 403,
          .bytes = WHOLE_ERROR(429, "RESOURCE_EXHAUSTED", "slow down"),
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_AUTH },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

static void
test_an_error_under_200_wins_over_everything(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "raw after two events",
          .bytes = TEXT("a") E TEXT("b")
              E WHOLE_ERROR(503, "UNAVAILABLE", "overloaded"),
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_HTTP_503,
          .text = "ab" },
        { .name = "raw and cancelled",
          .bytes = TEXT("a") E WHOLE_ERROR(499, "CANCELLED", "gone"),
          .outcome = MODEL_FAILED,
          .failure = FAILURE_HTTP_4XX,
          .text = "a" },
        { .name = "raw after the marker",
          .bytes = LAST("a", "STOP") E WHOLE_ERROR(500, "INTERNAL", "oh"),
          .outcome = MODEL_FAILED,
          .failure = FAILURE_HTTP_5XX,
          .text = "a",
          .finish = "STOP" },
        { .name = "raw in an array",
          .bytes = TEXT("a") E "[" WHOLE_ERROR(500, "INTERNAL", "oh") "]",
          .outcome = MODEL_FAILED,
          .failure = FAILURE_HTTP_5XX,
          .text = "a" },
        { .name = "raw and cut",
          .bytes = TEXT("a") E "{\n  \"error\": {\n    \"co",
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT,
          .text = "a" },
        { .name = "raw and cut after the marker",
          .bytes = LAST("a", "STOP") E "{\n  \"error\": {\n    \"co",
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT,
          .text = "a",
          .finish = "STOP" },
        { .name = "the first event",
          .bytes =
              "data: {\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}" E,
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_HTTP_503 },
        { .name = "an event after text",
          .bytes = TEXT("a") E "data: {\"error\":{\"status\":"
                               "\"RESOURCE_EXHAUSTED\"}}" E LAST("b", "STOP") E,
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_RATE_LIMITED,
          .text = "a" },
        { .name = "an event after STOP",
          .bytes = LAST("a", "STOP") E "data: {\"error\":{\"code\":500}}" E,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_HTTP_5XX,
          .text = "a",
          .finish = "STOP" },
        { .name = "an event with an array of one",
          .bytes = TEXT("a") E "data: [{\"error\":{\"code\":500}}]" E,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_HTTP_5XX,
          .text = "a" },
        { .name = "an error that is a string",
          .bytes = "data: {\"error\":\"invalid_grant\"}" E,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_PROVIDER },
        { .name = "an error without a cause",
          .bytes = "data: {\"error\":{}}" E,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_PROVIDER },
        { .name = "an event called error",
          .bytes = TEXT("a") E "event: error\r\ndata: {\"code\":429}" E,
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_RATE_LIMITED,
          .text = "a" },
        { .name = "whole under 200",
          .bytes = WHOLE_ERROR(404, "NOT_FOUND", "no such model"),
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_MODEL_NOT_FOUND },
        { .name = "null is no error",
          .bytes =
              "data: {\"error\":null,\"candidates\":[{\"content\":{"
              "\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}" E,
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "STOP" },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

/* ---- what is sent ------------------------------------------------------- */

static struct model_config
vertex_config(void)
{
    return (struct model_config){
        .provider = MODEL_VERTEX,
        .model = "gemini-2.5-pro",
        .base_url = "",
        .api_key = "",
        .project = "acme-1",
        .location = "europe-west4",
        .thinking = "",
        .max_tokens_name = "",
    };
}

static void
assert_url(const struct dialect *dialect, const struct model_config *config,
           const char *want)
{
    struct buf url;

    buf_init(&url, 1000);
    assert_int_equal(dialect->check(config, NULL), 0);
    assert_int_equal(dialect->url(config, &url, NULL), 0);
    assert_string_equal(buf_cstr(&url), want);
    buf_close(&url);
}

#define VERTEX_PATH(location, model) \
    "/v1/projects/acme-1/locations/" location \
    "/publishers/google/models/" model ":streamGenerateContent?alt=sse"

static void
test_vertex_urls_follow_the_location(void **state)
{
    struct model_config config = vertex_config();

    (void)state;
    assert_url(&dialect_vertex, &config,
               "https://europe-west4-aiplatform.googleapis.com" VERTEX_PATH(
                   "europe-west4", "gemini-2.5-pro"));
    config.location = "global";
    assert_url(&dialect_vertex, &config,
               "https://aiplatform.googleapis.com" VERTEX_PATH(
                   "global", "gemini-2.5-pro"));
    config.location = "eu";
    assert_url(&dialect_vertex, &config,
               "https://aiplatform.eu.rep.googleapis.com" VERTEX_PATH(
                   "eu", "gemini-2.5-pro"));
    config.base_url = "http://127.0.0.1:8080/";
    config.model = "publishers/google/models/gemini-x";
    assert_url(&dialect_vertex, &config,
               "http://127.0.0.1:8080" VERTEX_PATH("eu", "gemini-x"));
}

static void
test_developer_api_urls_hold_no_key(void **state)
{
    struct model_config config = vertex_config();

    (void)state;
    config.api_key = "AIza-secret";
    config.model = "models/gemini-2.5-flash";
    assert_url(&dialect_gemini, &config,
               "https://generativelanguage.googleapis.com/v1beta/models/"
               "gemini-2.5-flash:streamGenerateContent?alt=sse");
}

static void
test_model_ids_that_bend_the_path_are_refused(void **state)
{
    static const char *const bad[] = {
        "",         "a/b",  "..",   "a..b", "a?b",     "a&b",         "a#b",
        "a%2e",     "a b",  "a\tb", "a\nb", "models/", "models/../x", "a:b",
        "\xc3\xa9", "a\\b",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct model_config config = vertex_config();
        struct err err = { 0 };

        config.model = bad[i];
        assert_int_equal(dialect_vertex.check(&config, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
    }
}

static void
assert_refused(const struct dialect *dialect, struct model_config config)
{
    struct err err = { 0 };

    assert_int_equal(dialect->check(&config, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_null(strstr(err.text, "secret"));
}

static void
test_settings_that_cannot_work_are_refused(void **state)
{
    struct model_config config = vertex_config();

    (void)state;
    config.project = "";
    assert_refused(&dialect_vertex, config);
    config.project = "a/b";
    assert_refused(&dialect_vertex, config);
    config = vertex_config();
    config.location = "";
    assert_refused(&dialect_vertex, config);
    config.location = "us.evil";
    assert_refused(&dialect_vertex, config);
    config = vertex_config();
    config.thinking = "12x";
    assert_refused(&dialect_vertex, config);
    config = vertex_config();
    assert_refused(&dialect_gemini, config); /* no key */
    config.api_key = "secret\r\nX: y";
    assert_refused(&dialect_gemini, config);
    config = vertex_config();
    config.base_url = "ftp://x";
    assert_refused(&dialect_vertex, config);
    config.base_url = "https://";
    assert_refused(&dialect_vertex, config);
    config.base_url = "https://user:secret@x";
    assert_refused(&dialect_vertex, config);
    config.base_url = "https://x/?key=secret";
    assert_refused(&dialect_vertex, config);
}

static void
assert_headers(const struct dialect *dialect, const struct model_config *config,
               const char *quota_project, const char *want)
{
    const struct dialect_moment moment = { .google_token = "ya29.t",
                                           .quota_project = quota_project,
                                           .seconds_left = 46 };
    struct dialect_headers headers = { 0 };
    struct arena arena;
    char all[500] = "";

    arena_init(&arena, 10000);
    headers.arena = &arena;
    assert_int_equal(dialect->headers(config, &moment, &headers, NULL), 0);
    assert_null(headers.lines[headers.count]);
    for (size_t i = 0; i < headers.count; i++) {
        strcat(all, headers.lines[i]);
        strcat(all, "|");
    }
    assert_string_equal(all, want);
    arena_close(&arena);
}

static void
test_credentials_go_into_headers(void **state)
{
    struct model_config config = vertex_config();

    (void)state;
    config.api_key = "AIza-secret";
    assert_headers(&dialect_vertex, &config, "",
                   "Authorization: Bearer ya29.t|Content-Type: application/json"
                   "|X-Server-Timeout: 46|");
    assert_headers(&dialect_vertex, &config, "bill-me",
                   "Authorization: Bearer ya29.t|x-goog-user-project: bill-me|"
                   "Content-Type: application/json|X-Server-Timeout: 46|");
    assert_headers(&dialect_gemini, &config, "bill-me",
                   "x-goog-api-key: AIza-secret|Content-Type: application/json"
                   "|X-Server-Timeout: 46|");
}

static void
assert_body(const struct model_config *config, const char *system,
            const char *user, const char *want)
{
    const struct model_prompt prompt = { .system = system, .user = user };
    struct buf body;

    buf_init(&body, 10000);
    assert_int_equal(dialect_vertex.body(config, &prompt, &body, NULL), 0);
    assert_string_equal(buf_cstr(&body), want);
    buf_close(&body);
}

static void
test_the_body_says_only_what_is_configured(void **state)
{
    struct model_config config = vertex_config();

    (void)state;
    assert_body(&config, "", "Say \"hi\"\n",
                "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":"
                "\"Say \\\"hi\\\"\\n\"}]}],\"generationConfig\":{}}");
    config.thinking = "-1";
    config.max_output_tokens = 2048;
    assert_body(&config, "Be brief.", "hi",
                "{\"systemInstruction\":{\"parts\":[{\"text\":\"Be brief.\"}]},"
                "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]"
                "}],\"generationConfig\":{\"maxOutputTokens\":2048,"
                "\"thinkingConfig\":{\"thinkingBudget\":-1}}}");
    config.max_output_tokens = 0;
    config.thinking = "low";
    assert_body(&config, "", "hi",
                "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}"
                "]}],\"generationConfig\":{\"thinkingConfig\":{"
                "\"thinkingLevel\":\"LOW\"}}}");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finish_reasons_mean_what_they_mean),
        cmocka_unit_test(test_odd_but_legal_chunks_are_understood),
        cmocka_unit_test(test_the_last_count_of_each_kind_is_kept),
        cmocka_unit_test(test_unknown_counts_stay_unknown),
        cmocka_unit_test(test_a_missing_total_is_computed),
        cmocka_unit_test(test_counts_of_odd_types_are_read_or_clamped),
        cmocka_unit_test(test_the_first_model_and_response_id_are_kept),
        cmocka_unit_test(test_another_model_is_told_from_another_edition),
        cmocka_unit_test(test_the_status_of_an_error_decides),
        cmocka_unit_test(test_the_body_refines_a_status_that_says_little),
        cmocka_unit_test(test_an_error_under_200_wins_over_everything),
        cmocka_unit_test(test_vertex_urls_follow_the_location),
        cmocka_unit_test(test_developer_api_urls_hold_no_key),
        cmocka_unit_test(test_model_ids_that_bend_the_path_are_refused),
        cmocka_unit_test(test_settings_that_cannot_work_are_refused),
        cmocka_unit_test(test_credentials_go_into_headers),
        cmocka_unit_test(test_the_body_says_only_what_is_configured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
