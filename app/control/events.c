/* events.c - see events.h. */
#include "control/events.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "ask/replay.h"
#include "ask/stream.h"
#include "base/clock.h"
#include "base/str.h"
#include "guard/door.h"
#include "metrics.h"
#include "response.h"
#include "sys/fd.h"
#include "sys/log.h"

#define WAIT_MS          3000 /* for a run that is under way */
#define LOOK_MS          200  /* between looks at the ledger meanwhile */
#define SEND_MS          10000
#define BODY_MS          5000
#define BODY_MAX_BYTES   4096
#define FRAMES_MAX_BYTES ((size_t)320 * 1024 * 1024)

static const char come_again[] = "retry: 1000\n\n";

/* One request on its way through. */
struct visit {
    const struct events_request *request;
    struct uuid id;
    struct replay_telling telling;
    struct stream stream;
    struct buf frames;
    int64_t end_mono_ms; /* of the wait */
};

/* ---- what is asked for --------------------------------------------------- */

/* The identifier between the two, or nothing. */
static int
parse_path(const char *path, struct uuid *id)
{
    const size_t prefix = strlen(EVENTS_PREFIX);
    const size_t suffix = strlen(EVENTS_SUFFIX);
    char text[UUID_TEXT_LEN];

    if (!str_starts_with(path, EVENTS_PREFIX) ||
        strlen(path) != prefix + UUID_TEXT_LEN - 1 + suffix ||
        strcmp(path + strlen(path) - suffix, EVENTS_SUFFIX) != 0)
        return -1;
    memcpy(text, path + prefix, UUID_TEXT_LEN - 1);
    text[UUID_TEXT_LEN - 1] = '\0';
    return uuid_parse(text, id);
}

bool
events_is_path(const char *path)
{
    struct uuid id;

    return parse_path(path, &id) == 0;
}

/* RUN_ID:SEQ, of this run. */
static int
parse_last_event_id(struct visit *visit)
{
    const char *text = visit->request->last_event_id;
    char run_id[UUID_TEXT_LEN];
    int64_t seq;

    if (text == NULL || text[0] == '\0')
        return 0;
    uuid_format(&visit->id, run_id);
    if (!str_starts_with(text, run_id) || text[UUID_TEXT_LEN - 1] != ':' ||
        str_to_int(text + UUID_TEXT_LEN, 0, INT32_MAX, &seq) == -1)
        return -1;
    visit->telling.after = (unsigned)seq;
    return 0;
}

static int
parse_replay(struct visit *visit)
{
    const char *words = visit->request->replay;

    visit->telling.again = words != NULL;
    if (words == NULL)
        return 0;
    return vocab_words_parse(words, &visit->telling.words);
}

static int
turn_away(const struct visit *visit, int status, const char *code,
          const char *text)
{
    response_error(visit->request->gate, status, code, text,
                   status == 503 ? RESPONSE_RETRY_SOON : NULL);
    return status;
}

/* ---- looking ------------------------------------------------------------- */

enum look {
    LOOK_OPEN,  /* the frames so far are in visit->frames */
    LOOK_ENDED, /* all of them */
    LOOK_NOTHING,
    LOOK_SPOOLED, /* it may be in the spool, which we do not read */
    LOOK_ERASED,
    LOOK_HIDDEN,
    LOOK_AWAY,
    LOOK_FAILED,
};

/* Not in the ledger: not yet, or not at all. */
static enum look
look_elsewhere(const struct visit *visit)
{
    if (board_has_job(visit->request->board, &visit->id))
        return LOOK_OPEN;
    return metrics_ledger().spool_batches > 0 ? LOOK_SPOOLED : LOOK_NOTHING;
}

/* A run is shown to whoever made it. */
static bool
is_theirs(const struct visit *visit, const json_t *run)
{
    const char *principal = door_principal(visit->request->config);
    const char *owner = replay_principal(run);

    return principal == NULL ||
           (owner != NULL && strcmp(principal, owner) == 0);
}

static enum look
tell(struct visit *visit, const json_t *run, struct err *err)
{
    switch (replay_tell(run, &visit->telling, &visit->frames, err)) {
    case REPLAY_OPEN:
        return LOOK_OPEN;
    case REPLAY_ENDED:
        return LOOK_ENDED;
    case REPLAY_ERASED:
        return LOOK_ERASED;
    case REPLAY_HIDDEN:
        return LOOK_HIDDEN;
    case REPLAY_FAILED:
        break;
    }
    return LOOK_FAILED;
}

static enum look
look(struct visit *visit)
{
    struct err err = { 0 };
    json_t *run = reader_get(visit->request->reader, &visit->id, &err);
    enum look seen;

    if (run == NULL)
        seen = err.kind == ERR_SYSTEM ? LOOK_AWAY : LOOK_FAILED;
    else if (json_is_null(run))
        seen = look_elsewhere(visit);
    else
        seen = is_theirs(visit, run) ? tell(visit, run, &err) : LOOK_NOTHING;
    json_decref(run);
    if (seen == LOOK_AWAY)
        log_warn("ledger_not_readable", "%s", err.text);
    else if (seen == LOOK_FAILED)
        log_error("events_failed", "%s", err.text);
    return seen;
}

