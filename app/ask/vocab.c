/* vocab.c - see vocab.h. */
#include "ask/vocab.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/uuid.h"
#include "text/jsonw.h"
#include "text/sse.h"

#define REASONING_STEPS 5

static const char *const words_names[] = { "classic", "staged", "both" };

const char *
vocab_words_name(enum vocab_words words)
{
    return words_names[words];
}

int
vocab_words_parse(const char *text, enum vocab_words *words)
{
    for (size_t i = 0; i < ARRAY_LEN(words_names); i++) {
        if (strcmp(text, words_names[i]) == 0) {
            *words = (enum vocab_words)i;
            return 0;
        }
    }
    return -1;
}

/* ---- failures in words --------------------------------------------------- */

/* One kind of failure; %s is the model's name in code and text. */
struct failure {
    const char *code[MODEL_ROLE_COUNT];
    const char *type;
    bool retryable;
    const char *text[MODEL_ROLE_COUNT];
};

static const struct failure failure_timeout = {
    { "flash_timeout", "pro_timeout" },
    "timeout",
    true,
    { "The fast model did not answer in time",
      "The accurate model did not answer in time" },
};
static const struct failure failure_error = {
    { "flash_error", "pro_error" },
    "error",
    false,
    { "The fast model failed", "The accurate model failed" },
};
static const struct failure failure_unavailable = {
    { "flash_unavailable", "pro_unavailable" },
    "error",
    true,
    { "The fast model is not available",
      "The accurate model is not available" },
};
static const struct failure failure_blocked = {
    { "flash_blocked", "pro_blocked" },
    "error",
    false,
    { "The fast model declined to answer",
      "The accurate model declined to answer" },
};
static const struct failure failure_incomplete = {
    { "flash_incomplete", "pro_incomplete" },
    "error",
    false,
    { "The fast model's answer broke off",
      "The accurate model's answer broke off" },
};
static const struct failure failure_cancelled = {
    { "cancelled", "cancelled" },
    "cancelled",
    true,
    { "The run was cancelled", "The run was cancelled" },
};
static const struct failure failure_audit = {
    { "audit_unavailable", "audit_unavailable" },
    "error",
    true,
    { "The record of this run could not be stored",
      "The record of this run could not be stored" },
};

static const struct failure failure_lost = {
    { "internal_error", "internal_error" },
    "error",
    true,
    { "The run was lost before its end", "The run was lost before its end" },
};

static const struct failure *
failure_of(enum model_outcome outcome)
{
    switch (outcome) {
    case MODEL_TIMED_OUT:
        return &failure_timeout;
    case MODEL_UNAVAILABLE:
        return &failure_unavailable;
    case MODEL_BLOCKED:
        return &failure_blocked;
    case MODEL_EMPTY:
    case MODEL_INCOMPLETE:
        return &failure_incomplete;
    case MODEL_CANCELLED:
    case MODEL_PENDING:
        return &failure_cancelled;
    case MODEL_FAILED:
    case MODEL_COMPLETE: /* never asked about: an answer is no failure */
    case MODEL_CUT:
        break;
    }
    return &failure_error;
}

const char *
vocab_failure_code(enum model_role role, enum model_outcome outcome)
{
    return model_outcome_is_answer(outcome) ? ""
                                            : failure_of(outcome)->code[role];
}

/* ---- frames -------------------------------------------------------------- */

void
vocab_init(struct vocab *vocab, enum vocab_words words,
           const struct vocab_facts *facts, vocab_on_frame on_frame, void *arg)
{
    *vocab = (struct vocab){
        .words = words, .facts = facts, .on_frame = on_frame, .arg = arg
    };
}

/* A frame while it is written, right to where it leaves from. */
struct frame {
    struct vocab *vocab;
    const char *event;
    struct buf *out;
    bool has_begun; /* otherwise out or memory is full */
    size_t data_at;
    struct jsonw json;
};

static void
frame_begin(struct frame *frame, struct vocab *vocab, const char *event,
            struct buf *out)
{
    char id[UUID_TEXT_LEN + 12];

