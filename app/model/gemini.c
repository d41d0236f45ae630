/*
 * gemini.c - generateContent, streamed, on Vertex AI and on the Gemini
 * Developer API.  See dialect.h.
 *
 * The two differ in host, path and credentials; what they say is one format
 * as long as any member may be absent.  Zero counts are absent on the wire.
 */
#include "model/dialect.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "text/json.h"
#include "text/jsonw.h"

#define MAX_ID_LEN   128
#define MAX_THINKING 1000000

/* ---- settings ----------------------------------------------------------- */

/* Names that go into a URL path: nothing that could end or bend it. */
static bool
is_path_word(const char *text, const char *punctuation)
{
    const size_t len = strlen(text);

    if (len == 0 || len > MAX_ID_LEN || strstr(text, "..") != NULL)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isascii(text[i]) || (!isalnum((unsigned char)text[i]) &&
                                  strchr(punctuation, text[i]) == NULL))
            return false;
    return true;
}

static bool
is_word(const char *text)
{
    for (; *text != '\0'; text++)
        if (!isascii(*text) || !isalpha((unsigned char)*text))
            return false;
    return true;
}

static int
check_common(const struct model_config *config, struct err *err)
{
    int64_t budget;

    if (!is_path_word(dialect_bare_model(config->model), "._@-"))
        return err_set(err, ERR_INVALID, "not a Gemini model id: \"%.80s\"",
                       config->model);
    if (str_to_int(config->thinking, -1, MAX_THINKING, &budget) == -1 &&
        !is_word(config->thinking))
        return err_set(err, ERR_INVALID,
                       "thinking is neither a token budget nor a level");
    return dialect_check_base_url(config->base_url, err);
}

static int
vertex_check(const struct model_config *config, struct err *err)
{
    if (!is_path_word(config->project, "-:."))
        return err_set(err, ERR_INVALID, "Vertex AI needs a project id");
    if (!is_path_word(config->location, "-"))
        return err_set(err, ERR_INVALID, "Vertex AI needs a location");
    return check_common(config, err);
}

static int
gemini_check(const struct model_config *config, struct err *err)
{
    if (config->api_key[0] == '\0')
        return err_set(err, ERR_INVALID, "the Gemini API needs an API key");
    if (dialect_check_key(config->api_key, err) == -1)
        return -1;
    return check_common(config, err);
}

/* ---- the request -------------------------------------------------------- */

static enum buf_status
append_vertex_host(struct buf *out, const char *location)
{
    if (strcmp(location, "global") == 0)
        return buf_append_str(out, "https://aiplatform.googleapis.com");
    if (strcmp(location, "us") == 0 || strcmp(location, "eu") == 0)
        return buf_printf(out, "https://aiplatform.%s.rep.googleapis.com",
                          location);
    return buf_printf(out, "https://%s-aiplatform.googleapis.com", location);
}

static int
vertex_url(const struct model_config *config, struct buf *out, struct err *err)
{
    enum buf_status status = BUF_OK;

    if (config->base_url[0] == '\0')
        status = append_vertex_host(out, config->location);
    else if (dialect_append_base(out, config->base_url, "", err) == -1)
        return -1;
    if (status == BUF_OK)
        status = buf_printf(out,
                            "/v1/projects/%s/locations/%s/publishers/google/"
                            "models/%s:streamGenerateContent?alt=sse",
                            config->project, config->location,
                            dialect_bare_model(config->model));
    return buf_error(out, status, "URL", err);
}

static int
gemini_url(const struct model_config *config, struct buf *out, struct err *err)
{
    if (dialect_append_base(out, config->base_url,
                            "https://generativelanguage.googleapis.com",
                            err) == -1)
        return -1;
    return buf_error(
        out,
        buf_printf(out, "/v1beta/models/%s:streamGenerateContent?alt=sse",
                   dialect_bare_model(config->model)),
        "URL", err);
}

/* The server may stop working when nobody waits any more. */
static int
add_common_headers(const struct dialect_moment *moment,
                   struct dialect_headers *headers, struct err *err)
{
    if (dialect_add_header(headers, err, "Content-Type: application/json") ==
        -1)
        return -1;
    return dialect_add_header(headers, err, "X-Server-Timeout: %lld",
                              (long long)moment->seconds_left);
}

