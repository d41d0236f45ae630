/*
 * fcgi - one FastCGI request at a time on a descriptor we accepted.
 *
 *     fcgi_global_init(&err);                once, after our signal handlers
 *     gate = fcgi_new(&err);                 once per worker
 *     fcgi_begin(gate, fd, &timeouts, &err); takes fd; reads the parameters
 *     fcgi_param(gate, "REQUEST_METHOD") ...
 *     fcgi_read_body(gate, &body, deadline_mono_ms);
 *     fcgi_write(gate, bytes, len, &err); fcgi_flush(gate, &err);
 *     fcgi_end(gate);
 *     fcgi_free(gate);
 *
 * Accepting ourselves gives us close-on-exec, a look at the peer and socket
 * time-outs before libfcgi reads a byte.  Those time-outs are per read(2); a
 * peer that drips bytes is ended by the master's watchdog, which is why the
 * caller shows its stage on the board before fcgi_begin().  A signal would end
 * a read or write for good, so those given to sig_open() wait meanwhile.
 */
#ifndef GATE_FCGI_H
#define GATE_FCGI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

struct fcgi;

int fcgi_global_init(struct err *err) ATTR_MUST_CHECK;

struct fcgi *fcgi_new(struct err *err) ATTR_MUST_CHECK;
void fcgi_free(struct fcgi *gate); /* NULL is fine */

struct fcgi_timeouts {
    int64_t receive_ms; /* per read while the request comes in */
    int64_t send_ms;    /* per write: a reader slower than that has left */
};

/* Takes fd in every case.  -1 when the peer spoke no FastCGI, left or was too
 * slow; then there is nothing to end. */
int fcgi_begin(struct fcgi *gate, int fd, const struct fcgi_timeouts *timeouts,
               struct err *err) ATTR_MUST_CHECK;

/* Borrowed until fcgi_end(); NULL when the web server did not send it. */
const char *fcgi_param(const struct fcgi *gate, const char *name);

enum fcgi_body {
    FCGI_BODY_OK,
    FCGI_BODY_TOO_LARGE, /* more than body->max_bytes */
    FCGI_BODY_CUT,       /* ended early or disagreed with CONTENT_LENGTH */
    FCGI_BODY_TOO_SLOW,  /* deadline or receive time-out */
    FCGI_BODY_NOMEM,
};

/* Reads all of it, for every request once, also when no body is expected;
 * afterwards the descriptor is readable only when the client has left.  A body
 * that is too large is read to its end as well, so that the web server listens
 * to the answer.  Unless the result is FCGI_BODY_OK, body holds what fitted. */
enum fcgi_body fcgi_read_body(struct fcgi *gate, struct buf *body,
                              int64_t deadline_mono_ms) ATTR_MUST_CHECK;

/* From now on no write waits past this, nor does fcgi_end(): a client that
 * reads slower counts as gone.  Until it is called, and again after
 * fcgi_begin(), there is only send_ms, which any progress starts anew. */
void fcgi_set_deadline(struct fcgi *gate, int64_t deadline_mono_ms);

/* Into libfcgi's 8 KB buffer; -1 when the client is gone. */
int fcgi_write(struct fcgi *gate, const void *bytes, size_t len,
               struct err *err) ATTR_MUST_CHECK;
int fcgi_flush(struct fcgi *gate, struct err *err) ATTR_MUST_CHECK;

/* For a poll set: readable means look with fcgi_client_is_gone().  A client
 * that sent FCGI_ABORT_REQUEST is gone too. */
int fcgi_fd(const struct fcgi *gate);
bool fcgi_client_is_gone(const struct fcgi *gate);

/* Sends what is unsent with the end record and closes, without lingering. */
void fcgi_end(struct fcgi *gate);

#endif
