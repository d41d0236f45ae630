/*
 * http.c - see http.h.
 *
 * A call is in http->running from http_start() until finish(), which takes its
 * curl handle out of the multi handle and its request out of the handle; after
 * that only the result is left.  What curl decides comes through collect(),
 * what our clocks decide through expire(), and what a callback decides is kept
 * as the verdict until curl reports the abort.
 *
 * A call whose response was whole is kept with its curl handle for the next
 * one: telling a new handle our policy is a tenth of what curl does for a call.
 */
#include "client/http.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "client/http_progress.h"
#include "client/tls.h"

#define MAX_KEPT_CONNECTIONS 8L
#define MAX_KEPT_IDLE_S      60
#define KEEPALIVE_IDLE_S     30
#define KEEPALIVE_INTERVAL_S 10
#define DNS_CACHE_S          300
#define BACKSTOP_MS          2000 /* curl's own limit is that much later */

struct http {
    CURLM *multi;
    CURLSH *share; /* TLS sessions; curl handles have none in common else */
    struct http_limits limits;
    bool progressed;        /* something happened since the turn began */
    struct http_call *idle; /* to be used again */
    size_t idle_count;      /* at most limits.max_calls */
    size_t running_count;
    struct http_call *running[]; /* limits.max_calls of them */
};

struct http_call {
    struct http *http;
    struct http_call *next; /* of the idle ones */
    CURL *easy;
    struct curl_slist *headers; /* NULL once finished */
    struct http_progress progress;
    char curl_words[CURL_ERROR_SIZE];
};

/* ---- process-wide ------------------------------------------------------- */

int
http_global_init(struct err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_SYSTEM, "curl cannot be initialised");
    if (tls_store_load(err) == 0)
        return 0;
    curl_global_cleanup();
    return -1;
}

void
http_global_cleanup(void)
{
    tls_store_free();
    curl_global_cleanup();
}

/* ---- the multi handle --------------------------------------------------- */

struct http *
http_new(const struct http_limits *limits, struct err *err)
{
    struct http *http;

    assert(limits->max_calls > 0);
    assert(limits->max_response_bytes > 0);
    http =
        calloc(1, sizeof(*http) + limits->max_calls * sizeof(http->running[0]));
    if (http == NULL) {
        err_set(err, ERR_NOMEM, "http");
        return NULL;
    }
    http->limits = *limits;
    http->multi = curl_multi_init();
    http->share = curl_share_init();
    if (http->multi != NULL && http->share != NULL &&
        curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS,
                          MAX_KEPT_CONNECTIONS) == CURLM_OK &&
        curl_share_setopt(http->share, CURLSHOPT_SHARE,
                          CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK)
        return http;
    err_set(err, ERR_NOMEM, "curl multi handle");
    http_free(http);
    return NULL;
}

static void
destroy(struct http_call *call)
{
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    free(call);
}

void
http_free(struct http *http)
{
    struct http_call *call;

    if (http == NULL)
        return;
    assert(http->running_count == 0);
    while ((call = http->idle) != NULL) {
        http->idle = call->next;
        destroy(call);
    }
    curl_multi_cleanup(http->multi);
    curl_share_cleanup(http->share);
    free(http);
}

/* ---- the end of a call -------------------------------------------------- */

/* curl's words, unless parts of the URL may be among them. */
static const char *
reason_of(const struct http_call *call, enum http_outcome outcome,
          CURLcode code)
{
    if (code == CURLE_OK || call->progress.verdict != HTTP_PENDING)
        return http_outcome_text(outcome);
    if (call->curl_words[0] == '\0' ||
        strpbrk(call->curl_words, "?@/\r\n") != NULL)
        return curl_easy_strerror(code);
    return call->curl_words;
}

/* Nobody wants the rest of this response.  HTTP/1.1 closes the connection by
 * itself; curl 7.88 keeps one of HTTP/2 and does not tell the peer, which goes
 * on sending, unless it may not be used again.  Other streams on it stay. */
