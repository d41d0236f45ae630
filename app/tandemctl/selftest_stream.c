/* selftest_stream.c - see selftest_stream.h. */
#include "tandemctl/selftest_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/str.h"
#include "gate/fcgi_wire.h"
#include "sys/fd.h"
#include "sys/sock.h"
#include "text/json.h"

#define MAX_RECORD FCGI_WIRE_MAX_RECORD_BYTES
#define MAX_BYTES  (1 << 20)
#define MAX_READ   65536
#define MAX_DEPTH  32
#define SEND_MS    2000

/* ---- the request --------------------------------------------------------- */

static int
write_request(struct buf *out, const struct stream_request *request,
              struct err *err)
{
    const char *body = request->body != NULL ? request->body : "";
    const size_t body_len = strlen(body);
    char length[24];
    const struct fcgi_wire_param params[] = {
        { "REQUEST_METHOD", request->method },
        { "REQUEST_URI", request->path },
        { "SCRIPT_NAME", request->path },
        { "QUERY_STRING", "" },
        { "SERVER_PROTOCOL", "HTTP/1.1" },
        { "REMOTE_ADDR", "127.0.0.1" },
        { "CONTENT_TYPE", "application/json" },
        { "CONTENT_LENGTH", length },
    };

    snprintf(length, sizeof(length), "%zu", body_len);
    return fcgi_wire_request(
        out,
        &(struct fcgi_wire_request){ .params = params,
                                     .param_count = ARRAY_LEN(params),
                                     .body = body,
                                     .body_len = body_len },
        err);
}

/* ---- events -------------------------------------------------------------- */

static int
take_event(void *arg, const struct sse_item *item)
{
    struct stream *stream = arg;
    struct stream_event *event = &stream->events[stream->event_count];

    if (item->kind != SSE_EVENT)
        return 0;
    if (item->unfinished || stream->event_count == STREAM_MAX_EVENTS)
        return -1;
    event->data = json_parse(item->data, item->len, MAX_DEPTH, NULL);
    if (event->data == NULL)
        return -1;
    snprintf(event->name, sizeof(event->name), "%s", item->name);
    stream->event_count++;
    return 0;
}

/* ---- the response -------------------------------------------------------- */

static void
take_header(struct stream *stream, const char *line)
{
    static const char status[] = "Status: ";
    static const char run_id[] = "X-Request-ID: ";

    if (str_starts_with(line, status))
        stream->status = (int)strtol(line + strlen(status), NULL, 10);
    else if (strncasecmp(line, "Retry-After:", strlen("Retry-After:")) == 0)
        stream->has_retry_after = true;
    else if (str_starts_with(line, run_id))
        snprintf(stream->run_id, sizeof(stream->run_id), "%s",
                 line + strlen(run_id));
}

/* Cuts the lines apart where they are. */
static void
take_headers(struct stream *stream, char *text)
{
    char *rest = NULL;

    stream->status = 200; /* CGI's, when there is no Status */
    for (char *line = strtok_r(text, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest))
        take_header(stream, line);
}

static int
take_body(struct stream *stream, const char *bytes, size_t len)
{
    if (stream->status == 200 && stream->run_id[0] != '\0')
        return sse_parser_feed(&stream->parser, bytes, len, NULL);
    return buf_append(&stream->body, bytes, len) == BUF_OK ? 0 : -1;
}

static int
take_output(struct stream *stream, const char *bytes, size_t len)
{
    static const char border[] = "\r\n\r\n";
    char *end;

    if (stream->status != 0)
        return take_body(stream, bytes, len);
    if (buf_append(&stream->head, bytes, len) != BUF_OK)
        return -1;
    end = strstr(stream->head.bytes, border);
    if (end == NULL)
        return 0;
    *end = '\0';
    take_headers(stream, stream->head.bytes);
    end += strlen(border);
    return take_body(stream, end,
                     (size_t)(stream->head.bytes + stream->head.len - end));
}

static void
end(struct stream *stream, bool whole)
{
    stream->whole = whole;
    stream->ended_mono_us = clock_mono_us();
    fd_close(&stream->fd);
}

