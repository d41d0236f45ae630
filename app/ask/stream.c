/* stream.c - see stream.h. */
#include "ask/stream.h"

#include <string.h>

#include "base/clock.h"
#include "response.h"

#define OUT_MAX_BYTES ((size_t)320 * 1024 * 1024) /* two longest frames */
#define KEEP_BYTES    (64 * 1024)

static const char heartbeat[] = ": hb\n\n";

void
stream_init(struct stream *stream)
{
    *stream = (struct stream){ .gate = NULL };
    buf_init(&stream->out, OUT_MAX_BYTES);
}

void
stream_open(struct stream *stream, struct fcgi *gate)
{
    stream->gate = gate;
    stream->last_write_mono_ms = 0;
    stream->broken = false;
    buf_shrink(&stream->out, KEEP_BYTES);
}

void
stream_close(struct stream *stream)
{
    buf_close(&stream->out);
}

static void
write_now(struct stream *stream, const void *bytes, size_t len, bool flush)
{
    if (stream->broken)
        return;
    stream->broken = fcgi_write(stream->gate, bytes, len, NULL) == -1 ||
                     (flush && fcgi_flush(stream->gate, NULL) == -1);
    stream->last_write_mono_ms = clock_mono_ms();
}

void
stream_begin(struct stream *stream, const char *run_id)
{
    const enum buf_status status =
        buf_printf(&stream->out,
                   "Status: 200 OK\r\n"
                   "Content-Type: text/event-stream; charset=utf-8\r\n"
                   "Cache-Control: no-cache\r\n"
                   "X-Accel-Buffering: no\r\n"
                   "X-Request-ID: %s\r\n"
                   "%s\r\n"
                   ": ok\n\n",
                   run_id, response_security_headers);

    if (status != BUF_OK)
        stream->broken = true;
    stream_send(stream, false);
}

void
stream_set_deadline(struct stream *stream, int64_t deadline_mono_ms)
{
    fcgi_set_deadline(stream->gate, deadline_mono_ms);
}

void
stream_send(struct stream *stream, bool last)
{
    if (stream->out.len > 0)
        write_now(stream, stream->out.bytes, stream->out.len, !last);
    buf_shrink(&stream->out, KEEP_BYTES);
}

void
stream_heartbeat(struct stream *stream)
{
    write_now(stream, heartbeat, strlen(heartbeat), true);
}