/* ---- telling ------------------------------------------------------------- */

/* Sends the frames; the stream remembers when nobody reads them. */
static void
send_frames(struct visit *visit, bool last)
{
    struct buf *frames = &visit->frames;

    if (frames->len > 0 && !visit->request->is_head &&
        buf_append(&visit->stream.out, frames->bytes, frames->len) != BUF_OK)
        visit->stream.broken = true;
    buf_clear(frames);
    stream_send(&visit->stream, last);
}

/* Until it is time to look again; false when nobody waits any more. */
static bool
wait_a_little(struct visit *visit)
{
    const struct events_request *request = visit->request;
    struct stream *stream = &visit->stream;
    int64_t until_mono_ms = clock_mono_ms() + LOOK_MS;

    if (until_mono_ms > visit->end_mono_ms)
        until_mono_ms = visit->end_mono_ms;
    fd_wait(fcgi_fd(request->gate), POLLIN | POLLRDHUP, until_mono_ms);
    if (clock_mono_ms() - stream->last_write_mono_ms >=
        request->config->heartbeat_ms)
        stream_heartbeat(stream);
    return !stream->broken && !fcgi_client_is_gone(request->gate) &&
           clock_mono_ms() < visit->end_mono_ms;
}

static void
follow(struct visit *visit, enum look seen)
{
    char run_id[UUID_TEXT_LEN];

    uuid_format(&visit->id, run_id);
    visit->end_mono_ms = clock_mono_ms();
    if (visit->request->config->control_workers > 1) /* health has another */
        visit->end_mono_ms += WAIT_MS;
    stream_init(&visit->stream);
    stream_open(&visit->stream, visit->request->gate);
    stream_set_deadline(&visit->stream, clock_mono_ms() + SEND_MS);
    stream_begin(&visit->stream, run_id);
    while (seen == LOOK_OPEN && !visit->request->is_head) {
        send_frames(visit, false);
        if (!wait_a_little(visit))
            break;
        seen = look(visit);
    }
    if (seen != LOOK_ENDED &&
        buf_append_str(&visit->frames, come_again) != BUF_OK)
        visit->stream.broken = true;
    send_frames(visit, true);
    stream_close(&visit->stream);
}

static int
answer(struct visit *visit)
{
    const enum look seen = look(visit);

    switch (seen) {
    case LOOK_ENDED:
        if (visit->frames.len == 0) { /* an EventSource stops asking */
            response_send(
                visit->request->gate,
                &(struct response){ .status = 204,
                                    .content_type = "text/event-stream" });
            return 204;
        }
        follow(visit, seen);
        return 200;
    case LOOK_OPEN:
        follow(visit, seen);
        return 200;
    case LOOK_NOTHING:
        return turn_away(visit, 404, "not_found", "No such run");
    case LOOK_SPOOLED:
        return turn_away(visit, 503, "record_spooled",
                         "The record may not have reached the database yet");
    case LOOK_ERASED:
        return turn_away(visit, 410, "texts_erased",
                         "The texts of this run were erased");
    case LOOK_HIDDEN:
        return turn_away(visit, 404, "texts_hidden",
                         "This server may not see the texts of runs");
    case LOOK_AWAY:
        return turn_away(visit, 503, "ledger_unavailable",
                         "The ledger cannot be read now");
    case LOOK_FAILED:
        break;
    }
    return turn_away(visit, 500, "internal_error", "Internal server error");
}

/* Afterwards the descriptor tells when the client has left. */
static int
read_body(const struct events_request *request)
{
    struct buf body;
    enum fcgi_body result;

    buf_init(&body, BODY_MAX_BYTES);
    result = fcgi_read_body(request->gate, &body, clock_mono_ms() + BODY_MS);
    buf_close(&body);
    return result == FCGI_BODY_OK ? 0 : -1;
}

int
events_serve(const struct events_request *request)
{
    struct visit visit = { .request = request };
    int status;

    if (parse_path(request->path, &visit.id) == -1)
        return turn_away(&visit, 404, "not_found", "No such run");
    if (parse_last_event_id(&visit) == -1)
        return turn_away(&visit, 400, "invalid_last_event_id",
                         "Last-Event-ID must be an id of this run's frames");
    if (parse_replay(&visit) == -1)
        return turn_away(&visit, 422, "invalid_replay",
                         "replay must be classic, staged or both");
    if (read_body(request) == -1)
        return turn_away(&visit, 400, "invalid_body", "There is no body here");
    buf_init(&visit.frames, FRAMES_MAX_BYTES);
    status = answer(&visit);
    buf_close(&visit.frames);
    return status;
}

int
events_come_again(struct fcgi *gate)
{
    response_send(gate, &(struct response){
                            .status = 200,
                            .content_type = "text/event-stream; charset=utf-8",
                            .body = come_again,
                            .len = strlen(come_again) });
    return 200;
}
