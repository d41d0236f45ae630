/* reach.c - see reach.h. */
#include "model/reach.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/str.h"
#include "model/dialect.h"

#define MAX_URL_BYTES      4096
#define MAX_RESPONSE_BYTES 65536

static const char date_header[] = "Date:";

static enum http_sink_status
take_body(void *arg, const char *bytes, size_t len)
{
    (void)arg;
    (void)bytes;
    (void)len;
    return HTTP_SINK_FIRST;
}

static void
take_header(void *arg, const char *line, size_t len)
{
    struct reached *reached = arg;
    char text[64];
    int64_t unix_s;

    if (len >= sizeof(text) ||
        strncasecmp(line, date_header, sizeof(date_header) - 1) != 0)
        return;
    memcpy(text, line, len);
    text[len] = '\0';
    if (str_to_unix_s(text + sizeof(date_header) - 1, &unix_s) == 0)
        reached->date_unix_s = unix_s;
}

/* scheme://host[:port] of a URL. */
static void
take_origin(const char *url, struct reached *reached)
{
    const char *host = strstr(url, "://");
    const size_t len =
        host != NULL ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;

    snprintf(reached->origin, sizeof(reached->origin), "%.*s", (int)len, url);
}

static int
wait_for(struct http *http, struct http_call *call, struct reached *reached,
         struct err *err)
{
    struct http_result result;

    while (!http_call_is_done(call))
        if (http_turn(http, NULL, 0, INT64_MAX, err) == -1)
            return -1;
    result = http_call_result(call);
    reached->status = result.status;
    if (result.status == 0)
        return err_set(err, ERR_SYSTEM, "%s", result.reason);
    return 0;
}

static int
ask(const char *url, int64_t deadline_mono_ms, struct reached *reached,
    struct err *err)
{
    const struct http_limits limits = { .max_calls = 1,
                                        .max_response_bytes =
                                            MAX_RESPONSE_BYTES };
    const struct http_request request = { .url = url,
                                          .deadline_mono_ms = deadline_mono_ms,
                                          .sink = take_body,
                                          .on_header = take_header,
                                          .arg = reached };
    struct http *http = http_new(&limits, err);
    struct http_call *call = NULL;
    int result = -1;

    if (http != NULL)
        call = http_start(http, &request, err);
    if (call != NULL)
        result = wait_for(http, call, reached, err);
    http_call_free(call);
    http_free(http);
    return result;
}

int
reach_provider(const struct models_config *config, enum model_role role,
               int64_t deadline_mono_ms, struct reached *reached,
               struct err *err)
{
    const struct model_config *about = &config->roles[role];
    struct buf url;
    int result;

    *reached = (struct reached){ .status = 0 };
    buf_init(&url, MAX_URL_BYTES);
    result = dialect_of(about->provider)->url(about, &url, err);
    if (result == 0) {
        take_origin(buf_cstr(&url), reached);
        result = ask(buf_cstr(&url), deadline_mono_ms, reached, err);
    }
    buf_close(&url);
    return result;
}
