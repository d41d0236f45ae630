/* reply.c - see reply.h. */
#include "model/reply.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "model/dialect.h"
#include "model/retry.h"
#include "text/utf8.h"

#define MAX_LINE_BYTES  (8u << 20)
#define MAX_EVENT_BYTES (16u << 20)
#define MAX_RAW_BYTES   (64u << 10)
#define MAX_WHOLE_BYTES (1u << 20)
#define MAX_JSON_DEPTH  64
#define MAX_TOKENS      1000000000000 /* beyond any bill */

static const unsigned char byte_order_mark[] = { 0xef, 0xbb, 0xbf };

static int on_item(void *arg, const struct sse_item *item);

void
reply_init(struct reply *reply, const struct dialect *dialect,
           size_t max_answer_bytes)
{
    static const struct sse_limits limits = {
        .max_line_bytes = MAX_LINE_BYTES,
        .max_event_bytes = MAX_EVENT_BYTES,
        .max_raw_bytes = MAX_RAW_BYTES,
    };

    *reply = (struct reply){
        .dialect = dialect,
        .asked_delay_ms = RETRY_NOT_SAID,
        .usage = { -1, -1, -1, -1, -1 },
    };
    sse_parser_init(&reply->parser, &limits, on_item, reply);
    buf_init(&reply->whole, MAX_WHOLE_BYTES);
    buf_init(&reply->text, max_answer_bytes);
}

void
reply_close(struct reply *reply)
{
    sse_parser_close(&reply->parser);
    buf_close(&reply->whole);
    buf_close(&reply->text);
}

/* The first failure is the cause. */
static void
fail(struct reply *reply, enum failure failure)
{
    if (reply->failure == FAILURE_NONE)
        reply->failure = failure;
}

static void
fail_as_told(struct reply *reply, const json_t *error)
{
    reply->asked_delay_ms = retry_delay_of_error(error);
    fail(reply, reply->dialect->classify(error));
}

static bool
is_spent(const struct reply *reply)
{
    return reply->failure != FAILURE_NONE || reply->out_of_memory;
}

static void
check_buf(struct reply *reply, enum buf_status status, enum failure when_full)
{
    if (status == BUF_FULL)
        fail(reply, when_full);
    if (status == BUF_NOMEM)
        reply->out_of_memory = true;
}

/* ---- what dialects report ----------------------------------------------- */

void
reply_add_text(struct reply *reply, const char *bytes, size_t len)
{
    if (len == 0)
        return;
    reply->text_after_finish |= reply->finish != REPLY_OPEN;
    check_buf(reply,
              utf8_append_clean(&reply->text, bytes, len, &reply->cleaned),
              FAILURE_TOO_LARGE);
}

void
reply_add_thought(struct reply *reply, const json_t *text)
{
    reply->thinks |= json_string_length(text) > 0;
}

void
reply_finish(struct reply *reply, enum reply_finish finish, const char *reason)
{
    size_t len = 0;

    reply->finish = finish;
    for (; *reason != '\0' && len < REPLY_FINISH_LEN - 1; reason++)
        if (isascii(*reason) &&
            (isalnum((unsigned char)*reason) || *reason == '_'))
            reply->finish_reason[len++] = *reason;
    reply->finish_reason[len] = '\0';
}

/* Visible ASCII; anything else shows as an underscore. */
static void
copy_name(char name[REPLY_NAME_LEN], const char *text)
{
    size_t len = 0;

    for (; text[len] != '\0' && len < REPLY_NAME_LEN - 1; len++)
        name[len] = text[len] > 0x20 && text[len] < 0x7f ? text[len] : '_';
    name[len] = '\0';
}

static void
take_name(struct reply *reply, char name[REPLY_NAME_LEN], const json_t *json)
{
    const char *text = json_string_value(json);
    char said[REPLY_NAME_LEN];

    if (text == NULL || text[0] == '\0')
        return;
    copy_name(said, text);
    if (name[0] == '\0')
        memcpy(name, said, sizeof(said));
    else
        reply->renamed |= strcmp(name, said) != 0;
}

void
reply_name_model(struct reply *reply, const json_t *name)
{
    take_name(reply, reply->served_model, name);
}

void
reply_name_response(struct reply *reply, const json_t *id)
{
    take_name(reply, reply->response_id, id);
}

void
reply_count(int64_t *tokens, const json_t *count)
{
    const double number = json_number_value(count);
    int64_t value = -1;

    if (json_is_string(count) &&
        str_to_int(json_string_value(count), 0, MAX_TOKENS, &value) == -1)
        return;
    if (json_is_number(count) && number >= 0)
        value = number < MAX_TOKENS ? (int64_t)number : MAX_TOKENS;
    if (value >= 0)
        *tokens = value;
}

/* ---- one JSON value ----------------------------------------------------- */

