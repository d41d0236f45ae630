/* fcgi_call.c - see fcgi_call.h. */
#include "gate/fcgi_call.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <fastcgi.h>

#include "sys/fd.h"
#include "sys/sock.h"

#define REQUEST_ID       1
#define MAX_PARAMS_BYTES 16384 /* of all together: one record */
#define MAX_READ_BYTES   65536
#define LONG_LENGTH      0x80 /* a length of four bytes, not one */

/* ---- the request --------------------------------------------------------- */

static enum buf_status
append_header(struct buf *out, int type, size_t len)
{
    const uint8_t header[FCGI_HEADER_LEN] = {
        FCGI_VERSION_1,      (uint8_t)type, 0, REQUEST_ID,
        (uint8_t)(len >> 8), (uint8_t)len,  0, 0
    };

    return buf_append(out, header, sizeof(header));
}

static enum buf_status
append_record(struct buf *out, int type, const void *bytes, size_t len)
{
    const enum buf_status status = append_header(out, type, len);

    return status == BUF_OK ? buf_append(out, bytes, len) : status;
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
append_param(struct buf *out, const struct fcgi_call_param *param)
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

static int
write_request(const struct fcgi_call_param *params, size_t count,
              struct buf *out, struct err *err)
{
    static const uint8_t begin[8] = { 0, FCGI_RESPONDER };
    struct buf all;
    enum buf_status status = BUF_OK;

    buf_init(&all, MAX_PARAMS_BYTES);
    for (size_t i = 0; i < count && status == BUF_OK; i++)
        if (params[i].value != NULL)
            status = append_param(&all, &params[i]);
    if (status == BUF_OK)
        status = append_record(out, FCGI_BEGIN_REQUEST, begin, sizeof(begin));
    if (status == BUF_OK && all.len > 0)
        status = append_record(out, FCGI_PARAMS, all.bytes, all.len);
    buf_close(&all);
    if (status == BUF_OK)
        status = append_header(out, FCGI_PARAMS, 0);
    if (status == BUF_OK)
        status = append_header(out, FCGI_STDIN, 0);
    if (status == BUF_OK)
        return 0;
    return err_set(err, status == BUF_NOMEM ? ERR_NOMEM : ERR_LIMIT,
                   "a FastCGI request");
}

/* ---- the way there and back ---------------------------------------------- */

static bool
should_wait(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Some more of the answer's records. */
static int
receive_some(int fd, struct buf *in, int64_t deadline_mono_ms, struct err *err)
{
    char *room = buf_reserve(in, MAX_READ_BYTES);

    if (room == NULL)
        return err_set(err, ERR_NOMEM, "an answer");
    for (;;) {
        const ssize_t len = recv(fd, room, MAX_READ_BYTES, 0);

        if (len > 0) {
            buf_commit(in, (size_t)len);
            return 0;
        }
        if (len == 0)
            return err_set(err, ERR_SYSTEM, "the answer is cut");
        if (!should_wait())
            return err_set_errno(err, ERR_SYSTEM, "cannot read an answer");
        if (fd_wait(fd, POLLIN, deadline_mono_ms) == 0)
            return err_set(err, ERR_SYSTEM, "no answer in time");
    }
}

/* Moves whole records out of in; *ended when the last has come. */
static int
take_records(struct buf *in, struct buf *answer, bool *ended, struct err *err)
{
    while (!*ended && in->len >= FCGI_HEADER_LEN) {
        const uint8_t *head = (const uint8_t *)in->bytes;
        const size_t len = (size_t)head[4] << 8 | head[5];
        const size_t whole = FCGI_HEADER_LEN + len + head[6];
        enum buf_status status = BUF_OK;

        if (head[0] != FCGI_VERSION_1)
            return err_set(err, ERR_SYSTEM, "the answer is no FastCGI");
        if (in->len < whole)
            return 0;
        if (head[1] == FCGI_STDOUT)
            status = buf_append(answer, head + FCGI_HEADER_LEN, len);
        *ended = head[1] == FCGI_END_REQUEST;
        if (status != BUF_OK)
            return err_set(err, status == BUF_NOMEM ? ERR_NOMEM : ERR_LIMIT,
                           "an answer of more than %zu bytes",
                           answer->max_bytes);
        buf_consume(in, whole);
    }
    return 0;
}

static int
receive_all(int fd, int64_t deadline_mono_ms, struct buf *answer,
            struct err *err)
{
    bool ended = false;
    int result = 0;
    struct buf in;

    buf_init(&in, MAX_READ_BYTES + FCGI_HEADER_LEN + 65535 + 255);
    while (!ended && result == 0) {
        result = receive_some(fd, &in, deadline_mono_ms, err);
        if (result == 0)
            result = take_records(&in, answer, &ended, err);
    }
    buf_close(&in);
    return result;
}

int
fcgi_call(const char *path, const struct fcgi_call_param *params, size_t count,
          int64_t deadline_mono_ms, struct buf *answer, struct err *err)
{
    int fd = sock_connect_unix(path, err);
    struct buf request;
    int result;

    if (fd == -1)
        return -1;
    buf_init(&request, 2 * MAX_PARAMS_BYTES);
    result = write_request(params, count, &request, err);
    if (result == 0)
        result =
            fd_write_all(fd, request.bytes, request.len, deadline_mono_ms, err);
    if (result == 0)
        result = receive_all(fd, deadline_mono_ms, answer, err);
    buf_close(&request);
    fd_close(&fd);
    return result;
}

int
fcgi_call_status(const struct buf *answer)
{
    static const char begin[] = "Status: ";
    const size_t len = sizeof(begin) - 1;

    if (answer->len < len + 3 || memcmp(answer->bytes, begin, len) != 0)
        return 0;
    return (int)strtol(answer->bytes + len, NULL, 10);
}
