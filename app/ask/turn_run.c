/* turn_run.c - see turn_run.h. */
#include "ask/turn_run.h"

#include <poll.h>

#include "ask/prompts.h"
#include "ask/record.h"
#include "base/clock.h"
#include "metrics.h"
#include "sys/log.h"

/* The longest a caller waits to be let in: all five attempts at a database that
 * has gone, before the spool's turn, and a little more. */
#define ACCEPT_MS 12000

/* To tell the end: the deadline may have passed by then. */
#define GRACE_MS 500

/* Whom a wait listens to. */
enum peer { CLIENT, SCRIBE, MASTER, PEER_COUNT };

/* Both sides of one turn while it is carried out. */
struct drive {
    struct run *run;
    const struct turn_run_tools *tools;
    struct http_fd fds[PEER_COUNT]; /* as the last wait left them */
    bool streaming;                 /* headers are out: heartbeats may go */
    bool client_told_gone;
    bool hurry_told;
    bool without_curl; /* nothing to ask for yet, or it failed us */
    bool over;
};

static void step(struct drive *drive, const struct turn_fact *fact);

/* Whether the last wait heard of them.  Who is silent is not asked: that would
 * cost system calls in each turn of the loop. */
static bool
has_stirred(const struct drive *drive, enum peer peer)
{
    return drive->fds[peer].revents != 0;
}

static bool
client_has_gone(const struct drive *drive)
{
    return has_stirred(drive, CLIENT) &&
           fcgi_client_is_gone(drive->tools->stream->gate);
}

static bool
master_says_hurry(const struct drive *drive)
{
    return has_stirred(drive, MASTER) &&
           child_should_hurry(drive->tools->child);
}

/* ---- the record ---------------------------------------------------------- */

static int
write_facts(const struct run *run, enum entry_kind kind, struct buf *facts)
{
    if (kind == ENTRY_ACCEPTED)
        return record_accepted(run, facts);
    return kind == ENTRY_FINISHED ? record_finished(run, facts)
                                  : record_left(run, facts);
}

static size_t
parts_of(const struct run *run, enum entry_kind kind,
         struct entry_content parts[ENTRY_MAX_PARTS])
{
    if (kind == ENTRY_ACCEPTED)
        return record_accepted_parts(run, parts);
    return kind == ENTRY_FINISHED ? record_finished_parts(run, parts) : 0;
}

static int
submit(struct drive *drive, enum entry_kind kind, int64_t deadline_mono_ms,
       struct err *err)
{
    const struct run *run = drive->run;
    struct frame_record record = { .kind = kind, .run_id = run->id };
    struct buf facts;
    int result;

    buf_init(&facts, FRAME_MAX_FACTS_BYTES);
    result = write_facts(run, kind, &facts);
    if (result == -1)
        err_set(err, ERR_NOMEM, "record");
    record.facts = facts.bytes;
    record.facts_len = facts.len;
    record.part_count = parts_of(run, kind, record.parts);
    if (result == 0)
        result =
            clerk_submit(drive->tools->clerk, &record, deadline_mono_ms, err);
    buf_close(&facts);
    return result;
}

/* Starts writing an entry; what becomes of it is a later fact. */
static void
begin_record(struct drive *drive, enum entry_kind kind)
{
    struct err err = { 0 };

    if (submit(drive, kind, drive->run->deadline_mono_ms, &err) == 0)
        return;
    log_error("audit_lost", "Audit log persistence failed: %s", err.text);
    stream_set_deadline(drive->tools->stream, clock_mono_ms() + GRACE_MS);
    step(drive, &(struct turn_fact){ .kind = TURN_NOT_RECORDED });
}

static void
begin_finished(struct drive *drive)
{
    struct run *run = drive->run;

    for (int role = 0; role < MODEL_ROLE_COUNT; role++)
        if (run->calls[role] != NULL)
            run->facts.answer[role] = model_call_answer(run->calls[role]);
    run->facts.verdict = turn_verdict(&run->turn);
    run->facts.total_ms =
        run_age_ms(run); /* `done` says what the record says */
    begin_record(drive, ENTRY_FINISHED);
}

