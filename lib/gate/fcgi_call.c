/* fcgi_call.c - see fcgi_call.h. */
#include "gate/fcgi_call.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sys/fd.h"
#include "sys/sock.h"

#define MAX_READ_BYTES 65536

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
    enum fcgi_wire_status found = FCGI_WIRE_MORE;
    struct fcgi_wire_record record;

    while (!*ended &&
           (found = fcgi_wire_look(in, &record)) == FCGI_WIRE_RECORD) {
        enum buf_status status = BUF_OK;

        if (record.kind == FCGI_WIRE_OUTPUT)
            status = buf_append(answer, record.bytes, record.len);
        *ended = record.kind == FCGI_WIRE_END;
        if (buf_error(answer, status, "the answer", err) == -1)
            return -1;
        fcgi_wire_pass(in, &record);
    }
    if (found == FCGI_WIRE_BAD)
        return err_set(err, ERR_SYSTEM, "the answer is no FastCGI");
    return 0;
}

static int
receive_all(int fd, int64_t deadline_mono_ms, struct buf *answer,
            struct err *err)
{
    bool ended = false;
    int result = 0;
    struct buf in;

    buf_init(&in, MAX_READ_BYTES + FCGI_WIRE_MAX_RECORD_BYTES);
    while (!ended && result == 0) {
        result = receive_some(fd, &in, deadline_mono_ms, err);
        if (result == 0)
            result = take_records(&in, answer, &ended, err);
    }
    buf_close(&in);
    return result;
}

int
fcgi_call(const char *path, const struct fcgi_wire_param *params, size_t count,
          int64_t deadline_mono_ms, struct buf *answer, struct err *err)
{
    int fd = sock_connect_unix(path, err);
    struct buf request;
    int result;

    if (fd == -1)
        return -1;
    buf_init(&request, 2 * FCGI_WIRE_MAX_PARAMS_BYTES);
    result = fcgi_wire_request(
        &request,
        &(struct fcgi_wire_request){ .params = params, .param_count = count },
        err);
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
