/*
 * listed_http - an HTTP server that gives the n-th request the n-th answer of
 * a list, whatever is asked for, and keeps what was asked.
 *
 *     server = listed_http_start(answers);       a thread, on 127.0.0.1
 *     listed_http_port(server)
 *     listed_http_request(server, 0)             after its answer came
 *     listed_http_stop(server);
 *
 * Answers are whole responses as text, then NULL; the last one is repeated.
 * LISTED_SILENCE reads the request and says nothing.  Each connection is good
 * for one answer.  What goes wrong while starting fails the running test.
 */
#ifndef SUPPORT_LISTED_HTTP_H
#define SUPPORT_LISTED_HTTP_H

#include <stddef.h>

#define LISTED_SILENCE ""

/* A 200 response that ends with its connection. */
#define LISTED_OK(headers, body) \
    "HTTP/1.1 200 OK\r\nConnection: close\r\n" headers "\r\n" body

#define LISTED_STATUS(status, body) \
    "HTTP/1.1 " status " X\r\nConnection: close\r\n\r\n" body

struct listed_http;

struct listed_http *listed_http_start(const char *const *answers);
void listed_http_stop(struct listed_http *server);

int listed_http_port(const struct listed_http *server);
size_t listed_http_count(struct listed_http *server); /* requests */

/* Requests whose answer is on its way, whole; silence counts as one. */
size_t listed_http_answered(struct listed_http *server);

/* The whole request as a string, borrowed until the stop. */
const char *listed_http_request(struct listed_http *server, size_t index);

#endif
