/* wire_openai.c - see wire.h. */
#include "modelsim/wire.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"

#define EVENT_END    "\n\n"
#define FINISH_BYTES 80

/* ---- words ------------------------------------------------------------- */

/* Gemini's finish reason in this wire's spelling. */
static void
finish_word(const char *finish, char word[FINISH_BYTES])
{
    static const char *const pairs[][2] = {
        { "STOP", "stop" },
        { "MAX_TOKENS", "length" },
        { "SAFETY", "content_filter" },
        { "PROHIBITED_CONTENT", "content_filter" },
    };

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (strcmp(pairs[i][0], finish) == 0)
            finish = pairs[i][1];
    snprintf(word, FINISH_BYTES, "%s", finish);
    for (char *at = word; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
}

static json_t *
finish_value(const char *finish)
{
    char word[FINISH_BYTES];

    if (finish == NULL)
        return json_null();
    finish_word(finish, word);
    return json_string(word);
}

static json_t *
usage_of(const struct reply *reply, const struct said *said)
{
    const int64_t thoughts = wire_thought_tokens(said);
    const int64_t output = wire_text_tokens(said) + thoughts;

    return json_pack("{s:I, s:I, s:I, s:{s:i}, s:{s:I}}", "prompt_tokens",
                     (json_int_t)reply->prompt_tokens, "completion_tokens",
                     (json_int_t)output, "total_tokens",
                     (json_int_t)(reply->prompt_tokens + output),
                     "prompt_tokens_details", "cached_tokens", 0,
                     "completion_tokens_details", "reasoning_tokens",
                     (json_int_t)thoughts);
}

/* ---- chunks ------------------------------------------------------------ */

static json_t *
envelope(const struct reply *reply, const char *object)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s}", "id", reply->id, "object",
                     object, "created",
                     (json_int_t)(reply->created_unix_us / 1000000), "model",
                     reply->model, "system_fingerprint", "fp_modelsim");
}

static void
add_event_take(struct script *script, json_t *event)
{
    script_add_text(script, "data: ");
    script_add_json_take(script, event, JSON_COMPACT);
    script_add_text(script, EVENT_END);
}

/* Takes delta. */
static void
add_chunk_take(struct script *script, const struct reply *reply, json_t *delta,
               const char *finish)
{
    json_t *chunk = envelope(reply, "chat.completion.chunk");

    json_object_set_new(chunk, "choices",
                        json_pack("[{s:i, s:o, s:n, s:o}]", "index", 0, "delta",
                                  delta, "logprobs", "finish_reason",
                                  finish_value(finish)));
    if (reply->include_usage)
        json_object_set_new(chunk, "usage", json_null());
    add_event_take(script, chunk);
}

/* The first chunk of a stream names the role and says nothing yet. */
static void
add_opening(struct script *script, const struct reply *reply)
{
    if (script->bytes.len == 0)
        add_chunk_take(
            script, reply,
            json_pack("{s:s, s:s}", "role", "assistant", "content", ""), NULL);
}

static void
thought(struct script *script, const struct reply *reply,
        const struct said *said)
{
    (void)said;
    add_opening(script, reply);
    add_chunk_take(script, reply,
                   json_pack("{s:s}", "reasoning_content", WIRE_THOUGHT), NULL);
}

static void
text(struct script *script, const struct reply *reply, const struct said *said,
     const struct piece *piece)
{
    (void)said;
    add_opening(script, reply);
    if (piece->len > 0)
        add_chunk_take(script, reply,
                       json_pack("{s:s%}", "content", piece->bytes, piece->len),
                       NULL);
    if (piece->finish != NULL)
        add_chunk_take(script, reply, json_object(), piece->finish);
}

static void
broken(struct script *script, const struct reply *reply)
{
    (void)reply;
    script_add_text(script, "data: {\"choices\":[{\"delta\":oops" EVENT_END);
}

static void
finish_stream(struct script *script, const struct reply *reply,
              const struct said *said)
{
    if (reply->include_usage && reply->finish != NULL) {
        json_t *chunk = envelope(reply, "chat.completion.chunk");

        json_object_set_new(chunk, "choices", json_array());
        json_object_set_new(chunk, "usage", usage_of(reply, said));
        add_event_take(script, chunk);
    }
    script_add_text(script, "data: [DONE]" EVENT_END);
}

/* ---- errors ------------------------------------------------------------ */

static json_t *
error_object(const struct fail *fail)
{
    const char *type = "invalid_request_error";
    const char *code = NULL;
    const char *message = "The request could not be served.";

    if (fail->status == 429) {
        type = "requests";
        code = "rate_limit_exceeded";
        message = "Rate limit reached.";
    } else if (fail->status == 401) {
        code = "invalid_api_key";
        message = "Incorrect API key provided.";
    } else if (fail->status == 404) {
        code = "model_not_found";
        message = "The model does not exist or you have no access to it.";
    } else if (fail->status >= 500) {
        type = "server_error";
        message = "The server had an error processing your request.";
    }
    if (fail->message != NULL)
        message = fail->message;
    return json_pack("{s:{s:s, s:s, s:n, s:s?}}", "error", "message", message,
                     "type", type, "param", "code", code);
}

static void
error_event(struct script *script, const struct reply *reply,
            const struct fail *fail)
{
    (void)reply;
    add_event_take(script, error_object(fail));
}

static void
error(struct script *script, const struct reply *reply, const struct fail *fail)
{
    (void)reply;
    if (fail->retry_delay_ms >= 0 && script->bytes.len == 0) {
        script->header = "Retry-After";
        snprintf(script->header_value, sizeof(script->header_value), "%.3g",
                 (double)fail->retry_delay_ms / 1000);
    }
    script_add_json_take(script, error_object(fail), JSON_INDENT(2));
    script_add_text(script, "\n");
}

/* ---- one body ---------------------------------------------------------- */

static void
whole(struct script *script, const struct reply *reply)
{
    const struct said all = { reply->thoughts, reply->text_len };
    json_t *body = envelope(reply, "chat.completion");
    json_t *message =
        json_pack("{s:s, s:s%, s:n}", "role", "assistant", "content",
                  reply->text, reply->text_len, "refusal");

    if (reply->thoughts > 0)
        json_object_set_new(message, "reasoning_content",
                            json_string(WIRE_THOUGHT));
    json_object_set_new(
        body, "choices",
        json_pack("[{s:i, s:o, s:n, s:o}]", "index", 0, "message", message,
                  "logprobs", "finish_reason", finish_value(reply->finish)));
    json_object_set_new(body, "usage", usage_of(reply, &all));
    script_add_json_take(script, body, JSON_INDENT(2));
    script_add_text(script, "\n");
}

/* This wire has no word for a refused prompt: it answers with nothing, and
 * with the finish reason of the content filter. */
static void
blocked(struct script *script, const struct reply *reply)
{
    const struct said nothing = { 0 };
    struct reply refusal = *reply;

    refusal.text = "";
    refusal.text_len = 0;
    refusal.finish = "SAFETY";
    if (!reply->streams) {
        whole(script, &refusal);
        return;
    }
    text(script, &refusal, &nothing, &(struct piece){ "", 0, refusal.finish });
    finish_stream(script, &refusal, &nothing);
}

const struct wire wire_openai = {
    .thought = thought,
    .text = text,
    .blocked = blocked,
    .broken = broken,
    .error_event = error_event,
    .error = error,
    .whole = whole,
    .close = finish_stream,
};
