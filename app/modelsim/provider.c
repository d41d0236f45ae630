/* provider.c - see provider.h. */
#include "modelsim/provider.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "modelsim/answers.h"
#include "modelsim/compose.h"
#include "modelsim/credential.h"
#include "modelsim/prompt.h"
#include "modelsim/target.h"

#define MAX_TEXT_BYTES    (65 << 20)
#define HUGE_LINE_BYTES   (16 << 20)
#define ID_BYTES          48
#define METADATA_FLAVOR   "Google"
#define GEMINI_KEY_REASON "API_KEY_INVALID"

struct provider {
    struct provider_options options;
    struct settings_all live; /* the flags, and what the control path set */
    struct stats *stats;
    int64_t token_count;
    int64_t reply_count;
};

/* One request on its way to its answer. */
struct call {
    struct provider *provider;
    const struct http_request *request;
    struct answer *answer;
    struct target target;
    const struct wire *wire;
    struct reply reply;
    enum role role;
    char id[ID_BYTES];
};

struct provider *
provider_new(const struct provider_options *options, struct err *err)
{
    struct provider *provider = calloc(1, sizeof(*provider));

    if (provider == NULL) {
        err_set(err, ERR_NOMEM, "provider");
        return NULL;
    }
    provider->options = *options;
    provider->live = options->settings;
    provider->stats = stats_new(err);
    if (provider->stats == NULL) {
        provider_free(provider);
        return NULL;
    }
    return provider;
}

void
provider_free(struct provider *provider)
{
    if (provider == NULL)
        return;
    stats_free(provider->stats);
    free(provider);
}

void
provider_connected(struct provider *provider)
{
    stats_connected(provider->stats);
}

void
provider_done(struct provider *provider, const struct answer *answer,
              enum outcome outcome)
{
    if (answer->is_counted)
        stats_close(provider->stats, &answer->ticket, outcome);
}

/* ---- what every call needs --------------------------------------------- */

static void
count(struct call *call, enum role role)
{
    unsigned *seen = call->request->roles_seen;
    const bool is_new = (*seen & 1U << role) == 0;

    *seen |= 1U << role;
    call->role = role;
    call->answer->ticket = stats_open(call->provider->stats, role, is_new);
    call->answer->is_counted = true;
}

static void
refuse(struct call *call, const struct fail *fail)
{
    compose_error(&call->answer->script, call->wire, &call->reply, fail);
}

static void
refuse_input(struct call *call, const struct err *err)
{
    refuse(call, &(struct fail){ .status = 400,
                                 .retry_delay_ms = -1,
                                 .message = err->text });
}

/* The settings of this request alone.  A fault that strikes only so many
 * times is counted down here. */
static int
choose_settings(struct call *call, const char *prompt, struct settings *chosen,
                struct err *err)
{
    struct settings *live = &call->provider->live.roles[call->role];
    struct settings_all all = call->provider->live;

    if (live->times == 0)
        all.roles[call->role].fault = FAULT_NONE;
    else if (live->times > 0 && live->fault != FAULT_NONE)
        live->times--;
    if (call->request->sim != NULL &&
        settings_apply_header(&all, call->request->sim, err) == -1)
        return -1;
    if (settings_apply_directives(&all, prompt, err) == -1)
        return -1;
    *chosen = all.roles[call->role];
    return 0;
}

/* ---- a model ----------------------------------------------------------- */

static enum role
role_of(const char *model)
{
    return strstr(model, "pro") != NULL ? ROLE_PRO : ROLE_FLASH;
}

static bool
is_let_in(struct call *call, const struct credential *credential)
{
    const struct provider *provider = call->provider;
    const bool is_developer = call->target.surface == SURFACE_DEVELOPER;
    struct fail fail = { .status = 401, .retry_delay_ms = -1 };

    if (!provider->options.needs_auth)
        return true;
    switch (credential_judge(credential, provider->options.api_key,
                             provider->token_count)) {
    case CREDENTIAL_TAKEN:
        return true;
    case CREDENTIAL_MISSING:
        fail.reason = "CREDENTIALS_MISSING";
        fail.message = "The request is missing a valid API key or token.";
        fail.status = is_developer ? 403 : 401;
        break;
    case CREDENTIAL_WRONG:
        fail.reason = is_developer ? GEMINI_KEY_REASON : "ACCESS_TOKEN_INVALID";
        fail.message = is_developer
                           ? "API key not valid. Please pass a valid API key."
                           : NULL;
        fail.status = is_developer ? 400 : 401;
        break;
    }
    refuse(call, &fail);
    return false;
}

