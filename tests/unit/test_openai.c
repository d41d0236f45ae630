/*
 * test_openai - app/model/openai through the real event-stream parser, as
 * OpenAI, vLLM, Ollama, llama.cpp, OpenRouter and others speak it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/dialect.h"
#include "support/reply_cases.h"
#include "text/json.h"

#define DONE "data: [DONE]\n\n"

#define CHUNK(delta, finish) \
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":" \
    "\"m-1\",\"choices\":[{\"index\":0,\"delta\":{" delta "}," \
    "\"finish_reason\":" finish "}],\"usage\":null}\n\n"
#define TEXT(t) CHUNK("\"content\":\"" t "\"", "null")
#define STOP    CHUNK("", "\"stop\"")

static void
run(const struct reply_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        reply_case_run(&dialect_openai, &cases[i]);
}

static void
test_streams_of_all_servers_are_read(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "plain",
          .bytes = TEXT("a") TEXT("b") STOP DONE,
          .outcome = MODEL_COMPLETE,
          .text = "ab",
          .finish = "stop" },
        { .name = "no line end after the sentinel",
          .bytes = TEXT("a") STOP "data: [DONE]",
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "stop" },
        { .name = "blanks around the sentinel",
          .bytes = TEXT("a") STOP "data:   [DONE] \r\n\r\n",
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "stop" },
        { .name = "text after the sentinel",
          .bytes = TEXT("a") STOP DONE TEXT("b") "data: junk\n\nerror: x\n\n",
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "stop" },
        { .name = "no sentinel",
          .bytes = TEXT("a") STOP,
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "stop" },
        { .name = "a sentinel without a finish",
          .bytes = TEXT("a") DONE,
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT,
          .text = "a" },
        { .name = "no finish reason, and a server that does not end",
          .bytes = TEXT("a") DONE,
          .transport = HTTP_TIMEOUT_IDLE,
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT,
          .text = "a" },
        { .name = "an empty finish is none",
          .bytes = CHUNK("\"content\":\"a\"", "\"\"")
              CHUNK("\"content\":\"b\"", "\"\"") DONE,
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT,
          .text = "ab" },
        { .name = "content null, missing or of another type",
          .bytes = CHUNK("\"role\":\"assistant\"", "null")
              CHUNK("\"content\":null", "null") CHUNK("\"content\":[1]", "null")
                  TEXT("a") STOP DONE,
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "stop" },
        { .name = "reasoning is no answer",
          .bytes = CHUNK("\"reasoning_content\":\"hm\"", "null")
              CHUNK("\"reasoning\":\"hm\"", "null") TEXT("a") STOP DONE,
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "stop" },
        { .name = "all of it reasoning",
          .bytes = CHUNK("\"reasoning_content\":\"42\"", "null") STOP DONE,
          .outcome = MODEL_EMPTY,
          .failure = FAILURE_EMPTY,
          .finish = "stop" },
        { .name = "text with its finish",
          .bytes = TEXT("a") CHUNK("\"content\":\"b\"", "\"length\"") DONE,
          .outcome = MODEL_CUT,
          .text = "ab",
          .finish = "length" },
        { .name = "filtered",
          .bytes = TEXT("a") CHUNK("", "\"content_filter\"") DONE,
          .outcome = MODEL_BLOCKED,
          .failure = FAILURE_BLOCKED,
          .text = "a",
          .finish = "content_filter" },
        { .name = "tools nobody offered",
          .bytes = CHUNK("\"tool_calls\":[{}]", "\"tool_calls\"") DONE,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_BAD_FINISH,
          .finish = "tool_calls" },
        { .name = "an unknown finish",
          .bytes = TEXT("a") CHUNK("", "\"eos\"") DONE,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_BAD_FINISH,
          .text = "a",
          .finish = "eos" },
        { .name = "comments and empty frames",
          .bytes = ":\n\n: OPENROUTER PROCESSING\n\ndata:\n\n" TEXT(
              "a") ": ping\n\n" STOP DONE,
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "stop" },
        { .name = "two choices",
          .bytes = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":"
                   "\"no\"}},{\"index\":0,\"delta\":{\"content\":\"yes\"},"
                   "\"finish_reason\":\"stop\"}]}\n\n" DONE,
          .outcome = MODEL_COMPLETE,
          .text = "yes",
          .finish = "stop" },
        { .name = "not streamed",
          .bytes = "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},"
                   "\"finish_reason\":\"stop\"}]}",
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "stop" },
        { .name = "an empty stream",
          .bytes = DONE,
          .outcome = MODEL_INCOMPLETE,
          .failure = FAILURE_STREAM_CUT },
        { .name = "cut after the marker",
          .transport = HTTP_CUT,
          .bytes = TEXT("a") STOP,
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "stop" },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

static void
test_thinking_in_tags_is_no_answer(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "in one chunk",
          .bytes = TEXT("<think>hm</think>a") STOP DONE,
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "stop" },
        { .name = "split everywhere",
          .bytes = TEXT("\\n") TEXT("<th") TEXT("in") TEXT("k>h") TEXT("m</")
              TEXT("t<") TEXT("</think") TEXT(">") TEXT("\\n\\na") STOP DONE,
          .outcome = MODEL_COMPLETE,
          .text = "\n\na",
          .finish = "stop" },
        { .name = "a second pair is text",
          .bytes = TEXT("<think></think><think>a</think>") STOP DONE,
          .outcome = MODEL_COMPLETE,
          .text = "<think>a</think>",
          .finish = "stop" },
        { .name = "further down it is text",
          .bytes = TEXT("a <think>") TEXT("b</think>") STOP DONE,
          .outcome = MODEL_COMPLETE,
          .text = "a <think>b</think>",
          .finish = "stop" },
        { .name = "almost a tag",
          .bytes = TEXT(" <thi") TEXT("nking>a") STOP DONE,
          .outcome = MODEL_COMPLETE,
          .text = " <thinking>a",
          .finish = "stop" },
        { .name = "the beginning of a tag and no more",
          .bytes = TEXT("<thi") STOP DONE,
          .outcome = MODEL_COMPLETE,
          .text = "<thi",
          .finish = "stop" },
        { .name = "never closed",
          .bytes = TEXT("<think>the answer is 42</thin") STOP DONE,
          .outcome = MODEL_EMPTY,
          .failure = FAILURE_EMPTY,
          .finish = "stop" },
        { .name = "cut while thinking",
          .bytes = TEXT("<think>hm") CHUNK("", "\"length\"") DONE,
          .outcome = MODEL_EMPTY,
          .failure = FAILURE_ONLY_THOUGHT,
          .finish = "length" },
        { .name = "not streamed",
          .bytes = "{\"choices\":[{\"message\":{\"content\":\"<think>h"
                   "</think>a\"},\"finish_reason\":\"stop\"}]}",
          .outcome = MODEL_COMPLETE,
          .text = "a",
          .finish = "stop" },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

static void
test_errors_under_200_are_errors(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "vLLM, in the stream",
          .bytes =
              "data: {\"error\":{\"message\":\"x\",\"code\":400}}\n\n" DONE,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_HTTP_4XX },
        { .name = "vLLM, at the top level",
          .bytes = "data: {\"object\":\"error\",\"message\":\"x\",\"type\":"
                   "\"NotFoundError\",\"code\":404}\n\n" DONE,
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_MODEL_NOT_FOUND },
        { .name = "llama.cpp's field",
          .bytes = TEXT("a") "error: {\"code\":500,\"message\":\"x\",\"type\":"
                             "\"server_error\"}\n\n" DONE,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_HTTP_5XX,
          .text = "a" },
        { .name = "llama.cpp's field without JSON",
          .bytes = TEXT("a") "error: oh no\n\n" DONE,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_PROVIDER,
          .text = "a" },
        { .name = "OpenRouter, beside no choices",
          .bytes = TEXT("a") "data: {\"choices\":[],\"error\":{\"code\":429}}"
                             "\n\n" DONE,
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_RATE_LIMITED,
          .text = "a" },
        { .name = "OpenAI's own, without a code",
          .bytes = TEXT("a") "data: {\"error\":{\"type\":\"server_error\","
                             "\"code\":null,\"param\":null}}\n\n",
          .outcome = MODEL_FAILED,
          .failure = FAILURE_HTTP_5XX,
          .text = "a" },
        { .name = "the number wins over that word",
          .bytes = "data: {\"error\":{\"type\":\"server_error\",\"code\":503}}"
                   "\n\n",
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_HTTP_503 },
        { .name = "a code in quotes",
          .bytes = "data: {\"error\":{\"code\":\"503\"}}\n\n",
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_HTTP_503 },
        { .name = "overloaded, by its type",
          .bytes = "data: {\"error\":{\"type\":\"overloaded_error\"}}\n\n",
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_HTTP_503 },
        { .name = "too long, by its code",
          .bytes = "data: {\"error\":{\"code\":\"context_length_exceeded\","
                   "\"type\":\"invalid_request_error\"}}\n\n",
          .outcome = MODEL_FAILED,
          .failure = FAILURE_INPUT_TOO_LONG },
        { .name = "too long, by its words",
          .bytes = "data: {\"error\":{\"code\":400,\"message\":\"This model's "
                   "Maximum context length is 8192 tokens\"}}\n\n",
          .outcome = MODEL_FAILED,
          .failure = FAILURE_INPUT_TOO_LONG },
        { .name = "after the marker",
          .bytes = TEXT("a") STOP "data: {\"error\":{\"code\":null}}\n\n" DONE,
          .outcome = MODEL_FAILED,
          .failure = FAILURE_PROVIDER,
          .text = "a",
          .finish = "stop" },
        { .name = "a string",
          .bytes = "data: {\"error\":\"model 'x' not found\"}\n\n",
          .outcome = MODEL_FAILED,
          .failure = FAILURE_PROVIDER },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

static void
test_error_statuses_are_classified(void **state)
{
    static const struct reply_case cases[] = {
        { .name = "a bad key",
          .status = 401,
          .bytes = "{\"error\":{\"code\":\"invalid_api_key\"}}",
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_AUTH },
        { .name = "no money",
          .status = 429,
          .bytes = "{\"error\":{\"code\":\"insufficient_quota\"}}",
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_RATE_LIMITED },
        { .name = "no model, as 400",
          .status = 400,
          .bytes = "{\"error\":{\"code\":\"model_not_found\"}}",
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_MODEL_NOT_FOUND },
        { .name = "no model, old vLLM",
          .status = 404,
          .bytes = "{\"object\":\"error\",\"type\":\"NotFoundError\"}",
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_MODEL_NOT_FOUND },
        { .name = "too long, llama.cpp",
          .status = 400,
          .bytes = "{\"error\":{\"code\":400,\"type\":"
                   "\"exceed_context_size_error\",\"n_ctx\":512}}",
          .outcome = MODEL_FAILED,
          .failure = FAILURE_INPUT_TOO_LONG },
        { .name = "a detail",
          .status = 422,
          .bytes = "{\"detail\":\"x\"}",
          .outcome = MODEL_FAILED,
          .failure = FAILURE_HTTP_4XX },
        { .name = "a page",
          .status = 502,
          .bytes = "<html></html>",
          .outcome = MODEL_FAILED,
          .failure = FAILURE_HTTP_5XX },
        { .name = "overloaded",
          .status = 529,
          .bytes = "{\"error\":{\"type\":\"overloaded_error\"}}",
          .outcome = MODEL_UNAVAILABLE,
          .failure = FAILURE_HTTP_503 },
    };

    (void)state;
    run(cases, ARRAY_LEN(cases));
}

static void
assert_usage(const char *bytes, int64_t input, int64_t output, int64_t thought,
             int64_t cached, int64_t total)
{
    struct reply reply;

    reply_case_feed(&reply, &dialect_openai, bytes);
    assert_int_equal(reply.usage.input_tokens, input);
    assert_int_equal(reply.usage.output_tokens, output);
    assert_int_equal(reply.usage.thought_tokens, thought);
    assert_int_equal(reply.usage.cached_tokens, cached);
    assert_int_equal(reply.usage.total_tokens, total);
    reply_close(&reply);
}

#define USAGE(members) "data: {\"choices\":[],\"usage\":{" members "}}\n\n"

static void
test_usage_after_the_finish_is_counted(void **state)
{
    (void)state;
    assert_usage(TEXT("a") STOP USAGE(
                     "\"prompt_tokens\":10,"
                     "\"completion_tokens\":30,\"total_tokens\":40") DONE,
                 10, 30, -1, -1, 40);
    assert_usage(TEXT("a") STOP DONE, -1, -1, -1, -1, -1);
}

static void
test_reasoning_is_taken_out_of_the_output(void **state)
{
    (void)state;
    assert_usage(USAGE("\"prompt_tokens\":10,\"completion_tokens\":30,"
                       "\"total_tokens\":40,\"prompt_tokens_details\":{"
                       "\"cached_tokens\":4},\"completion_tokens_details\":{"
                       "\"reasoning_tokens\":25}"),
                 10, 5, 25, 4, 40);
    assert_usage(USAGE("\"completion_tokens\":3,\"completion_tokens_details\":"
                       "{\"reasoning_tokens\":25}"),
                 -1, 0, 25, -1, -1);
    assert_usage(
        USAGE("\"prompt_tokens\":10,\"completion_tokens\":30,"
              "\"completion_tokens_details\":{\"reasoning_tokens\":25}"),
        10, 5, 25, -1, 40);
}

static void
test_the_last_usage_counts_and_is_not_added(void **state)
{
    (void)state;
    assert_usage(USAGE("\"prompt_tokens\":10,\"completion_tokens\":1,"
                       "\"total_tokens\":11")
                     USAGE("\"prompt_tokens\":10,\"completion_tokens\":2,"
                           "\"total_tokens\":12"),
                 10, 2, -1, -1, 12);
}

static void
test_reasoning_stops_the_first_token_clock(void **state)
{
    static const char thought[] = CHUNK("\"reasoning_content\":\"hm\"", "null");
    static const char role[] = CHUNK("\"role\":\"assistant\"", "null");
    static const char tagged[] = TEXT("<think>") TEXT("hm");
    struct reply reply;

    (void)state;
    reply_init(&reply, &dialect_openai, 100);
    reply_feed(&reply, ": ping\n\n", 8);
    reply_feed(&reply, role, sizeof(role) - 1);
    assert_false(reply_has_substance(&reply));
    reply_feed(&reply, thought, sizeof(thought) - 1);
    assert_true(reply_has_substance(&reply));
    assert_int_equal(reply.text.len, 0);
    reply_close(&reply);
    reply_init(&reply, &dialect_openai, 100);
    reply_feed(&reply, tagged, sizeof(tagged) - 1);
    assert_true(reply_has_substance(&reply));
    assert_true(reply.thinks);
    assert_int_equal(reply.text.len, 0);
    reply_close(&reply);
}

static void
test_damaged_streams_never_crash(void **state)
{
    static const char stream[] = ": ping\n\n" TEXT("Gr\xc3\xbc\xc3\x9f"
                                                   "e") TEXT("\\ud83d\\ude00 b")
        CHUNK("\"reasoning\":\"hm\"", "null")
            STOP USAGE("\"prompt_tokens\":10,\"completion_tokens\":30,"
                       "\"completion_tokens_details\":{\"reasoning_tokens\":"
                       "25}") "error: {\"code\":500}\n\n" DONE;

    (void)state;
    reply_case_mutate(&dialect_openai, stream, 4000);
}

/* ---- what is sent ------------------------------------------------------- */

