/* turn.c - see turn.h. */
#include "ask/turn.h"

#include <assert.h>

/* The actions of one step, collected. */
struct script {
    struct turn_action *actions;
    size_t count;
};

static void
add(struct script *script, struct turn_action action)
{
    assert(script->count < TURN_MAX_ACTIONS);
    script->actions[script->count++] = action;
}

/* ---- questions ----------------------------------------------------------- */

static bool
is_running(const struct turn *turn, enum model_role role)
{
    return turn->outcome[role] == MODEL_PENDING &&
           turn->cancelled[role] == TURN_NOT_CANCELLED;
}

static bool
has_answered(const struct turn *turn, enum model_role role)
{
    return model_outcome_is_answer(turn->outcome[role]);
}

static bool
has_failed(const struct turn *turn, enum model_role role)
{
    return turn->outcome[role] != MODEL_PENDING && !has_answered(turn, role);
}

static bool
is_usable(const struct turn *turn)
{
    return has_answered(turn, MODEL_FLASH) || has_answered(turn, MODEL_PRO);
}

/* By the client or by a shutdown, not by a model. */
static bool
is_cut_short(const struct turn *turn)
{
    return turn->hurried || turn->cancelled[MODEL_FLASH] == TURN_CLIENT_GONE ||
           turn->cancelled[MODEL_PRO] == TURN_CLIENT_GONE;
}

/* ---- the rules ----------------------------------------------------------- */

static void
cancel(struct turn *turn, struct script *script, enum model_role role,
       enum turn_cancel why)
{
    if (!is_running(turn, role))
        return;
    turn->cancelled[role] = why;
    add(script, (struct turn_action){ .kind = TURN_CANCEL, .role = role });
}

static void
say_error(struct turn *turn, struct script *script, enum turn_error error,
          enum model_role role, bool terminal)
{
    turn->error_said = true;
    add(script, (struct turn_action){ .kind = TURN_SAY_ERROR,
                                      .error = error,
                                      .role = role,
                                      .terminal = terminal });
}

static void
record_when_settled(struct turn *turn, struct script *script)
{
    if (is_running(turn, MODEL_FLASH) || is_running(turn, MODEL_PRO))
        return;
    turn->phase = TURN_RECORDING;
    add(script, (struct turn_action){ .kind = TURN_RECORD });
}

static void
answered(struct turn *turn, struct script *script, enum model_role role)
{
    add(script, (struct turn_action){ .kind = TURN_SAY_ANSWER, .role = role });
    if (role == MODEL_PRO && turn->policy.early_flash_termination)
        cancel(turn, script, MODEL_FLASH, TURN_SUPERSEDED);
}

/* Flash failed.  Without Pro to wait for, the end says what is to be said. */
static void
flash_failed(struct turn *turn, struct script *script)
{
    if (!is_running(turn, MODEL_PRO))
        return;
    if (turn->policy.flash_failure_cancels) {
        cancel(turn, script, MODEL_PRO, TURN_SIBLING);
        return;
    }
    turn->error_said = turn->error_said || !turn->policy.errors_end_stream;
    add(script, (struct turn_action){ .kind = TURN_SAY_FLASH_FAILED,
                                      .role = MODEL_FLASH });
}

/* Pro failed.  Its error waits for the record when it is the last frame some
 * client reads: always in the staged vocabulary, else when Flash is through. */
static void
pro_failed(struct turn *turn, struct script *script)
{
    if (turn->policy.errors_end_stream || !is_running(turn, MODEL_FLASH))
        turn->pro_error_held = true;
    else
        say_error(turn, script, TURN_ERROR_MODEL, MODEL_PRO, false);
}

static void
note_outcome(struct turn *turn, enum model_role role,
             enum model_outcome outcome)
{
    turn->outcome[role] = outcome;
    if (turn->first == -1)
        turn->first = (int)role;
}

static void
model_done(struct turn *turn, struct script *script,
           const struct turn_fact *fact)
{
    assert(fact->outcome != MODEL_PENDING);
    if (turn->phase != TURN_ASKING || !is_running(turn, fact->role))
        return;
    note_outcome(turn, fact->role, fact->outcome);
    if (has_answered(turn, fact->role))
        answered(turn, script, fact->role);
    else if (fact->role == MODEL_FLASH)
        flash_failed(turn, script);
    else
        pro_failed(turn, script);
    record_when_settled(turn, script);
}

static void
cut_short(struct turn *turn, struct script *script, enum turn_cancel why)
{
    if (turn->phase != TURN_ASKING)
        return;
    cancel(turn, script, MODEL_FLASH, why);
    cancel(turn, script, MODEL_PRO, why);
    record_when_settled(turn, script);
}

