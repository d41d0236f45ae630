/* response.c - see response.h. */
#include "response.h"

#include <stdio.h>
#include <string.h>

#define HEAD_MAX_BYTES 2048
#define BODY_MAX_BYTES 512

const char response_security_headers[] =
    "Strict-Transport-Security: max-age=63072000\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Permissions-Policy: camera=(), geolocation=(), microphone=()\r\n"
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";

const char *
response_reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 422:
        return "Unprocessable Content";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

void
response_send(struct fcgi *gate, const struct response *response)
{
    char head[HEAD_MAX_BYTES];
    const int len =
        snprintf(head, sizeof(head),
                 "Status: %d %s\r\n"
                 "Content-Type: %s\r\n"
                 "Cache-Control: no-store\r\n"
                 "%s%s\r\n",
                 response->status, response_reason(response->status),
                 response->content_type, response_security_headers,
                 response->headers != NULL ? response->headers : "");

    if (len < 0 || (size_t)len >= sizeof(head))
        return;
    if (fcgi_write(gate, head, (size_t)len, NULL) == -1)
        return;
    if (fcgi_write(gate, response->body, response->len, NULL) == -1)
        return;
}

void
response_error(struct fcgi *gate, int status, const char *code,
               const char *text, const char *headers)
{
    char body[BODY_MAX_BYTES];

    snprintf(body, sizeof(body), "{\"error\":\"%s\",\"code\":\"%s\"}\n", text,
             code);
    response_send(gate, &(struct response){ .status = status,
                                            .content_type = "application/json",
                                            .headers = headers,
                                            .body = body,
                                            .len = strlen(body) });
}
