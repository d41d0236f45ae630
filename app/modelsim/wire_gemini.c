/*
 * wire_gemini.c - see wire.h.
 *
 * The two surfaces differ in small ways that clients trip over: Vertex counts
 * tokens in the last chunk only and has no candidate index; the Developer API
 * counts in every chunk and numbers its candidate.
 */
#include "modelsim/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/clock.h"

#define EVENT_END   "\r\n\r\n"
#define ARRAY_COMMA ",\r\n"
#define PRETTY      JSON_INDENT(2)
#define RPC_TYPE    "type.googleapis.com/google.rpc."

static const struct {
    int status;
    const char *name;
    const char *message;
} errors[] = {
    { 400, "INVALID_ARGUMENT", "Request contains an invalid argument." },
    { 401, "UNAUTHENTICATED",
      "Request had invalid authentication credentials." },
    { 403, "PERMISSION_DENIED", "The caller does not have permission." },
    { 404, "NOT_FOUND",
      "The publisher model was not found or your project does not have "
      "access to it." },
    { 429, "RESOURCE_EXHAUSTED", "Resource exhausted. Try again later." },
    { 499, "CANCELLED", "The operation was cancelled." },
    { 500, "INTERNAL", "An internal error has occurred." },
    { 503, "UNAVAILABLE", "The model is overloaded. Try again later." },
    { 504, "DEADLINE_EXCEEDED", "The deadline has passed." },
};

static const char *const categories[] = {
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
};

/* ---- parts of a response ----------------------------------------------- */

static bool
is_vertex(const struct reply *reply)
{
    return reply->surface == SURFACE_VERTEX;
}

static json_t *
modality(int64_t tokens)
{
    return json_pack("[{s:s, s:I}]", "modality", "TEXT", "tokenCount",
                     (json_int_t)tokens);
}

static void
put_count(json_t *usage, const char *name, int64_t count)
{
    if (count > 0) /* zero is left out, as proto JSON does */
        json_object_set_new(usage, name, json_integer(count));
}

static json_t *
counts(const struct reply *reply, const struct said *said)
{
    const int64_t text_tokens = wire_text_tokens(said);
    const int64_t thoughts = wire_thought_tokens(said);
    json_t *usage = json_object();

    put_count(usage, "promptTokenCount", reply->prompt_tokens);
    put_count(usage, "candidatesTokenCount", text_tokens);
    put_count(usage, "totalTokenCount",
              reply->prompt_tokens + text_tokens + thoughts);
    if (is_vertex(reply))
        json_object_set_new(usage, "trafficType", json_string("ON_DEMAND"));
    json_object_set_new(usage, "promptTokensDetails",
                        modality(reply->prompt_tokens));
    if (is_vertex(reply))
        json_object_set_new(usage, "candidatesTokensDetails",
                            modality(text_tokens));
    put_count(usage, "thoughtsTokenCount", thoughts);
    return usage;
}

static json_t *
usage_of(const struct reply *reply, const struct said *said, bool is_last)
{
    if (is_vertex(reply) && !is_last)
        return json_pack("{s:s}", "trafficType", "ON_DEMAND");
    return counts(reply, said);
}

static json_t *
ratings(bool is_blocked)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_LEN(categories); i++) {
        const bool guilty = is_blocked && i == 1;
        json_t *rating =
            json_pack("{s:s, s:s}", "category", categories[i], "probability",
                      guilty ? "HIGH" : "NEGLIGIBLE");

        if (guilty)
            json_object_set_new(rating, "blocked", json_true());
        json_array_append_new(list, rating);
    }
    return list;
}

/* Takes parts; NULL makes a candidate without content. */
static json_t *
candidate_take(const struct reply *reply, json_t *parts, const char *finish)
{
    json_t *candidate = json_object();

    if (parts != NULL)
        json_object_set_new(
            candidate, "content",
            json_pack("{s:s, s:o}", "role", "model", "parts", parts));
    if (finish != NULL)
        json_object_set_new(candidate, "finishReason", json_string(finish));
    if (finish != NULL && strcmp(finish, "SAFETY") == 0)
        json_object_set_new(candidate, "safetyRatings", ratings(true));
    if (!is_vertex(reply))
        json_object_set_new(candidate, "index", json_integer(0));
    return candidate;
}

static void
put_tail(json_t *response, const struct reply *reply, const struct said *said,
         bool is_last)
{
    char created[CLOCK_UTC_LEN];

    json_object_set_new(response, "usageMetadata",
                        usage_of(reply, said, is_last));
    json_object_set_new(response, "modelVersion", json_string(reply->model));
    if (is_vertex(reply)) {
        clock_format_utc(reply->created_unix_us, created);
        json_object_set_new(response, "createTime", json_string(created));
    }
    json_object_set_new(response, "responseId", json_string(reply->id));
}

static json_t *
response_take(const struct reply *reply, const struct said *said,
              json_t *candidate)
{
    const bool is_last = json_object_get(candidate, "finishReason") != NULL;
    json_t *response = json_pack("{s:[o]}", "candidates", candidate);

    put_tail(response, reply, said, is_last);
    return response;
}

static json_t *
text_parts(const char *bytes, size_t len)
{
    return json_pack("[{s:s%}]", "text", bytes, len);
}

static json_t *
thought_part(void)
{
    return json_pack("{s:s, s:b}", "text", WIRE_THOUGHT, "thought", 1);
}

/* ---- framing ----------------------------------------------------------- */

static void
begin_element(struct script *script)
{
    script_add_text(script, script->bytes.len == 0 ? "[" : ARRAY_COMMA);
}

