/*
 * small_master - a master with small pools in a process of its own, for tests
 * that look at it from outside: by the board, by signals, by its socket.
 *
 *     struct small_master sm;
 *     small_master_init(&sm);              one pool, "work", on a socket
 *     sm.pools[0].size.min = 3;            change what the test is about
 *     small_master_start(&sm);
 *     small_master_stop(&sm, SIGTERM);     its exit code
 *     small_master_close(&sm);             also after a failure
 *
 * A worker reads one letter from its caller (see enum small_order) and answers
 * with its pid.  Children learn how to behave from their configuration.
 */
#ifndef SUPPORT_SMALL_MASTER_H
#define SUPPORT_SMALL_MASTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "prefork/board.h"
#include "prefork/master.h"

#define SMALL_MAX_CONFIGS 64
#define SMALL_SLOTS       24
#define SMALL_PATIENCE_MS 20000
#define SMALL_JOB         "5a5a5a5a-0000-0000-0000-000000000000"

enum small_mode {
    SMALL_HEALTHY,
    SMALL_SICK,        /* exit 75 before it is ready */
    SMALL_REFUSING,    /* exit 78 before it is ready */
    SMALL_NEVER_READY, /* waits without an end */
    SMALL_SLOW,        /* makes progress until it may be ready */
    SMALL_STUBBORN,    /* ready, and deaf to everything but SIGKILL */
    SMALL_LATE,        /* leaves only when it is asked to hurry */
    SMALL_BLOCKED,     /* ready, then in a read(2) without an end */
    SMALL_LINGERING,   /* polls and asks, but never leaves */
    SMALL_STARVED,     /* without a descriptor to spare until SIGUSR1 */
};

/* What a worker does for a caller. */
enum small_order {
    SMALL_ANSWER = 'a',  /* at once */
    SMALL_HOLD = 'h',    /* busy until the caller writes again or leaves */
    SMALL_OVERDUE = 'o', /* busy, with a deadline that is now */
    SMALL_SILENT = 's',  /* never becomes busy */
    SMALL_CRASH = 'c',   /* abort, with the job SMALL_JOB */
    SMALL_REFUSE = 'r',  /* exit 78 */
};

struct small_config {
    int number;              /* 1 for the first, then as reloaded */
    enum small_mode mode[3]; /* of each pool */
};

/* What all of them write and the test reads, and the other way round. */
struct small_shared {
    struct small_config configs[SMALL_MAX_CONFIGS];
    atomic_int config_count;
    atomic_int next_mode[3]; /* of the next reload */
    atomic_bool refuses_reload;
    atomic_bool cannot_fork;                 /* for tests that wrap fork(2) */
    atomic_int forgotten[SMALL_MAX_CONFIGS]; /* how often, by number */
    atomic_int rotated_in_children;
    atomic_int rotated_in_master;
    atomic_int draining_count;
    atomic_int tick_count;
    atomic_uint renewed_mask; /* of pools, for the next tick to return */
    atomic_int gone_count;
    atomic_int gone_by_kill_count;
    atomic_int exclusive_now[3];
    atomic_int exclusive_most[3]; /* of the pool, at one time */
    atomic_int leave_count;       /* counts those that leave, in order */
    atomic_int first_left[3];     /* of the pool: leave_count at that time */
    atomic_int last_left[3];
    atomic_int hurried_count;
    atomic_int unready_count; /* those that will never be ready, at work */
    atomic_int wakeup_count;  /* of the scribe's wait */
    atomic_bool may_be_ready; /* SMALL_SLOW */
    atomic_bool went_on;      /* SMALL_SLOW, when it had been ready */
};

struct small_master {
    struct master_pool pools[3];
    size_t pool_count;
    int64_t drain_ms;
    int64_t hurry_ms;
    struct board *board;
    struct small_shared *shared;
    char folder[32];
    char socket_path[48];
    char log_path[48];
    pid_t pid; /* of the master; 0 when it does not run */
};

void small_master_init(struct small_master *sm);
void small_master_start(struct small_master *sm);
void small_master_close(struct small_master *sm);

/* The exit code, once it has ended; 256 and more for a signal. */
int small_master_wait(struct small_master *sm);
int small_master_stop(struct small_master *sm, int signo);

/* One more pool after "work": exclusive, no listener, stops later. */
struct master_pool *small_master_add_scribe(struct small_master *sm);

/* A connection that has given its order; -1 when refused. */
int small_call(const struct small_master *sm, enum small_order order);

/* The pid that serves the call, after it has answered; 0 without an answer. */
pid_t small_answer(int fd);
pid_t small_ask(const struct small_master *sm); /* both, and hangs up */

/* Children of the pool in this stage; with ~1u in any. */
size_t small_count(const struct small_master *sm, unsigned pool,
                   unsigned stage_mask);
/* Of any pool and of exactly this generation, in any stage. */
size_t small_generation(const struct small_master *sm, unsigned generation);

/* Any child of the pool in any stage, or 0. */
pid_t small_pid(const struct small_master *sm, unsigned pool);

/* Sends a signal to every child in one of these stages, of any pool. */
void small_signal(const struct small_master *sm, unsigned stage_mask,
                  int signo);

bool small_is_alive(pid_t pid);
bool small_log_has(const struct small_master *sm, const char *text);
int small_log_count(const struct small_master *sm, const char *text);

void small_pause(void); /* a few milliseconds, between two looks */

#define IDLE      (1u << BOARD_IDLE)
#define BUSY      (1u << BOARD_BUSY)
#define ANY_STAGE (~1u)

/* The condition comes true within the patience, or the test fails. */
#define assert_soon(condition) \
    do { \
        const int64_t patience_mono_ms = clock_mono_ms() + SMALL_PATIENCE_MS; \
\
        while (!(condition) && clock_left_ms(patience_mono_ms) > 0) \
            small_pause(); \
        assert_true(condition); \
    } while (0)

#endif
