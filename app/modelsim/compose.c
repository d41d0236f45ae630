/* compose.c - see compose.h. */
#include "modelsim/compose.h"

#include <string.h>

#include "text/utf8.h"

/* Two characters of private use, six bytes: as long as what replaces them, an
 * escape or bytes that the JSON library would refuse to write. */
#define MARK           "\xEE\x80\x80\xEE\x80\x81"
#define LONE_SURROGATE "\\ud83d"
#define BAD_UTF8       "\xFF\xC0\x80\xED\xA0\x80"

#define MIN_COMMENT_MS 10
#define MID_STATUS     503

static const char html_page[] =
    "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n"
    "  <title>Error 404 (Not Found)</title>\n"
    "  <p><b>404.</b> The requested URL was not found on this server.\n";

int64_t
wire_text_tokens(const struct said *said)
{
    return (int64_t)(said->text_bytes + WIRE_BYTES_PER_TOKEN - 1) /
           WIRE_BYTES_PER_TOKEN;
}

int64_t
wire_thought_tokens(const struct said *said)
{
    return said->thoughts * WIRE_TOKENS_PER_THOUGHT;
}

/* ---- what kind of fault ------------------------------------------------ */

/* These stop the answer after some of its chunks. */
static bool
strikes_midway(enum fault fault)
{
    static const bool strikes[FAULT_COUNT] = {
        [FAULT_STALL] = true,    [FAULT_CUT] = true,
        [FAULT_RESET] = true,    [FAULT_ERROR_TAIL] = true,
        [FAULT_TAIL_CUT] = true, [FAULT_ERROR_EVENT] = true,
        [FAULT_SAFETY] = true,   [FAULT_MAX_TOKENS] = true,
    };

    return strikes[fault];
}

/* These put something into the text that is no character. */
static bool
is_damaged(enum fault fault)
{
    return fault == FAULT_SURROGATE || fault == FAULT_BADUTF8;
}

static const char *
choose_finish(const struct settings *settings)
{
    if (settings->finish[0] != '\0')
        return settings->finish;
    if (settings->fault == FAULT_NOFINISH)
        return NULL;
    if (settings->fault == FAULT_SAFETY)
        return "SAFETY";
    if (settings->fault == FAULT_MAX_TOKENS)
        return "MAX_TOKENS";
    if (settings->fault == FAULT_UNKNOWN_FINISH)
        return "SIM_UNKNOWN";
    return "STOP";
}

static struct fail
error_midway(const struct settings *settings)
{
    return (struct fail){ .status = MID_STATUS,
                          .retry_delay_ms = settings->retry_delay_ms };
}

static void
replace_mark(struct script *script, const char *bytes)
{
    char *mark = script->failed ? NULL
                                : memmem(script->bytes.bytes, script->bytes.len,
                                         MARK, strlen(MARK));

    if (mark != NULL)
        memcpy(mark, bytes, strlen(MARK));
}

/* ---- a stream ---------------------------------------------------------- */

struct stream {
    struct script *script;
    const struct wire *wire;
    const struct reply *reply;
    const struct settings *settings;
    int64_t chunks;
    int64_t sent; /* of them */
    struct said said;
    struct reply renamed; /* the same by another id */
};

static void
next_step(struct stream *stream)
{
    const bool is_first = stream->script->step_count == 0;

    script_step(stream->script, is_first ? 0 : stream->settings->chunk_ms);
}

/* Where the text is cut before its chunk number i. */
static size_t
chunk_begin(const struct stream *stream, int64_t i)
{
    const size_t len = stream->reply->text_len;

    if (i >= stream->chunks)
        return len;
    return utf8_cut(stream->reply->text,
                    (size_t)((int64_t)len * i / stream->chunks));
}

static void
send_chunk(struct stream *stream)
{
    const int64_t i = stream->sent++;
    const size_t begin = chunk_begin(stream, i);
    const bool has_finish =
        i == stream->chunks - 1 || stream->settings->fault == FAULT_FINISH_EACH;

    next_step(stream);
    if (stream->settings->fault == FAULT_RENAMED && i == stream->chunks / 2)
        stream->reply = &stream->renamed;
    stream->said.text_bytes = chunk_begin(stream, i + 1);
    stream->wire->text(stream->script, stream->reply, &stream->said,
                       &(struct piece){
                           .bytes = stream->reply->text + begin,
                           .len = chunk_begin(stream, i + 1) - begin,
                           .finish = has_finish ? stream->reply->finish : NULL,
                       });
}

