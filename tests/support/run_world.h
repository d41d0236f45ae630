/*
 * run_world - all that a run meets, as a script says: two models, the scribe,
 * the client, the master, and the time.
 *
 *     world_begin(&script);
 *     turn_run(&world.run, &world.tools);
 *     world_story()      what came of it, a line for each moment
 *     world_end();
 *
 * Time stands still while code works; a wait jumps to the next thing that
 * happens.  So a test takes no time, and the same story comes every time.
 *
 * It stands in for base/clock, sys/log, gate/fcgi, ledger/clerk and
 * prefork/child as a whole, and by the linker for the calls of model/model and
 * for poll(2): see tests/unit/wrap.mk.
 */
#ifndef SUPPORT_RUN_WORLD_H
#define SUPPORT_RUN_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "ask/run.h"
#include "ask/stream.h"
#include "ask/turn_run.h"

/* Times are milliseconds since the run began. */
#define WORLD_NEVER  0
#define WORLD_BEFORE (-1) /* it was so when the run began */

#define WORLD_RUN_MS    10000 /* the deadline */
#define WORLD_MODELS_MS 8000  /* the models' share of it */
#define WORLD_FLASH_MS  3000  /* the fast model's own time-out */
#define WORLD_WRITE_MS  10    /* what the scribe takes when not told */

struct world_model {
    enum model_outcome outcome; /* pending: it runs into its time-out */
    int64_t took_ms;
    const char *text; /* what arrived of it; NULL: a word if it answers */
    bool unstartable; /* models_start() fails */
};

enum world_scribe {
    WORLD_RECORDS,
    WORLD_REFUSES,
    WORLD_SILENT,
    WORLD_UNWRITABLE, /* clerk_submit() fails */
};

struct world_script {
    enum vocab_words words;
    bool flash_failure_cancels;
    bool outlives_client;
    bool patient; /* no early termination */
    struct world_model model[MODEL_ROLE_COUNT];
    struct {
        enum world_scribe answer;
        int64_t took_ms;
    } scribe[ENTRY_KIND_COUNT];
    int64_t left_at;       /* the client is gone, as its descriptor tells */
    int64_t unwritable_at; /* it is gone, as only a write tells */
    int64_t stalled_at;    /* it reads no more: writes wait to their deadline */
    int64_t write_ms;      /* each write to it takes so long */
    int64_t hurry_at;
    int64_t curl_fails_at; /* models_turn() fails from then on */
    int64_t heartbeat_ms;  /* 0: once an hour */
    size_t out_max_bytes;  /* room for frames; 0: plenty */
    bool no_room;          /* the arena is full */
};

struct world {
    struct run run;
    struct turn_run_tools tools;
    struct stream stream;
    struct config config;
    int64_t now_ms;
    int wait_count;
    int vain_count; /* waits that ended at once though nothing was new */
    int turns_after_failure;
    json_t *facts[ENTRY_KIND_COUNT]; /* as submitted; NULL: was not */
};

extern struct world world;

/* script is borrowed until the end. */
void world_begin(const struct world_script *script);
void world_end(void);

/* One line for each moment: its time, and what happened then.  Frames are
 * named by their event, those of failures with their code and, when nothing is
 * to follow, a "!"; done tells status and index of the receipt.  Words with a
 * "?" are what the log told the operator. */
const char *world_story(void);

/* What `finished` says: status/salvage flash pro, the frames that were sent,
 * whether the client was there. */
const char *world_record(void);

/* A script, and what must come of it. */
struct world_case {
    const char *name;
    struct world_script script;
    const char *story;
    const char *record;
    int result; /* of turn_run() */
};

/* Plays a whole run for each and fails the test unless all came as they must,
 * in time, without a wait in vain, and with nothing asked of a broken curl. */
void world_play(const struct world_case *cases, size_t count);

#endif
