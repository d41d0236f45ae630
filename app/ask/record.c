/* record.c - see record.h. */
#include "ask/record.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* A member that may fail: json_object_set_new() takes NULL for failure. */
static bool
set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

static json_t *
text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *
count_or_null(int64_t value)
{
    return value >= 0 ? json_integer(value) : json_null();
}

static json_t *
status_or_null(long http_status)
{
    return http_status > 0 ? json_integer(http_status) : json_null();
}

static json_t *
utc(int64_t unix_us)
{
    char text[CLOCK_UTC_LEN];

    if (unix_us <= 0)
        return json_null();
    clock_format_utc(unix_us, text);
    return json_string(text);
}

static const char *
provider_name(int provider)
{
    static const char *const names[] = { "auto", "vertex", "gemini", "openai" };

    return names[provider];
}

static const struct config_role *
role_config(const struct run *run, enum model_role role)
{
    return role == MODEL_PRO ? &run->config->pro : &run->config->flash;
}

/* What both entries tell. */
static bool
set_common(json_t *facts, const struct run *run)
{
    return set(facts, "started_at", utc(run->started_unix_us)) &&
           set(facts, "principal", text_or_null(run->principal)) &&
           set(facts, "user_id", text_or_null(buf_cstr(&run->user)));
}

/* facts when complete, else NULL. */
static json_t *
finish(json_t *facts, bool complete)
{
    if (complete)
        return facts;
    json_decref(facts);
    return NULL;
}

json_t *
record_accepted(const struct run *run)
{
    json_t *facts = json_object();
    const struct config *config = run->config;
    const struct idempotency *idempotency = &run->idempotency;

    return finish(
        facts,
        set_common(facts, run) &&
            set(facts, "deadline_ms", json_integer(config->run_deadline_ms)) &&
            set(facts, "events",
                json_string(vocab_words_name(run->request.words))) &&
            set(facts, "flash_model", json_string(config->flash.model)) &&
            set(facts, "flash_provider",
                json_string(provider_name(config->flash.provider))) &&
            set(facts, "idempotency_key", text_or_null(idempotency->key)) &&
            set(facts, "on_disconnect",
                json_string(run->request.outlives_client ? "continue"
                                                         : "cancel")) &&
            set(facts, "pro_model", json_string(config->pro.model)) &&
            set(facts, "pro_provider",
                json_string(provider_name(config->pro.provider))) &&
            set(facts, "request_hash", text_or_null(idempotency->request)) &&
            set(facts, "worker_pid", json_integer(getpid())));
}

/* ---- finished ------------------------------------------------------------ */

/* When the client was sent this model's answer; -1: it was not. */
static int64_t
answer_sent_ms(const struct run *run, enum model_role role)
{
    static const char *const events[MODEL_ROLE_COUNT][2] = {
        { "preliminary", "flash_complete" },
        { "final", "pro_complete" },
    };

    for (size_t i = 0; i < run->frame_count; i++)
        if (strcmp(run->frames[i].event, events[role][0]) == 0 ||
            strcmp(run->frames[i].event, events[role][1]) == 0)
            return run->frames[i].at_ms;
    return -1;
}

/* Its outcome in one word; a call that we cut says why instead. */
static const char *
outcome_name(const struct run *run, enum model_role role)
{
    const enum turn_cancel why = run->turn.cancelled[role];

    if (why == TURN_SUPERSEDED)
        return "superseded";
    if (run->facts.answer[role].outcome == MODEL_PENDING)
        return "not_started";
    return model_outcome_name(run->facts.answer[role].outcome);
}

static bool
set_usage(json_t *model, const struct model_usage *usage)
{
    return set(model, "input_tokens", count_or_null(usage->input_tokens)) &&
           set(model, "output_tokens", count_or_null(usage->output_tokens)) &&
           set(model, "thought_tokens", count_or_null(usage->thought_tokens)) &&
           set(model, "cached_tokens", count_or_null(usage->cached_tokens)) &&
           set(model, "total_tokens", count_or_null(usage->total_tokens));
}

/* Each request that went out, in their order. */
static json_t *
attempt_facts(const struct model_answer *answer)
{
    json_t *attempts = json_array();
    bool complete = true;

    for (int i = 0; i < answer->attempts && complete; i++) {
        const struct model_attempt *attempt = &answer->attempt_log[i];
        json_t *fact = json_object();

        complete =
            set(fact, "model", json_string(attempt->model)) &&
            set(fact, "error_class", text_or_null(attempt->error_class)) &&
            set(fact, "http_status", status_or_null(attempt->http_status)) &&
            set(fact, "wait_ms", json_integer(attempt->wait_ms)) &&
            set(fact, "took_ms", json_integer(attempt->took_ms));
        complete = json_array_append_new(attempts, fact) == 0 && complete;
    }
    return finish(attempts, complete);
}

static bool
set_outcome(json_t *model, const struct run *run, enum model_role role)
{
    const struct model_answer *answer = &run->facts.answer[role];

    return set(model, "outcome", json_string(outcome_name(run, role))) &&
           set(model, "cancelled",
               run->turn.cancelled[role] == TURN_NOT_CANCELLED
                   ? json_null()
                   : json_string(
                         turn_cancel_name(run->turn.cancelled[role]))) &&
           set(model, "code",
               text_or_null(vocab_failure_code(role, answer->outcome))) &&
           set(model, "error_class", text_or_null(answer->error_class)) &&
           set(model, "finish_reason", text_or_null(answer->finish_reason)) &&
           set(model, "http_status", status_or_null(answer->http_status)) &&
           set(model, "attempts", json_integer(answer->attempts)) &&
           set(model, "attempt_log", attempt_facts(answer)) &&
           set(model, "fallback", json_boolean(answer->fallback)) &&
           set(model, "rerouted", json_boolean(answer->rerouted)) &&
           set(model, "transport_unclean",
               json_boolean(answer->transport_unclean));
}