    snprintf(id, sizeof(id), "%s:%u", vocab->facts->run_id, vocab->seq + 1);
    *frame = (struct frame){ .vocab = vocab, .event = event, .out = out };
    frame->has_begun = sse_begin_event(out, id, event) == BUF_OK;
    frame->data_at = out->len;
    jsonw_init(&frame->json, out);
    jsonw_object(&frame->json, NULL);
    jsonw_string(&frame->json, "run_id", vocab->facts->run_id);
    jsonw_string(&frame->json, "trace_id", vocab->facts->run_id);
    jsonw_int(&frame->json, "seq", vocab->seq + 1);
    if (vocab->facts->replayed)
        jsonw_bool(&frame->json, "replayed", true);
}

static int
frame_end(struct frame *frame)
{
    struct vocab *vocab = frame->vocab;

    jsonw_end_object(&frame->json);
    if (!frame->has_begun || jsonw_failed(&frame->json) ||
        sse_end_event(frame->out, frame->data_at) != BUF_OK)
        return -1;
    vocab->seq++;
    vocab->on_frame(vocab->arg, frame->event, vocab->seq);
    return 0;
}

static int
tell_start(struct vocab *vocab, struct buf *out)
{
    const struct vocab_facts *facts = vocab->facts;
    struct frame frame;

    frame_begin(&frame, vocab, "start", out);
    jsonw_bytes(&frame.json, "query", facts->query, facts->query_len);
    jsonw_string(&frame.json, "flash_model",
                 facts->requested_model[MODEL_FLASH]);
    jsonw_string(&frame.json, "pro_model", facts->requested_model[MODEL_PRO]);
    jsonw_int(&frame.json, "deadline_ms", facts->deadline_ms);
    return frame_end(&frame);
}

/* The first paragraphs: what stands between blank lines. */
static void
write_steps(struct jsonw *json, const char *text, size_t len)
{
    const char *const end = text + len;
    int steps = 0;

    jsonw_array(json, "reasoning_steps");
    while (text < end && steps < REASONING_STEPS) {
        const char *stop = memmem(text, (size_t)(end - text), "\n\n", 2);

        if (stop == NULL)
            stop = end;
        while (text < stop && *text == '\n')
            text++;
        if (stop > text) {
            jsonw_bytes(json, NULL, text, (size_t)(stop - text));
            steps++;
        }
        text = stop < end ? stop + 2 : end;
    }
    jsonw_end_array(json);
}

static void
write_usage(struct jsonw *json, const struct model_usage *usage)
{
    jsonw_object(json, "usage");
    jsonw_count(json, "input_tokens", usage->input_tokens);
    jsonw_count(json, "output_tokens", usage->output_tokens);
    jsonw_count(json, "thought_tokens", usage->thought_tokens);
    jsonw_count(json, "cached_tokens", usage->cached_tokens);
    jsonw_count(json, "total_tokens", usage->total_tokens);
    jsonw_end_object(json);
}

static void
write_finish(struct jsonw *json, const struct model_answer *answer)
{
    jsonw_string(json, "finish_reason",
                 answer->outcome == MODEL_CUT ? "length" : "stop");
}

static int
tell_classic_answer(struct vocab *vocab, enum model_role role, struct buf *out)
{
    const struct model_answer *answer = &vocab->facts->answer[role];
    const bool is_pro = role == MODEL_PRO;
    struct frame frame;

    frame_begin(&frame, vocab, is_pro ? "final" : "preliminary", out);
    jsonw_object(&frame.json, "response");
    jsonw_string(&frame.json, "model", answer->served_model);
    jsonw_bool(&frame.json, "rerouted", answer->rerouted);
    jsonw_bytes(&frame.json, "content", answer->text, answer->text_len);
    jsonw_int(&frame.json, "latency_ms", answer->latency_ms);
    jsonw_bool(&frame.json, "is_preliminary", !is_pro);
    jsonw_string(&frame.json, "confidence", is_pro ? "high" : "medium");
    write_finish(&frame.json, answer);
    write_usage(&frame.json, &answer->usage);
    if (is_pro)
        write_steps(&frame.json, answer->text, answer->text_len);
    jsonw_end_object(&frame.json);
    jsonw_string(&frame.json, "message",
                 is_pro ? "Verified answer"
                        : "Quick answer, verification follows");
    return frame_end(&frame);
}