static enum buf_status
write_text(struct buf *text, const struct call *call,
           const struct settings *settings, const char *prompt)
{
    if (settings->has_text)
        return buf_append_str(text, settings->text);
    if (settings->text_bytes >= 0)
        return answers_fill(text, (size_t)settings->text_bytes);
    if (settings->fault == FAULT_HUGE_LINE)
        return answers_fill(text, HUGE_LINE_BYTES);
    return answers_write(text, call->role, prompt);
}

static void
speak(struct call *call, const struct prompt *prompt,
      const struct settings *settings)
{
    struct reply *reply = &call->reply;
    struct buf text;

    buf_init(&text, MAX_TEXT_BYTES);
    if (write_text(&text, call, settings, buf_cstr(&prompt->last_user)) ==
        BUF_OK) {
        reply->text = buf_cstr(&text);
        reply->text_len = text.len;
        reply->thoughts = settings->thoughts;
        reply->prompt_tokens =
            (int64_t)(prompt->bytes / WIRE_BYTES_PER_TOKEN) + 1;
        if (settings->model_version[0] != '\0')
            reply->model = settings->model_version;
        compose(&call->answer->script, call->wire, reply, settings);
    } else {
        call->answer->script.failed = true;
    }
    buf_close(&text);
}

static int
read_prompt(struct call *call, struct prompt *prompt, struct err *err)
{
    const struct http_request *request = call->request;
    struct reply *reply = &call->reply;

    if (call->target.kind == TARGET_MODEL) {
        reply->model = call->target.model;
        reply->streams = call->target.streams;
        reply->as_events =
            request->alt != NULL && strcmp(request->alt, "sse") == 0;
        return prompt_read_gemini(prompt, request->body, request->body_len,
                                  err);
    }
    if (prompt_read_openai(prompt, request->body, request->body_len, err) == -1)
        return -1;
    reply->model = prompt->model;
    reply->streams = prompt->streams;
    reply->as_events = prompt->streams;
    reply->include_usage = prompt->include_usage;
    return 0;
}

static void
keep(struct call *call, const struct credential *credential)
{
    stats_keep(call->provider->stats,
               &(struct received){
                   .role = call->role,
                   .path = call->request->path,
                   .credential = credential_name(credential->kind),
                   .body = call->request->body,
                   .body_len = call->request->body_len,
               });
}

static void
answer_model(struct call *call)
{
    const struct credential credential = credential_of(call->request);
    struct settings settings;
    struct prompt prompt;
    struct err err = { 0 };
    int result;

    prompt_init(&prompt);
    result = read_prompt(call, &prompt, &err);
    count(call, role_of(call->reply.model));
    keep(call, &credential);
    if (is_let_in(call, &credential)) {
        if (result == 0)
            result =
                choose_settings(call, buf_cstr(&prompt.user), &settings, &err);
        if (result == 0)
            speak(call, &prompt, &settings);
        else
            refuse_input(call, &err);
    }
    prompt_close(&prompt);
}

/* ---- tokens ------------------------------------------------------------ */

static void
give_token(struct call *call)
{
    char token[CREDENTIAL_TOKEN_BYTES];
    struct settings settings;
    struct err err = { 0 };

    if (choose_settings(call, "", &settings, &err) == -1) {
        refuse_input(call, &err);
        return;
    }
    credential_token(++call->provider->token_count, token);
    call->reply.text = token;
    call->reply.text_len = strlen(token);
    call->reply.expires_in_s = settings.expires_in_s;
    compose(&call->answer->script, call->wire, &call->reply, &settings);
}

static void
answer_token(struct call *call)
{
    struct fail fail = { .status = 400, .retry_delay_ms = -1 };

    count(call, ROLE_TOKEN);
    fail.reason = credential_judge_grant(call->request->body);
    if (fail.reason == NULL)
        give_token(call);
    else
        refuse(call, &fail);
}

