/*
 * openai.c - chat completions, streamed, as OpenAI and those compatible with
 * it speak them.  See dialect.h.
 *
 * Servers differ most in their errors: the code is a number, text of a number
 * or a word, and the type a word of their own.
 */
#include "model/dialect.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "text/json.h"
#include "text/jsonw.h"

#define MAX_ID_LEN 200

/* ---- settings ----------------------------------------------------------- */

static bool
is_printable_id(const char *id)
{
    return id[0] != '\0' && strlen(id) <= MAX_ID_LEN && str_is_visible(id);
}

static int
openai_check(const struct model_config *config, struct err *err)
{
    int64_t number;

    if (!is_printable_id(config->model))
        return err_set(err, ERR_INVALID,
                       "model id is empty, too long or has blanks");
    if (str_to_int(config->thinking, INT64_MIN, INT64_MAX, &number) == 0)
        return err_set(err, ERR_INVALID,
                       "thinking is a word such as low for this provider, "
                       "not a number");
    if (config->max_output_tokens > 0 &&
        strcmp(config->max_tokens_name, "max_tokens") != 0 &&
        strcmp(config->max_tokens_name, "max_completion_tokens") != 0)
        return err_set(err, ERR_INVALID,
                       "the output limit is called max_tokens or "
                       "max_completion_tokens");
    if (dialect_check_key(config->api_key, err) == -1)
        return -1;
    return dialect_check_base_url(config->base_url, err);
}

/* ---- the request -------------------------------------------------------- */

static int
openai_url(const struct model_config *config, struct buf *out, struct err *err)
{
    if (dialect_append_base(out, config->base_url, "https://api.openai.com/v1",
                            err) == -1)
        return -1;
    return buf_error(out, buf_append_str(out, "/chat/completions"), "URL", err);
}

static int
openai_headers(const struct model_config *config,
               const struct dialect_moment *moment,
               struct dialect_headers *headers, struct err *err)
{
    (void)moment;
    if (config->api_key[0] != '\0' &&
        dialect_add_header(headers, err, "Authorization: Bearer %s",
                           config->api_key) == -1)
        return -1;
    return dialect_add_header(headers, err, "Content-Type: application/json");
}

static void
write_message(struct jsonw *writer, const char *role, const char *content)
{
    jsonw_object(writer, NULL);
    jsonw_string(writer, "role", role);
    jsonw_string(writer, "content", content);
    jsonw_end_object(writer);
}

/* Only what is configured: strict servers refuse members they do not know. */
static int
openai_body(const struct model_config *config,
            const struct model_prompt *prompt, struct buf *out, struct err *err)
{
    struct jsonw writer;

    jsonw_init(&writer, out);
    jsonw_object(&writer, NULL);
    jsonw_string(&writer, "model", config->model);
    jsonw_array(&writer, "messages");
    if (prompt->system[0] != '\0')
        write_message(&writer, "system", prompt->system);
    write_message(&writer, "user", prompt->user);
    jsonw_end_array(&writer);
    jsonw_bool(&writer, "stream", true);
    jsonw_object(&writer, "stream_options");
    jsonw_bool(&writer, "include_usage", true);
    jsonw_end_object(&writer);
    if (config->max_output_tokens > 0)
        jsonw_int(&writer, config->max_tokens_name, config->max_output_tokens);
    if (config->thinking[0] != '\0')
        jsonw_string(&writer, "reasoning_effort", config->thinking);
    jsonw_end_object(&writer);
    return dialect_body_error(&writer, err);
}

/* ---- the answer --------------------------------------------------------- */

static enum reply_finish
finish_of(const char *reason)
{
    if (strcmp(reason, "stop") == 0)
        return REPLY_STOP;
    if (strcmp(reason, "length") == 0)
        return REPLY_LENGTH;
    return strcmp(reason, "content_filter") == 0 ? REPLY_POLICY : REPLY_ODD;
}

static const json_t *
first_choice(const json_t *choices)
{
    for (size_t i = 0; i < json_array_size(choices); i++) {
        const json_t *choice = json_array_get(choices, i);

        if (json_number_value(json_object_get(choice, "index")) == 0)
            return choice;
    }
    return NULL;
}

/* Servers without a parser for it leave the model's thinking in the answer, in
 * tags that chunks may split.  Only what an answer begins with is taken for
 * such: further down the tags are text like any other. */

#define OPENING_TAG "<think>"
#define CLOSING_TAG "</think>"

/* The text so far is kept until it cannot become the tag any more.  Returns
 * how many of its last bytes stand behind the whole tag. */
static size_t
look_for_opening_tag(struct reply *reply)
{
    const struct buf *text = &reply->text;
    const char *begin = buf_cstr(text);
    const size_t blanks = strspn(begin, " \t\r\n");
    const size_t tag_len = strlen(OPENING_TAG);
    const size_t left = text->len - blanks;

    if (memcmp(begin + blanks, OPENING_TAG, left < tag_len ? left : tag_len) !=
        0)
        reply->tags = REPLY_TAGS_OVER;
    else if (left >= tag_len)
        reply->tags = REPLY_TAGS_OPEN;
    return reply->tags == REPLY_TAGS_OPEN ? left - tag_len : 0;
}

