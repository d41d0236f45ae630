/*
 * retry - whether a model is asked again, and when.
 *
 * Only where nothing of an answer came, for causes that pass, and never so
 * late that nobody would wait for the answer.  Pure.
 */
#ifndef MODEL_RETRY_H
#define MODEL_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/failure.h"
#include "text/json.h"

/* Delays a provider may ask for, besides a number of milliseconds. */
#define RETRY_NOT_SAID (-1)
#define RETRY_NEVER    INT64_MAX /* a quota of the day is used up */

/* What the value of an "error" member asks for: google.rpc.RetryInfo, or an
 * exhausted quota that no retry brings back. */
int64_t retry_delay_of_error(const json_t *error);

/* What one header line asks for: Retry-After in seconds or as a date. */
int64_t retry_delay_of_header(const char *line, size_t len,
                              int64_t now_unix_us);

/* Settings are those of struct models_config. */
struct retry_policy {
    int64_t retries;  /* 0: never */
    int64_t pause_ms; /* before the first; doubles */
};

/* One attempt that failed. */
struct retry_facts {
    enum failure failure;
    bool had_substance;       /* text, thought or an end marker came */
    bool was_kept_connection; /* it may have been closed in its sleep */
    int64_t asked_delay_ms;   /* by the provider */
    int64_t retries_done;     /* before it */
    int64_t left_ms;          /* until nobody waits any more */
    unsigned chance;          /* any number: spreads those who failed at once */
};

/* How long to wait before the next attempt; -1: there is to be none. */
int64_t retry_wait_ms(const struct retry_policy *policy,
                      const struct retry_facts *facts);

/* True where another model of the same provider may do better. */
bool retry_may_fall_back(enum failure failure);

#endif
