/*
 * crew - the children of all pools: forked, asked to go, buried.
 *
 *     crew_open(&crew, config, &err);
 *     crew_fork(&crew, pool, generation, &err);   a child, STARTING
 *     crew_next_ready(&crew, &slot);              each child that can work now
 *     crew_ask(&crew, slot, CREW_HURRY);          QUIT, TERM or KILL, rising
 *     crew_bury(&crew, &loss);                    each child that has gone
 *     crew_watch(&crew, now_mono_ms);             whoever is overdue goes
 *     crew_close(&crew);
 *
 * Inside the master's process only.  A member is found by its board slot.
 * Logs, forks and signals; decides nothing about how many there should be.
 */
#ifndef PREFORK_CREW_H
#define PREFORK_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"
#include "prefork/board.h"
#include "prefork/master.h"

/* Reloads wait when so many configurations are still in use. */
#define CREW_MAX_GENERATIONS 16

struct crew_generation {
    unsigned number;    /* from 1; 0 when this place is free */
    const void *config; /* the caller's, until hooks->forget() */
    size_t living;
};

/* What a member was asked.  It only rises. */
enum crew_ask {
    CREW_STAY = 0,
    CREW_LEAVE, /* SIGQUIT: after the present work */
    CREW_HURRY, /* SIGTERM: cutting it short */
    CREW_DIE,   /* SIGKILL */
};

struct crew_member {
    pid_t pid; /* 0 when there is nobody */
    unsigned pool;
    struct crew_generation *generation;
    int64_t born_mono_ms;
    int64_t asked_mono_ms;
    enum crew_ask asked;
    bool is_ready;
    bool was_overdue; /* killed by the watchdog */
};

struct crew {
    const struct master_config *config;
    struct crew_member *members; /* owned; one per slot of the board */
    size_t member_count;         /* of the array */
    size_t living;
    struct crew_generation generations[CREW_MAX_GENERATIONS];
    unsigned last_number;
    pid_t master_pid;
    int nudge_fd;
    int life_fds[2];
};

enum crew_end {
    CREW_END_EXPECTED, /* asked, its quota served, or overdue at work */
    CREW_END_SICK,     /* crashed, failed, or never got ready */
    CREW_END_CONFIG,   /* cannot work with its configuration */
};

struct crew_loss {
    size_t slot;
    struct crew_member member; /* a copy, as it was */
    struct board_view view;    /* its last state */
    int how;                   /* as from waitpid(2) */
    int64_t lived_ms;
    enum crew_end end;
};

int crew_open(struct crew *crew, const struct master_config *config,
              struct err *err) ATTR_MUST_CHECK;
void crew_close(struct crew *crew);

/* ---- generations ---- */

bool crew_has_room_for_generation(const struct crew *crew);

/* The next generation; there must be room for it. */
struct crew_generation *crew_generation_new(struct crew *crew,
                                            const void *config);

/* Gives back each configuration that no member uses, except these two (either
 * may be NULL). */
void crew_forget_unused(struct crew *crew, const struct crew_generation *keep,
                        const struct crew_generation *keep_too);

/* ---- members ---- */

/* -1 on ERR_LIMIT (no slot is free) or ERR_SYSTEM. */
int crew_fork(struct crew *crew, unsigned pool,
              struct crew_generation *generation,
              struct err *err) ATTR_MUST_CHECK;

/* True for each member that has become ready since the last call. */
bool crew_next_ready(struct crew *crew, size_t *slot);

/* Does nothing when the member was already asked that much. */
void crew_ask(struct crew *crew, size_t slot, enum crew_ask ask);

void crew_signal_all(const struct crew *crew, int signo);

/* True for each member that has gone; its slot is free then. */
bool crew_bury(struct crew *crew, struct crew_loss *loss);

/* Kills members past their deadline, and those that linger after they were
 * asked to leave.  Returns when the next deadline known by now will have
 * passed; INT64_MAX when there is none. */
int64_t crew_watch(struct crew *crew, int64_t now_mono_ms);

#endif
