/* door.c - see door.h. */
#include "guard/door.h"

#include <stddef.h>

#include "guard/key.h"
#include "metrics.h"

bool
door_admits(const struct config *config, const struct fcgi *gate)
{
    const char *key = fcgi_param(gate, "HTTP_X_API_KEY");

    if (!config->enable_auth || key_matches(config->api_key, key))
        return true;
    metrics_count(METRICS_AUTH_FAILURES,
                  key == NULL ? METRICS_AUTH_MISSING : METRICS_AUTH_WRONG);
    return false;
}

const char *
door_principal(const struct config *config)
{
    return config->enable_auth ? "api_key" : NULL;
}