/* Returns how many of the bytes are still thinking. */
static size_t
skip_thinking(struct reply *reply, const char *bytes, size_t len)
{
    size_t i = 0;

    while (i < len && reply->tags == REPLY_TAGS_OPEN) {
        if (bytes[i] == CLOSING_TAG[reply->tag_bytes])
            reply->tag_bytes++;
        else
            reply->tag_bytes = bytes[i] == CLOSING_TAG[0];
        if (reply->tag_bytes == strlen(CLOSING_TAG))
            reply->tags = REPLY_TAGS_OVER;
        i++;
    }
    return i;
}

static void
read_content(struct reply *reply, const json_t *content)
{
    const char *bytes = json_string_value(content);
    size_t len = json_string_length(content);
    size_t skipped;

    if (len == 0)
        return;
    if (reply->tags == REPLY_TAGS_POSSIBLE) {
        reply_add_text(reply, bytes, len);
        len = look_for_opening_tag(reply);
        if (reply->tags != REPLY_TAGS_OPEN)
            return;
        bytes += json_string_length(content) - len;
        buf_clear(&reply->text);
        reply->thinks = true;
    }
    skipped = skip_thinking(reply, bytes, len);
    reply_add_text(reply, bytes + skipped, len - skipped);
}

/* Text first: some servers send it together with the finish reason.  A server
 * that does not stream says message where others say delta. */
static void
read_choice(struct reply *reply, const json_t *choice)
{
    const json_t *delta = json_object_get(choice, "delta");
    const char *reason =
        json_string_value(json_object_get(choice, "finish_reason"));

    if (delta == NULL)
        delta = json_object_get(choice, "message");
    reply_add_thought(reply, json_object_get(delta, "reasoning_content"));
    reply_add_thought(reply, json_object_get(delta, "reasoning"));
    read_content(reply, json_object_get(delta, "content"));
    if (reason != NULL && reason[0] != '\0')
        reply_finish(reply, finish_of(reason), reason);
}

/* completion_tokens has the reasoning in it; output_tokens has not. */
static void
read_usage(struct model_usage *usage, const json_t *said)
{
    const json_t *prompt = json_object_get(said, "prompt_tokens_details");
    const json_t *spent = json_object_get(said, "completion_tokens_details");
    int64_t completion = -1;

    reply_count(&usage->input_tokens, json_object_get(said, "prompt_tokens"));
    reply_count(&usage->total_tokens, json_object_get(said, "total_tokens"));
    reply_count(&usage->cached_tokens,
                json_object_get(prompt, "cached_tokens"));
    reply_count(&usage->thought_tokens,
                json_object_get(spent, "reasoning_tokens"));
    reply_count(&completion, json_object_get(said, "completion_tokens"));
    if (completion == -1)
        return;
    usage->output_tokens = completion;
    if (usage->thought_tokens > completion)
        usage->output_tokens = 0;
    else if (usage->thought_tokens > 0)
        usage->output_tokens = completion - usage->thought_tokens;
}

static void
openai_event(struct reply *reply, const json_t *event)
{
    reply_name_model(reply, json_object_get(event, "model"));
    reply_name_response(reply, json_object_get(event, "id"));
    read_usage(&reply->usage, json_object_get(event, "usage"));
    read_choice(reply, first_choice(json_object_get(event, "choices")));
}

/* ---- errors ------------------------------------------------------------- */

static enum failure
failure_of_word(const json_t *json)
{
    static const struct {
        const char *word;
        enum failure failure;
    } table[] = {
        { "invalid_api_key", FAILURE_AUTH },
        { "authentication_error", FAILURE_AUTH },
        { "permission_error", FAILURE_AUTH },
        { "insufficient_quota", FAILURE_RATE_LIMITED },
        { "rate_limit_exceeded", FAILURE_RATE_LIMITED },
        { "rate_limit_error", FAILURE_RATE_LIMITED },
        { "context_length_exceeded", FAILURE_INPUT_TOO_LONG },
        { "exceed_context_size_error", FAILURE_INPUT_TOO_LONG },
        { "model_not_found", FAILURE_MODEL_NOT_FOUND },
        { "not_found_error", FAILURE_MODEL_NOT_FOUND },
        { "NotFoundError", FAILURE_MODEL_NOT_FOUND },
        { "overloaded_error", FAILURE_HTTP_503 },
        { "unavailable_error", FAILURE_HTTP_503 },
    };
    const char *word = json_string_value(json);

    for (size_t i = 0; word != NULL && i < ARRAY_LEN(table); i++)
        if (strcmp(word, table[i].word) == 0)
            return table[i].failure;
    return FAILURE_NONE;
}

static enum failure
openai_classify(const json_t *error)
{
    const json_t *code = json_object_get(error, "code");
    const json_t *type = json_object_get(error, "type");
    const json_t *message = json_object_get(error, "message");
    const long number = dialect_status_code(code);
    enum failure failure = failure_of_word(code);

    if (failure == FAILURE_NONE)
        failure = failure_of_word(type);
    if (failure != FAILURE_NONE)
        return failure;
    if (dialect_mentions(message, "maximum context length"))
        return FAILURE_INPUT_TOO_LONG;
    if (number >= 400)
        return failure_from_status(number);
    return dialect_mentions(type, "server_error") ? FAILURE_HTTP_5XX
                                                  : FAILURE_PROVIDER;
}

const struct dialect dialect_openai = {
    .wants_google_token = false,
    .proof = DIALECT_MARKER,
    .check = openai_check,
    .url = openai_url,
    .headers = openai_headers,
    .body = openai_body,
    .event = openai_event,
    .classify = openai_classify,
};
