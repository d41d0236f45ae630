/* adapt.c - see adapt.h. */
#include "ask/adapt.h"

#include <poll.h>

#include <jansson.h>

#include "base/clock.h"
#include "guard/timeouts.h"
#include "sys/log.h"

#define NOTE_MS 2000 /* the record of a change may take that long */

static json_t *
change_facts(enum model_role role, const struct timeouts_change *change)
{
    return json_pack(
        "{s:s,s:s,s:I,s:I,s:I,s:I}", "what", "timeout", "model",
        model_role_name(role), "from_ms", (json_int_t)change->from_ms, "to_ms",
        (json_int_t)change->to_ms, "p95_ms", (json_int_t)change->p95_ms,
        "calls", (json_int_t)change->calls);
}

static int
submit(struct clerk *clerk, const json_t *facts, int64_t deadline_mono_ms,
       struct err *err)
{
    struct entry_record record = { .kind = ENTRY_ADMIN, .facts = facts };

    if (facts == NULL)
        return err_set(err, ERR_NOMEM, "record");
    if (uuid_v7_new(&record.run_id, err) == -1)
        return -1;
    return clerk_submit(clerk, &record, deadline_mono_ms, err);
}

static void
wait_for_receipt(struct clerk *clerk)
{
    while (clerk_state(clerk) == CLERK_WAITING) {
        struct pollfd polled = { clerk_fd(clerk), clerk_events(clerk), 0 };

        poll(&polled, 1, clock_left_ms(clerk_wake_mono_ms(clerk)));
        clerk_turn(clerk);
    }
}

static void
note_change(const struct run *run, struct clerk *clerk, enum model_role role,
            const struct timeouts_change *change)
{
    const int64_t soon_mono_ms = clock_mono_ms() + NOTE_MS;
    json_t *facts = change_facts(role, change);
    struct err err = { 0 };

    log_info("timeout_changed",
             "model=%s from_ms=%lld to_ms=%lld p95_ms=%lld calls=%lld",
             model_role_name(role), (long long)change->from_ms,
             (long long)change->to_ms, (long long)change->p95_ms,
             (long long)change->calls);
    if (submit(clerk, facts,
               soon_mono_ms < run->deadline_mono_ms ? soon_mono_ms
                                                    : run->deadline_mono_ms,
               &err) == -1) {
        log_error("change_not_recorded", "%s", err.text);
    } else {
        wait_for_receipt(clerk);
        if (clerk_state(clerk) != CLERK_RECORDED)
            log_error("change_not_recorded", "%s", clerk_reason(clerk));
    }
    json_decref(facts);
}

void
adapt_after_run(const struct run *run, struct clerk *clerk)
{
    struct timeouts_change change;

    if (run->facts.receipt == NULL)
        return; /* a change could not be recorded either */
    for (enum model_role role = 0; role < MODEL_ROLE_COUNT; role++)
        if (timeouts_learn(role, run->config, &change))
            note_change(run, clerk, role, &change);
}
