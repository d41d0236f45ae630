/*
 * board - the scoreboard: one slot per child in a shared mapping made before
 * the first fork.
 *
 * The master writes pid, pool and generation, and clears a slot only after
 * waitpid(2); the child writes the rest.  All fields are atomics, nothing is a
 * pointer, nothing is locked; a reader takes a copy.
 */
#ifndef PREFORK_BOARD_H
#define PREFORK_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/uuid.h"

enum board_stage {
    BOARD_FREE = 0, /* no child */
    BOARD_STARTING, /* forked, not ready yet */
    BOARD_IDLE,     /* waits for a connection */
    BOARD_READING,  /* a request comes in: bounded by the watchdog */
    BOARD_BUSY,     /* serves it: bounded by its own deadline */
    BOARD_REPLYING, /* the answer is made and goes out: this place is free */
    BOARD_LEAVING,  /* finishes; will accept no more */
};

/* Stages by what they mean, for board_count(). */
#define BOARD_SERVING (1u << BOARD_READING | 1u << BOARD_BUSY)
#define BOARD_LIVING \
    (1u << BOARD_STARTING | 1u << BOARD_IDLE | BOARD_SERVING | \
     1u << BOARD_REPLYING | 1u << BOARD_LEAVING)

/* A copy of one slot. */
struct board_view {
    pid_t pid;
    unsigned pool;
    unsigned generation;
    enum board_stage stage;
    int64_t since_mono_ms;    /* when the stage began */
    int64_t deadline_mono_ms; /* 0 when the stage has none of its own */
    struct uuid job;          /* zero when none */
    uint64_t done_count;      /* requests this child served */
};

struct board;

/* 1 to 65536 slots; while a reload runs a pool may have twice its maximum of
 * children.  NULL on ERR_SYSTEM or ERR_LIMIT. */
struct board *board_new(size_t slot_count, struct err *err) ATTR_MUST_CHECK;
void board_free(struct board *board);
size_t board_slot_count(const struct board *board);
struct board_view board_look(const struct board *board, size_t slot);

/* ---- for the master ---- */

/* A free slot made STARTING, or -1. */
int board_claim(struct board *board, unsigned pool, unsigned generation);
void board_set_pid(struct board *board, size_t slot, pid_t pid);
void board_release(struct board *board, size_t slot);

/* ---- for the child that owns the slot ---- */

void board_set_stage(struct board *board, size_t slot, enum board_stage stage,
                     int64_t deadline_mono_ms);
void board_set_job(struct board *board, size_t slot,
                   const struct uuid *job); /* copied; NULL for none */
void board_count_done(struct board *board, size_t slot);

/* ---- for everybody ---- */

/* How many children of the pool are in any of the stages in the mask
 * (BOARD_LIVING, 1u << BOARD_BUSY | ...). */
size_t board_count(const struct board *board, unsigned pool,
                   unsigned stage_mask);

/* True when a living child shows this job. */
bool board_has_job(const struct board *board, const struct uuid *job);

#endif
