/* fcgi_client.c - see fcgi_client.h.  Written from the protocol, without
 * libfcgi, so that the two check each other. */
#include "support/fcgi_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/fd.h"

#define VERSION          1
#define ROLE_RESPONDER   1
#define KEEP_CONNECTION  1
#define HEADER_BYTES     8
#define MAX_CONTENT      65535
#define MAX_REPLY_BYTES  (64u << 20)
#define LONG_LENGTH_FLAG 0x80

static int
send_all(int fd, const void *bytes, size_t len)
{
    const char *next = bytes;

    while (len > 0) {
        const ssize_t sent = send(fd, next, len, MSG_NOSIGNAL);

        if (sent == -1 && errno != EINTR)
            return -1;
        if (sent > 0) {
            next += sent;
            len -= (size_t)sent;
        }
    }
    return 0;
}

static int
send_record(int fd, enum fcgi_client_type type, const void *bytes, size_t len)
{
    const unsigned char padding_len = (unsigned char)((8 - len % 8) % 8);
    const unsigned char header[HEADER_BYTES] = {
        VERSION,
        (unsigned char)type,
        0,
        FCGI_CLIENT_REQUEST_ID,
        (unsigned char)(len >> 8),
        (unsigned char)(len & 0xff),
        padding_len,
        0,
    };

    if (send_all(fd, header, sizeof(header)) == -1 ||
        send_all(fd, bytes, len) == -1)
        return -1;
    return send_all(fd, "\0\0\0\0\0\0\0", padding_len);
}

int
fcgi_client_send(int fd, enum fcgi_client_type type, const void *bytes,
                 size_t len)
{
    const char *next = bytes;

    while (len > MAX_CONTENT) {
        if (send_record(fd, type, next, MAX_CONTENT) == -1)
            return -1;
        next += MAX_CONTENT;
        len -= MAX_CONTENT;
    }
    return send_record(fd, type, next, len);
}

int
fcgi_client_send_begin(int fd, bool keep_connection)
{
    const unsigned char body[8] = { 0, ROLE_RESPONDER,
                                    keep_connection ? KEEP_CONNECTION : 0 };

    return send_record(fd, FCGI_CLIENT_BEGIN, body, sizeof(body));
}

static size_t
put_length(unsigned char *bytes, size_t len)
{
    if (len < LONG_LENGTH_FLAG) {
        bytes[0] = (unsigned char)len;
        return 1;
    }
    bytes[0] = (unsigned char)(len >> 24 | LONG_LENGTH_FLAG);
    bytes[1] = (unsigned char)(len >> 16 & 0xff);
    bytes[2] = (unsigned char)(len >> 8 & 0xff);
    bytes[3] = (unsigned char)(len & 0xff);
    return 4;
}

int
fcgi_client_send_param(int fd, const char *name, const char *value)
{
    unsigned char lengths[8];
    struct buf pair;
    size_t len;
    int result = -1;

    len = put_length(lengths, strlen(name));
    len += put_length(lengths + len, strlen(value));
    buf_init(&pair, MAX_REPLY_BYTES);
    if (buf_append(&pair, lengths, len) == BUF_OK &&
        buf_append_str(&pair, name) == BUF_OK &&
        buf_append_str(&pair, value) == BUF_OK)
        result = fcgi_client_send(fd, FCGI_CLIENT_PARAMS, pair.bytes, pair.len);
    buf_close(&pair);
    return result;
}

int
fcgi_client_send_request(int fd, const char *const *params, const char *body)
{
    char length[24];

    snprintf(length, sizeof(length), "%zu", strlen(body));
    if (fcgi_client_send_begin(fd, false) == -1 ||
        fcgi_client_send_param(fd, "CONTENT_LENGTH", length) == -1)
        return -1;
    for (; params != NULL && params[0] != NULL; params += 2)
        if (fcgi_client_send_param(fd, params[0], params[1]) == -1)
            return -1;
    if (fcgi_client_send(fd, FCGI_CLIENT_PARAMS, "", 0) == -1)
        return -1;
    if (body[0] != '\0' &&
        fcgi_client_send(fd, FCGI_CLIENT_STDIN, body, strlen(body)) == -1)
        return -1;
    return fcgi_client_send(fd, FCGI_CLIENT_STDIN, "", 0);
}

/* 1 when len bytes came, 0 when the peer closed first, else -1. */
static int
receive(int fd, void *bytes, size_t len, int64_t deadline_mono_ms)
{
    char *next = bytes;

    while (len > 0) {
        ssize_t got;

        if (fd_wait(fd, POLLIN, deadline_mono_ms) <= 0)
            return -1;
        got = read(fd, next, len);
        if (got == 0 || (got == -1 && errno == ECONNRESET))
            return 0;
        if (got == -1 && errno != EINTR)
            return -1;
        if (got > 0) {
            next += got;
            len -= (size_t)got;
        }
    }
    return 1;
}

static int
take_record(struct fcgi_client_reply *reply, unsigned type, const void *bytes,
            size_t len)
{
    if (reply->ended)
        return -1;
    if (type == FCGI_CLIENT_END) {
        reply->ended = true;
    } else if (type == FCGI_CLIENT_STDOUT && len > 0) {
        reply->out_records++;
        if (buf_append(&reply->out, bytes, len) != BUF_OK)
            return -1;
    }
    return 0;
}

int
fcgi_client_read_reply(int fd, struct fcgi_client_reply *reply,
                       int64_t deadline_mono_ms)
{
    static unsigned char content[MAX_CONTENT + 256];
    unsigned char header[HEADER_BYTES];
    int got;

    *reply = (struct fcgi_client_reply){ .ended = false };
    buf_init(&reply->out, MAX_REPLY_BYTES);
    while ((got = receive(fd, header, sizeof(header), deadline_mono_ms)) == 1) {
        const size_t len = (size_t)(header[4] << 8 | header[5]);

        got = receive(fd, content, len + header[6], deadline_mono_ms);
        if (got != 1)
            break;
        if (take_record(reply, header[1], content, len) == -1)
            return -1;
    }
    reply->closed = got == 0;
    return got;
}

void
fcgi_client_reply_close(struct fcgi_client_reply *reply)
{
    buf_close(&reply->out);
}