/* Half of the event that was due. */
static void
break_off(struct stream *stream, enum script_end end)
{
    send_chunk(stream);
    script_halve_last(stream->script);
    stream->script->end = end;
}

static void
refuse_midway(struct stream *stream)
{
    next_step(stream);
    stream->wire->text(stream->script, stream->reply, &stream->said,
                       &(struct piece){ "", 0, stream->reply->finish });
    stream->wire->close(stream->script, stream->reply, &stream->said);
}

static void
fail_midway(struct stream *stream)
{
    const struct fail fail = error_midway(stream->settings);

    next_step(stream);
    if (stream->settings->fault == FAULT_ERROR_TAIL ||
        stream->settings->fault == FAULT_TAIL_CUT) {
        stream->wire->error(stream->script, stream->reply, &fail);
        if (stream->settings->fault == FAULT_TAIL_CUT)
            script_halve_last(stream->script);
        return;
    }
    stream->wire->error_event(stream->script, stream->reply, &fail);
    stream->wire->close(stream->script, stream->reply, &stream->said);
}

static void
strike(struct stream *stream)
{
    const enum fault fault = stream->settings->fault;

    if (fault == FAULT_STALL)
        stream->script->end = SCRIPT_HANGS;
    else if (fault == FAULT_CUT)
        break_off(stream, SCRIPT_CUTS);
    else if (fault == FAULT_RESET)
        break_off(stream, SCRIPT_RESETS);
    else if (fault == FAULT_SAFETY || fault == FAULT_MAX_TOKENS)
        refuse_midway(stream);
    else
        fail_midway(stream);
}

static void
send_comments(struct stream *stream)
{
    const int64_t wait_ms = stream->settings->chunk_ms > MIN_COMMENT_MS
                                ? stream->settings->chunk_ms
                                : MIN_COMMENT_MS;

    script_step(stream->script, wait_ms);
    script_add_text(stream->script, ": keep-alive\n\n");
    stream->script->end = SCRIPT_REPEATS;
}

static void
send_all(struct stream *stream)
{
    while (stream->sent < stream->chunks) {
        if (stream->settings->fault == FAULT_BADJSON &&
            stream->sent == stream->chunks / 2) {
            next_step(stream);
            stream->wire->broken(stream->script, stream->reply);
        }
        send_chunk(stream);
    }
    if (stream->settings->fault == FAULT_FINISH_THEN_ERROR) {
        fail_midway(stream);
        return;
    }
    stream->wire->close(stream->script, stream->reply, &stream->said);
    if (stream->settings->fault == FAULT_FINISH_THEN_CUT)
        stream->script->end = SCRIPT_CUTS;
    if (stream->settings->fault == FAULT_AFTER_DONE &&
        stream->reply->surface == SURFACE_OPENAI)
        stream->wire->text(stream->script, stream->reply, &stream->said,
                           &(struct piece){ "more", 4, NULL });
}

static void
compose_stream(struct stream *stream)
{
    const struct settings *settings = stream->settings;

    stream->script->content_type =
        stream->reply->as_events ? TYPE_STREAM : TYPE_JSON;
    stream->script->chunked = true;
    for (int64_t i = 0; i < stream->reply->thoughts; i++) {
        next_step(stream);
        stream->said.thoughts++;
        stream->wire->thought(stream->script, stream->reply, &stream->said);
    }
    if (settings->fault == FAULT_COMMENTS) {
        send_comments(stream);
    } else if (strikes_midway(settings->fault)) {
        while (stream->sent < settings->after &&
               stream->sent < stream->chunks - 1)
            send_chunk(stream);
        strike(stream);
    } else {
        send_all(stream);
    }
}

static int64_t
count_chunks(const struct reply *reply, const struct settings *settings)
{
    if (settings->fault == FAULT_HUGE_LINE || is_damaged(settings->fault) ||
        reply->text_len == 0)
        return 1;
    if (settings->chunks > (int64_t)reply->text_len)
        return (int64_t)reply->text_len;
    return settings->chunks;
}

