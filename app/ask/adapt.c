/* adapt.c - see adapt.h. */
#include "ask/adapt.h"

#include <poll.h>

#include "base/clock.h"
#include "guard/timeouts.h"
#include "model/model.h"
#include "sys/log.h"
#include "text/jsonw.h"

#define NOTE_MS 2000 /* the record of changes may take that long */

static int
submit(struct clerk *clerk, const struct buf *facts, int64_t deadline_mono_ms,
       struct err *err)
{
    struct frame_record record = { .kind = ENTRY_ADMIN,
                                   .facts = facts->bytes,
                                   .facts_len = facts->len };

    if (uuid_v7_new(&record.run_id, err) == -1)
        return -1;
    return clerk_submit(clerk, &record, deadline_mono_ms, err);
}

static int
submit_change(struct clerk *clerk, enum model_role role,
              const struct timeouts_change *change, int64_t deadline_mono_ms,
              struct err *err)
{
    struct jsonw writer;
    struct buf facts;
    int result;

    buf_init(&facts, FRAME_MAX_FACTS_BYTES);
    jsonw_init(&writer, &facts);
    jsonw_object(&writer, NULL);
    jsonw_int(&writer, "calls", change->calls);
    jsonw_int(&writer, "from_ms", change->from_ms);
    jsonw_string(&writer, "model", model_role_name(role));
    jsonw_int(&writer, "p95_ms", change->p95_ms);
    jsonw_int(&writer, "to_ms", change->to_ms);
    jsonw_string(&writer, "what", "timeout");
    jsonw_end_object(&writer);
    result = jsonw_failed(&writer)
                 ? err_set(err, ERR_NOMEM, "record")
                 : submit(clerk, &facts, deadline_mono_ms, err);
    buf_close(&facts);
    return result;
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
note_change(struct clerk *clerk, enum model_role role,
            const struct timeouts_change *change, int64_t deadline_mono_ms)
{
    struct err err = { 0 };

    log_info("timeout_changed",
             "model=%s from_ms=%lld to_ms=%lld p95_ms=%lld calls=%lld",
             model_role_name(role), (long long)change->from_ms,
             (long long)change->to_ms, (long long)change->p95_ms,
             (long long)change->calls);
    if (submit_change(clerk, role, change, deadline_mono_ms, &err) == -1) {
        log_error("change_not_recorded", "%s", err.text);
    } else {
        wait_for_receipt(clerk);
        if (clerk_state(clerk) != CLERK_RECORDED)
            log_error("change_not_recorded", "%s", clerk_reason(clerk));
    }
}

void
adapt_after_run(const struct config *config, struct clerk *clerk)
{
    const int64_t deadline_mono_ms = clock_mono_ms() + NOTE_MS;
    struct timeouts_change change;

    for (enum model_role role = 0; role < MODEL_ROLE_COUNT; role++)
        if (timeouts_learn(role, config, &change))
            note_change(clerk, role, &change, deadline_mono_ms);
}
