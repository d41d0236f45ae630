/*
 * clerk.c - see clerk.h.
 *
 * What is sent on a new connection is first the name of the run that is open,
 * then the record that has no answer, whole.  The scribe answers with the
 * record's kind and run, so an answer is never taken for another's.
 */
#include "ledger/clerk.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "sys/fd.h"
#include "sys/sock.h"

#define FIRST_PAUSE_MS   10
#define LONGEST_PAUSE_MS 200
#define MAX_ANSWER_BYTES 4096
#define KEEP_BYTES       65536 /* of the record's buffer between runs */

struct clerk {
    char *path;
    int fd; /* -1 while there is no connection */
    enum clerk_state state;

    /* The record, kept as a frame until it is answered. */
    struct buf record;
    size_t record_sent;
    enum entry_kind kind;
    struct uuid run_id;
    int64_t deadline_mono_ms;

    /* Accepted and not finished: named to each scribe we meet. */
    bool run_is_open;
    struct uuid open_run_id;
    struct buf hello;

    struct buf in;
    int64_t pause_ms; /* before the next attempt to connect */
    int64_t connect_at_mono_ms;

    struct entry_receipt receipt;
    struct entry_holder holder;
    char reason[FRAME_MAX_REASON_BYTES + 1];
};

struct clerk *
clerk_new(const char *path, struct err *err)
{
    struct clerk *clerk = calloc(1, sizeof(*clerk));

    if (clerk == NULL || (clerk->path = strdup(path)) == NULL) {
        err_set(err, ERR_NOMEM, "clerk");
        free(clerk);
        return NULL;
    }
    clerk->fd = -1;
    clerk->pause_ms = FIRST_PAUSE_MS;
    buf_init(&clerk->record, FRAME_MAX_BYTES);
    buf_init(&clerk->hello, MAX_ANSWER_BYTES);
    buf_init(&clerk->in, MAX_ANSWER_BYTES);
    return clerk;
}

void
clerk_free(struct clerk *clerk)
{
    if (clerk == NULL)
        return;
    fd_close(&clerk->fd);
    buf_close(&clerk->record);
    buf_close(&clerk->hello);
    buf_close(&clerk->in);
    free(clerk->path);
    free(clerk);
}

/* ---- the connection ---------------------------------------------------- */

static bool
wants_connection(const struct clerk *clerk)
{
    return clerk->state == CLERK_WAITING || clerk->run_is_open;
}

static void
disconnect(struct clerk *clerk)
{
    fd_close(&clerk->fd);
    clerk->record_sent = 0;
    buf_clear(&clerk->hello);
    buf_clear(&clerk->in);
}

/* The scribe has gone or does not listen: not again before a pause. */
static void
lose(struct clerk *clerk, const char *why)
{
    disconnect(clerk);
    snprintf(clerk->reason, sizeof(clerk->reason), "%s", why);
    clerk->connect_at_mono_ms = clock_mono_ms() + clerk->pause_ms;
    clerk->pause_ms *= 2;
    if (clerk->pause_ms > LONGEST_PAUSE_MS)
        clerk->pause_ms = LONGEST_PAUSE_MS;
}

static void
connect_if_due(struct clerk *clerk)
{
    struct err err = { 0 };

    if (clerk->fd != -1 || !wants_connection(clerk) ||
        clock_mono_ms() < clerk->connect_at_mono_ms)
        return;
    clerk->fd = sock_connect_unix(clerk->path, &err);
    if (clerk->fd == -1 ||
        (clerk->run_is_open &&
         frame_append_open_run(&clerk->hello, &clerk->open_run_id, &err) == -1))
        lose(clerk, err.text);
}

/* ---- sending ----------------------------------------------------------- */

/* Returns how much went out; loses the connection when it is broken. */
static size_t
send_some(struct clerk *clerk, const char *bytes, size_t len)
{
    ssize_t sent;

    do
        sent = send(clerk->fd, bytes, len, MSG_NOSIGNAL);
    while (sent == -1 && errno == EINTR);
    if (sent >= 0)
        return (size_t)sent;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        lose(clerk, "the scribe closed the connection");
    return 0;
}

static bool
has_to_send(const struct clerk *clerk)
{
    return clerk->hello.len > 0 || (clerk->state == CLERK_WAITING &&
                                    clerk->record_sent < clerk->record.len);
}

static void
send_waiting(struct clerk *clerk)
{
    while (clerk->fd != -1 && has_to_send(clerk)) {
        size_t sent;

        if (clerk->hello.len > 0) {
            sent = send_some(clerk, clerk->hello.bytes, clerk->hello.len);
            buf_consume(&clerk->hello, sent);
        } else {
            sent = send_some(clerk, clerk->record.bytes + clerk->record_sent,
                             clerk->record.len - clerk->record_sent);
            clerk->record_sent += sent;
        }
        if (sent == 0)
            return;
    }
}

/* ---- answers ----------------------------------------------------------- */

static void
end_record(struct clerk *clerk, enum clerk_state state)
{
    clerk->state = state;
    buf_shrink(&clerk->record, KEEP_BYTES);
    clerk->record_sent = 0;
}

/* Refused, taken or late: the run is not ours to name any more, and an answer
 * that may still come belongs to nobody. */
static void
give_up(struct clerk *clerk, enum clerk_state state)
{
    end_record(clerk, state);
    clerk->run_is_open = false;
    disconnect(clerk);
}

