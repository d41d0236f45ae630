/*
 * response - answer one HTTP request whole: status, headers, a body.
 */
#ifndef APP_RESPONSE_H
#define APP_RESPONSE_H

#include <stddef.h>

#include "gate/fcgi.h"

/* Headers that every response of ours carries, each line ended by CRLF. */
extern const char response_security_headers[];

/* For a refusal that will soon be over. */
#define RESPONSE_RETRY_SOON "Retry-After: 2\r\n"

struct response {
    int status;
    const char *content_type;
    const char *headers; /* more lines, each ended by CRLF; NULL for none */
    const char *body;
    size_t len;
};

/* A caller who has gone is not worth an error: nobody is told. */
void response_send(struct fcgi *gate, const struct response *response);

/* {"error": text, "code": code}; both are fixed words without quotes. */
void response_error(struct fcgi *gate, int status, const char *code,
                    const char *text, const char *headers);

const char *response_reason(int status);

#endif
