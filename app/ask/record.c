/* record.c - see record.h. */
#include "ask/record.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "text/jsonw.h"

/* ---- members ------------------------------------------------------------- */

static void
text_or_null(struct jsonw *facts, const char *name, const char *text)
{
    jsonw_string(facts, name, text != NULL && text[0] != '\0' ? text : NULL);
}

static void
status_or_null(struct jsonw *facts, const char *name, long http_status)
{
    jsonw_count(facts, name, http_status > 0 ? http_status : -1);
}

static void
utc_or_null(struct jsonw *facts, const char *name, int64_t unix_us)
{
    char text[CLOCK_UTC_LEN] = "";

    if (unix_us > 0)
        clock_format_utc(unix_us, text);
    text_or_null(facts, name, text);
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

/* Opens the object that end() closes. */
static void
begin(struct jsonw *facts, struct buf *out)
{
    jsonw_init(facts, out);
    jsonw_object(facts, NULL);
}

static int
end(struct jsonw *facts)
{
    jsonw_end_object(facts);
    return jsonw_failed(facts) ? -1 : 0;
}

/* ---- accepted ------------------------------------------------------------ */

int
record_accepted(const struct run *run, struct buf *out)
{
    const struct config *config = run->config;
    const struct idempotency *idempotency = &run->idempotency;
    struct jsonw facts;

    begin(&facts, out);
    jsonw_int(&facts, "deadline_ms", config->run_deadline_ms);
    jsonw_string(&facts, "events", vocab_words_name(run->request.words));
    jsonw_string(&facts, "flash_model", config->flash.model);
    jsonw_string(&facts, "flash_provider",
                 provider_name(config->flash.provider));
    text_or_null(&facts, "idempotency_key", idempotency->key);
    jsonw_string(&facts, "on_disconnect",
                 run->request.outlives_client ? "continue" : "cancel");
    text_or_null(&facts, "principal", run->principal);
    jsonw_string(&facts, "pro_model", config->pro.model);
    jsonw_string(&facts, "pro_provider", provider_name(config->pro.provider));
    text_or_null(&facts, "request_hash", idempotency->request);
    utc_or_null(&facts, "started_at", run->started_unix_us);
    text_or_null(&facts, "user_id", buf_cstr(&run->user));
    jsonw_int(&facts, "worker_pid", getpid());
    return end(&facts);
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

/* Each request that went out, in their order. */
static void
attempt_log(struct jsonw *facts, const struct model_answer *answer)
{
    jsonw_array(facts, "attempt_log");
    for (int i = 0; i < answer->attempts; i++) {
        const struct model_attempt *attempt = &answer->attempt_log[i];

        jsonw_object(facts, NULL);
        text_or_null(facts, "error_class", attempt->error_class);
        status_or_null(facts, "http_status", attempt->http_status);
        jsonw_string(facts, "model", attempt->model);
        jsonw_int(facts, "took_ms", attempt->took_ms);
        jsonw_int(facts, "wait_ms", attempt->wait_ms);
        jsonw_end_object(facts);
    }
    jsonw_end_array(facts);
}

static void
model_facts(struct jsonw *facts, const struct run *run, enum model_role role)
{
    const struct model_answer *answer = &run->facts.answer[role];
    const struct model_usage *usage = &answer->usage;
    const enum turn_cancel cancelled = run->turn.cancelled[role];
    const bool answered = model_outcome_is_answer(answer->outcome);
    const bool asked = answer->started_unix_us > 0;

    jsonw_object(facts, model_role_name(role));
    attempt_log(facts, answer);
    jsonw_int(facts, "attempts", answer->attempts);
    jsonw_count(facts, "cached_tokens", usage->cached_tokens);
    jsonw_string(facts, "cancelled",
                 cancelled != TURN_NOT_CANCELLED ? turn_cancel_name(cancelled)
                                                 : NULL);
    text_or_null(facts, "code", vocab_failure_code(role, answer->outcome));
    text_or_null(facts, "error_class", answer->error_class);
    jsonw_bool(facts, "fallback", answer->fallback);
    text_or_null(facts, "finish_reason", answer->finish_reason);
    jsonw_count(facts, "first_token_ms", answer->first_token_ms);
    status_or_null(facts, "http_status", answer->http_status);
    jsonw_count(facts, "input_tokens", usage->input_tokens);
    jsonw_count(facts, "latency_ms", asked ? answer->latency_ms : -1);
    jsonw_string(facts, "outcome", outcome_name(run, role));
    jsonw_count(facts, "output_tokens", usage->output_tokens);
    jsonw_string(facts, "provider",
                 provider_name(role_config(run, role)->provider));
    jsonw_string(facts, "requested_model", run->facts.requested_model[role]);
    jsonw_bool(facts, "rerouted", answer->rerouted);
    text_or_null(facts, "response_id", answer->response_id);
    jsonw_count(facts, "sent_ms", answer_sent_ms(run, role));
    text_or_null(facts, "served_model", answered ? answer->served_model : NULL);
    utc_or_null(facts, "started_at", answer->started_unix_us);
    jsonw_count(facts, "thought_tokens", usage->thought_tokens);
    jsonw_int(facts, "timeout_ms", run->timeout_ms[role]);
    jsonw_count(facts, "total_tokens", usage->total_tokens);
    jsonw_bool(facts, "transport_unclean", answer->transport_unclean);
    jsonw_end_object(facts);
}

static void
sent_facts(struct jsonw *facts, const struct run *run)
{
    jsonw_array(facts, "sent");
    for (size_t i = 0; i < run->frame_count; i++) {
        jsonw_object(facts, NULL);
        jsonw_int(facts, "at_ms", run->frames[i].at_ms);
        jsonw_string(facts, "event", run->frames[i].event);
        jsonw_int(facts, "seq", run->frames[i].seq);
        jsonw_end_object(facts);
    }
    jsonw_end_array(facts);
}

static void
client_facts(struct jsonw *facts, const struct run *run)
{
    const size_t count = run->frame_count;

    jsonw_object(facts, "client");
    jsonw_int(facts, "last_seq", count > 0 ? run->frames[count - 1].seq : 0);
    jsonw_bool(facts, "left", run->turn.client_left);
    jsonw_count(facts, "left_after_ms", run->left_after_ms);
    jsonw_end_object(facts);
}

/* Which model came to its own end first, whatever end that was. */
static const char *
first_done(const struct run *run)
{
    const int first = run->turn.first;

    return first == -1 ? NULL : model_role_name((enum model_role)first);
}

int
record_finished(const struct run *run, struct buf *out)
{
    const struct turn_verdict verdict = turn_verdict(&run->turn);
    struct jsonw facts;

    begin(&facts, out);
    client_facts(&facts, run);
    jsonw_string(&facts, "first", first_done(run));
    model_facts(&facts, run, MODEL_FLASH);
    text_or_null(&facts, "principal", run->principal);
    model_facts(&facts, run, MODEL_PRO);
    jsonw_string(&facts, "salvage", turn_salvage_name(verdict.salvage));
    sent_facts(&facts, run);
    utc_or_null(&facts, "started_at", run->started_unix_us);
    jsonw_string(&facts, "status", turn_status_name(verdict.status));
    jsonw_int(&facts, "total_ms", run->facts.total_ms);
    text_or_null(&facts, "user_id", buf_cstr(&run->user));
    return end(&facts);
}

int
record_left(const struct run *run, struct buf *out)
{
    struct jsonw facts;

    begin(&facts, out);
    client_facts(&facts, run);
    text_or_null(&facts, "principal", run->principal);
    utc_or_null(&facts, "started_at", run->started_unix_us);
    jsonw_string(&facts, "status", turn_status_name(TURN_CANCELLED));
    text_or_null(&facts, "user_id", buf_cstr(&run->user));
    return end(&facts);
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