/* The receipt that `done` shows is that of `finished`. */
static void
look_at_record(struct drive *drive)
{
    const struct clerk *clerk = drive->tools->clerk;
    struct run *run = drive->run;

    if (run->turn.phase != TURN_RECORDING &&
        run->turn.phase != TURN_RECORDING_LEFT)
        return;
    switch (clerk_state(clerk)) {
    case CLERK_RECORDED:
        if (run->turn.phase == TURN_RECORDING) {
            run->receipt = *clerk_receipt(clerk);
            run->facts.receipt = &run->receipt;
        }
        stream_set_deadline(drive->tools->stream,
                            run->deadline_mono_ms + GRACE_MS);
        step(drive, &(struct turn_fact){ .kind = TURN_RECORDED });
        break;
    case CLERK_REFUSED:
    case CLERK_TAKEN: /* no end of a run has a key */
    case CLERK_LATE:
        log_error("audit_lost",
                  "Audit log persistence failed: an entry of this run is not "
                  "known to be durable: %s",
                  clerk_reason(clerk));
        stream_set_deadline(drive->tools->stream, clock_mono_ms() + GRACE_MS);
        step(drive, &(struct turn_fact){ .kind = TURN_NOT_RECORDED });
        break;
    case CLERK_WAITING:
    case CLERK_IDLE:
        break;
    }
}

/* ---- telling the client -------------------------------------------------- */

static void
note_frame(void *arg, const char *event, unsigned seq)
{
    struct run *run = arg;

    if (run->turn.client_left || run->frame_count == RUN_MAX_FRAMES)
        return;
    run->frames[run->frame_count++] =
        (struct run_frame){ event, seq, run_age_ms(run) };
}

static void
say(struct drive *drive, const struct turn_action *action)
{
    struct run *run = drive->run;
    struct stream *stream = drive->tools->stream;
    const size_t frame_count = run->frame_count;

    if (action->role < MODEL_ROLE_COUNT && run->calls[action->role] != NULL)
        run->facts.answer[action->role] =
            model_call_answer(run->calls[action->role]);
    if (vocab_tell(&run->vocab, action, &stream->out) == -1) {
        /* What a client cannot be told in order it must not be told at all. */
        log_error("frame_failed", "no memory for a frame");
        stream->broken = true;
        run->frame_count = frame_count;
        return;
    }
    stream_send(stream, action->kind == TURN_SAY_DONE);
    if (stream->broken)
        run->frame_count = frame_count;
}

/* ---- the turn ------------------------------------------------------------ */

static void
act(struct drive *drive, const struct turn_action *action)
{
    switch (action->kind) {
    case TURN_SAY_START:
    case TURN_SAY_ANSWER:
    case TURN_SAY_FLASH_FAILED:
    case TURN_SAY_ERROR:
    case TURN_SAY_COMPLETE:
    case TURN_SAY_DONE:
        say(drive, action);
        break;
    case TURN_CANCEL:
        if (drive->run->calls[action->role] != NULL)
            model_call_cancel(drive->run->calls[action->role]);
        break;
    case TURN_RECORD:
        begin_finished(drive);
        break;
    case TURN_RECORD_LEFT:
        begin_record(drive, ENTRY_LEFT);
        break;
    case TURN_END:
        drive->over = true;
        break;
    }
}

static void
step(struct drive *drive, const struct turn_fact *fact)
{
    struct turn_action actions[TURN_MAX_ACTIONS];
    const size_t count = turn_step(&drive->run->turn, fact, actions);

    for (size_t i = 0; i < count; i++)
        act(drive, &actions[i]);
}

static void
look_at_models(struct drive *drive)
{
    struct run *run = drive->run;

    for (int role = 0; role < MODEL_ROLE_COUNT; role++) {
        if (drive->tools->stream->broken && !drive->client_told_gone)
            return; /* that comes first: the client cannot be told any more */
        if (run->turn.outcome[role] != MODEL_PENDING ||
            run->turn.cancelled[role] != TURN_NOT_CANCELLED ||
            run->calls[role] == NULL || !model_call_is_done(run->calls[role]))
            continue;
        step(drive,
             &(struct turn_fact){
                 .kind = TURN_MODEL_DONE,
                 .role = (enum model_role)role,
                 .outcome = model_call_answer(run->calls[role]).outcome });
    }
}

