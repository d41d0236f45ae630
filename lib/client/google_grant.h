/*
 * google_grant - what to send for a Google access token, and what came back.
 *
 *     credentials = google_credentials_read(path, &err);     or
 *     credentials = google_credentials_from_metadata(host, &err);
 *     google_credentials_form(credentials, unix_s, &form, &err);
 *         ... POST form to google_credentials_url(), or GET when it is empty
 *     google_grant_read(status, body, len, &token, &lifetime_ms)
 *     google_credentials_free(credentials);
 *
 * Three kinds: a service account's key (a signed assertion, RFC 7523), a
 * user's refresh token (RFC 6749), and the metadata server of Google's own
 * machines.  Other kinds of file, which may name programs to run, are refused.
 *
 * Talks to nobody and keeps no token: see google_token.  No key, assertion or
 * token ever gets into an error text.
 */
#ifndef CLIENT_GOOGLE_GRANT_H
#define CLIENT_GOOGLE_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

struct google_credentials;

/* The file that GOOGLE_APPLICATION_CREDENTIALS names.  Owned; NULL on
 * ERR_SYSTEM, ERR_LIMIT, ERR_INVALID, ERR_NOMEM. */
struct google_credentials *google_credentials_read(
    const char *path, struct err *err) ATTR_MUST_CHECK;

/* The same from its content. */
struct google_credentials *google_credentials_parse(
    const char *json, size_t len, struct err *err) ATTR_MUST_CHECK;

/* host is host or host:port; "" is Google's. */
struct google_credentials *google_credentials_from_metadata(
    const char *host, struct err *err) ATTR_MUST_CHECK;

void google_credentials_free(struct google_credentials *credentials);

const char *google_credentials_url(const struct google_credentials *c);

/* "" when the file names none. */
const char *google_credentials_quota_project(
    const struct google_credentials *c);

/* True: the answer must carry "Metadata-Flavor: Google", as the request does.
 */
bool google_credentials_are_metadata(const struct google_credentials *c);

/* Replaces form's content, which is secret: wipe it after use.  It stays empty
 * for the metadata server.  unix_s is now. */
int google_credentials_form(const struct google_credentials *c, int64_t unix_s,
                            struct buf *form, struct err *err) ATTR_MUST_CHECK;

enum google_grant {
    GOOGLE_GRANTED,
    GOOGLE_DENIED, /* asking again will not help until somebody acts */
    GOOGLE_BUSY,   /* the endpoint's own trouble, or nonsense from it */
};

/* Replaces token's content; both results are set for GOOGLE_GRANTED only. */
enum google_grant google_grant_read(long http_status, const char *body,
                                    size_t len, struct buf *token,
                                    int64_t *lifetime_ms) ATTR_MUST_CHECK;

#endif
