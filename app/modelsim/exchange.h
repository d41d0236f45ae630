/*
 * exchange - one request and its answer, from the first byte to the last.
 *
 *     exchange = exchange_new(&channel);
 *     exchange_receive(exchange, bytes, len);      the body, part by part
 *     exchange_begin(exchange, &request);          it is whole
 *     exchange_go_on(exchange);                    after each resume
 *     exchange_read(exchange, bytes, max, &len);   the answer, part by part
 *     exchange_end(exchange, went_well);           the connection is done
 *     exchange_free(exchange);
 *
 * Knows settings, scripts and time; knows HTTP only where a fault lies beneath
 * it: a status line that comes byte by byte, and a TCP reset, which no HTTP
 * library offers.  Both use the channel's socket, the first while the channel
 * is suspended, so that nobody else writes there.
 */
#ifndef MODELSIM_EXCHANGE_H
#define MODELSIM_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "modelsim/provider.h"
#include "modelsim/script.h"
#include "modelsim/timers.h"

#define EXCHANGE_BODY_BYTES (32 << 20)

/* The connection, as an exchange sees it.  It outlives its exchanges. */
struct channel {
    struct provider *provider;
    struct timers *timers;
    int fd;
    bool client_left;
    unsigned roles_seen;
    void *connection;
    void (*suspend)(void *connection); /* nothing is asked until resume */
    void (*resume)(void *connection);
};

enum exchange_step {
    EXCHANGE_WAITS,   /* suspended */
    EXCHANGE_ANSWERS, /* send the script's headers, then read */
    EXCHANGE_REFUSES, /* the body was too large */
    EXCHANGE_CLOSES,  /* close the connection without more */
};

enum exchange_part {
    EXCHANGE_BYTES,
    EXCHANGE_NOT_YET, /* suspended */
    EXCHANGE_ALL,     /* the answer is whole */
    EXCHANGE_BREAK,   /* close the connection in the middle */
};

struct exchange;
struct exchange *exchange_new(struct channel *channel) ATTR_MUST_CHECK;
void exchange_free(struct exchange *exchange);

void exchange_receive(struct exchange *exchange, const char *bytes, size_t len);

/* body and roles_seen of the request are filled in here. */
enum exchange_step exchange_begin(struct exchange *exchange,
                                  struct http_request *request);
enum exchange_step exchange_go_on(struct exchange *exchange);

/* True until exchange_begin(). */
bool exchange_is_receiving(const struct exchange *exchange);

/* Borrowed. */
const struct script *exchange_script(const struct exchange *exchange);

enum exchange_part exchange_read(struct exchange *exchange, char *bytes,
                                 size_t max_bytes, size_t *len);

/* The client is seen to have left: counts it and ends the wait. */
void exchange_leave(struct exchange *exchange);

/* Its timer, taken from the heap, is due. */
void exchange_on_timer(struct timer *timer);

/* Ends a wait, if it is in one, for stopping. */
void exchange_wake(struct exchange *exchange);

/* Counts the outcome unless it has been counted. */
void exchange_end(struct exchange *exchange, bool went_well);

#endif