static int
tell_staged_answer(struct vocab *vocab, enum model_role role, struct buf *out)
{
    const struct model_answer *answer = &vocab->facts->answer[role];
    struct frame frame;

    frame_begin(&frame, vocab,
                role == MODEL_PRO ? "pro_complete" : "flash_complete", out);
    jsonw_bytes(&frame.json, "response", answer->text, answer->text_len);
    jsonw_int(&frame.json, "duration_ms", answer->latency_ms);
    jsonw_string(&frame.json, "model", answer->served_model);
    jsonw_bool(&frame.json, "rerouted", answer->rerouted);
    write_finish(&frame.json, answer);
    return frame_end(&frame);
}

static int
tell_answer(struct vocab *vocab, enum model_role role, struct buf *out)
{
    if (vocab->words != VOCAB_STAGED &&
        tell_classic_answer(vocab, role, out) == -1)
        return -1;
    if (vocab->words != VOCAB_CLASSIC)
        return tell_staged_answer(vocab, role, out);
    return 0;
}

/* What went wrong, and whom it concerns: "flash", "pro" or nobody. */
struct complaint {
    const struct failure *failure;
    enum model_role role;
    const char *model;
    bool retryable;
    bool terminal;
};

static int
tell_complaint(struct vocab *vocab, const char *event,
               const struct complaint *complaint, struct buf *out)
{
    const struct failure *failure = complaint->failure;
    struct frame frame;

    frame_begin(&frame, vocab, event, out);
    jsonw_string(&frame.json, "error", failure->text[complaint->role]);
    jsonw_string(&frame.json, "code", failure->code[complaint->role]);
    jsonw_string(&frame.json, "type", failure->type);
    jsonw_bool(&frame.json, "retryable", complaint->retryable);
    jsonw_string(&frame.json, "model", complaint->model);
    jsonw_bool(&frame.json, "terminal", complaint->terminal);
    return frame_end(&frame);
}

/* A wrong key or model id stays wrong: retrying it helps nobody. */
static bool
is_retryable(const struct failure *failure, const struct model_answer *answer)
{
    return failure->retryable &&
           strcmp(answer->error_class, "AuthError") != 0 &&
           strcmp(answer->error_class, "ModelNotFound") != 0;
}

static struct complaint
model_complaint(const struct vocab *vocab, enum model_role role, bool terminal)
{
    const struct model_answer *answer = &vocab->facts->answer[role];
    const struct failure *failure = failure_of(answer->outcome);

    return (struct complaint){ .failure = failure,
                               .role = role,
                               .model = model_role_name(role),
                               .retryable = is_retryable(failure, answer),
                               .terminal = terminal };
}

static int
tell_flash_failed(struct vocab *vocab, struct buf *out)
{
    const struct complaint complaint =
        model_complaint(vocab, MODEL_FLASH, false);

    if (vocab->words != VOCAB_STAGED &&
        tell_complaint(vocab, "error", &complaint, out) == -1)
        return -1;
    if (vocab->words != VOCAB_CLASSIC)
        return tell_complaint(vocab, "model_error", &complaint, out);
    return 0;
}

static int
tell_error(struct vocab *vocab, const struct turn_action *action,
           struct buf *out)
{
    struct complaint complaint = { .role = MODEL_PRO,
                                   .retryable = true,
                                   .terminal = action->terminal };

    switch (action->error) {
    case TURN_ERROR_MODEL:
        complaint = model_complaint(vocab, action->role, action->terminal);
        break;
    case TURN_ERROR_CANCELLED:
        complaint.failure = &failure_cancelled;
        break;
    case TURN_ERROR_AUDIT:
        complaint.failure = &failure_audit;
        break;
    case TURN_ERROR_LOST:
        complaint.failure = &failure_lost;
        break;
    }
    return tell_complaint(vocab, "error", &complaint, out);
}

