/* setup.c - see setup.h. */
#include "model/setup.h"

static enum model_provider
provider_of(const struct config_role *role)
{
    switch ((enum config_provider)role->provider) {
    case CONFIG_PROVIDER_VERTEX:
        return MODEL_VERTEX;
    case CONFIG_PROVIDER_GEMINI:
        return MODEL_GEMINI;
    case CONFIG_PROVIDER_OPENAI:
    case CONFIG_PROVIDER_AUTO: /* config_load() has decided */
        break;
    }
    return MODEL_OPENAI;
}

static struct model_config
role_setup(const struct config *config, const struct config_role *role)
{
    return (struct model_config){
        .provider = provider_of(role),
        .model = role->model,
        .fallback = role->fallback_model,
        .base_url = role->base_url,
        .api_key = role->api_key,
        .project = config->project,
        .location = config->location,
        .thinking = role->thinking,
        .fallback_thinking = role->fallback_thinking,
        .max_output_tokens = role->max_output_tokens,
        .max_tokens_name = config->openai_max_tokens_name,
        .connect_ms = config->connect_ms,
        .first_token_ms = role->first_token_ms,
        .idle_ms = config->idle_ms,
    };
}

void
model_setup(const struct config *config, struct models_config *models)
{
    *models = (struct models_config){
        .credentials_file = config->credentials_file,
        .metadata_host = config->metadata_host,
        .http2 = config->http2,
        .max_answer_bytes = (size_t)config->max_answer_bytes,
        .retries = config->model_retries,
        .retry_pause_ms = config->model_retry_pause_ms,
        .breaker = { .failures = config->breaker_failures,
                     .window_ms = config->breaker_window_ms,
                     .open_ms = config->breaker_open_ms },
    };
    models->roles[MODEL_FLASH] = role_setup(config, &config->flash);
    models->roles[MODEL_PRO] = role_setup(config, &config->pro);
}