static void
client_left(struct drive *drive)
{
    struct run *run = drive->run;
    struct turn_fact fact = { .kind = TURN_CLIENT_LEFT };

    if (drive->client_told_gone)
        return;
    drive->client_told_gone = true;
    run->left_after_ms = run_age_ms(run);
    for (int role = 0; role < MODEL_ROLE_COUNT; role++)
        if (run->calls[role] != NULL && model_call_is_done(run->calls[role]))
            fact.ended[role] = model_call_answer(run->calls[role]).outcome;
    step(drive, &fact);
}

/* What has ended by now is told before the rest is cut short. */
static void
hurry(struct drive *drive)
{
    drive->hurry_told = true;
    look_at_models(drive);
    if (drive->tools->stream->broken)
        client_left(drive);
    step(drive, &(struct turn_fact){ .kind = TURN_HURRY });
}

static void
look_around(struct drive *drive)
{
    if (drive->tools->stream->broken || client_has_gone(drive))
        client_left(drive);
    if (!drive->hurry_told && master_says_hurry(drive))
        hurry(drive);
}

/* ---- waiting ------------------------------------------------------------- */

static int64_t
wake_mono_ms(const struct drive *drive)
{
    const struct turn_run_tools *tools = drive->tools;
    int64_t until = clock_sooner(drive->run->deadline_mono_ms,
                                 clerk_wake_mono_ms(tools->clerk));

    if (drive->streaming && !drive->client_told_gone)
        until = clock_sooner(until, tools->stream->last_write_mono_ms +
                                        drive->run->config->heartbeat_ms);
    return until;
}

static void
heartbeat_when_due(struct drive *drive)
{
    struct stream *stream = drive->tools->stream;

    if (drive->streaming && !drive->client_told_gone &&
        clock_mono_ms() - stream->last_write_mono_ms >=
            drive->run->config->heartbeat_ms)
        stream_heartbeat(stream);
}

/* curl or memory failed us: no call can go on, nor be trusted. */
static void
models_failed(struct drive *drive, const struct err *err)
{
    struct run *run = drive->run;

    log_error("models_failed", "%s", err->text);
    drive->without_curl = true;
    for (int role = 0; role < MODEL_ROLE_COUNT; role++) {
        if (run->turn.outcome[role] != MODEL_PENDING)
            continue;
        model_call_free(run->calls[role]);
        run->calls[role] = NULL;
        run->facts.answer[role] = run_not_asked;
        run->facts.answer[role].outcome = MODEL_FAILED;
        step(drive, &(struct turn_fact){ .kind = TURN_MODEL_DONE,
                                         .role = (enum model_role)role,
                                         .outcome = MODEL_FAILED });
    }
}

/* The same wait without curl. */
static void
wait_without_models(struct http_fd fds[PEER_COUNT], int64_t until_mono_ms)
{
    struct pollfd polled[PEER_COUNT];

    for (int i = 0; i < PEER_COUNT; i++)
        polled[i] = (struct pollfd){ fds[i].fd, fds[i].events, 0 };
    poll(polled, PEER_COUNT, clock_left_ms(until_mono_ms));
    for (int i = 0; i < PEER_COUNT; i++)
        fds[i].revents = polled[i].revents;
}

/* Descriptors of those who have something to say to us.  One that has told its
 * end is left out: it would be readable for ever. */
static void
choose_fds(struct drive *drive)
{
    const struct turn_run_tools *tools = drive->tools;

    drive->fds[CLIENT] = (struct http_fd){
        .fd = drive->client_told_gone ? -1 : fcgi_fd(tools->stream->gate),
        .events = POLLIN | POLLRDHUP,
    };
    drive->fds[SCRIBE] = (struct http_fd){
        .fd = clerk_fd(tools->clerk),
        .events = clerk_events(tools->clerk),
    };
    drive->fds[MASTER] = (struct http_fd){
        .fd = drive->hurry_told ? -1 : child_fd(tools->child),
        .events = POLLIN,
    };
}

/* Waits for anything to happen. */
static void
wait_once(struct drive *drive)
{
    const struct turn_run_tools *tools = drive->tools;
    struct err err = { 0 };

    choose_fds(drive);
    if (drive->without_curl)
        wait_without_models(drive->fds, wake_mono_ms(drive));
    else if (models_turn(tools->models, drive->fds, PEER_COUNT,
                         wake_mono_ms(drive), &err) == -1)
        models_failed(drive, &err);
    if (has_stirred(drive, SCRIBE) ||
        clock_mono_ms() >= clerk_wake_mono_ms(tools->clerk))
        clerk_turn(tools->clerk);
    heartbeat_when_due(drive);
}

