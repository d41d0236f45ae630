/*
 * run_world_inner - what the two halves of run_world share: run_world.c has the
 * time, run_world_peers.c the models, the scribe, the client, the master.
 */
#ifndef SUPPORT_RUN_WORLD_INNER_H
#define SUPPORT_RUN_WORLD_INNER_H

#include "base/attr.h"
#include "support/run_world.h"

#define WORLD_CLIENT_FD 1001
#define WORLD_SCRIBE_FD 1002
#define WORLD_MASTER_FD 1003

struct models {
    bool has_failed;
};

struct model_call {
    enum model_role role;
    enum model_outcome outcome;
    int64_t started_ms;
    int64_t ends_ms;
    bool is_done;
    char *text; /* owned, so that a sanitizer sees who reads it too late */
};

struct clerk {
    enum clerk_state state;
    enum entry_kind kind;
    int64_t answers_ms;
    int64_t deadline_ms;
    struct entry_receipt receipt;
};

struct fcgi {
    int64_t deadline_ms;
    bool is_flushed;
};

extern const struct world_script *world_script;
extern struct models world_models;
extern struct model_call *world_calls[MODEL_ROLE_COUNT];
extern struct clerk world_clerk;
extern struct fcgi world_gate;

/* Adds a word to the story. */
void world_tell(const char *fmt, ...) ATTR_PRINTF(1, 2);

/* Lets the time pass until something happens that these descriptors, or with
 * with_models the calls, can tell. */
void world_wait(struct http_fd *fds, size_t count, int64_t until_ms,
                bool with_models);

/* Whether a moment of the script is there, or past. */
bool world_has_come(int64_t at_ms);

/* Monotonic time as milliseconds since the run began, and back. */
int64_t world_from_mono(int64_t mono_ms);
int64_t world_to_mono(int64_t since_ms);

#endif
