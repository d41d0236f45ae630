/* fcgi_wire.c - see fcgi_wire.h. */
#include "gate/fcgi_wire.h"

#include <stdint.h>
#include <string.h>

#include <fastcgi.h>

#define REQUEST_ID  1
#define MAX_CONTENT 65535
#define LONG_LENGTH 0x80 /* a length of four bytes, not one */

/* ---- the request --------------------------------------------------------- */

static enum buf_status
append_record(struct buf *out, int type, const void *bytes, size_t len)
{
    const uint8_t header[FCGI_HEADER_LEN] = {
        FCGI_VERSION_1,      (uint8_t)type, 0, REQUEST_ID,
        (uint8_t)(len >> 8), (uint8_t)len,  0, 0
    };
    const enum buf_status status = buf_append(out, header, sizeof(header));

    return status == BUF_OK && len > 0 ? buf_append(out, bytes, len) : status;
}

static enum buf_status
append_length(struct buf *out, size_t len)
{
    const uint8_t bytes[4] = { (uint8_t)(len >> 24 | LONG_LENGTH),
                               (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                               (uint8_t)len };

    return len < LONG_LENGTH ? buf_append(out, bytes + 3, 1)
                             : buf_append(out, bytes, sizeof(bytes));
}

static enum buf_status
append_param(struct buf *out, const struct fcgi_wire_param *param)
{
    enum buf_status status = append_length(out, strlen(param->name));

    if (status == BUF_OK)
        status = append_length(out, strlen(param->value));
    if (status == BUF_OK)
        status = buf_append_str(out, param->name);
    if (status == BUF_OK)
        status = buf_append_str(out, param->value);
    return status;
}

static enum buf_status
append_params(struct buf *out, const struct fcgi_wire_param *params,
              size_t count)
{
    enum buf_status status = BUF_OK;
    struct buf all;

    buf_init(&all, FCGI_WIRE_MAX_PARAMS_BYTES);
    for (size_t i = 0; i < count && status == BUF_OK; i++)
        if (params[i].value != NULL)
            status = append_param(&all, &params[i]);
    if (status == BUF_OK && all.len > 0)
        status = append_record(out, FCGI_PARAMS, all.bytes, all.len);
    buf_close(&all);
    return status == BUF_OK ? append_record(out, FCGI_PARAMS, NULL, 0) : status;
}

static enum buf_status
append_body(struct buf *out, const char *body, size_t len)
{
    enum buf_status status = BUF_OK;

    while (len > 0 && status == BUF_OK) {
        const size_t piece = len < MAX_CONTENT ? len : MAX_CONTENT;

        status = append_record(out, FCGI_STDIN, body, piece);
        body += piece;
        len -= piece;
    }
    return status == BUF_OK ? append_record(out, FCGI_STDIN, NULL, 0) : status;
}

int
fcgi_wire_request(struct buf *out, const struct fcgi_wire_request *request,
                  struct err *err)
{
    static const uint8_t begin[8] = { 0, FCGI_RESPONDER };
    enum buf_status status =
        append_record(out, FCGI_BEGIN_REQUEST, begin, sizeof(begin));

    if (status == BUF_OK)
        status = append_params(out, request->params, request->param_count);
    if (status == BUF_OK)
        status = append_body(out, request->body, request->body_len);
    return buf_error(out, status, "a FastCGI request", err);
}

/* ---- the answer ---------------------------------------------------------- */

static enum fcgi_wire_kind
kind_of(uint8_t type)
{
    switch (type) {
    case FCGI_STDOUT:
        return FCGI_WIRE_OUTPUT;
    case FCGI_END_REQUEST:
        return FCGI_WIRE_END;
    default:
        return FCGI_WIRE_OTHER;
    }
}

enum fcgi_wire_status
fcgi_wire_look(const struct buf *in, struct fcgi_wire_record *record)
{
    const uint8_t *header = (const uint8_t *)in->bytes;

    if (in->len < FCGI_HEADER_LEN)
        return FCGI_WIRE_MORE;
    if (header[0] != FCGI_VERSION_1)
        return FCGI_WIRE_BAD;
    record->kind = kind_of(header[1]);
    record->len = (size_t)header[4] << 8 | header[5];
    record->whole_len = FCGI_HEADER_LEN + record->len + header[6];
    record->bytes = in->bytes + FCGI_HEADER_LEN;
    return in->len < record->whole_len ? FCGI_WIRE_MORE : FCGI_WIRE_RECORD;
}

void
fcgi_wire_pass(struct buf *in, const struct fcgi_wire_record *record)
{
    buf_consume(in, record->whole_len);
}
