/*
 * run - what is known of the query being served: one struct per run, filled by
 * ask, driven by turn_run, told by record.
 */
#ifndef ASK_RUN_H
#define ASK_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ask/idempotency.h"
#include "ask/request.h"
#include "ask/turn.h"
#include "ask/vocab.h"
#include "base/buf.h"
#include "base/uuid.h"
#include "config.h"
#include "model/model.h"

#define RUN_MAX_FRAMES 16 /* the longest vocabulary needs nine */

/* A frame that went out. */
struct run_frame {
    const char *event;
    unsigned seq;
    int64_t at_ms; /* since the run began */
};

struct run {
    const struct config *config; /* borrowed */
    struct uuid id;
    char id_text[UUID_TEXT_LEN];
    int64_t started_unix_us;
    int64_t started_mono_ms;
    int64_t deadline_mono_ms;             /* of all of it */
    int64_t models_deadline_mono_ms;      /* leaves the audit its share */
    int64_t timeout_ms[MODEL_ROLE_COUNT]; /* in force when it began */
    const char *principal; /* who was let in; NULL without auth */

    struct request request;
    struct idempotency idempotency;
    struct buf query;         /* redacted; owned */
    struct buf context;       /* redacted JSON, empty without one; owned */
    struct buf user;          /* who asks, as the caller named them, redacted */
    struct buf asked_context; /* as it came, for models that are to see that;
                               * empty when they see the redacted one */
    bool query_changed;       /* cleaned or redacted */
    bool context_changed;

    struct turn turn;
    struct entry_receipt receipt; /* of `finished`; facts.receipt points here */
    struct vocab_facts facts;
    struct vocab vocab;
    struct model_call *calls[MODEL_ROLE_COUNT]; /* owned; NULL: not started */

    struct run_frame frames[RUN_MAX_FRAMES];
    size_t frame_count;
    int64_t left_after_ms; /* when the client was found gone; -1: it was not */
};

/* What is known of a model's answer before the model was asked. */
extern const struct model_answer run_not_asked;

/* Milliseconds since the run began. */
int64_t run_age_ms(const struct run *run);

#endif
