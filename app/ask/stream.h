/*
 * stream - the client's end of a run: headers, frames, heartbeats.
 *
 *     stream_init(&stream);               once per worker
 *     stream_open(&stream, gate);         per run, in place of the one before
 *     stream_close(&stream);
 *
 * A write that fails means the client has left; the stream remembers it and
 * the rest goes nowhere.
 */
#ifndef ASK_STREAM_H
#define ASK_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "gate/fcgi.h"

struct stream {
    struct fcgi *gate; /* borrowed */
    struct buf out;    /* frames on their way; owned, and kept for the next */
    int64_t last_write_mono_ms;
    bool broken;
};

void stream_init(struct stream *stream);
void stream_open(struct stream *stream, struct fcgi *gate);
void stream_close(struct stream *stream);

/* Headers and a first comment, in one flush: Apache holds headers back until a
 * byte of body comes. */
void stream_begin(struct stream *stream, const char *run_id);

/* No write waits past this: whoever reads slower has left. */
void stream_set_deadline(struct stream *stream, int64_t deadline_mono_ms);

/* Sends what is in out; the last frames leave with the end of the request,
 * which saves a write. */
void stream_send(struct stream *stream, bool last);

/* A comment line: keeps proxies awake and finds out who has left. */
void stream_heartbeat(struct stream *stream);

#endif
