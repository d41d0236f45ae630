/* request.c - see request.h. */
#include "ask/request.h"

#include <string.h>

#include "text/json.h"
#include "text/utf8.h"

#define MAX_DEPTH          16
#define MAX_CONTEXT_VALUES 2000
#define MAX_USER_BYTES     256

static int
refuse(struct request_fault *fault, int status, const char *code,
       const char *text)
{
    *fault = (struct request_fault){ status, code, text };
    return -1;
}

static int
parse_body(struct request *request, const char *body, size_t len,
           struct request_fault *fault)
{
    struct err err = { 0 };

    request->root =
        json_parse_lenient(body, len, MAX_DEPTH, &request->cleaned, &err);
    if (request->root != NULL)
        return 0;
    if (err.kind == ERR_NOMEM)
        return refuse(fault, 500, "internal_error", "Internal server error");
    if (err.kind == ERR_LIMIT)
        return refuse(fault, 400, "bad_json", "The JSON is nested too deeply");
    return refuse(fault, 400, "bad_json", "The body is not valid JSON");
}

static int
take_query(struct request *request, const struct request_limits *limits,
           struct request_fault *fault)
{
    const json_t *query = json_object_get(request->root, "query");

    if (query == NULL)
        return refuse(fault, 422, "missing_query", "query is missing");
    if (!json_is_string(query))
        return refuse(fault, 422, "invalid_query", "query must be a string");
    request->query = json_string_value(query);
    request->query_len = json_string_length(query);
    if (strspn(request->query, " \t\r\n") == request->query_len)
        return refuse(fault, 422, "invalid_query", "query is empty");
    if (utf8_count(request->query, request->query_len) >
        limits->max_query_chars)
        return refuse(fault, 422, "query_too_long", "query is too long");
    return 0;
}

static int
take_context(struct request *request, struct request_fault *fault)
{
    json_t *context = json_object_get(request->root, "context");

    if (context == NULL || json_is_null(context))
        return 0;
    if (!json_is_object(context))
        return refuse(fault, 422, "invalid_context",
                      "context must be an object");
    if (json_count(context) > MAX_CONTEXT_VALUES)
        return refuse(fault, 422, "context_too_large",
                      "context has too many values");
    if (json_object_size(context) > 0)
        request->context = context;
    return 0;
}

static int
take_user(struct request *request, struct request_fault *fault)
{
    const json_t *user = json_object_get(request->root, "user");

    if (user == NULL || json_is_null(user))
        return 0;
    if (!json_is_string(user) || json_string_length(user) > MAX_USER_BYTES)
        return refuse(fault, 422, "invalid_user",
                      "user must be a string of at most 256 bytes");
    request->user = json_string_value(user);
    return 0;
}

static int
take_events(struct request *request, const char *query_events,
            const struct request_limits *limits, struct request_fault *fault)
{
    const json_t *member = json_object_get(request->root, "events");
    const char *events = query_events;

    if (member != NULL && !json_is_null(member)) {
        events = json_string_value(member);
        if (events == NULL)
            events = "";
    }
    request->words = limits->default_words;
    if (events != NULL && vocab_words_parse(events, &request->words) == -1)
        return refuse(fault, 422, "invalid_events",
                      "events must be classic, staged or both");
    return 0;
}

static int
take_on_disconnect(struct request *request, struct request_fault *fault)
{
    const json_t *member = json_object_get(request->root, "on_disconnect");
    const char *word = json_string_value(member);

    if (member == NULL || json_is_null(member))
        return 0;
    request->outlives_client = word != NULL && strcmp(word, "continue") == 0;
    if (request->outlives_client ||
        (word != NULL && strcmp(word, "cancel") == 0))
        return 0;
    return refuse(fault, 422, "invalid_on_disconnect",
                  "on_disconnect must be cancel or continue");
}

int
request_parse(struct request *request, const char *body, size_t len,
              const char *query_events, const struct request_limits *limits,
              struct request_fault *fault)
{
    int result = -1;

    *request = (struct request){ .root = NULL };
    if (parse_body(request, body, len, fault) == -1)
        return -1;
    if (!json_is_object(request->root))
        refuse(fault, 422, "invalid_body", "The body must be a JSON object");
    else if (take_query(request, limits, fault) == 0 &&
             take_context(request, fault) == 0 &&
             take_user(request, fault) == 0 &&
             take_on_disconnect(request, fault) == 0)
        result = take_events(request, query_events, limits, fault);
    if (result == -1)
        request_close(request);
    return result;
}

void
request_close(struct request *request)
{
    json_decref(request->root);
    request->root = NULL;
}
