/*
 * fcgi_wire - the bytes of FastCGI, from the web server's end.
 *
 *     fcgi_wire_request(&out, &request, &err);
 *     while (fcgi_wire_look(&in, &record) == FCGI_WIRE_RECORD)
 *         fcgi_wire_pass(&in, &record);
 *
 * One request a connection.  Pure: bytes in, bytes out.
 */
#ifndef GATE_FCGI_WIRE_H
#define GATE_FCGI_WIRE_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

#define FCGI_WIRE_MAX_PARAMS_BYTES 16384 /* of all together: one record */
#define FCGI_WIRE_MAX_RECORD_BYTES (8 + 65535 + 255)

struct fcgi_wire_param {
    const char *name;
    const char *value; /* NULL: the parameter is left out */
};

struct fcgi_wire_request {
    const struct fcgi_wire_param *params;
    size_t param_count;
    const char *body; /* NULL: none */
    size_t body_len;
};

/* Appends a whole request.  ERR_LIMIT when it is too long for its records or
 * for out, or ERR_NOMEM. */
int fcgi_wire_request(struct buf *out, const struct fcgi_wire_request *request,
                      struct err *err) ATTR_MUST_CHECK;

enum fcgi_wire_kind {
    FCGI_WIRE_OUTPUT, /* headers and body; empty: no more of them */
    FCGI_WIRE_END,    /* the answer is whole */
    FCGI_WIRE_OTHER,
};

struct fcgi_wire_record {
    enum fcgi_wire_kind kind;
    const char *bytes; /* borrowed until fcgi_wire_pass(), no NUL */
    size_t len;
    size_t whole_len; /* with header and padding */
};

enum fcgi_wire_status { FCGI_WIRE_RECORD, FCGI_WIRE_MORE, FCGI_WIRE_BAD };

/* The first record of what has come, when it is whole. */
enum fcgi_wire_status fcgi_wire_look(
    const struct buf *in, struct fcgi_wire_record *record) ATTR_MUST_CHECK;
void fcgi_wire_pass(struct buf *in, const struct fcgi_wire_record *record);

#endif
