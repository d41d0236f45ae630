/*
 * fake_http - an HTTP/1.1 server that misbehaves on request, byte by byte.
 *
 *     static const struct fake_step cut[] = {
 *         FAKE_TEXT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
 *         { .what = FAKE_CLOSE },
 *     };
 *     static const struct fake_route routes[] = { { "/cut", cut }, { 0 } };
 *
 *     server = fake_http_start(routes);
 *     fake_http_url(server, "/cut", url);
 *     fake_http_seen(server)->requests ...
 *     fake_http_stop(server);
 *
 * The server is a child process on 127.0.0.1 with a port that the kernel
 * chose, and a thread per connection.  Each request on a connection is read
 * whole, then the steps of the first route are played whose path the request
 * target begins with (none: 404).  After the last step the next request is
 * awaited.  Routes are copied by the fork.  What goes wrong while starting
 * fails the running cmocka test.
 */
#ifndef SUPPORT_FAKE_HTTP_H
#define SUPPORT_FAKE_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fake_what {
    FAKE_END = 0, /* of the steps */
    FAKE_SEND,    /* count bytes; 0 means a string */
    FAKE_DRIP,    /* the same, one byte every ms milliseconds */
    FAKE_FILL,    /* count bytes of FAKE_FILLER */
    FAKE_ECHO,    /* a whole 200 response with the request's body */
    FAKE_WAIT,    /* ms milliseconds, or until the client is gone */
    FAKE_HANG,    /* until the client is gone */
    FAKE_CLOSE,
    FAKE_RESET, /* close with a TCP reset */
};

#define FAKE_FILLER 'x'

struct fake_step {
    enum fake_what what;
    const char *bytes;
    size_t count;
    int ms;
};

#define FAKE_TEXT(text) \
    { \
        FAKE_SEND, text, 0, 0 \
    }

struct fake_route {
    const char *path; /* NULL ends the table */
    const struct fake_step *steps;
};

/* What the server saw, in memory shared with it. */
struct fake_seen {
    atomic_int connections;
    atomic_int requests; /* read whole */
    atomic_int aborted;  /* left by the client while steps were left */
    _Atomic int64_t aborted_mono_ms; /* when, for the last of them */
    atomic_int open;                 /* connections now */
    char last_head[8192];            /* request line and headers, as a string */
};

struct fake_http;

struct fake_http *fake_http_start(const struct fake_route *routes);
void fake_http_stop(struct fake_http *server);

#define FAKE_URL_LEN 256
void fake_http_url(const struct fake_http *server, const char *path,
                   char url[FAKE_URL_LEN]);

const struct fake_seen *fake_http_seen(const struct fake_http *server);

/* Waits until *counter is at least value; false after within_ms. */
bool fake_http_reaches(const atomic_int *counter, int value, int within_ms);

#endif