static json_t *
model_facts(const struct run *run, enum model_role role)
{
    const struct model_answer *answer = &run->facts.answer[role];
    const bool answered = model_outcome_is_answer(answer->outcome);
    json_t *model = json_object();

    return finish(
        model,
        set_outcome(model, run, role) && set_usage(model, &answer->usage) &&
            set(model, "provider",
                json_string(provider_name(role_config(run, role)->provider))) &&
            set(model, "requested_model",
                json_string(run->facts.requested_model[role])) &&
            set(model, "served_model",
                answered ? text_or_null(answer->served_model) : json_null()) &&
            set(model, "response_id", text_or_null(answer->response_id)) &&
            set(model, "started_at", utc(answer->started_unix_us)) &&
            set(model, "timeout_ms", json_integer(run->timeout_ms[role])) &&
            set(model, "first_token_ms",
                count_or_null(answer->first_token_ms)) &&
            set(model, "latency_ms",
                answer->started_unix_us > 0 ? json_integer(answer->latency_ms)
                                            : json_null()) &&
            set(model, "sent_ms", count_or_null(answer_sent_ms(run, role))));
}

static json_t *
sent_facts(const struct run *run)
{
    json_t *sent = json_array();
    bool complete = true;

    for (size_t i = 0; i < run->frame_count && complete; i++) {
        const struct run_frame *frame = &run->frames[i];
        json_t *fact = json_object();

        complete = set(fact, "event", json_string(frame->event)) &&
                   set(fact, "seq", json_integer((json_int_t)frame->seq)) &&
                   set(fact, "at_ms", json_integer(frame->at_ms));
        complete = json_array_append_new(sent, fact) == 0 && complete;
    }
    return finish(sent, complete);
}

static json_t *
client_facts(const struct run *run)
{
    const size_t count = run->frame_count;
    json_t *client = json_object();

    return finish(
        client,
        set(client, "left", json_boolean(run->turn.client_left)) &&
            set(client, "left_after_ms", count_or_null(run->left_after_ms)) &&
            set(client, "last_seq",
                json_integer(count > 0 ? (json_int_t)run->frames[count - 1].seq
                                       : 0)));
}

/* Which model came to its own end first, whatever end that was. */
static json_t *
first_done(const struct run *run)
{
    const int first = run->turn.first;

    return first == -1 ? json_null()
                       : json_string(model_role_name((enum model_role)first));
}

json_t *
record_finished(const struct run *run)
{
    const struct turn_verdict verdict = turn_verdict(&run->turn);
    json_t *facts = json_object();

    return finish(
        facts, set_common(facts, run) &&
                   set(facts, "status",
                       json_string(turn_status_name(verdict.status))) &&
                   set(facts, "salvage",
                       json_string(turn_salvage_name(verdict.salvage))) &&
                   set(facts, "total_ms", json_integer(run->facts.total_ms)) &&
                   set(facts, "first", first_done(run)) &&
                   set(facts, "client", client_facts(run)) &&
                   set(facts, "sent", sent_facts(run)) &&
                   set(facts, "flash", model_facts(run, MODEL_FLASH)) &&
                   set(facts, "pro", model_facts(run, MODEL_PRO)));
}

json_t *
record_left(const struct run *run)
{
    json_t *facts = json_object();

    return finish(facts,
                  set_common(facts, run) &&
                      set(facts, "status",
                          json_string(turn_status_name(TURN_CANCELLED))) &&
                      set(facts, "client", client_facts(run)));
}

/* ---- personal text ------------------------------------------------------- */

size_t
record_accepted_parts(const struct run *run,
                      struct entry_content parts[ENTRY_MAX_PARTS])
{
    size_t count = 0;

    parts[count++] = (struct entry_content){ .part = ENTRY_PART_QUERY,
                                             .bytes = buf_cstr(&run->query),
                                             .len = run->query.len,
                                             .cleaned = run->query_changed };
    if (run->context.len > 0)
        parts[count++] =
            (struct entry_content){ .part = ENTRY_PART_CONTEXT,
                                    .bytes = buf_cstr(&run->context),
                                    .len = run->context.len,
                                    .cleaned = run->context_changed };
    return count;
}

size_t
record_finished_parts(const struct run *run,
                      struct entry_content parts[ENTRY_MAX_PARTS])
{
    static const enum entry_part whole[MODEL_ROLE_COUNT] = { ENTRY_PART_FLASH,
                                                             ENTRY_PART_PRO };
    static const enum entry_part partial[MODEL_ROLE_COUNT] = {
        ENTRY_PART_FLASH_PARTIAL, ENTRY_PART_PRO_PARTIAL
    };
    size_t count = 0;

    for (int role = 0; role < MODEL_ROLE_COUNT; role++) {
        const struct model_answer *answer = &run->facts.answer[role];
        const bool is_whole = model_outcome_is_answer(answer->outcome);

        if (answer->text_len == 0)
            continue;
        parts[count++] = (struct entry_content){
            .part = is_whole ? whole[role] : partial[role],
            .bytes = answer->text,
            .len = answer->text_len,
            .cleaned = answer->cleaned,
        };
    }
    return count;
}
