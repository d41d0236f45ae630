/*
 * google_token - one Google access token, fetched and kept fresh.
 *
 *     token = google_token_new(file, metadata_host, http, &err);
 *     google_token_want(token, now_mono_ms, &err);   who needs one, asks
 *     http_turn(http, ...); google_token_collect(token, now_mono_ms);
 *     google_token_state(token, now_mono_ms)
 *     google_token_free(token);                      before http_free()
 *
 * A token is fresh, or stale (good, but it is time for the next: that is
 * fetched while this one is used), or gone (who wants one must wait).  One
 * fetch is in flight at a time, on the caller's http handle.  A fetch that
 * fails leaves a token that is still good alone.
 *
 * Each process draws its own jitter, so that many do not fetch in step.  Token,
 * key and assertion never get into an error text.  Does not log.
 */
#ifndef CLIENT_GOOGLE_TOKEN_H
#define CLIENT_GOOGLE_TOKEN_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "client/http.h"

#define GOOGLE_TOKEN_STALE_MS  225000 /* before its end; more by the jitter */
#define GOOGLE_TOKEN_JITTER_MS 60000
#define GOOGLE_TOKEN_MARGIN_MS 10000 /* before its end it counts as gone */

enum google_token_state {
    GOOGLE_TOKEN_READY,    /* there is one, fresh or stale */
    GOOGLE_TOKEN_FETCHING, /* there is none yet */
    GOOGLE_TOKEN_DENIED,   /* none: the credentials are not accepted */
    GOOGLE_TOKEN_FAILED,   /* none: the last fetch failed otherwise */
};

/* Whether google_token_new() would find usable credentials.  file is "" for the
 * metadata server, which is not asked. */
int google_token_check(const char *file, const char *metadata_host,
                       struct err *err) ATTR_MUST_CHECK;

struct google_token;

/* http is borrowed until google_token_free(). */
struct google_token *google_token_new(const char *file,
                                      const char *metadata_host,
                                      struct http *http,
                                      struct err *err) ATTR_MUST_CHECK;
void google_token_free(struct google_token *token); /* NULL is fine */

/* Starts a fetch when there is no token, or one in the background when it is
 * stale.  -1 only when memory, curl or the signing key fails us. */
int google_token_want(struct google_token *token, int64_t now_mono_ms,
                      struct err *err) ATTR_MUST_CHECK;

/* Takes in a fetch that has ended; does nothing otherwise. */
void google_token_collect(struct google_token *token, int64_t now_mono_ms);

enum google_token_state google_token_state(const struct google_token *token,
                                           int64_t now_mono_ms);

/* When GOOGLE_TOKEN_READY; borrowed until the next want or collect. */
const char *google_token_bearer(const struct google_token *token);

/* Which token that is: another one has another number. */
unsigned google_token_serial(const struct google_token *token);

/* The API did not accept the token of that number: forget it. */
void google_token_reject(struct google_token *token, unsigned serial);

/* The project to bill, "" when the credentials name none. */
const char *google_token_quota_project(const struct google_token *token);

#endif
