/*
 * board.c - see board.h.
 *
 * A slot fills one cache line, so that children do not slow one another down.
 * since and deadline are stored before the stage and read after it: a reader
 * may see a stage with values younger than it, which only spares a child that
 * has just moved on, but never with older ones.
 */
#include "prefork/board.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "sys/shm.h"

#define MAX_SLOTS        65536
#define CACHE_LINE_BYTES 64
#define MAX_JOB_READS    100

struct slot {
    alignas(CACHE_LINE_BYTES) atomic_uint stage;
    atomic_uint pool;
    atomic_uint generation;
    atomic_int pid;
    atomic_int_least64_t since_mono_ms;
    atomic_int_least64_t deadline_mono_ms;
    atomic_uint_least64_t done_count;
    atomic_uint_least64_t job[2];
    atomic_uint job_sequence; /* odd while job is being written */
};

_Static_assert(sizeof(struct slot) % CACHE_LINE_BYTES == 0,
               "slots share a cache line");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
               "a lock in shared memory could die with its owner");

struct board {
    size_t slot_count;
    struct slot slots[];
};

static size_t
size_of(size_t slot_count)
{
    return sizeof(struct board) + slot_count * sizeof(struct slot);
}

struct board *
board_new(size_t slot_count, struct err *err)
{
    struct board *board;

    if (slot_count == 0 || slot_count > MAX_SLOTS) {
        err_set(err, ERR_LIMIT, "a board has 1 to %d slots, not %zu", MAX_SLOTS,
                slot_count);
        return NULL;
    }
    board = shm_new(size_of(slot_count), err);
    if (board != NULL)
        board->slot_count = slot_count;
    return board;
}

void
board_free(struct board *board)
{
    if (board != NULL)
        shm_free(board, size_of(board->slot_count));
}

size_t
board_slot_count(const struct board *board)
{
    return board->slot_count;
}

static struct slot *
slot_at(struct board *board, size_t slot)
{
    assert(slot < board->slot_count);
    return &board->slots[slot];
}

/* ---- jobs -------------------------------------------------------------- */

/* A writer that was killed half-way leaves the sequence odd until its slot is
 * released, so the number of tries has an end; such a slot shows no job. */
static struct uuid
job_read(const struct slot *slot)
{
    struct uuid job = { { 0 } };

    for (int tries = 0; tries < MAX_JOB_READS; tries++) {
        uint_least64_t words[2];
        const unsigned before =
            atomic_load_explicit(&slot->job_sequence, memory_order_acquire);

        words[0] = atomic_load_explicit(&slot->job[0], memory_order_relaxed);
        words[1] = atomic_load_explicit(&slot->job[1], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (before % 2 == 0 &&
            before == atomic_load_explicit(&slot->job_sequence,
                                           memory_order_relaxed)) {
            memcpy(job.bytes, words, sizeof(job.bytes));
            break;
        }
    }
    return job;
}

static void
job_write(struct slot *slot, const struct uuid *job)
{
    /* One step more from odd than from even: the last writer may have died. */
    const unsigned sequence =
        atomic_load_explicit(&slot->job_sequence, memory_order_relaxed) | 1u;
    uint_least64_t words[2] = { 0 };

    if (job != NULL)
        memcpy(words, job->bytes, sizeof(job->bytes));
    atomic_store_explicit(&slot->job_sequence, sequence, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&slot->job[0], words[0], memory_order_relaxed);
    atomic_store_explicit(&slot->job[1], words[1], memory_order_relaxed);
    atomic_store_explicit(&slot->job_sequence, sequence + 1,
                          memory_order_release);
}

/* ---- for the master ---------------------------------------------------- */

int
board_claim(struct board *board, unsigned pool, unsigned generation)
{
    for (size_t i = 0; i < board->slot_count; i++) {
        struct slot *slot = &board->slots[i];

        if (atomic_load(&slot->stage) != BOARD_FREE)
            continue;
        atomic_store(&slot->pool, pool);
        atomic_store(&slot->generation, generation);
        board_set_stage(board, i, BOARD_STARTING, 0);
        return (int)i;
    }
    return -1;
}

void
board_set_pid(struct board *board, size_t slot, pid_t pid)
{
    atomic_store(&slot_at(board, slot)->pid, pid);
}

void
board_release(struct board *board, size_t index)
{
    struct slot *slot = slot_at(board, index);

    atomic_store(&slot->stage, BOARD_FREE);
    atomic_store(&slot->pid, 0);
    atomic_store(&slot->pool, 0);
    atomic_store(&slot->generation, 0);
    atomic_store(&slot->since_mono_ms, 0);
    atomic_store(&slot->deadline_mono_ms, 0);
    atomic_store(&slot->done_count, 0);
    job_write(slot, NULL);
}

/* ---- for the child that owns the slot ---------------------------------- */

void
board_set_stage(struct board *board, size_t index, enum board_stage stage,
                int64_t deadline_mono_ms)
{
    struct slot *slot = slot_at(board, index);

    atomic_store_explicit(&slot->deadline_mono_ms, deadline_mono_ms,
                          memory_order_relaxed);
    atomic_store_explicit(&slot->since_mono_ms, clock_mono_ms(),
                          memory_order_relaxed);
    atomic_store_explicit(&slot->stage, stage, memory_order_release);
}

void
board_set_job(struct board *board, size_t slot, const struct uuid *job)
{
    job_write(slot_at(board, slot), job);
}

void
board_count_done(struct board *board, size_t slot)
{
    atomic_fetch_add_explicit(&slot_at(board, slot)->done_count, 1,
                              memory_order_relaxed);
}

/* ---- for everybody ----------------------------------------------------- */

struct board_view
board_look(const struct board *board, size_t index)
{
    const struct slot *slot;
    struct board_view view;

    assert(index < board->slot_count);
    slot = &board->slots[index];
    view.stage = atomic_load_explicit(&slot->stage, memory_order_acquire);
    view.pid = atomic_load(&slot->pid);
    view.pool = atomic_load(&slot->pool);
    view.generation = atomic_load(&slot->generation);
    view.since_mono_ms = atomic_load(&slot->since_mono_ms);
    view.deadline_mono_ms = atomic_load(&slot->deadline_mono_ms);
    view.job = job_read(slot);
    view.done_count = atomic_load(&slot->done_count);
    return view;
}

size_t
board_count(const struct board *board, unsigned pool, unsigned stage_mask)
{
    size_t count = 0;

    for (size_t i = 0; i < board->slot_count; i++) {
        const struct slot *slot = &board->slots[i];
        const unsigned stage =
            atomic_load_explicit(&slot->stage, memory_order_acquire);

        count +=
            (stage_mask >> stage & 1u) != 0 &&
            atomic_load_explicit(&slot->pool, memory_order_relaxed) == pool;
    }
    return count;
}

bool
board_has_job(const struct board *board, const struct uuid *job)
{
    for (size_t i = 0; i < board->slot_count; i++) {
        const struct slot *slot = &board->slots[i];
        struct uuid shown;

        if (atomic_load_explicit(&slot->stage, memory_order_acquire) ==
            BOARD_FREE)
            continue;
        shown = job_read(slot);
        if (memcmp(shown.bytes, job->bytes, sizeof(shown.bytes)) == 0)
            return true;
    }
    return false;
}
