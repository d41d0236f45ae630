/* selftest_stream.c - see selftest_stream.h. */
#include "tandemctl/selftest_stream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <fastcgi.h>

#include "base/clock.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/sock.h"
#include "text/json.h"

#define REQUEST_ID  1
#define MAX_CONTENT 65535
#define MAX_RECORD  (FCGI_HEADER_LEN + MAX_CONTENT + 255)
#define MAX_BYTES   (1 << 20)
#define MAX_READ    65536
#define MAX_DEPTH   32
#define SEND_MS     2000
#define LONG_LENGTH 0x80 /* a length of four bytes, not one */

/* ---- the request --------------------------------------------------------- */

static enum buf_status
append_record(struct buf *out, int type, const void *bytes, size_t len)
{
    const uint8_t header[FCGI_HEADER_LEN] = {
        FCGI_VERSION_1,      (uint8_t)type, 0, REQUEST_ID,
        (uint8_t)(len >> 8), (uint8_t)len,  0, 0
    };
    const enum buf_status status = buf_append(out, header, sizeof(header));

    assert(len <= MAX_CONTENT);
    return status == BUF_OK ? buf_append(out, bytes, len) : status;
}

static enum buf_status
append_length(struct buf *out, size_t len)
{
    const uint8_t bytes[4] = { (uint8_t)(len >> 24 | LONG_LENGTH),
                               (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                               (uint8_t)len };

    return len < LONG_LENGTH ? buf_append(out, bytes + 3, 1)
                             : buf_append(out, bytes, sizeof(bytes));
}

static enum buf_status
append_param(struct buf *out, const char *name, const char *value)
{
    enum buf_status status = append_length(out, strlen(name));

    if (status == BUF_OK)
        status = append_length(out, strlen(value));
    if (status == BUF_OK)
        status = buf_append_str(out, name);
    if (status == BUF_OK)
        status = buf_append_str(out, value);
    return status;
}

static enum buf_status
append_params(struct buf *out, const struct stream_request *request,
              size_t body_len)
{
    char length[24];
    const char *const params[][2] = {
        { "REQUEST_METHOD", request->method },
        { "REQUEST_URI", request->path },
        { "SCRIPT_NAME", request->path },
        { "QUERY_STRING", "" },
        { "SERVER_PROTOCOL", "HTTP/1.1" },
        { "REMOTE_ADDR", "127.0.0.1" },
        { "CONTENT_TYPE", "application/json" },
        { "CONTENT_LENGTH", length },
    };
    enum buf_status status = BUF_OK;
    struct buf all;

    snprintf(length, sizeof(length), "%zu", body_len);
    buf_init(&all, MAX_CONTENT);
    for (size_t i = 0; i < ARRAY_LEN(params) && status == BUF_OK; i++)
        status = append_param(&all, params[i][0], params[i][1]);
    if (status == BUF_OK)
        status = append_record(out, FCGI_PARAMS, buf_cstr(&all), all.len);
    buf_close(&all);
    return status == BUF_OK ? append_record(out, FCGI_PARAMS, "", 0) : status;
}

static int
write_request(struct buf *out, const struct stream_request *request,
              struct err *err)
{
    static const uint8_t begin[8] = { 0, FCGI_RESPONDER };
    const char *body = request->body != NULL ? request->body : "";
    const size_t len = strlen(body);
    enum buf_status status =
        append_record(out, FCGI_BEGIN_REQUEST, begin, sizeof(begin));

    if (status == BUF_OK)
        status = append_params(out, request, len);
    if (status == BUF_OK && len > 0)
        status = append_record(out, FCGI_STDIN, body, len);
    if (status == BUF_OK)
        status = append_record(out, FCGI_STDIN, "", 0);
    return status == BUF_OK ? 0 : err_set(err, ERR_NOMEM, "a request");
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
    struct buf *in = &stream->record;

    while (in->len >= FCGI_HEADER_LEN) {
        const uint8_t *header = (const uint8_t *)in->bytes;
        const size_t len = (size_t)header[4] << 8 | header[5];
        const size_t whole = FCGI_HEADER_LEN + len + header[6];

        if (header[0] != FCGI_VERSION_1)
            return -1;
        if (in->len < whole)
            return 0;
        if (header[1] == FCGI_END_REQUEST) {
            end(stream, true);
            return 0;
        }
        if (header[1] == FCGI_STDOUT &&
            take_output(stream, in->bytes + FCGI_HEADER_LEN, len) == -1)
            return -1;
        buf_consume(in, whole);
    }
    return 0;
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
