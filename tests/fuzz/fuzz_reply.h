/*
 * fuzz_reply - a provider's response means the same however it is cut, and
 * whatever comes out is fit to be shown and stored.
 *
 * The first three bytes choose the longest piece, the HTTP status and the
 * transport's word; the rest is the body.
 */
#ifndef FUZZ_FUZZ_REPLY_H
#define FUZZ_FUZZ_REPLY_H

#include <string.h>

#include "base/attr.h"
#include "fuzz/fuzz.h"
#include "model/dialect.h"
#include "model/reply.h"
#include "text/utf8.h"

#define FUZZ_REPLY_LEAD       3
#define FUZZ_REPLY_MAX_ANSWER 512

static inline struct reply_verdict
fuzz_reply_read(struct reply *reply, const struct dialect *dialect,
                const uint8_t *data, size_t size, size_t max_piece)
{
    static const long statuses[] = { 200, 200, 200, 0, 204, 400, 404, 503 };
    const long status = statuses[data[1] % ARRAY_LEN(statuses)];
    const enum http_outcome transport =
        HTTP_DONE + data[2] % (HTTP_TLS_FAILED - HTTP_DONE + 1);

    reply_init(reply, dialect, FUZZ_REPLY_MAX_ANSWER);
    for (size_t at = FUZZ_REPLY_LEAD; at < size; at += max_piece)
        reply_feed(reply, (const char *)data + at,
                   size - at < max_piece ? size - at : max_piece);
    return reply_end(reply, status, transport);
}

static inline void
fuzz_reply_check(const struct reply *reply, struct reply_verdict verdict)
{
    FUZZ_CHECK(!reply->out_of_memory);
    FUZZ_CHECK(verdict.outcome >= MODEL_COMPLETE &&
               verdict.outcome <= MODEL_TIMED_OUT);
    FUZZ_CHECK(model_outcome_is_answer(verdict.outcome) ==
               (verdict.failure == FAILURE_NONE));
    FUZZ_CHECK(verdict.failure != FAILURE_NONE ||
               (reply->finish != REPLY_OPEN && reply->text.len > 0));
    FUZZ_CHECK(utf8_is_clean(buf_cstr(&reply->text), reply->text.len));
    FUZZ_CHECK(reply->text.len <= FUZZ_REPLY_MAX_ANSWER);
    FUZZ_CHECK(
        reply->usage.input_tokens >= -1 && reply->usage.output_tokens >= -1 &&
        reply->usage.thought_tokens >= -1 && reply->usage.cached_tokens >= -1 &&
        reply->usage.total_tokens >= -1);
}

static inline int
fuzz_reply(const struct dialect *dialect, const uint8_t *data, size_t size)
{
    struct reply whole, pieces;
    struct reply_verdict a, b;

    if (size < FUZZ_REPLY_LEAD)
        return 0;
    a = fuzz_reply_read(&whole, dialect, data, size, SIZE_MAX / 2);
    b = fuzz_reply_read(&pieces, dialect, data, size, (size_t)data[0] + 1);
    fuzz_reply_check(&whole, a);
    FUZZ_CHECK(a.failure == b.failure && a.outcome == b.outcome);
    FUZZ_CHECK(strcmp(buf_cstr(&whole.text), buf_cstr(&pieces.text)) == 0);
    FUZZ_CHECK(strcmp(whole.finish_reason, pieces.finish_reason) == 0);
    FUZZ_CHECK(strcmp(whole.served_model, pieces.served_model) == 0);
    FUZZ_CHECK(memcmp(&whole.usage, &pieces.usage, sizeof(whole.usage)) == 0);
    reply_close(&pieces);
    reply_close(&whole);
    return 0;
}

#endif
