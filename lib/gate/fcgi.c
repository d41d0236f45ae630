/*
 * fcgi.c - see fcgi.h.
 *
 * What libfcgi does not say on the tin, and why this file looks as it does:
 *
 * - Reading and writing end for good when a signal interrupts them, and a
 *   socket with time-outs is interrupted in spite of SA_RESTART; so our signals
 *   are blocked around each call that may wait.
 * - FCGX_Accept_r() succeeds with half of the parameters when the peer falls
 *   silent or leaves between two of them; only the stream's error tells.
 * - Closing waits two seconds for the peer to close first, unless detached.
 * - Closing after a failed write tries that write again.
 */
#include "gate/fcgi.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <fastcgi.h>
#include <fcgiapp.h>

#include "base/clock.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/sig.h"
#include "sys/sock.h"

#define CHUNK_BYTES 8192 /* what libfcgi reads at once */

struct fcgi {
    FCGX_Request request;     /* ipcFd is -1 between requests */
    bool body_ended;          /* libfcgi will read no more */
    int64_t send_ms;          /* the longest a write(2) may wait */
    int64_t wait_ms;          /* the longest it waits now */
    int64_t deadline_mono_ms; /* of all writes; 0: none */
};

/* Leaves all handlers as they were, for FCGX_Init() takes the place of default
 * and ignored ones, and ignores SIGPIPE. */
int
fcgi_global_init(struct err *err)
{
    static const int touched[] = { SIGTERM, SIGUSR1 };
    struct sigaction before[ARRAY_LEN(touched)];
    int status;

    for (size_t i = 0; i < ARRAY_LEN(touched); i++)
        sigaction(touched[i], NULL, &before[i]);
    status = FCGX_Init();
    for (size_t i = 0; i < ARRAY_LEN(touched); i++)
        sigaction(touched[i], &before[i], NULL);
    signal(SIGPIPE, SIG_IGN);
    if (status != 0)
        return err_set(err, ERR_SYSTEM, "FCGX_Init failed with %d", status);
    return 0;
}

struct fcgi *
fcgi_new(struct err *err)
{
    struct fcgi *gate = calloc(1, sizeof(*gate));

    if (gate == NULL) {
        err_set(err, ERR_NOMEM, "FastCGI gate");
        return NULL;
    }
    FCGX_InitRequest(&gate->request, -1, 0);
    return gate;
}

void
fcgi_free(struct fcgi *gate)
{
    if (gate == NULL)
        return;
    fcgi_end(gate);
    free(gate);
}

/* Closes without a word to the peer. */
static void
drop(struct fcgi *gate)
{
    FCGX_Free(&gate->request, 1);
}

/* Makes FCGX_Accept_r() take the descriptor for a kept connection, on which
 * it only has to read the next request.  When that fails it wants to accept
 * another one, and fails for good because there is no listener. */
static int
read_request(FCGX_Request *request, int fd)
{
    sigset_t old;
    int status;

    request->ipcFd = fd;
    request->keepConnection = 1;
    request->detached = 1;
    sig_block(&old);
    status = FCGX_Accept_r(request);
    sig_unblock(&old);
    request->keepConnection = 0;
    return status;
}

int
fcgi_begin(struct fcgi *gate, int fd, const struct fcgi_timeouts *timeouts,
           struct err *err)
{
    assert(gate->request.ipcFd == -1);
    if (sock_set_timeouts(fd, timeouts->receive_ms, timeouts->send_ms, err) ==
        -1) {
        fd_close(&fd);
        return -1;
    }
    gate->body_ended = false;
    gate->send_ms = timeouts->send_ms;
    gate->wait_ms = timeouts->send_ms;
    gate->deadline_mono_ms = 0;
    if (read_request(&gate->request, fd) != 0)
        return err_set(err, ERR_INVALID,
                       "the peer sent no whole FastCGI request in time");
    if (FCGX_GetError(gate->request.in) != 0) {
        drop(gate);
        return err_set(err, ERR_INVALID,
                       "the peer sent only a part of the parameters in time");
    }
    return 0;
}

const char *
fcgi_param(const struct fcgi *gate, const char *name)
{
    assert(gate->request.ipcFd != -1);
    return FCGX_GetParam(name, gate->request.envp);
}

/* What one read(2) brought, at most, so that the deadline is looked at in
 * between; FCGX_GetStr() alone would read on until len bytes are there. */
static size_t
read_some(FCGX_Stream *in, char *bytes, size_t len)
{
    const int first = FCGX_GetChar(in);
    size_t rest;

    if (first == EOF)
        return 0;
    bytes[0] = (char)first;
    rest = (size_t)(in->stop - in->rdNext);
    if (rest > len - 1)
        rest = len - 1;
    return 1 + (size_t)FCGX_GetStr(bytes + 1, (int)rest, in);
}

static enum fcgi_body
append(struct buf *body, const char *bytes, size_t len)
{
    switch (buf_append(body, bytes, len)) {
    case BUF_OK:
        return FCGI_BODY_OK;
    case BUF_FULL:
        return FCGI_BODY_TOO_LARGE;
    case BUF_NOMEM:
        break;
    }
    return FCGI_BODY_NOMEM;
}

/* Why the body stream ended. */
static enum fcgi_body
end_of_body(struct fcgi *gate)
{
    switch (FCGX_GetError(gate->request.in)) {
    case 0:
        gate->body_ended = true;
        return FCGI_BODY_OK;
    case EAGAIN:
        return FCGI_BODY_TOO_SLOW;
    default:
        return FCGI_BODY_CUT;
    }
}

/* A body that cannot be kept is read to its end all the same: a web server
 * that cannot send all of it would not listen to the answer. */
