/*
 * breaker - the rules by which a model that cannot be reached is left alone.
 *
 *     breaker_ask(&breaker, now, lease)            before a call
 *     breaker_tell(&breaker, &policy, pass, news, now)     after it
 *
 * Closed lets everybody pass and counts failures in a row.  Open refuses
 * everybody until its time is over; then the first who asks becomes the prober
 * (half-open), and everybody else is refused until that one has told.  A prober
 * that dies holds its place until its lease is over.
 *
 * Pure: facts and a time in, a decision out.  All of a breaker fits into one
 * 64-bit word, so that processes can share it (breakers.h).
 */
#ifndef GUARD_BREAKER_H
#define GUARD_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

const char *breaker_state_name(enum breaker_state state);

struct breaker_policy {
    int64_t failures;  /* in a row open it; 0: it never opens */
    int64_t window_ms; /* a row that began longer ago is forgotten */
    int64_t open_ms;
};

/* All zero is closed. */
struct breaker {
    enum breaker_state state;
    unsigned failures;     /* in a row; closed only */
    int64_t until_mono_ms; /* closed: the row counts; open: nobody passes;
                            * half-open: the prober's lease */
};

enum breaker_pass {
    BREAKER_REFUSED,
    BREAKER_PASSED,
    BREAKER_PROBING, /* and everybody waits for what it finds */
};

/* lease_mono_ms: by then the asker has told, if it lives. */
enum breaker_pass breaker_ask(struct breaker *breaker, int64_t now_mono_ms,
                              int64_t lease_mono_ms);

enum breaker_news {
    BREAKER_UNKNOWN, /* the call says nothing of the provider */
    BREAKER_SERVED,  /* it is there */
    BREAKER_FAILED,  /* it is not */
};

void breaker_tell(struct breaker *breaker, const struct breaker_policy *policy,
                  enum breaker_pass pass, enum breaker_news news,
                  int64_t now_mono_ms);

uint64_t breaker_pack(const struct breaker *breaker);
struct breaker breaker_unpack(uint64_t word);

#endif