static void
write_response(struct jsonw *json, const char *name,
               const struct model_answer *answer)
{
    if (model_outcome_is_answer(answer->outcome))
        jsonw_bytes(json, name, answer->text, answer->text_len);
    else
        jsonw_null(json, name);
}

static int
tell_complete(struct vocab *vocab, struct buf *out)
{
    struct frame frame;

    if (vocab->words == VOCAB_CLASSIC)
        return 0;
    frame_begin(&frame, vocab, "complete", out);
    write_response(&frame.json, "flash_response",
                   &vocab->facts->answer[MODEL_FLASH]);
    write_response(&frame.json, "pro_response",
                   &vocab->facts->answer[MODEL_PRO]);
    return frame_end(&frame);
}

static void
write_audit(struct jsonw *json, const struct entry_receipt *receipt)
{
    char log_id[UUID_TEXT_LEN];
    char leaf_hash[2 * ENTRY_HASH_LEN + 1];

    jsonw_object(json, "audit");
    if (receipt == NULL) {
        jsonw_string(json, "state", "failed");
        jsonw_null(json, "log");
        jsonw_null(json, "index");
        jsonw_null(json, "leaf_hash");
    } else {
        uuid_format(&receipt->log_id, log_id);
        str_to_hex(receipt->leaf_hash, ENTRY_HASH_LEN, leaf_hash);
        jsonw_string(json, "state",
                     receipt->state == ENTRY_COMMITTED ? "committed"
                                                       : "spooled");
        jsonw_string(json, "log", log_id);
        jsonw_int(json, "index", receipt->idx);
        jsonw_string(json, "leaf_hash", leaf_hash);
    }
    jsonw_end_object(json);
}

static int64_t
answer_ms(const struct model_answer *answer)
{
    return model_outcome_is_answer(answer->outcome) ? answer->latency_ms : -1;
}

static int
tell_done(struct vocab *vocab, struct buf *out)
{
    const struct vocab_facts *facts = vocab->facts;
    struct frame frame;

    frame_begin(&frame, vocab, "done", out);
    jsonw_string(&frame.json, "status",
                 turn_status_name(facts->verdict.status));
    jsonw_string(&frame.json, "salvage",
                 turn_salvage_name(facts->verdict.salvage));
    write_audit(&frame.json, facts->receipt);
    jsonw_count(&frame.json, "flash_ms",
                answer_ms(&facts->answer[MODEL_FLASH]));
    jsonw_count(&frame.json, "pro_ms", answer_ms(&facts->answer[MODEL_PRO]));
    jsonw_int(&frame.json, "total_ms", facts->total_ms);
    return frame_end(&frame);
}

static int
tell(struct vocab *vocab, const struct turn_action *action, struct buf *out)
{
    switch (action->kind) {
    case TURN_SAY_START:
        return vocab->words != VOCAB_CLASSIC ? tell_start(vocab, out) : 0;
    case TURN_SAY_ANSWER:
        return tell_answer(vocab, action->role, out);
    case TURN_SAY_FLASH_FAILED:
        return tell_flash_failed(vocab, out);
    case TURN_SAY_ERROR:
        return tell_error(vocab, action, out);
    case TURN_SAY_COMPLETE:
        return tell_complete(vocab, out);
    case TURN_SAY_DONE:
        return tell_done(vocab, out);
    case TURN_CANCEL:
    case TURN_RECORD:
    case TURN_RECORD_LEFT:
    case TURN_END:
        return 0;
    }
    return 0;
}

int
vocab_tell(struct vocab *vocab, const struct turn_action *action,
           struct buf *out)
{
    const unsigned seq = vocab->seq;
    const size_t len = out->len;

    if (tell(vocab, action, out) == 0)
        return 0;
    buf_truncate(out, len);
    vocab->seq = seq;
    return -1;
}