static enum fcgi_body
read_to_end(struct fcgi *gate, struct buf *body, int64_t deadline_mono_ms,
            int64_t *total)
{
    enum fcgi_body kept = FCGI_BODY_OK;
    enum fcgi_body end = FCGI_BODY_TOO_SLOW;
    char chunk[CHUNK_BYTES];

    while (clock_left_ms(deadline_mono_ms) > 0) {
        const size_t len = read_some(gate->request.in, chunk, sizeof(chunk));

        if (len == 0) {
            end = end_of_body(gate);
            break;
        }
        *total += (int64_t)len;
        if (kept == FCGI_BODY_OK)
            kept = append(body, chunk, len);
    }
    return kept != FCGI_BODY_OK ? kept : end;
}

/* A web server that passes a chunked body on sends no length. */
static bool
is_announced_length(const struct fcgi *gate, int64_t total)
{
    const char *text = fcgi_param(gate, "CONTENT_LENGTH");
    int64_t announced;

    if (text == NULL || text[0] == '\0')
        return true;
    return str_to_int(text, 0, INT64_MAX, &announced) == 0 &&
           announced == total;
}

enum fcgi_body
fcgi_read_body(struct fcgi *gate, struct buf *body, int64_t deadline_mono_ms)
{
    enum fcgi_body result;
    int64_t total = 0;
    sigset_t old;

    assert(gate->request.ipcFd != -1);
    assert(!gate->body_ended);
    sig_block(&old);
    result = read_to_end(gate, body, deadline_mono_ms, &total);
    sig_unblock(&old);
    if (result == FCGI_BODY_OK && !is_announced_length(gate, total))
        return FCGI_BODY_CUT;
    return result;
}

/* FCGX_PutStr() and FCGX_FFlush() may claim success after a failure. */
static int
check_output(const struct fcgi *gate, struct err *err)
{
    switch (FCGX_GetError(gate->request.out)) {
    case 0:
        return 0;
    case EAGAIN:
        return err_set(err, ERR_SYSTEM, "the client reads too slowly");
    default:
        return err_set(err, ERR_SYSTEM, "the client is gone");
    }
}

void
fcgi_set_deadline(struct fcgi *gate, int64_t deadline_mono_ms)
{
    gate->deadline_mono_ms = deadline_mono_ms;
}

/* Whether libfcgi would only copy so many bytes: then nothing can wait. */
static bool
fits(const struct fcgi *gate, size_t len)
{
    const FCGX_Stream *out = gate->request.out;

    return len <= (size_t)(out->stop - out->wrNext);
}

/* The next write(2) waits at most until the deadline; past it, not at all.  A
 * later deadline than the last gives it its time back. */
static void
bound_wait(struct fcgi *gate)
{
    int64_t wait_ms = gate->send_ms;

    if (gate->deadline_mono_ms != 0) {
        const int left_ms = clock_left_ms(gate->deadline_mono_ms);

        if (left_ms < wait_ms)
            wait_ms = left_ms > 0 ? left_ms : 1;
    }
    if (wait_ms != gate->wait_ms &&
        sock_set_timeouts(gate->request.ipcFd, 0, wait_ms, NULL) == 0)
        gate->wait_ms = wait_ms;
}

static void
put_and_wait(struct fcgi *gate, const char *bytes, size_t len)
{
    sigset_t old;

    bound_wait(gate);
    sig_block(&old);
    FCGX_PutStr(bytes, (int)len, gate->request.out);
    sig_unblock(&old);
}

int
fcgi_write(struct fcgi *gate, const void *bytes, size_t len, struct err *err)
{
    const char *next = bytes;

    assert(gate->request.ipcFd != -1);
    while (len > 0 && FCGX_GetError(gate->request.out) == 0) {
        const size_t part = len < CHUNK_BYTES ? len : CHUNK_BYTES;

        if (fits(gate, part))
            FCGX_PutStr(next, (int)part, gate->request.out);
        else
            put_and_wait(gate, next, part);
        next += part;
        len -= part;
    }
    return check_output(gate, err);
}

int
fcgi_flush(struct fcgi *gate, struct err *err)
{
    sigset_t old;

    assert(gate->request.ipcFd != -1);
    bound_wait(gate);
    sig_block(&old);
    FCGX_FFlush(gate->request.out);
    sig_unblock(&old);
    return check_output(gate, err);
}

int
fcgi_fd(const struct fcgi *gate)
{
    return gate->request.ipcFd;
}

/* After the request a peer may still send padding, which would keep the
 * descriptor readable for ever, or that it wants no answer any more. */
static bool
is_abort(const unsigned char *bytes, size_t len)
{
    return len >= 2 && bytes[0] == FCGI_VERSION_1 &&
           bytes[1] == FCGI_ABORT_REQUEST;
}

bool
fcgi_client_is_gone(const struct fcgi *gate)
{
    const int fd = gate->request.ipcFd;
    unsigned char late[CHUNK_BYTES];
    ssize_t len;

    assert(fd != -1);
    len = recv(fd, late, sizeof(late), MSG_PEEK | MSG_DONTWAIT);
    if (len == -1)
        return errno != EAGAIN && errno != EINTR && errno != ENOMEM;
    if (len == 0)
        return true;
    if (!gate->body_ended)
        return false;
    if (is_abort(late, (size_t)len))
        return true;
    recv(fd, late, (size_t)len, MSG_DONTWAIT);
    return sock_peer_is_gone(fd);
}

void
fcgi_end(struct fcgi *gate)
{
    sigset_t old;

    if (gate->request.ipcFd == -1)
        return;
    bound_wait(gate);
    sig_block(&old);
    if (FCGX_GetError(gate->request.out) != 0)
        drop(gate);
    else
        FCGX_Finish_r(&gate->request);
    sig_unblock(&old);
}