static void
give_up_connection(struct http_call *call)
{
    curl_easy_setopt(call->easy, CURLOPT_FORBID_REUSE, 1L);
}

/* Nothing of it stays but the URL, which holds no secret, and nothing points to
 * what was borrowed. */
static void
forget_request(struct http_call *call)
{
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(call->headers);
    call->headers = NULL;
}

/* Takes the curl handle away.  A connection in mid-transfer is closed, one
 * whose transfer ended goes back to the multi handle. */
static void
detach(struct http_call *call)
{
    struct http *http = call->http;
    size_t i = 0;

    while (http->running[i] != call)
        i++;
    http->running[i] = http->running[--http->running_count];
    curl_multi_remove_handle(http->multi, call->easy);
    forget_request(call);
}

static void
finish(struct http_call *call, enum http_outcome outcome, CURLcode code)
{
    http_progress_end(&call->progress, outcome, reason_of(call, outcome, code));
    detach(call);
    call->http->progressed = true;
}

static enum http_outcome
outcome_of(const struct http_progress *progress, CURLcode code)
{
    if (progress->verdict != HTTP_PENDING)
        return progress->verdict;
    switch ((int)code) {
    case CURLE_OK:
        /* curl takes a header block that breaks off for a response. */
        return progress->had_all_headers ? HTTP_DONE
                                         : http_progress_broken(progress);
    case CURLE_OPERATION_TIMEDOUT:
        return progress->is_connected ? HTTP_TIMEOUT_TOTAL
                                      : HTTP_TIMEOUT_CONNECT;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        /* Once connected it is the answer that was not HTTP. */
        return progress->is_connected ? HTTP_CUT : HTTP_UNREACHABLE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_PEER_FAILED_VERIFICATION:
        return HTTP_TLS_FAILED;
    default:
        return http_progress_broken(progress);
    }
}

/* ---- what curl calls ---------------------------------------------------- */

/* curl calls it right before it sends a request, and again before it would send
 * the same one on another connection. */
static int
on_connected(void *arg, char *peer_ip, char *own_ip, int peer_port,
             int own_port)
{
    struct http_call *call = arg;
    long new_connections = 0;

    (void)peer_ip;
    (void)own_ip;
    (void)peer_port;
    (void)own_port;
    curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &new_connections);
    return http_progress_connected(&call->progress, new_connections == 0) == 0
               ? CURL_PREREQFUNC_OK
               : CURL_PREREQFUNC_ABORT;
}

static size_t
on_header_line(char *line, size_t size, size_t count, void *arg)
{
    struct http_call *call = arg;

    call->http->progressed = true;
    if (http_progress_header(&call->progress, line, size * count) == 0)
        return size * count;
    give_up_connection(call);
    return CURL_WRITEFUNC_ERROR;
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_call *call = arg;

    call->http->progressed = true;
    if (http_progress_body(&call->progress, bytes, size * count) == 0)
        return size * count;
    give_up_connection(call);
    return CURL_WRITEFUNC_ERROR;
}

static CURLcode
on_tls_context(CURL *easy, void *ssl_ctx, void *arg)
{
    (void)easy;
    (void)arg;
    return tls_store_attach(ssl_ctx, NULL) == 0 ? CURLE_OK
                                                : CURLE_SSL_CERTPROBLEM;
}

/* ---- the beginning of a call -------------------------------------------- */

/* Sets one option and keeps the first failure in code. */
#define SET(option, value) \
    do { \
        if (code == CURLE_OK) \
            code = curl_easy_setopt(easy, option, value); \
    } while (0)

/* What is the same for every call.  With no file and no folder of authorities
 * of its own, curl takes our store as it is. */