/* -1 when it makes no sense. */
static int
take_records(struct stream *stream)
{
    enum fcgi_wire_status found;
    struct fcgi_wire_record record;

    while ((found = fcgi_wire_look(&stream->record, &record)) ==
           FCGI_WIRE_RECORD) {
        if (record.kind == FCGI_WIRE_END) {
            end(stream, true);
            return 0;
        }
        if (record.kind == FCGI_WIRE_OUTPUT &&
            take_output(stream, record.bytes, record.len) == -1)
            return -1;
        fcgi_wire_pass(&stream->record, &record);
    }
    return found == FCGI_WIRE_BAD ? -1 : 0;
}

/* Whatever is there by now. */
static void
pump(struct stream *stream)
{
    while (stream->fd != -1) {
        char *room = buf_reserve(&stream->record, MAX_READ);
        const ssize_t got =
            room == NULL ? 0 : recv(stream->fd, room, MAX_READ, 0);

        if (got == -1 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got > 0)
            buf_commit(&stream->record, (size_t)got);
        if (got <= 0 || take_records(stream) == -1)
            end(stream, false);
    }
}

/* ---- for the caller ------------------------------------------------------ */

static int
send_request(struct stream *stream, const struct stream_request *request,
             struct err *err)
{
    struct buf out;
    int result;

    buf_init(&out, MAX_BYTES);
    result = write_request(&out, request, err);
    if (result == 0)
        result = fd_write_all(stream->fd, out.bytes, out.len,
                              clock_mono_ms() + SEND_MS, err);
    buf_close(&out);
    return result;
}

int
stream_open(struct stream *stream, const char *socket,
            const struct stream_request *request, struct err *err)
{
    static const struct sse_limits limits = { .max_line_bytes = MAX_BYTES,
                                              .max_event_bytes = MAX_BYTES,
                                              .max_raw_bytes = MAX_BYTES };

    *stream = (struct stream){ .fd = -1, .sent_mono_us = clock_mono_us() };
    buf_init(&stream->body, MAX_BYTES);
    buf_init(&stream->head, MAX_RECORD);
    buf_init(&stream->record, MAX_RECORD + MAX_READ);
    sse_parser_init(&stream->parser, &limits, take_event, stream);
    stream->fd = sock_connect_unix(socket, err);
    if (stream->fd != -1 && send_request(stream, request, err) == 0)
        return 0;
    end(stream, false);
    return -1;
}

void
stream_close(struct stream *stream)
{
    fd_close(&stream->fd);
    for (size_t i = 0; i < stream->event_count; i++)
        json_decref(stream->events[i].data);
    stream->event_count = 0;
    buf_close(&stream->body);
    buf_close(&stream->head);
    buf_close(&stream->record);
    sse_parser_close(&stream->parser);
}

bool
stream_wait(struct stream *streams, size_t count,
            bool (*is_so)(const struct stream *stream),
            struct patience *patience)
{
    struct pollfd fds[PATIENCE_MAX_FDS];

    for (;;) {
        bool all = true;

        for (size_t i = 0; i < count; i++) {
            pump(&streams[i]);
            all = all && is_so(&streams[i]);
            fds[i] = (struct pollfd){ .fd = streams[i].fd, .events = POLLIN };
        }
        if (all)
            return true;
        if (!patience_wait(patience, fds, count))
            return false;
    }
}

bool
stream_has_ended(const struct stream *stream)
{
    return stream->ended_mono_us != 0;
}

bool
stream_has_status(const struct stream *stream)
{
    return stream->status != 0 || stream_has_ended(stream);
}

bool
stream_has_an_answer(const struct stream *stream)
{
    return stream->event_count > 0 || stream_has_ended(stream);
}

const json_t *
stream_event(const struct stream *stream, const char *name)
{
    for (size_t i = 0; i < stream->event_count; i++)
        if (strcmp(stream->events[i].name, name) == 0)
            return stream->events[i].data;
    return NULL;
}

size_t
stream_count(const struct stream *stream, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < stream->event_count; i++)
        if (strcmp(stream->events[i].name, name) == 0)
            count++;
    return count;
}

int64_t
stream_took_us(const struct stream *stream)
{
    return stream->ended_mono_us - stream->sent_mono_us;
}
