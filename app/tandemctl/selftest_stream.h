/*
 * selftest_stream - the web server's end of one request to tandemd, and what
 * came back, with times.
 *
 *     stream_open(&stream, socket, &(struct stream_request){ ... }, &err);
 *     stream_wait(&stream, 1, stream_has_ended, patience)
 *     stream_event(&stream, "done") ...
 *     stream_close(&stream);              also leaves in the middle; repeatable
 *
 * Speaks FastCGI to the socket and reads the events as they come, those of many
 * requests at once.  A reply that makes no sense counts as one that is cut.
 */
#ifndef TANDEMCTL_SELFTEST_STREAM_H
#define TANDEMCTL_SELFTEST_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "tandemctl/selftest_patience.h"
#include "text/sse.h"

#define STREAM_MAX_EVENTS 8

struct stream_request {
    const char *method;
    const char *path;
    const char *body; /* JSON; NULL: none */
};

struct stream_event {
    char name[24];
    json_t *data; /* owned */
};

/* Look, touch nothing. */
struct stream {
    int fd; /* -1: closed */
    int64_t sent_mono_us;
    int64_t ended_mono_us; /* 0: not yet */
    bool whole;            /* it ended as FastCGI wants it, not by a cut */
    int status;            /* of HTTP; 0 as long as the headers have not come */
    bool has_retry_after;
    char run_id[UUID_TEXT_LEN]; /* "" when there is none */
    struct stream_event events[STREAM_MAX_EVENTS];
    size_t event_count;
    struct buf body;   /* of what is no stream of events */
    struct buf record; /* FastCGI that is not whole yet */
    struct buf head;
    struct sse_parser parser;
};

/* -1 when nobody takes the request (ERR_SYSTEM), or ERR_NOMEM.  Either way it
 * can be looked at and is to be closed. */
int stream_open(struct stream *stream, const char *socket,
                const struct stream_request *request,
                struct err *err) ATTR_MUST_CHECK;
void stream_close(struct stream *stream);

/* Reads them all until each is so.  False when patience ran out before. */
bool stream_wait(struct stream *streams, size_t count,
                 bool (*is_so)(const struct stream *stream),
                 struct patience *patience) ATTR_MUST_CHECK;

bool stream_has_ended(const struct stream *stream);
bool stream_has_status(const struct stream *stream);    /* or ended */
bool stream_has_an_answer(const struct stream *stream); /* or ended */

/* The data of the first event of that name, borrowed; NULL when there is none.
 */
const json_t *stream_event(const struct stream *stream, const char *name);
size_t stream_count(const struct stream *stream, const char *name);

int64_t stream_took_us(const struct stream *stream);

#endif
