/*
 * turn - the rules of one run: what happened goes in, what to do comes out.
 *
 *     turn_init(&turn, &policy);
 *     count = turn_step(&turn, &fact, actions);    per fact, until TURN_END
 *     turn_verdict(&turn)                          from TURN_RECORD on
 *
 * Pure: no clock, no sockets, no processes; turn_run drives it.  DESIGN.md
 * section 3, steps 4 to 7.  The rule that shapes it: a frame after which a
 * client stops reading is sent only when the record is durable.
 */
#ifndef ASK_TURN_H
#define ASK_TURN_H

#include <stdbool.h>
#include <stddef.h>

#include "model/model.h"

struct turn_policy {
    bool flash_failure_cancels;   /* else salvage: the other call goes on */
    bool early_flash_termination; /* Pro first: Flash is superseded */
    bool errors_end_stream;       /* clients stop at the first `error` (staged
                                   * vocabulary): hold it until the record is
                                   * durable */
    bool outlives_client;         /* who leaves does not end the run */
};

enum turn_fact_kind {
    TURN_BEGAN,        /* accepted is durable, both calls are under way */
    TURN_MODEL_DONE,   /* role, outcome */
    TURN_CLIENT_LEFT,  /* ended */
    TURN_HURRY,        /* the process must leave now */
    TURN_RECORDED,     /* what was to be written is durable */
    TURN_NOT_RECORDED, /* and will not be in time */
};

struct turn_fact {
    enum turn_fact_kind kind;
    enum model_role role;
    enum model_outcome outcome;

    /* What calls have come to that TURN_MODEL_DONE has not told: those were not
     * cut short, and there is nobody to tell their answers to. */
    enum model_outcome ended[MODEL_ROLE_COUNT];
};

enum turn_action_kind {
    TURN_SAY_START,
    TURN_SAY_ANSWER,       /* role */
    TURN_SAY_FLASH_FAILED, /* Pro goes on */
    TURN_SAY_ERROR,        /* role, or whole; terminal as told */
    TURN_SAY_COMPLETE,
    TURN_SAY_DONE,
    TURN_CANCEL,      /* role, why */
    TURN_RECORD,      /* write `finished` now */
    TURN_RECORD_LEFT, /* write `left` now: finished could not say it */
    TURN_END,
};

enum turn_cancel {
    TURN_NOT_CANCELLED,
    TURN_SUPERSEDED, /* Pro was first */
    TURN_SIBLING,    /* Flash failed and policy says cancel */
    TURN_CLIENT_GONE,
    TURN_SHUTDOWN,
};

const char *turn_cancel_name(enum turn_cancel why);

/* What a TURN_SAY_ERROR is about. */
enum turn_error {
    TURN_ERROR_MODEL, /* the role's failure */
    TURN_ERROR_CANCELLED,
    TURN_ERROR_AUDIT, /* the record could not be made durable */
    TURN_ERROR_LOST,  /* the run's worker died */
};

struct turn_action {
    enum turn_action_kind kind;
    enum model_role role;
    enum turn_error error;
    bool terminal; /* nothing but the end follows */
};

enum turn_status { TURN_OK, TURN_TIMEOUT, TURN_CANCELLED, TURN_ERROR };
enum turn_salvage { TURN_SALVAGE_NONE, TURN_FLASH_ONLY, TURN_PRO_ONLY };

const char *turn_status_name(enum turn_status status);
const char *turn_salvage_name(enum turn_salvage salvage);

struct turn_verdict {
    enum turn_status status;
    enum turn_salvage salvage;
};

#define TURN_MAX_ACTIONS 6

enum turn_phase {
    TURN_ASKING,
    TURN_RECORDING,      /* `finished` is being written */
    TURN_RECORDING_LEFT, /* then `left`, when the client left meanwhile */
    TURN_OVER,
};

/* Open because callers embed it; change nothing inside. */
struct turn {
    struct turn_policy policy;
    enum turn_phase phase;
    enum model_outcome outcome[MODEL_ROLE_COUNT];
    enum turn_cancel cancelled[MODEL_ROLE_COUNT];
    int first; /* the role that came to its own end first; -1: none yet */
    bool client_left;
    bool left_unrecorded; /* `finished` was on its way when the client left */
    bool hurried;
    bool error_said;
    bool pro_error_held;
};

void turn_init(struct turn *turn, const struct turn_policy *policy);

/* Returns how many actions to take, in their order.  Facts that come too late
 * to matter, or twice, give none. */
size_t turn_step(struct turn *turn, const struct turn_fact *fact,
                 struct turn_action actions[TURN_MAX_ACTIONS]);

struct turn_verdict turn_verdict(const struct turn *turn);

#endif
