/* google_token.c - see google_token.h. */
#include "client/google_token.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "client/crypto.h"
#include "client/google_grant.h"

#define CONNECT_MS 5000
#define FETCH_MS   10000
#define PAUSE_MS   10000 /* between fetches while a token is good */

#define MAX_FORM_BYTES   65536
#define MAX_ANSWER_BYTES 65536
#define MAX_TOKEN_BYTES  12288

struct google_token {
    struct http *http;
    struct google_credentials *credentials;
    int64_t stale_ms;

    struct http_call *fetch; /* NULL when none is in flight */
    int64_t fetch_mono_ms;   /* when it was started */
    struct buf form;         /* curl reads it until the fetch is freed */
    struct buf answer;
    bool is_flavored; /* it came from a metadata server, not a captive portal */

    struct buf bearer; /* empty: gone */
    unsigned serial;
    int64_t ends_mono_ms;
    int64_t next_try_mono_ms;
    enum google_token_state failure; /* of the last fetch */
};

/* ---- life --------------------------------------------------------------- */

static struct google_credentials *
load(const char *file, const char *metadata_host, struct err *err)
{
    return file[0] != '\0'
               ? google_credentials_read(file, err)
               : google_credentials_from_metadata(metadata_host, err);
}

int
google_token_check(const char *file, const char *metadata_host, struct err *err)
{
    struct google_credentials *credentials = load(file, metadata_host, err);

    if (credentials == NULL)
        return -1;
    google_credentials_free(credentials);
    return 0;
}

struct google_token *
google_token_new(const char *file, const char *metadata_host, struct http *http,
                 struct err *err)
{
    struct google_token *token = calloc(1, sizeof(*token));
    uint32_t dice;

    if (token == NULL) {
        err_set(err, ERR_NOMEM, "Google token");
        return NULL;
    }
    token->http = http;
    token->failure = GOOGLE_TOKEN_FAILED;
    buf_init(&token->form, MAX_FORM_BYTES);
    buf_init(&token->answer, MAX_ANSWER_BYTES);
    buf_init(&token->bearer, MAX_TOKEN_BYTES);
    token->credentials = load(file, metadata_host, err);
    if (token->credentials == NULL ||
        crypto_random(&dice, sizeof(dice), err) == -1) {
        google_token_free(token);
        return NULL;
    }
    token->stale_ms =
        GOOGLE_TOKEN_STALE_MS + dice % (GOOGLE_TOKEN_JITTER_MS + 1);
    return token;
}

static void
wipe(struct buf *buf)
{
    if (buf->bytes != NULL)
        crypto_wipe(buf->bytes, buf->capacity);
    buf_clear(buf);
}

static void
end_fetch(struct google_token *token)
{
    http_call_free(token->fetch); /* before the form that curl reads */
    token->fetch = NULL;
    wipe(&token->form);
    wipe(&token->answer);
}

void
google_token_free(struct google_token *token)
{
    if (token == NULL)
        return;
    end_fetch(token);
    wipe(&token->bearer);
    buf_close(&token->bearer);
    buf_close(&token->answer);
    buf_close(&token->form);
    google_credentials_free(token->credentials);
    free(token);
}

/* ---- the fetch ---------------------------------------------------------- */

static enum http_sink_status
on_answer(void *arg, const char *bytes, size_t len)
{
    struct google_token *token = arg;

    if (buf_append(&token->answer, bytes, len) != BUF_OK)
        return HTTP_SINK_STOP;
    return HTTP_SINK_FIRST;
}

static void
on_header(void *arg, const char *line, size_t len)
{
    static const char flavor[] = "Metadata-Flavor: Google";
    struct google_token *token = arg;

    if (len == strlen(flavor) && strncasecmp(line, flavor, len) == 0)
        token->is_flavored = true;
}