/* ---- a run --------------------------------------------------------------- */

enum turn_run_accepted
turn_run_accept(struct run *run, const struct turn_run_tools *tools)
{
    const int64_t deadline_mono_ms =
        clock_sooner(run->deadline_mono_ms, clock_mono_ms() + ACCEPT_MS);
    struct drive drive = { .run = run, .tools = tools, .without_curl = true };
    struct err err = { 0 };

    if (submit(&drive, ENTRY_ACCEPTED, deadline_mono_ms, &err) == -1) {
        log_error("audit_unavailable", "%s", err.text);
        return TURN_RUN_UNAVAILABLE;
    }
    while (clerk_state(tools->clerk) == CLERK_WAITING) {
        wait_once(&drive);
        /* Both stay readable, and neither changes what was begun here. */
        drive.client_told_gone =
            drive.client_told_gone || client_has_gone(&drive);
        drive.hurry_told = drive.hurry_told || master_says_hurry(&drive);
    }
    if (clerk_state(tools->clerk) == CLERK_RECORDED)
        return TURN_RUN_ACCEPTED;
    if (clerk_state(tools->clerk) == CLERK_TAKEN)
        return TURN_RUN_TAKEN;
    log_error("audit_unavailable",
              "Audit log persistence failed: the query is refused: %s",
              clerk_reason(tools->clerk));
    return TURN_RUN_UNAVAILABLE;
}

/* The question as models are to see it; NULL when memory is short. */
static const char *
prompt_text(const struct run *run, struct arena *arena)
{
    const bool redacted = run->config->redact_before_model;
    const struct buf *context = redacted ? &run->context : &run->asked_context;

    return prompts_user(arena, redacted ? run->query.bytes : run->request.query,
                        redacted ? run->query.len : run->request.query_len,
                        context->len > 0 ? context->bytes : NULL, context->len);
}

static void
start_models(struct drive *drive)
{
    struct run *run = drive->run;
    const char *user = prompt_text(run, drive->tools->arena);

    for (int role = 0; role < MODEL_ROLE_COUNT; role++) {
        const enum model_role which = (enum model_role)role;
        const struct model_prompt prompt = { prompts_system(which), user };
        struct err err = { 0 };

        if (run->turn.cancelled[role] != TURN_NOT_CANCELLED)
            continue; /* the other could not start, and policy says cancel */
        if (user != NULL)
            run->calls[role] = models_start(
                drive->tools->models, which, &prompt,
                clock_sooner(run->models_deadline_mono_ms,
                             clock_mono_ms() + run->timeout_ms[role]),
                &err);
        else
            err_set(&err, ERR_NOMEM, "no memory for the prompt");
        if (run->calls[role] != NULL)
            continue;
        run->facts.answer[role].outcome = MODEL_FAILED;
        log_error("model_not_started", "model=%s %s", model_role_name(which),
                  err.text);
        step(drive, &(struct turn_fact){ .kind = TURN_MODEL_DONE,
                                         .role = which,
                                         .outcome = MODEL_FAILED });
    }
}

int
turn_run(struct run *run, const struct turn_run_tools *tools)
{
    /* What they said before this has been heard by nobody. */
    struct drive drive = { .run = run,
                           .tools = tools,
                           .fds = { [CLIENT] = { .revents = POLLIN },
                                    [MASTER] = { .revents = POLLIN } } };

    vocab_init(&run->vocab, run->request.words, &run->facts, note_frame, run);
    /* A slow reader must leave the record its share of the time. */
    stream_set_deadline(tools->stream, run->models_deadline_mono_ms);
    stream_begin(tools->stream, run->id_text);
    drive.streaming = true;
    look_around(&drive);
    if (run->turn.phase == TURN_ASKING) {
        step(&drive, &(struct turn_fact){ .kind = TURN_BEGAN });
        start_models(&drive);
        look_at_models(&drive); /* some end before they begin */
        if (tools->stream->broken)
            client_left(&drive);
    }
    while (!drive.over) {
        wait_once(&drive);
        look_around(&drive);
        look_at_models(&drive);
        look_at_record(&drive);
        if (tools->stream->broken)
            client_left(&drive);
    }
    return drive.without_curl ? -1 : 0;
}
