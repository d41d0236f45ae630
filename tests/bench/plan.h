/*
 * plan - what load was asked to do.  See load.c.
 */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

extern const char plan_usage[];

/* Texts are borrowed from argv; NULL and 0: not asked for. */
struct plan {
    uint16_t port;
    const char *path;
    const char *post;
    bool is_plain;
    const char *header;
    const char *each;
    int64_t callers;
    int64_t seconds;
    int64_t rate;
    int64_t ramp_ms;
    int64_t leave_after_ms;
    int64_t sip_bytes;
};

/* -1 when the command line makes no sense. */
int plan_parse(struct plan *plan, int argc, char **argv);

#endif