static int
start_fetch(struct google_token *token, int64_t now_mono_ms, struct err *err)
{
    static const char *const metadata_headers[] = { "Metadata-Flavor: Google",
                                                    NULL };
    static const char *const form_headers[] = {
        "Content-Type: application/x-www-form-urlencoded", NULL
    };
    const bool is_metadata =
        google_credentials_are_metadata(token->credentials);
    struct http_request request = {
        .url = google_credentials_url(token->credentials),
        .headers = is_metadata ? metadata_headers : form_headers,
        .connect_ms = CONNECT_MS,
        .deadline_mono_ms = clock_mono_ms() + FETCH_MS,
        .sink = on_answer,
        .on_header = on_header,
        .arg = token,
    };

    if (google_credentials_form(token->credentials, clock_unix_us() / 1000000,
                                &token->form, err) == -1)
        return -1;
    if (!is_metadata) {
        request.body = token->form.bytes;
        request.body_len = token->form.len;
    }
    token->is_flavored = !is_metadata;
    token->fetch_mono_ms = now_mono_ms;
    token->fetch = http_start(token->http, &request, err);
    return token->fetch != NULL ? 0 : -1;
}

static enum google_grant
read_answer(struct google_token *token, struct buf *bearer,
            int64_t *lifetime_ms)
{
    const struct http_result result = http_call_result(token->fetch);

    if (result.outcome != HTTP_DONE || !token->is_flavored)
        return GOOGLE_BUSY;
    return google_grant_read(result.status, buf_cstr(&token->answer),
                             token->answer.len, bearer, lifetime_ms);
}

/* A token that ends sooner than the margin is as good as none. */
static void
keep(struct google_token *token, struct buf *bearer, int64_t lifetime_ms)
{
    const struct buf old = token->bearer;

    if (lifetime_ms <= GOOGLE_TOKEN_MARGIN_MS) {
        token->failure = GOOGLE_TOKEN_FAILED;
        return;
    }
    token->bearer = *bearer;
    *bearer = old;
    token->serial++;
    token->ends_mono_ms = token->fetch_mono_ms + lifetime_ms;
}

void
google_token_collect(struct google_token *token, int64_t now_mono_ms)
{
    int64_t lifetime_ms = 0;
    struct buf bearer;

    if (token->fetch == NULL || !http_call_is_done(token->fetch))
        return;
    buf_init(&bearer, MAX_TOKEN_BYTES);
    switch (read_answer(token, &bearer, &lifetime_ms)) {
    case GOOGLE_GRANTED:
        keep(token, &bearer, lifetime_ms);
        break;
    case GOOGLE_DENIED:
        token->failure = GOOGLE_TOKEN_DENIED;
        break;
    case GOOGLE_BUSY:
        token->failure = GOOGLE_TOKEN_FAILED;
        break;
    }
    wipe(&bearer);
    buf_close(&bearer);
    end_fetch(token);
    token->next_try_mono_ms = now_mono_ms + PAUSE_MS;
}

/* ---- the token ---------------------------------------------------------- */

static bool
is_good(const struct google_token *token, int64_t now_mono_ms)
{
    return token->bearer.len > 0 &&
           now_mono_ms < token->ends_mono_ms - GOOGLE_TOKEN_MARGIN_MS;
}

static bool
is_time_for_next(const struct google_token *token, int64_t now_mono_ms)
{
    return now_mono_ms >= token->ends_mono_ms - token->stale_ms &&
           now_mono_ms >= token->next_try_mono_ms;
}

int
google_token_want(struct google_token *token, int64_t now_mono_ms,
                  struct err *err)
{
    google_token_collect(token, now_mono_ms);
    /* Nobody turned the loop meanwhile: that fetch is past its deadline. */
    if (token->fetch != NULL && now_mono_ms >= token->fetch_mono_ms + FETCH_MS)
        end_fetch(token);
    if (token->fetch != NULL)
        return 0;
    if (is_good(token, now_mono_ms) && !is_time_for_next(token, now_mono_ms))
        return 0;
    return start_fetch(token, now_mono_ms, err);
}

enum google_token_state
google_token_state(const struct google_token *token, int64_t now_mono_ms)
{
    if (is_good(token, now_mono_ms))
        return GOOGLE_TOKEN_READY;
    return token->fetch != NULL ? GOOGLE_TOKEN_FETCHING : token->failure;
}

const char *
google_token_bearer(const struct google_token *token)
{
    return buf_cstr(&token->bearer);
}

unsigned
google_token_serial(const struct google_token *token)
{
    return token->serial;
}

void
google_token_reject(struct google_token *token, unsigned serial)
{
    if (serial == token->serial)
        wipe(&token->bearer);
}

const char *
google_token_quota_project(const struct google_token *token)
{
    return google_credentials_quota_project(token->credentials);
}