static CURLcode
set_policy(const struct http *http, CURL *easy)
{
    static const struct {
        CURLoption option;
        long value;
    } fixed[] = {
        { CURLOPT_NOSIGNAL, 1 },
        { CURLOPT_QUICK_EXIT, 1 },
        { CURLOPT_FOLLOWLOCATION, 0 },
        { CURLOPT_TCP_KEEPALIVE, 1 },
        { CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
        { CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
        { CURLOPT_MAXAGE_CONN, MAX_KEPT_IDLE_S },
        { CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S },
        { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
        { CURLOPT_SSL_VERIFYPEER, 1 },
        { CURLOPT_SSL_VERIFYHOST, 2 },
    };
    CURLcode code = CURLE_OK;

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        SET(fixed[i].option, fixed[i].value);
    SET(CURLOPT_HTTP_VERSION, http->limits.http2 ? (long)CURL_HTTP_VERSION_2TLS
                                                 : (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_CAINFO, NULL);
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
    SET(CURLOPT_SHARE, http->share);
    return code;
}

static CURLcode
set_callbacks(struct http_call *call, CURL *easy)
{
    CURLcode code = CURLE_OK;

    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_ERRORBUFFER, call->curl_words);
    SET(CURLOPT_PREREQFUNCTION, on_connected);
    SET(CURLOPT_PREREQDATA, call);
    SET(CURLOPT_HEADERFUNCTION, on_header_line);
    SET(CURLOPT_HEADERDATA, call);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, call);
    return code;
}

static CURLcode
set_request(const struct http_call *call, CURL *easy,
            const struct http_request *request)
{
    CURLcode code = CURLE_OK;

    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_HTTPHEADER, call->headers);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms);
    SET(CURLOPT_TIMEOUT_MS,
        clock_left_ms(request->deadline_mono_ms) + (long)BACKSTOP_MS);
    if (request->body != NULL) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        SET(CURLOPT_POSTFIELDS, request->body);
    } else {
        SET(CURLOPT_HTTPGET, 1L);
    }
    return code;
}

static int
copy_headers(struct http_call *call, const char *const *lines)
{
    /* Without it, curl waits for a "100 Continue" before a large body. */
    call->headers = curl_slist_append(NULL, "Expect:");
    if (call->headers == NULL)
        return -1;
    for (size_t i = 0; lines != NULL && lines[i] != NULL; i++)
        if (curl_slist_append(call->headers, lines[i]) == NULL)
            return -1;
    return 0;
}

static struct http_call *
new_call(struct http *http)
{
    struct http_call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        return NULL;
    call->http = http;
    call->easy = curl_easy_init();
    if (call->easy != NULL && set_policy(http, call->easy) == CURLE_OK &&
        set_callbacks(call, call->easy) == CURLE_OK)
        return call;
    destroy(call);
    return NULL;
}

static struct http_call *
take_idle(struct http *http)
{
    struct http_call *call = http->idle;

    http->idle = call->next;
    http->idle_count--;
    call->curl_words[0] = '\0';
    return call;
}

/* Lets curl begin the call.  -1 means that memory ran out. */
static int
launch(struct http *http, struct http_call *call,
       const struct http_request *request)
{
    if (copy_headers(call, request->headers) == -1 ||
        set_request(call, call->easy, request) != CURLE_OK ||
        curl_multi_add_handle(http->multi, call->easy) != CURLM_OK)
        return -1;
    http->running[http->running_count++] = call;
    return 0;
}

struct http_call *
http_start(struct http *http, const struct http_request *request,
           struct err *err)
{
    struct http_call *call;

    if (http->running_count == http->limits.max_calls) {
        err_set(err, ERR_LIMIT, "more than %zu calls at once",
                http->limits.max_calls);
        return NULL;
    }
    call = http->idle != NULL ? take_idle(http) : new_call(http);
    if (call == NULL)
        goto fail;
    http_progress_begin(&call->progress, request,
                        http->limits.max_response_bytes);
    if (launch(http, call, request) == 0)
        return call;
    destroy(call);

fail:
    err_set(err, ERR_NOMEM, "HTTP call");
    return NULL;
}

/* ---- clocks ------------------------------------------------------------- */

static void
expire(struct http *http)
{
    const int64_t now_ms = clock_mono_ms();

    for (size_t i = http->running_count; i > 0; i--) {
        struct http_call *call = http->running[i - 1];
        const struct http_alarm alarm = http_progress_alarm(&call->progress);

        if (alarm.at_mono_ms > now_ms)
            continue;
        call->progress.verdict = alarm.outcome;
        give_up_connection(call);
        finish(call, alarm.outcome, CURLE_OPERATION_TIMEDOUT);
    }
}