static int
vertex_headers(const struct model_config *config,
               const struct dialect_moment *moment,
               struct dialect_headers *headers, struct err *err)
{
    (void)config;
    if (dialect_add_header(headers, err, "Authorization: Bearer %s",
                           moment->google_token) == -1)
        return -1;
    if (moment->quota_project[0] != '\0' &&
        dialect_add_header(headers, err, "x-goog-user-project: %s",
                           moment->quota_project) == -1)
        return -1;
    return add_common_headers(moment, headers, err);
}

static int
gemini_headers(const struct model_config *config,
               const struct dialect_moment *moment,
               struct dialect_headers *headers, struct err *err)
{
    if (dialect_add_header(headers, err, "x-goog-api-key: %s",
                           config->api_key) == -1)
        return -1;
    return add_common_headers(moment, headers, err);
}

/* A level is upper-case on the wire. */
static void
write_thinking(struct jsonw *writer, const char *thinking)
{
    char level[MAX_ID_LEN];
    int64_t budget;
    size_t len = 0;

    jsonw_object(writer, "thinkingConfig");
    if (str_to_int(thinking, -1, MAX_THINKING, &budget) == 0) {
        jsonw_int(writer, "thinkingBudget", budget);
    } else {
        for (; thinking[len] != '\0' && len < sizeof(level) - 1; len++)
            level[len] = (char)toupper((unsigned char)thinking[len]);
        level[len] = '\0';
        jsonw_string(writer, "thinkingLevel", level);
    }
    jsonw_end_object(writer);
}

static void
write_parts(struct jsonw *writer, const char *text)
{
    jsonw_array(writer, "parts");
    jsonw_object(writer, NULL);
    jsonw_string(writer, "text", text);
    jsonw_end_object(writer);
    jsonw_end_array(writer);
}

static int
gemini_body(const struct model_config *config,
            const struct model_prompt *prompt, struct buf *out, struct err *err)
{
    struct jsonw writer;

    jsonw_init(&writer, out);
    jsonw_object(&writer, NULL);
    if (prompt->system[0] != '\0') {
        jsonw_object(&writer, "systemInstruction");
        write_parts(&writer, prompt->system);
        jsonw_end_object(&writer);
    }
    jsonw_array(&writer, "contents");
    jsonw_object(&writer, NULL);
    jsonw_string(&writer, "role", "user");
    write_parts(&writer, prompt->user);
    jsonw_end_object(&writer);
    jsonw_end_array(&writer);
    jsonw_object(&writer, "generationConfig");
    if (config->max_output_tokens > 0)
        jsonw_int(&writer, "maxOutputTokens", config->max_output_tokens);
    if (config->thinking[0] != '\0')
        write_thinking(&writer, config->thinking);
    jsonw_end_object(&writer);
    jsonw_end_object(&writer);
    return dialect_body_error(&writer, err);
}

/* ---- the answer --------------------------------------------------------- */

static enum reply_finish
finish_of(const char *reason)
{
    static const char *const policies[] = {
        "SAFETY",     "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
        "RECITATION", "LANGUAGE",  "MODEL_ARMOR",
    };

    if (strcmp(reason, "STOP") == 0)
        return REPLY_STOP;
    if (strcmp(reason, "MAX_TOKENS") == 0)
        return REPLY_LENGTH;
    for (size_t i = 0; i < ARRAY_LEN(policies); i++)
        if (strcmp(reason, policies[i]) == 0)
            return REPLY_POLICY;
    return str_starts_with(reason, "IMAGE_") ? REPLY_POLICY : REPLY_ODD;
}

/* Vertex leaves out the index of its only candidate. */
static const json_t *
first_candidate(const json_t *candidates)
{
    for (size_t i = 0; i < json_array_size(candidates); i++) {
        const json_t *candidate = json_array_get(candidates, i);
        const json_t *index = json_object_get(candidate, "index");

        if (json_number_value(index) == 0)
            return candidate;
    }
    return NULL;
}

static void
read_candidate(struct reply *reply, const json_t *candidate)
{
    const json_t *content = json_object_get(candidate, "content");
    const json_t *parts = json_object_get(content, "parts");
    const char *reason =
        json_string_value(json_object_get(candidate, "finishReason"));

    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const json_t *text = json_object_get(part, "text");

        if (json_is_true(json_object_get(part, "thought")))
            reply_add_thought(reply, text);
        else
            reply_add_text(reply, json_string_value(text),
                           json_string_length(text));
    }
    if (reason != NULL && reason[0] != '\0')
        reply_finish(reply, finish_of(reason), reason);
}

