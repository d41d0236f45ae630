/*
 * fcgi_client - the web server's end of FastCGI, for tests.
 *
 *     fcgi_client_send_begin(fd, false);
 *     fcgi_client_send_param(fd, "REQUEST_METHOD", "POST");
 *     fcgi_client_send(fd, FCGI_CLIENT_PARAMS, "", 0);      ends them
 *     fcgi_client_send(fd, FCGI_CLIENT_STDIN, "hello", 5);
 *     fcgi_client_send(fd, FCGI_CLIENT_STDIN, "", 0);       ends the body
 *     fcgi_client_read_reply(fd, &reply, deadline_mono_ms);
 *     fcgi_client_reply_close(&reply);
 *
 * Each piece can be sent alone, so that a test can stop between any two.  All
 * functions return 0, or -1 when the peer is gone or the deadline has come.
 */
#ifndef TESTS_SUPPORT_FCGI_CLIENT_H
#define TESTS_SUPPORT_FCGI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

#define FCGI_CLIENT_REQUEST_ID 1

enum fcgi_client_type {
    FCGI_CLIENT_BEGIN = 1,
    FCGI_CLIENT_ABORT = 2,
    FCGI_CLIENT_END = 3,
    FCGI_CLIENT_PARAMS = 4,
    FCGI_CLIENT_STDIN = 5,
    FCGI_CLIENT_STDOUT = 6,
};

int fcgi_client_send_begin(int fd, bool keep_connection) ATTR_MUST_CHECK;

/* One name and value in a record, or several, of their own. */
int fcgi_client_send_param(int fd, const char *name,
                           const char *value) ATTR_MUST_CHECK;

/* Content of any length, in as many records as it takes; none is one empty
 * record. */
int fcgi_client_send(int fd, enum fcgi_client_type type, const void *bytes,
                     size_t len) ATTR_MUST_CHECK;

/* name, value, name, value, ..., NULL; then the body, with CONTENT_LENGTH. */
int fcgi_client_send_request(int fd, const char *const *params,
                             const char *body) ATTR_MUST_CHECK;

struct fcgi_client_reply {
    struct buf out;       /* all of FCGI_STDOUT; owned */
    unsigned out_records; /* that held some */
    bool ended;           /* FCGI_END_REQUEST came */
    bool closed;          /* and then the peer closed */
};

/* Reads until the peer closes.  0 whenever it did, whatever came before. */
int fcgi_client_read_reply(int fd, struct fcgi_client_reply *reply,
                           int64_t deadline_mono_ms) ATTR_MUST_CHECK;
void fcgi_client_reply_close(struct fcgi_client_reply *reply);

#endif