static struct model_config
openai_config(void)
{
    return (struct model_config){
        .provider = MODEL_OPENAI,
        .model = "meta-llama/Llama-3.1-8B:free",
        .base_url = "http://127.0.0.1:11434/v1/",
        .api_key = "",
        .project = "",
        .location = "",
        .thinking = "",
        .max_tokens_name = "max_tokens",
    };
}

static void
test_the_url_is_the_base_and_the_path(void **state)
{
    struct model_config config = openai_config();
    struct buf url;

    (void)state;
    buf_init(&url, 1000);
    assert_int_equal(dialect_openai.check(&config, NULL), 0);
    assert_int_equal(dialect_openai.url(&config, &url, NULL), 0);
    assert_string_equal(buf_cstr(&url),
                        "http://127.0.0.1:11434/v1/chat/completions");
    buf_clear(&url);
    config.base_url = "";
    assert_int_equal(dialect_openai.url(&config, &url, NULL), 0);
    assert_string_equal(buf_cstr(&url),
                        "https://api.openai.com/v1/chat/completions");
    buf_close(&url);
}

static void
assert_refused(struct model_config config)
{
    struct err err = { 0 };

    assert_int_equal(dialect_openai.check(&config, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_null(strstr(err.text, "secret"));
}

static void
test_settings_that_cannot_work_are_refused(void **state)
{
    struct model_config config = openai_config();

    (void)state;
    config.model = "";
    assert_refused(config);
    config.model = "a b";
    assert_refused(config);
    config = openai_config();
    config.thinking = "1024";
    assert_refused(config);
    config = openai_config();
    config.max_output_tokens = 5;
    config.max_tokens_name = "tokens";
    assert_refused(config);
    config = openai_config();
    config.api_key = "secret\n";
    assert_refused(config);
    config = openai_config();
    config.base_url = "127.0.0.1";
    assert_refused(config);
}

static void
assert_body(const struct model_config *config, const char *system,
            const char *want)
{
    const struct model_prompt prompt = { .system = system, .user = "hi" };
    struct buf body;

    buf_init(&body, 10000);
    assert_int_equal(dialect_openai.body(config, &prompt, &body, NULL), 0);
    assert_string_equal(buf_cstr(&body), want);
    buf_close(&body);
}

static void
test_the_body_says_only_what_is_configured(void **state)
{
    struct model_config config = openai_config();

    (void)state;
    config.model = "m";
    assert_body(&config, "",
                "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
                "\"hi\"}],\"stream\":true,\"stream_options\":{"
                "\"include_usage\":true}}");
    config.max_output_tokens = 7;
    config.max_tokens_name = "max_completion_tokens";
    config.thinking = "low";
    assert_body(&config, "Be brief.",
                "{\"model\":\"m\",\"messages\":[{\"role\":\"system\","
                "\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":"
                "\"hi\"}],\"stream\":true,\"stream_options\":{"
                "\"include_usage\":true},\"max_completion_tokens\":7,"
                "\"reasoning_effort\":\"low\"}");
}

static void
assert_first_header(const char *key, const char *want)
{
    const struct dialect_moment moment = { .google_token = "",
                                           .quota_project = "",
                                           .seconds_left = 5 };
    struct model_config config = openai_config();
    struct dialect_headers headers = { 0 };
    struct arena arena;

    arena_init(&arena, 10000);
    headers.arena = &arena;
    config.api_key = key;
    assert_int_equal(dialect_openai.headers(&config, &moment, &headers, NULL),
                     0);
    assert_string_equal(headers.lines[0], want);
    arena_close(&arena);
}

static void
test_the_key_is_a_bearer_and_may_be_missing(void **state)
{
    (void)state;
    assert_first_header("sk-1", "Authorization: Bearer sk-1");
    assert_first_header("", "Content-Type: application/json");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_of_all_servers_are_read),
        cmocka_unit_test(test_thinking_in_tags_is_no_answer),
        cmocka_unit_test(test_errors_under_200_are_errors),
        cmocka_unit_test(test_error_statuses_are_classified),
        cmocka_unit_test(test_usage_after_the_finish_is_counted),
        cmocka_unit_test(test_reasoning_is_taken_out_of_the_output),
        cmocka_unit_test(test_the_last_usage_counts_and_is_not_added),
        cmocka_unit_test(test_reasoning_stops_the_first_token_clock),
        cmocka_unit_test(test_damaged_streams_never_crash),
        cmocka_unit_test(test_the_url_is_the_base_and_the_path),
        cmocka_unit_test(test_settings_that_cannot_work_are_refused),
        cmocka_unit_test(test_the_body_says_only_what_is_configured),
        cmocka_unit_test(test_the_key_is_a_bearer_and_may_be_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
