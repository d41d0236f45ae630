/*
 * model.c - see model.h: the models of one worker, and the turn that drives
 * their calls.  A call itself is in call.c.
 */
#include "model/model.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "model/call.h"

#define MAX_CALLS          8 /* two roles, a token, and some being replaced */
#define MAX_RESPONSE_BYTES (64u << 20)
#define MAX_URL_BYTES      4096
#define MAX_HEADER_BYTES   32768

/* ---- names -------------------------------------------------------------- */

const char *
model_role_name(enum model_role role)
{
    return role == MODEL_FLASH ? "flash" : "pro";
}

bool
model_outcome_is_answer(enum model_outcome outcome)
{
    return outcome == MODEL_COMPLETE || outcome == MODEL_CUT;
}

const char *
model_outcome_name(enum model_outcome outcome)
{
    static const char *const names[] = {
        [MODEL_PENDING] = "pending",
        [MODEL_COMPLETE] = "complete",
        [MODEL_CUT] = "cut",
        [MODEL_BLOCKED] = "blocked",
        [MODEL_EMPTY] = "empty",
        [MODEL_INCOMPLETE] = "incomplete",
        [MODEL_FAILED] = "failed",
        [MODEL_UNAVAILABLE] = "unavailable",
        [MODEL_TIMED_OUT] = "timed_out",
        [MODEL_CANCELLED] = "cancelled",
    };

    assert(outcome < ARRAY_LEN(names));
    return names[outcome];
}

/* ---- configuration ------------------------------------------------------ */

static bool
wants_google_token(const struct models_config *config)
{
    for (size_t i = 0; i < MODEL_ROLE_COUNT; i++)
        if (dialect_of(config->roles[i].provider)->wants_google_token)
            return true;
    return false;
}

/* What a role asks its target with. */
static struct model_config
target_config(const struct model_config *role, enum target target)
{
    struct model_config config = *role;

    if (target == TARGET_FALLBACK) {
        config.model = role->fallback;
        config.thinking = role->fallback_thinking;
    }
    return config;
}

static bool
has_target(const struct model_config *role, enum target target)
{
    return target == TARGET_OWN || role->fallback[0] != '\0';
}

static int
check_role(const struct model_config *role, struct err *err)
{
    for (enum target target = 0; target < TARGET_COUNT; target++) {
        const struct model_config config = target_config(role, target);

        if (has_target(role, target) &&
            dialect_of(role->provider)->check(&config, err) == -1) {
            if (target == TARGET_FALLBACK)
                err_prefix(err, "fallback");
            return -1;
        }
    }
    return 0;
}

static int
check_settings(const struct models_config *config, struct err *err)
{
    if (config->max_answer_bytes == 0)
        return err_set(err, ERR_INVALID, "answers of no bytes");
    for (enum model_role role = 0; role < MODEL_ROLE_COUNT; role++) {
        if (check_role(&config->roles[role], err) == -1) {
            err_prefix(err, "%s model", model_role_name(role));
            return -1;
        }
    }
    return 0;
}

int
models_check(const struct models_config *config, struct err *err)
{
    if (check_settings(config, err) == -1)
        return -1;
    if (!wants_google_token(config))
        return 0;
    return google_token_check(config->credentials_file, config->metadata_host,
                              err);
}

/* ---- life --------------------------------------------------------------- */

static int
prepare_role(struct models *models, enum model_role role, struct err *err)
{
    const struct model_config *config = &models->config.roles[role];
    const struct dialect *dialect = dialect_of(config->provider);

    models->roles[role].dialect = dialect;
    for (enum target target = 0; target < TARGET_COUNT; target++) {
        struct model_config *asked = &models->roles[role].targets[target];
        struct buf *url = &models->roles[role].urls[target];

        *asked = target_config(config, target);
        buf_init(url, MAX_URL_BYTES);
        if (has_target(config, target) && dialect->url(asked, url, err) == -1)
            return -1;
    }
    return 0;
}

static int
prepare_roles(struct models *models, struct err *err)
{
    for (enum model_role role = 0; role < MODEL_ROLE_COUNT; role++)
        if (prepare_role(models, role, err) == -1)
            return -1;
    return 0;
}

struct models *
models_new(const struct models_config *config, struct err *err)
{
    const struct http_limits limits = {
        .max_calls = MAX_CALLS,
        .max_response_bytes = MAX_RESPONSE_BYTES,
        .http2 = config->http2,
    };
    struct models *models;

    assert(config->retries <= MODEL_MAX_RETRIES);
    if (check_settings(config, err) == -1)
        return NULL;
    models = calloc(1, sizeof(*models));
    if (models == NULL) {
        err_set(err, ERR_NOMEM, "models");
        return NULL;
    }
    models->config = *config;
    arena_init(&models->headers, MAX_HEADER_BYTES);
    if (prepare_roles(models, err) == -1)
        goto fail;
    models->http = http_new(&limits, err);
    if (models->http == NULL)
        goto fail;
    if (!wants_google_token(config))
        return models;
    models->token = google_token_new(config->credentials_file,
                                     config->metadata_host, models->http, err);
    if (models->token != NULL)
        return models;

fail:
    models_free(models);
    return NULL;
}

void
models_free(struct models *models)
{
    if (models == NULL)
        return;
    assert(models->calls == NULL);
    google_token_free(models->token); /* its fetch lives in http */
    http_free(models->http);
    arena_close(&models->headers);
    for (size_t i = 0; i < MODEL_ROLE_COUNT; i++)
        for (size_t target = 0; target < TARGET_COUNT; target++)
            buf_close(&models->roles[i].urls[target]);
    free(models);
}

/* ---- the turn ----------------------------------------------------------- */

int
models_turn(struct models *models, struct http_fd *extra, size_t extra_count,
            int64_t until_mono_ms, struct err *err)
{
    for (const struct model_call *call = models->calls; call != NULL;
         call = call->next)
        until_mono_ms = call_wake_mono_ms(call, until_mono_ms);
    if (http_turn(models->http, extra, extra_count, until_mono_ms, err) == -1)
        return -1;
    if (models->token != NULL)
        google_token_collect(models->token, clock_mono_ms());
    for (struct model_call *call = models->calls; call != NULL;
         call = call->next)
        if (call_work(call, err) == -1)
            return -1;
    return 0;
}
