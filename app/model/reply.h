/*
 * reply - what the bytes of one provider response have said so far.
 *
 *     reply_init(&reply, dialect, max_answer_bytes);
 *     reply_feed(&reply, bytes, len);           per network read
 *     verdict = reply_end(&reply, status, transport);     once
 *     reply_close(&reply);                      repeatable
 *
 * The part that all dialects share: telling a stream from a whole JSON body
 * or a page of HTML, JSON out of events, errors wherever they hide, and what it
 * all amounts to.  The dialect reads one JSON object at a time and reports
 * through the functions below.  Pure: no clock, no network, no log.
 *
 * The sniffed first byte decides what a body is, not its Content-Type: proxies
 * label streams as JSON and errors as streams.
 */
#ifndef MODEL_REPLY_H
#define MODEL_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "client/http.h"
#include "model/failure.h"
#include "model/model.h"
#include "text/json.h"
#include "text/sse.h"

#define REPLY_NAME_LEN   129 /* 128 characters and a NUL */
#define REPLY_FINISH_LEN 41

struct dialect;

enum reply_shape {
    REPLY_UNKNOWN, /* nothing but blanks came */
    REPLY_STREAM,
    REPLY_WHOLE, /* JSON, HTML, anything else: judged at its end */
};

enum reply_finish {
    REPLY_OPEN, /* no end marker came */
    REPLY_STOP,
    REPLY_LENGTH, /* the provider's limit cut the text */
    REPLY_POLICY, /* the provider refused */
    REPLY_ODD,    /* a marker that means no answer */
};

enum reply_tags {
    REPLY_TAGS_POSSIBLE, /* the text so far may become an opening tag */
    REPLY_TAGS_OPEN,
    REPLY_TAGS_OVER, /* or there never were any */
};

/* Open because the call embeds it; everything is for reading. */
struct reply {
    const struct dialect *dialect;
    enum reply_shape shape;
    size_t mark_bytes; /* of a byte order mark seen */
    struct sse_parser parser;
    struct buf whole;
    struct buf text;
    bool cleaned;
    bool thinks;            /* thought text came */
    enum reply_tags tags;   /* openai: where in <think>...</think> we are */
    size_t tag_bytes;       /* of the closing tag seen so far */
    bool is_over;           /* [DONE] came: the rest does not count */
    bool trails;            /* and there was a rest */
    bool ends_inside;       /* the last event was cut */
    bool renamed;           /* another model or response id came later */
    bool text_after_finish; /* so markers here are no proof of the end */
    bool text_unmarked;     /* some came before any marker */
    bool out_of_memory;
    enum reply_finish finish;
    enum failure failure;
    int64_t asked_delay_ms; /* by the error, before another attempt */
    struct model_usage usage;
    char finish_reason[REPLY_FINISH_LEN];
    char served_model[REPLY_NAME_LEN];
    char response_id[REPLY_NAME_LEN];
};

struct reply_verdict {
    enum failure failure; /* FAILURE_NONE: outcome is an answer */
    enum model_outcome outcome;
    bool transport_unclean;
};

void reply_init(struct reply *reply, const struct dialect *dialect,
                size_t max_answer_bytes);
void reply_close(struct reply *reply);

/* After it, failure or out_of_memory say whether reading on is useless. */
void reply_feed(struct reply *reply, const char *bytes, size_t len);

/* True once text, thought text or an end marker came. */
bool reply_has_substance(const struct reply *reply);

/* http_status is 0 when none arrived. */
struct reply_verdict reply_end(struct reply *reply, long http_status,
                               enum http_outcome transport);

/* ---- for dialects: report what an object says; any json may be NULL ----- */

void reply_add_text(struct reply *reply, const char *bytes, size_t len);
void reply_add_thought(struct reply *reply, const json_t *text);

/* The last one counts. */
void reply_finish(struct reply *reply, enum reply_finish finish,
                  const char *reason);

/* The first one that is not empty counts; another one later is noted. */
void reply_name_model(struct reply *reply, const json_t *name);
void reply_name_response(struct reply *reply, const json_t *id);

/* Overwrites *tokens when count is a usable number, or text of one. */
void reply_count(int64_t *tokens, const json_t *count);

#endif