/* The error that a run without any answer owes its client. */
static void
say_nothing_usable(struct turn *turn, struct script *script)
{
    if (is_cut_short(turn))
        say_error(turn, script, TURN_ERROR_CANCELLED, MODEL_PRO, true);
    else
        say_error(turn, script, TURN_ERROR_MODEL, MODEL_FLASH, true);
}

static void
end(struct turn *turn, struct script *script, bool recorded)
{
    turn->phase = TURN_OVER;
    if (turn->pro_error_held)
        say_error(turn, script, TURN_ERROR_MODEL, MODEL_PRO, recorded);
    if (!recorded)
        say_error(turn, script, TURN_ERROR_AUDIT, MODEL_PRO, true);
    else if (is_usable(turn))
        add(script, (struct turn_action){ .kind = TURN_SAY_COMPLETE });
    else if (!turn->error_said)
        say_nothing_usable(turn, script);
    add(script, (struct turn_action){ .kind = TURN_SAY_DONE });
    add(script, (struct turn_action){ .kind = TURN_END });
}

/* An entry is durable, or will not be.  `left` is an addition: without it the
 * run is recorded all the same. */
static void
settle_record(struct turn *turn, struct script *script, bool recorded)
{
    if (turn->phase == TURN_RECORDING && recorded && turn->left_unrecorded) {
        turn->phase = TURN_RECORDING_LEFT;
        add(script, (struct turn_action){ .kind = TURN_RECORD_LEFT });
    } else if (turn->phase == TURN_RECORDING) {
        end(turn, script, recorded);
    } else if (turn->phase == TURN_RECORDING_LEFT) {
        end(turn, script, true);
    }
}

static void
client_left(struct turn *turn, struct script *script,
            const struct turn_fact *fact)
{
    if (turn->client_left || turn->phase == TURN_OVER)
        return;
    turn->client_left = true;
    if (turn->policy.outlives_client)
        return;
    turn->left_unrecorded = turn->phase == TURN_RECORDING;
    for (enum model_role role = 0; role < MODEL_ROLE_COUNT; role++)
        if (is_running(turn, role) && fact->ended[role] != MODEL_PENDING)
            note_outcome(turn, role, fact->ended[role]);
    cut_short(turn, script, TURN_CLIENT_GONE);
}

void
turn_init(struct turn *turn, const struct turn_policy *policy)
{
    *turn = (struct turn){ .policy = *policy, .first = -1 };
}

size_t
turn_step(struct turn *turn, const struct turn_fact *fact,
          struct turn_action actions[TURN_MAX_ACTIONS])
{
    struct script script = { .actions = actions };

    switch (fact->kind) {
    case TURN_BEGAN:
        add(&script, (struct turn_action){ .kind = TURN_SAY_START });
        break;
    case TURN_MODEL_DONE:
        model_done(turn, &script, fact);
        break;
    case TURN_CLIENT_LEFT:
        client_left(turn, &script, fact);
        break;
    case TURN_HURRY:
        turn->hurried = turn->hurried || turn->phase == TURN_ASKING;
        cut_short(turn, &script, TURN_SHUTDOWN);
        break;
    case TURN_RECORDED:
        settle_record(turn, &script, true);
        break;
    case TURN_NOT_RECORDED:
        settle_record(turn, &script, false);
        break;
    }
    return script.count;
}

/* ---- the verdict --------------------------------------------------------- */

static enum turn_status
status_of_failure(enum model_outcome outcome)
{
    return outcome == MODEL_TIMED_OUT ? TURN_TIMEOUT : TURN_ERROR;
}

static enum turn_status
status(const struct turn *turn)
{
    if (is_cut_short(turn))
        return TURN_CANCELLED;
    if (has_failed(turn, MODEL_PRO))
        return status_of_failure(turn->outcome[MODEL_PRO]);
    if (has_failed(turn, MODEL_FLASH))
        return status_of_failure(turn->outcome[MODEL_FLASH]);
    return TURN_OK;
}

struct turn_verdict
turn_verdict(const struct turn *turn)
{
    const bool flash = has_answered(turn, MODEL_FLASH);
    const bool pro = has_answered(turn, MODEL_PRO);
    struct turn_verdict verdict = { .status = status(turn) };

    if (flash && !pro)
        verdict.salvage = TURN_FLASH_ONLY;
    else if (pro && !flash && turn->cancelled[MODEL_FLASH] != TURN_SUPERSEDED)
        verdict.salvage = TURN_PRO_ONLY;
    return verdict;
}

const char *
turn_status_name(enum turn_status status_word)
{
    static const char *const names[] = { "ok", "timeout", "cancelled",
                                         "error" };

    return names[status_word];
}

const char *
turn_salvage_name(enum turn_salvage salvage)
{
    static const char *const names[] = { "none", "flash_only", "pro_only" };

    return names[salvage];
}

const char *
turn_cancel_name(enum turn_cancel why)
{
    static const char *const names[] = { "none", "superseded", "sibling",
                                         "client", "shutdown" };

    return names[why];
}