static void
add_frame_take(struct script *script, const struct reply *reply,
               json_t *response)
{
    if (reply->as_events) {
        script_add_text(script, "data: ");
        script_add_json_take(script, response, 0);
        script_add_text(script, EVENT_END);
    } else {
        begin_element(script);
        script_add_json_take(script, response, PRETTY);
    }
}

static void
thought(struct script *script, const struct reply *reply,
        const struct said *said)
{
    json_t *parts = json_pack("[o]", thought_part());

    add_frame_take(
        script, reply,
        response_take(reply, said, candidate_take(reply, parts, NULL)));
}

static void
text(struct script *script, const struct reply *reply, const struct said *said,
     const struct piece *piece)
{
    const bool says_nothing = piece->len == 0 && piece->finish != NULL;
    json_t *parts = says_nothing ? NULL : text_parts(piece->bytes, piece->len);

    add_frame_take(script, reply,
                   response_take(reply, said,
                                 candidate_take(reply, parts, piece->finish)));
}

static json_t *
refusal(const struct reply *reply)
{
    const struct said nothing = { 0 };
    json_t *feedback =
        json_pack("{s:s, s:o}", "blockReason", "PROHIBITED_CONTENT",
                  "safetyRatings", ratings(true));
    json_t *response;

    if (is_vertex(reply))
        json_object_set_new(feedback, "blockReasonMessage",
                            json_string("The prompt could not be submitted."));
    response = json_pack("{s:o}", "promptFeedback", feedback);
    put_tail(response, reply, &nothing, true);
    return response;
}

static void
finish_array(struct script *script, const struct reply *reply,
             const struct said *said)
{
    (void)said;
    if (!reply->as_events)
        script_add_text(script, "]");
}

static void
blocked(struct script *script, const struct reply *reply)
{
    if (reply->streams) {
        add_frame_take(script, reply, refusal(reply));
        finish_array(script, reply, NULL);
    } else {
        script_add_json_take(script, refusal(reply), PRETTY);
    }
}

static void
broken(struct script *script, const struct reply *reply)
{
    if (reply->as_events)
        script_add_text(script, "data: ");
    else
        begin_element(script);
    script_add_text(script, "{\"candidates\": [{\"content\": oops");
    if (reply->as_events)
        script_add_text(script, EVENT_END);
}

/* ---- errors ------------------------------------------------------------ */

static json_t *
retry_info(int64_t delay_ms)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRId64 ".%03" PRId64 "s", delay_ms / 1000,
             delay_ms % 1000);
    if (delay_ms % 1000 == 0)
        snprintf(text, sizeof(text), "%" PRId64 "s", delay_ms / 1000);
    return json_pack("{s:s, s:s}", "@type", RPC_TYPE "RetryInfo", "retryDelay",
                     text);
}

static json_t *
quota_failure(void)
{
    return json_pack("{s:s, s:[{s:s, s:s, s:s}]}", "@type",
                     RPC_TYPE "QuotaFailure", "violations", "quotaMetric",
                     "generativelanguage.googleapis.com/"
                     "generate_content_requests",
                     "quotaId", "GenerateRequestsPerMinutePerProjectPerModel",
                     "quotaValue", "60");
}

static json_t *
details_of(const struct reply *reply, const struct fail *fail)
{
    json_t *details = json_array();

    if (fail->reason != NULL)
        json_array_append_new(details, json_pack("{s:s, s:s, s:s}", "@type",
                                                 RPC_TYPE "ErrorInfo", "reason",
                                                 fail->reason, "domain",
                                                 "googleapis.com"));
    if (fail->status == 429 && !is_vertex(reply))
        json_array_append_new(details, quota_failure());
    if (fail->retry_delay_ms >= 0)
        json_array_append_new(details, retry_info(fail->retry_delay_ms));
    return details;
}

static json_t *
error_object(const struct reply *reply, const struct fail *fail)
{
    const char *name = "UNKNOWN";
    const char *message = "Unknown error.";
    json_t *details = details_of(reply, fail);
    json_t *body;

    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i].status == fail->status) {
            name = errors[i].name;
            message = errors[i].message;
        }
    if (fail->message != NULL)
        message = fail->message;
    body = json_pack("{s:{s:i, s:s, s:s}}", "error", "code", fail->status,
                     "message", message, "status", name);
    if (json_array_size(details) > 0)
        json_object_set(json_object_get(body, "error"), "details", details);
    json_decref(details);
    return body;
}

static void
error_event(struct script *script, const struct reply *reply,
            const struct fail *fail)
{
    add_frame_take(script, reply, error_object(reply, fail));
}

static void
error(struct script *script, const struct reply *reply, const struct fail *fail)
{
    json_t *body = error_object(reply, fail);

    if (reply->streams && !reply->as_events && script->bytes.len == 0)
        body = json_pack("[o]", body);
    script_add_json_take(script, body, PRETTY);
    script_add_text(script, "\n");
}

/* ---- one body ---------------------------------------------------------- */

static void
whole(struct script *script, const struct reply *reply)
{
    const struct said all = { reply->thoughts, reply->text_len };
    json_t *parts = json_array();

    for (int64_t i = 0; i < reply->thoughts; i++)
        json_array_append_new(parts, thought_part());
    if (reply->text_len > 0)
        json_array_append_new(
            parts, json_pack("{s:s%}", "text", reply->text, reply->text_len));
    if (json_array_size(parts) == 0) {
        json_decref(parts);
        parts = NULL;
    }
    script_add_json_take(
        script,
        response_take(reply, &all, candidate_take(reply, parts, reply->finish)),
        PRETTY);
    script_add_text(script, "\n");
}

const struct wire wire_gemini = {
    .thought = thought,
    .text = text,
    .blocked = blocked,
    .broken = broken,
    .error_event = error_event,
    .error = error,
    .whole = whole,
    .close = finish_array,
};