/* ---- one body ---------------------------------------------------------- */

static void
break_body(struct script *script, enum fault fault)
{
    if (fault == FAULT_STALL)
        script->end = SCRIPT_HANGS;
    else if (fault == FAULT_CUT)
        script->end = SCRIPT_CUTS;
    else if (fault == FAULT_RESET)
        script->end = SCRIPT_RESETS;
    else
        return;
    script_halve_last(script);
}

/* A body has no comments; blanks before it mean as little. */
static void
send_blanks(struct script *script)
{
    script_step(script, MIN_COMMENT_MS);
    script_add_text(script, "\n");
    script->chunked = true;
    script->end = SCRIPT_REPEATS;
}

static void
compose_whole(struct script *script, const struct wire *wire,
              const struct reply *reply, const struct settings *settings)
{
    const enum fault fault = settings->fault;
    const struct fail fail = error_midway(settings);

    if (fault == FAULT_COMMENTS) {
        send_blanks(script);
        return;
    }
    if (fault == FAULT_BADJSON)
        wire->broken(script, reply);
    else if (fault == FAULT_ERROR_TAIL || fault == FAULT_TAIL_CUT ||
             fault == FAULT_ERROR_EVENT || fault == FAULT_FINISH_THEN_ERROR)
        wire->error(script, reply, &fail);
    else
        wire->whole(script, reply);
    script_whole(script, 200, TYPE_JSON);
    break_body(script, fault);
}

/* ---- all --------------------------------------------------------------- */

void
compose_error(struct script *script, const struct wire *wire,
              const struct reply *reply, const struct fail *fail)
{
    wire->error(script, reply, fail);
    script_whole(script, fail->status, TYPE_JSON);
}

/* Answers that are no answer.  False when there is more to say. */
static bool
compose_refusal(struct script *script, const struct wire *wire,
                const struct reply *reply, const struct settings *settings)
{
    const enum fault fault = settings->fault;
    const struct fail fail = { .status = (int)settings->status,
                               .retry_delay_ms = settings->retry_delay_ms };

    if (fault == FAULT_SILENT) {
        script->status = 0;
        script->end = SCRIPT_HANGS;
    } else if (fault == FAULT_STATUS) {
        compose_error(script, wire, reply, &fail);
    } else if (fault == FAULT_HTML) {
        script_add_text(script, html_page);
        script_whole(script, 404, TYPE_HTML);
    } else if (fault == FAULT_BLOCKED) {
        wire->blocked(script, reply);
        script_whole(script, 200, reply->as_events ? TYPE_STREAM : TYPE_JSON);
    } else {
        return false;
    }
    return true;
}

static void
set_pace(struct script *script, const struct settings *settings)
{
    script->delay_ms = settings->delay_ms;
    script->piece_bytes = (size_t)settings->split;
    if (settings->fault != FAULT_DRIP && settings->fault != FAULT_SLOW_HEADERS)
        return;
    script->piece_bytes = 1;
    script->piece_ms = settings->drip_ms;
    script->drips_headers = settings->fault == FAULT_SLOW_HEADERS;
}

void
compose(struct script *script, const struct wire *wire, struct reply *reply,
        const struct settings *settings)
{
    struct stream stream = {
        .script = script,
        .wire = wire,
        .reply = reply,
        .settings = settings,
    };

    if (settings->fault == FAULT_EMPTY)
        reply->text_len = 0;
    if (is_damaged(settings->fault)) {
        reply->text = "One moment: " MARK " and on we go.";
        reply->text_len = strlen(reply->text);
    }
    reply->finish = choose_finish(settings);
    stream.renamed = *reply;
    stream.renamed.id = "sim-renamed";
    stream.chunks = count_chunks(reply, settings);
    set_pace(script, settings);
    if (compose_refusal(script, wire, reply, settings))
        return;
    if (reply->streams)
        compose_stream(&stream);
    else
        compose_whole(script, wire, reply, settings);
    if (settings->fault == FAULT_SURROGATE)
        replace_mark(script, LONE_SURROGATE);
    if (settings->fault == FAULT_BADUTF8)
        replace_mark(script, BAD_UTF8);
}