static void
zero_if_unknown(int64_t *tokens)
{
    if (*tokens == -1)
        *tokens = 0;
}

/* A total says that the counts are in; what is not named then is zero. */
static void
read_usage(struct model_usage *usage, const json_t *said)
{
    reply_count(&usage->input_tokens,
                json_object_get(said, "promptTokenCount"));
    reply_count(&usage->output_tokens,
                json_object_get(said, "candidatesTokenCount"));
    reply_count(&usage->thought_tokens,
                json_object_get(said, "thoughtsTokenCount"));
    reply_count(&usage->cached_tokens,
                json_object_get(said, "cachedContentTokenCount"));
    reply_count(&usage->total_tokens, json_object_get(said, "totalTokenCount"));
    if (usage->total_tokens == -1)
        return;
    zero_if_unknown(&usage->output_tokens);
    zero_if_unknown(&usage->thought_tokens);
    zero_if_unknown(&usage->cached_tokens);
}

static void
gemini_event(struct reply *reply, const json_t *event)
{
    const json_t *feedback = json_object_get(event, "promptFeedback");
    const char *block_reason =
        json_string_value(json_object_get(feedback, "blockReason"));

    reply_name_model(reply, json_object_get(event, "modelVersion"));
    reply_name_response(reply, json_object_get(event, "responseId"));
    read_usage(&reply->usage, json_object_get(event, "usageMetadata"));
    read_candidate(reply,
                   first_candidate(json_object_get(event, "candidates")));
    if (block_reason != NULL && block_reason[0] != '\0')
        reply_finish(reply, REPLY_POLICY, block_reason);
}

/* ---- errors ------------------------------------------------------------- */

static long
code_of_status(const json_t *status)
{
    static const struct {
        const char *word;
        long code;
    } table[] = {
        { "UNAUTHENTICATED", 401 },     { "PERMISSION_DENIED", 403 },
        { "NOT_FOUND", 404 },           { "RESOURCE_EXHAUSTED", 429 },
        { "UNAVAILABLE", 503 },         { "INVALID_ARGUMENT", 400 },
        { "CANCELLED", 499 },           { "INTERNAL", 500 },
        { "FAILED_PRECONDITION", 400 }, { "DEADLINE_EXCEEDED", 504 },
    };
    const char *word = json_string_value(status);

    for (size_t i = 0; word != NULL && i < ARRAY_LEN(table); i++)
        if (strcmp(word, table[i].word) == 0)
            return table[i].code;
    return -1;
}

static bool
says_key_is_invalid(const json_t *details)
{
    for (size_t i = 0; i < json_array_size(details); i++) {
        const json_t *detail = json_array_get(details, i);

        if (dialect_mentions(json_object_get(detail, "reason"),
                             "API_KEY_INVALID"))
            return true;
    }
    return false;
}

static enum failure
gemini_classify(const json_t *error)
{
    const json_t *message = json_object_get(error, "message");
    long code = dialect_status_code(json_object_get(error, "code"));

    if (code == -1)
        code = code_of_status(json_object_get(error, "status"));
    if (says_key_is_invalid(json_object_get(error, "details")))
        return FAILURE_AUTH;
    if (code == 400 && dialect_mentions(message, "input token count"))
        return FAILURE_INPUT_TOO_LONG;
    if (code < 400)
        return FAILURE_PROVIDER;
    return failure_from_status(code);
}

const struct dialect dialect_vertex = {
    .wants_google_token = true,
    .proof = DIALECT_COUNTS,
    .check = vertex_check,
    .url = vertex_url,
    .headers = vertex_headers,
    .body = gemini_body,
    .event = gemini_event,
    .classify = gemini_classify,
};

const struct dialect dialect_gemini = {
    .wants_google_token = false,
    .proof = DIALECT_LATE_MARKER,
    .check = gemini_check,
    .url = gemini_url,
    .headers = gemini_headers,
    .body = gemini_body,
    .event = gemini_event,
    .classify = gemini_classify,
};