static void
take_receipt(struct clerk *clerk, const struct entry_receipt *receipt)
{
    clerk->receipt = *receipt;
    clerk->reason[0] = '\0';
    clerk->pause_ms = FIRST_PAUSE_MS;
    clerk->run_is_open = clerk->kind == ENTRY_ACCEPTED;
    clerk->open_run_id = clerk->run_id;
    end_record(clerk, CLERK_RECORDED);
}

static void
take_answer(struct clerk *clerk, const struct frame *frame)
{
    struct frame_answer answer;
    struct err err = { 0 };

    if (frame_read_answer(frame, &answer, &err) == -1) {
        lose(clerk, err.text);
        return;
    }
    buf_consume(&clerk->in, frame->whole_len);
    if (clerk->state != CLERK_WAITING || answer.kind != clerk->kind ||
        !uuid_equals(&answer.run_id, &clerk->run_id))
        return;
    if (frame->type == FRAME_RECEIPT) {
        take_receipt(clerk, &answer.receipt);
    } else if (frame->type == FRAME_TAKEN) {
        clerk->holder = answer.holder;
        give_up(clerk, CLERK_TAKEN);
    } else {
        memcpy(clerk->reason, answer.reason, sizeof(clerk->reason));
        give_up(clerk, CLERK_REFUSED);
    }
}

static void
take_answers(struct clerk *clerk)
{
    struct err err = { 0 };
    struct frame frame;

    while (clerk->fd != -1)
        switch (frame_look(clerk->in.bytes, clerk->in.len, &frame, &err)) {
        case FRAME_MORE:
            return;
        case FRAME_BAD:
            lose(clerk, err.text);
            return;
        case FRAME_WHOLE:
            take_answer(clerk, &frame);
            break;
        }
}

/* A read that did not fill the room has emptied the socket. */
static void
receive(struct clerk *clerk)
{
    bool may_have_more = true;

    while (clerk->fd != -1 && may_have_more) {
        char bytes[1024];
        const ssize_t len = recv(clerk->fd, bytes, sizeof(bytes), 0);

        if (len > 0) {
            may_have_more = (size_t)len == sizeof(bytes);
            if (buf_append(&clerk->in, bytes, (size_t)len) != BUF_OK)
                lose(clerk, "the scribe's answer is too long");
            else
                take_answers(clerk);
        } else if (len == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        } else if (len == 0 || errno != EINTR) {
            lose(clerk, "the scribe closed the connection");
        }
    }
}

/* ---- the caller's side ------------------------------------------------- */

int
clerk_submit(struct clerk *clerk, const struct frame_record *record,
             int64_t deadline_mono_ms, struct err *err)
{
    struct frame_record submitted = *record;

    if (clerk->state == CLERK_WAITING)
        return err_set(err, ERR_INVALID, "a record is still on its way");
    submitted.submitted_mono_ms = clock_mono_ms();
    clerk->state = CLERK_IDLE;
    buf_shrink(&clerk->record, KEEP_BYTES);
    if (frame_append_record(&clerk->record, &submitted, err) == -1) {
        give_up(clerk, CLERK_IDLE);
        return -1;
    }
    clerk->state = CLERK_WAITING;
    clerk->record_sent = 0;
    clerk->kind = record->kind;
    clerk->run_id = record->run_id;
    clerk->deadline_mono_ms = deadline_mono_ms;
    clerk->reason[0] = '\0';
    clerk->connect_at_mono_ms = 0; /* the first attempt does not wait */
    connect_if_due(clerk);
    send_waiting(clerk);
    return 0;
}

int
clerk_fd(const struct clerk *clerk)
{
    return clerk->fd;
}

short
clerk_events(const struct clerk *clerk)
{
    return has_to_send(clerk) ? POLLIN | POLLOUT : POLLIN;
}

int64_t
clerk_wake_mono_ms(const struct clerk *clerk)
{
    int64_t wake_mono_ms = INT64_MAX;

    if (clerk->state == CLERK_WAITING)
        wake_mono_ms = clerk->deadline_mono_ms;
    if (clerk->fd == -1 && wants_connection(clerk) &&
        clerk->connect_at_mono_ms < wake_mono_ms)
        wake_mono_ms = clerk->connect_at_mono_ms;
    return wake_mono_ms;
}

void
clerk_turn(struct clerk *clerk)
{
    connect_if_due(clerk);
    send_waiting(clerk);
    receive(clerk);
    if (clerk->state == CLERK_WAITING &&
        clock_mono_ms() >= clerk->deadline_mono_ms) {
        if (clerk->reason[0] == '\0')
            snprintf(clerk->reason, sizeof(clerk->reason),
                     "the scribe did not answer in time");
        give_up(clerk, CLERK_LATE);
    }
}

enum clerk_state
clerk_state(const struct clerk *clerk)
{
    return clerk->state;
}

const struct entry_receipt *
clerk_receipt(const struct clerk *clerk)
{
    assert(clerk->state == CLERK_RECORDED);
    return &clerk->receipt;
}

const struct entry_holder *
clerk_holder(const struct clerk *clerk)
{
    assert(clerk->state == CLERK_TAKEN);
    return &clerk->holder;
}

const char *
clerk_reason(const struct clerk *clerk)
{
    return clerk->reason;
}