static int
left_ms(const struct http *http, int64_t until_mono_ms)
{
    for (size_t i = 0; i < http->running_count; i++) {
        const struct http_call *call = http->running[i];
        const int64_t at = http_progress_alarm(&call->progress).at_mono_ms;

        if (at < until_mono_ms)
            until_mono_ms = at;
    }
    return clock_left_ms(until_mono_ms);
}

/* ---- the turn ----------------------------------------------------------- */

static int
collect(struct http *http, struct err *err)
{
    const CURLMsg *msg;
    int left;
    int status = 0;

    while ((msg = curl_multi_info_read(http->multi, &left)) != NULL) {
        const CURLcode code = msg->data.result;
        char *private = NULL;
        struct http_call *call;

        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
        call = (struct http_call *)(void *)private;
        finish(call, outcome_of(&call->progress, code), code);
        if (code == CURLE_OUT_OF_MEMORY)
            status = err_set(err, ERR_NOMEM, "curl ran out of memory");
    }
    return status;
}

/* Clocks come last: bytes that are already here still count. */
static int
work(struct http *http, struct err *err)
{
    int running;
    const CURLMcode code = curl_multi_perform(http->multi, &running);

    if (code != CURLM_OK)
        return err_set(err, ERR_SYSTEM, "curl: %s", curl_multi_strerror(code));
    if (collect(http, err) == -1)
        return -1;
    expire(http);
    return 0;
}

/* Waits on curl's descriptors, the extra ones and all clocks.  A signal ends it
 * early and is no error. */
static int
wait_for_events(struct http *http, struct http_fd *extra, size_t extra_count,
                int64_t until_mono_ms, struct err *err)
{
    struct curl_waitfd fds[HTTP_MAX_EXTRA];
    CURLMcode code;

    for (size_t i = 0; i < extra_count; i++)
        fds[i] = (struct curl_waitfd){ .fd = extra[i].fd,
                                       .events = extra[i].events };
    code = curl_multi_poll(http->multi, fds, (unsigned)extra_count,
                           left_ms(http, until_mono_ms), NULL);
    for (size_t i = 0; i < extra_count; i++)
        extra[i].revents = fds[i].revents;
    if (code == CURLM_OK ||
        (code == CURLM_UNRECOVERABLE_POLL && errno == EINTR))
        return 0;
    return err_set(err, ERR_SYSTEM, "curl: %s", curl_multi_strerror(code));
}

/* A call is new, or a read left something behind. */
static bool
wants_to_work(const struct http *http)
{
    long wait_ms = -1;

    curl_multi_timeout(http->multi, &wait_ms);
    return wait_ms == 0;
}

int
http_turn(struct http *http, struct http_fd *extra, size_t extra_count,
          int64_t until_mono_ms, struct err *err)
{
    assert(extra_count <= HTTP_MAX_EXTRA);
    http->progressed = false;
    if (wants_to_work(http) && work(http, err) == -1)
        return -1;
    if (http->progressed)
        until_mono_ms = 0;
    if (wait_for_events(http, extra, extra_count, until_mono_ms, err) == -1)
        return -1;
    return work(http, err);
}

/* ---- looking at a call -------------------------------------------------- */

bool
http_call_is_done(const struct http_call *call)
{
    return call->progress.result.outcome != HTTP_PENDING;
}

struct http_result
http_call_result(const struct http_call *call)
{
    return call->progress.result;
}

void
http_call_free(struct http_call *call)
{
    struct http *http;

    if (call == NULL)
        return;
    http = call->http;
    if (!http_call_is_done(call)) {
        give_up_connection(call);
        detach(call);
    }
    if (call->progress.result.outcome != HTTP_DONE ||
        http->idle_count == http->limits.max_calls) {
        destroy(call);
        return;
    }
    call->next = http->idle;
    http->idle = call;
    http->idle_count++;
}