/* The error in an object, however it is worn; NULL when there is none. */
static const json_t *
find_error(const json_t *object)
{
    const json_t *error = json_object_get(object, "error");
    const char *kind = json_string_value(json_object_get(object, "object"));

    if (error != NULL && !json_is_null(error))
        return error;
    return kind != NULL && strcmp(kind, "error") == 0 ? object : NULL;
}

/* Values that are no objects carry no text and are passed over. */
static void
take_object(struct reply *reply, const json_t *object)
{
    const json_t *error = find_error(object);

    if (error != NULL)
        fail_as_told(reply, error);
    else if (json_is_object(object))
        reply->dialect->event(reply, object);
    reply->text_unmarked |= reply->finish == REPLY_OPEN && reply->text.len > 0;
}

/* Errors come wrapped in an array of one, and so do whole answers of servers
 * that were not asked for a stream. */
static void
take_value(struct reply *reply, const json_t *value)
{
    if (!json_is_array(value))
        take_object(reply, value);
    for (size_t i = 0; i < json_array_size(value) && !is_spent(reply); i++)
        take_object(reply, json_array_get(value, i));
}

/* An event or field that is called an error is one, whatever is in it. */
static void
take_error(struct reply *reply, const json_t *value)
{
    const json_t *error = find_error(value);

    fail_as_told(reply, error != NULL ? error : value);
}

/* NULL when it is no JSON or memory ran out. */
static json_t *
parse(struct reply *reply, const char *bytes, size_t len)
{
    struct err err = { 0 };
    json_t *value =
        json_parse_inexact(bytes, len, MAX_JSON_DEPTH, &reply->cleaned, &err);

    if (value == NULL && err.kind == ERR_NOMEM)
        reply->out_of_memory = true;
    return value;
}

/* ---- the stream --------------------------------------------------------- */

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_end_sentinel(const char *bytes, size_t len)
{
    static const char sentinel[] = "[DONE]";

    while (len > 0 && is_blank(bytes[len - 1]))
        len--;
    for (; len > 0 && is_blank(*bytes); len--)
        bytes++;
    return len == strlen(sentinel) && memcmp(bytes, sentinel, len) == 0;
}

static void
take_event(struct reply *reply, const struct sse_item *item)
{
    json_t *value;

    if (item->len == 0)
        return;
    if (is_end_sentinel(item->data, item->len)) {
        reply->is_over = true;
        return;
    }
    value = parse(reply, item->data, item->len);
    if (value == NULL && !item->unfinished)
        fail(reply, FAILURE_BAD_STREAM);
    reply->ends_inside |= value == NULL && item->unfinished;
    if (value != NULL && strcmp(item->name, "error") == 0)
        take_error(reply, value);
    else if (value != NULL)
        take_value(reply, value);
    json_decref(value);
}

static void
take_error_field(struct reply *reply, const struct sse_item *item)
{
    json_t *value = parse(reply, item->data, item->len);

    take_error(reply, value);
    json_decref(value);
}

static int
on_item(void *arg, const struct sse_item *item)
{
    struct reply *reply = arg;

    if (reply->is_over) {
        reply->trails |= item->kind != SSE_COMMENT && item->len > 0;
        return 0;
    }
    switch (item->kind) {
    case SSE_EVENT:
        take_event(reply, item);
        break;
    case SSE_ERROR:
        take_error_field(reply, item);
        break;
    case SSE_COMMENT:
        break;
    }
    return is_spent(reply) ? -1 : 0;
}

static void
check_parser(struct reply *reply, int status, const struct err *err)
{
    if (status == 0 || is_spent(reply))
        return;
    if (err->kind == ERR_NOMEM)
        reply->out_of_memory = true;
    else
        fail(reply, FAILURE_BAD_STREAM);
}

/* Google's way to fail in mid-stream.  A tail that does not parse was cut in
 * the middle of such an error: nothing before it is an answer. */
static void
take_raw_tail(struct reply *reply)
{
    const struct buf *tail = sse_parser_raw_tail(&reply->parser);
    json_t *value;
    const json_t *error;

    if (tail->len == 0 || reply->is_over || is_spent(reply))
        return;
    value = parse(reply, tail->bytes, tail->len);
    error = find_error(json_is_array(value) ? json_array_get(value, 0) : value);
    if (value == NULL)
        fail(reply, FAILURE_STREAM_CUT);
    else if (error != NULL)
        fail_as_told(reply, error);
    json_decref(value);
}

/* ---- bytes -------------------------------------------------------------- */

/* How many bytes at the front mean nothing; sets the shape when one does. */
static size_t
sniff(struct reply *reply, const char *bytes, size_t len)
{
    size_t i = 0;

    for (; i < len && reply->shape == REPLY_UNKNOWN; i++) {
        const unsigned char c = (unsigned char)bytes[i];

        if (is_blank(bytes[i]))
            continue;
        if (reply->mark_bytes < sizeof(byte_order_mark) &&
            c == byte_order_mark[reply->mark_bytes]) {
            reply->mark_bytes++;
            continue;
        }
        reply->shape =
            c == ':' || (isascii(c) && isalpha(c)) ? REPLY_STREAM : REPLY_WHOLE;
        break;
    }
    return i;
}

