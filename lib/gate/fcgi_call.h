/*
 * fcgi_call - ask a FastCGI application on this host something, as a web server
 * would, and take its whole answer.
 *
 *     fcgi_call(path, params, count, deadline, &answer, &err);
 *     fcgi_call_status(&answer)
 *
 * One request, one connection, no body.  What the application writes to its
 * error stream is dropped.
 */
#ifndef GATE_FCGI_CALL_H
#define GATE_FCGI_CALL_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "gate/fcgi_wire.h"

/* Appends the answer as it is: headers, beginning with Status, and body.  -1
 * when nobody takes the request, the deadline passes, the answer is cut
 * (ERR_SYSTEM) or longer than answer may be (ERR_LIMIT), or on ERR_NOMEM. */
int fcgi_call(const char *path, const struct fcgi_wire_param *params,
              size_t count, int64_t deadline_mono_ms, struct buf *answer,
              struct err *err) ATTR_MUST_CHECK;

/* Of an answer that begins with "Status: "; 0 when it does not. */
int fcgi_call_status(const struct buf *answer);

#endif