static void
answer_metadata(struct call *call)
{
    const char *flavor = call->request->metadata_flavor;
    struct script *script = &call->answer->script;

    count(call, ROLE_TOKEN);
    if (flavor == NULL || strcmp(flavor, METADATA_FLAVOR) != 0) {
        refuse(call, &(struct fail){ .status = 403,
                                     .retry_delay_ms = -1,
                                     .reason = "access_denied",
                                     .message = "Missing Metadata-Flavor:"
                                                "Google header." });
        return;
    }
    give_token(call);
    script->header = "Metadata-Flavor";
    strcpy(script->header_value, METADATA_FLAVOR);
}

/* ---- the control path -------------------------------------------------- */

static void
say(struct call *call, int status, json_t *value)
{
    struct script *script = &call->answer->script;

    script_add_json_take(script, value, JSON_INDENT(2));
    script_add_text(script, "\n");
    script_whole(script, status, TYPE_JSON);
}

static void
control_set(struct call *call)
{
    struct settings_all next = call->provider->live;
    struct err err = { 0 };
    json_t *object =
        json_loadb(call->request->body, call->request->body_len, 0, NULL);

    if (settings_apply_json(&next, object, &err) == -1) {
        say(call, 400, json_pack("{s:s}", "error", err.text));
    } else {
        call->provider->live = next;
        say(call, 200, json_pack("{s:b}", "ok", 1));
    }
    json_decref(object);
}

static void
control_reset(struct call *call)
{
    call->provider->live = call->provider->options.settings;
    stats_reset(call->provider->stats);
    say(call, 200, json_pack("{s:b}", "ok", 1));
}

static void
answer_control(struct call *call)
{
    const char *name = call->request->path + strlen("/_sim/");
    const bool is_post = strcmp(call->request->method, "POST") == 0;

    if (is_post && strcmp(name, "set") == 0)
        control_set(call);
    else if (is_post && strcmp(name, "reset") == 0)
        control_reset(call);
    else if (!is_post && strcmp(name, "stats") == 0)
        say(call, 200, stats_json(call->provider->stats));
    else if (!is_post && strcmp(name, "requests") == 0)
        say(call, 200, stats_requests_json(call->provider->stats));
    else
        say(call, 404,
            json_pack("{s:s}", "error",
                      "POST /_sim/set, POST /_sim/reset, GET /_sim/stats or "
                      "GET /_sim/requests"));
}

/* ---- all --------------------------------------------------------------- */

static bool
wants_post(enum target_kind kind)
{
    return kind == TARGET_MODEL || kind == TARGET_CHAT || kind == TARGET_TOKEN;
}

static void
dispatch(struct call *call)
{
    const bool is_post = strcmp(call->request->method, "POST") == 0;

    if (wants_post(call->target.kind) && !is_post)
        call->target.kind = TARGET_NONE;
    switch (call->target.kind) {
    case TARGET_MODEL:
    case TARGET_CHAT:
        answer_model(call);
        break;
    case TARGET_TOKEN:
        answer_token(call);
        break;
    case TARGET_METADATA:
        answer_metadata(call);
        break;
    case TARGET_CONTROL:
        answer_control(call);
        break;
    case TARGET_NONE:
        refuse(call, &(struct fail){ .status = 404,
                                     .retry_delay_ms = -1,
                                     .message = "There is nothing here." });
        break;
    }
}

static const struct wire *
wire_of(enum surface surface)
{
    switch (surface) {
    case SURFACE_OPENAI:
        return &wire_openai;
    case SURFACE_TOKEN:
        return &wire_token;
    case SURFACE_VERTEX:
    case SURFACE_DEVELOPER:
        break;
    }
    return &wire_gemini;
}

void
provider_answer(struct provider *provider, const struct http_request *request,
                struct answer *answer)
{
    struct call call = {
        .provider = provider,
        .request = request,
        .answer = answer,
        .target = target_find(request->path),
    };
    const bool is_openai = call.target.surface == SURFACE_OPENAI;

    answer->is_counted = false;
    script_init(&answer->script);
    snprintf(call.id, sizeof(call.id), "%s%08" PRId64,
             is_openai ? "chatcmpl-sim" : "sim", ++provider->reply_count);
    call.wire = wire_of(call.target.surface);
    call.reply = (struct reply){
        .surface = call.target.surface,
        .model = "",
        .id = call.id,
        .text = "",
        .created_unix_us = clock_unix_us(),
    };
    dispatch(&call);
    if (!script_failed(&answer->script))
        return;
    script_close(&answer->script);
    script_init(&answer->script);
    script_add_text(&answer->script, "the simulation is out of memory\n");
    script_whole(&answer->script, 500, "text/plain");
}