void
reply_feed(struct reply *reply, const char *bytes, size_t len)
{
    struct err err = { 0 };
    size_t skipped;

    if (is_spent(reply))
        return;
    skipped = sniff(reply, bytes, len);
    bytes += skipped;
    len -= skipped;
    if (reply->shape == REPLY_STREAM)
        check_parser(reply, sse_parser_feed(&reply->parser, bytes, len, &err),
                     &err);
    else if (len > 0)
        check_buf(reply, buf_append(&reply->whole, bytes, len),
                  FAILURE_BAD_STREAM);
}

bool
reply_has_substance(const struct reply *reply)
{
    return reply->text.len > 0 || reply->thinks || reply->finish != REPLY_OPEN;
}

/* ---- the end ------------------------------------------------------------ */

static void
end_stream(struct reply *reply)
{
    struct err err = { 0 };

    if (is_spent(reply))
        return;
    check_parser(reply, sse_parser_end(&reply->parser, &err), &err);
    take_raw_tail(reply);
}

static void
end_whole(struct reply *reply, enum http_outcome transport)
{
    json_t *value;

    if (is_spent(reply))
        return;
    value = parse(reply, buf_cstr(&reply->whole), reply->whole.len);
    if (value != NULL)
        take_value(reply, value);
    else if (transport == HTTP_DONE)
        fail(reply, FAILURE_BAD_STREAM);
    json_decref(value);
}

static bool
text_is_blank(const struct reply *reply)
{
    for (size_t i = 0; i < reply->text.len; i++)
        if (!is_blank(reply->text.bytes[i]))
            return false;
    return true;
}

static enum failure
failure_of_finish(const struct reply *reply)
{
    switch (reply->finish) {
    case REPLY_OPEN:
        return FAILURE_STREAM_CUT;
    case REPLY_POLICY:
        return FAILURE_BLOCKED;
    case REPLY_ODD:
        return FAILURE_BAD_FINISH;
    case REPLY_STOP:
    case REPLY_LENGTH:
        break;
    }
    if (!text_is_blank(reply))
        return FAILURE_NONE;
    return reply->finish == REPLY_LENGTH ? FAILURE_ONLY_THOUGHT : FAILURE_EMPTY;
}

/* The end marker is the proof of a whole answer; the transport is only heard
 * where there is none, or where the markers of this dialect may stand on every
 * chunk and prove nothing by themselves. */
static bool
end_is_proven(const struct reply *reply)
{
    if (reply->finish == REPLY_OPEN || reply->text_after_finish)
        return false;
    switch (reply->dialect->proof) {
    case DIALECT_MARKER:
        return true;
    case DIALECT_COUNTS:
        return reply->usage.total_tokens != -1 && !reply->ends_inside;
    case DIALECT_LATE_MARKER:
        return reply->text_unmarked && !reply->ends_inside;
    }
    return false;
}

static enum failure
judge(const struct reply *reply, long http_status, enum http_outcome transport)
{
    const bool proven = end_is_proven(reply);

    if (http_status != 0 && http_status != 200)
        return failure_refined(failure_from_status(http_status),
                               reply->failure);
    if (reply->failure != FAILURE_NONE)
        return reply->failure;
    /* After [DONE] nothing was to come that could have been lost. */
    if (transport != HTTP_DONE && !proven && !reply->is_over)
        return failure_from_transport(transport);
    if (reply->ends_inside && !proven)
        return FAILURE_STREAM_CUT;
    return failure_of_finish(reply);
}

struct reply_verdict
reply_end(struct reply *reply, long http_status, enum http_outcome transport)
{
    struct model_usage *usage = &reply->usage;
    struct reply_verdict verdict = { 0 };

    assert(transport != HTTP_PENDING);
    if (reply->shape == REPLY_STREAM)
        end_stream(reply);
    if (reply->shape == REPLY_WHOLE)
        end_whole(reply, transport);
    if (usage->total_tokens == -1 && usage->input_tokens != -1 &&
        usage->output_tokens != -1) {
        usage->total_tokens = usage->input_tokens + usage->output_tokens;
        if (usage->thought_tokens != -1)
            usage->total_tokens += usage->thought_tokens;
    }
    verdict.failure = judge(reply, http_status, transport);
    if (verdict.failure != FAILURE_NONE) {
        verdict.outcome = failure_outcome(verdict.failure);
        return verdict;
    }
    verdict.outcome =
        reply->finish == REPLY_LENGTH ? MODEL_CUT : MODEL_COMPLETE;
    verdict.transport_unclean = transport != HTTP_DONE;
    return verdict;
}
