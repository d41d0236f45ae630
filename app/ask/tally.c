/* tally.c - see tally.h. */
#include "ask/tally.h"

#include "guard/provider.h"
#include "metrics.h"
#include "sys/log.h"

/* What a call was besides its outcome. */
static void
count_marks(const struct model_answer *answer, enum model_role role)
{
    const bool marks[METRICS_MARK_COUNT] = {
        [METRICS_MARK_CUT] = answer->outcome == MODEL_CUT,
        [METRICS_MARK_REROUTED] = answer->rerouted,
        [METRICS_MARK_RENAMED] = answer->renamed,
        [METRICS_MARK_CLEANED] = answer->cleaned,
        [METRICS_MARK_TRAILED] = answer->trailed,
        [METRICS_MARK_UNCLEAN] = answer->transport_unclean,
    };

    for (size_t i = 0; i < METRICS_MARK_COUNT; i++)
        if (marks[i])
            metrics_count(METRICS_MARKS, role * METRICS_MARK_COUNT + i);
}

/* Once for each change, not for each call. */
static void
note_provider(const struct run *run, enum model_role role)
{
    const struct model_answer *answer = &run->facts.answer[role];
    const char *hint = provider_hint(answer->error_class);

    if (provider_note(role, answer->error_class) && hint != NULL)
        log_warn("model_needs_attention", "role=%s class=%s model=%s hint=%s",
                 model_role_name(role), answer->error_class,
                 run->facts.requested_model[role], hint);
}

static void
count_model(const struct run *run, enum model_role role)
{
    const struct model_answer *answer = &run->facts.answer[role];

    if (model_outcome_is_answer(answer->outcome)) {
        metrics_observe(METRICS_LATENCY, role, answer->latency_ms);
        metrics_observe(METRICS_INFERENCE, role, answer->latency_ms);
        metrics_observe(METRICS_CALL_DURATION, role, answer->latency_ms);
    } else if (answer->outcome == MODEL_TIMED_OUT) {
        metrics_count(METRICS_TIMEOUTS, role);
        metrics_observe(METRICS_CALL_DURATION, role, run->timeout_ms[role]);
        metrics_error(answer->error_class);
    } else if (answer->outcome != MODEL_CANCELLED &&
               answer->outcome != MODEL_PENDING) {
        metrics_error(answer->error_class);
    }
    if (answer->attempts > 0 && answer->outcome != MODEL_CANCELLED)
        note_provider(run, role);
    count_marks(answer, role);
    metrics_add(METRICS_RETRIES, role, (uint64_t)answer->retries);
    if (answer->fallback)
        metrics_count(METRICS_FALLBACKS, role);
    metrics_tokens(role, METRICS_TOKENS_INPUT, answer->usage.input_tokens);
    metrics_tokens(role, METRICS_TOKENS_OUTPUT, answer->usage.output_tokens);
    metrics_tokens(role, METRICS_TOKENS_THOUGHT, answer->usage.thought_tokens);
}

/* What the ledger says, so that the sums agree; who left during the writing of
 * that has an entry of his own there, and is among the cancellations here. */
static void
count_run(const struct run *run)
{
    const struct turn_verdict verdict = run->facts.verdict;

    metrics_count(METRICS_REQUESTS, run->facts.receipt != NULL
                                        ? (size_t)verdict.status
                                        : METRICS_OUTCOME_UNRECORDED);
    metrics_observe(METRICS_SSE_DURATION, 0, run_age_ms(run));
    for (int role = 0; role < MODEL_ROLE_COUNT; role++)
        count_model(run, (enum model_role)role);
    if (run->turn.cancelled[MODEL_FLASH] == TURN_SUPERSEDED)
        metrics_count(METRICS_EARLY_TERMINATIONS, 0);
    if (verdict.salvage != TURN_SALVAGE_NONE)
        metrics_count(METRICS_SALVAGED, verdict.salvage == TURN_FLASH_ONLY
                                            ? MODEL_FLASH
                                            : MODEL_PRO);
    if (run->turn.client_left && !run->turn.policy.outlives_client)
        metrics_count(METRICS_CANCELLATIONS, METRICS_CANCELLED_CLIENT);
    else if (run->turn.hurried)
        metrics_count(METRICS_CANCELLATIONS, METRICS_CANCELLED_SHUTDOWN);
    else if (run->turn.cancelled[MODEL_PRO] == TURN_SIBLING)
        metrics_count(METRICS_CANCELLATIONS, METRICS_CANCELLED_SIBLING);
}

static void
log_run(const struct run *run)
{
    const struct turn_verdict verdict = turn_verdict(&run->turn);
    const struct model_answer *flash = &run->facts.answer[MODEL_FLASH];
    const struct model_answer *pro = &run->facts.answer[MODEL_PRO];

    log_info("run_finished",
             "status=%s salvage=%s total_ms=%lld flash=%s flash_ms=%lld "
             "flash_error=%s pro=%s pro_ms=%lld pro_error=%s frames=%zu "
             "audit=%s index=%lld",
             turn_status_name(verdict.status),
             turn_salvage_name(verdict.salvage), (long long)run_age_ms(run),
             model_outcome_name(flash->outcome), (long long)flash->latency_ms,
             flash->error_class, model_outcome_name(pro->outcome),
             (long long)pro->latency_ms, pro->error_class, run->frame_count,
             run->facts.receipt == NULL                     ? "failed"
             : run->facts.receipt->state == ENTRY_COMMITTED ? "committed"
                                                            : "spooled",
             run->facts.receipt != NULL ? (long long)run->facts.receipt->idx
                                        : -1LL);
}

void
tally_run(const struct run *run)
{
    count_run(run);
    log_run(run);
}
