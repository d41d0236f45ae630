/* target.c - see target.h. */
#include "modelsim/target.h"

#include <ctype.h>
#include <string.h>

#include "base/attr.h"
#include "base/str.h"

#define MODEL_LEAD "publishers/google/models/"

static const struct {
    const char *path;
    enum target_kind kind;
    enum surface surface;
} fixed[] = {
    { "/v1/chat/completions", TARGET_CHAT, SURFACE_OPENAI },
    { "/token", TARGET_TOKEN, SURFACE_TOKEN },
    { "/computeMetadata/v1/instance/service-accounts/default/token",
      TARGET_METADATA, SURFACE_TOKEN },
};

/* Behind "projects/P/locations/L/", which express mode leaves out; NULL when
 * that is malformed. */
static const char *
skip_project(const char *at)
{
    static const char *const names[] = { "projects/", "locations/" };

    if (!str_starts_with(at, names[0]))
        return at;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!str_starts_with(at, names[i]))
            return NULL;
        at += strlen(names[i]);
        if (*at == '/' || (at = strchr(at, '/')) == NULL)
            return NULL;
        at++;
    }
    return at;
}

/* "MODEL:verb". */
static bool
take_model(struct target *target, const char *at)
{
    const char *verb = strchr(at, ':');
    const size_t len = verb == NULL ? 0 : (size_t)(verb - at);

    if (len == 0 || len >= sizeof(target->model))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)at[i]) && strchr("-._@", at[i]) == NULL)
            return false;
    memcpy(target->model, at, len);
    target->model[len] = '\0';
    target->streams = strcmp(verb, ":streamGenerateContent") == 0;
    return target->streams || strcmp(verb, ":generateContent") == 0;
}

static bool
take_vertex(struct target *target, const char *path)
{
    const char *at;

    if (str_starts_with(path, "/v1/"))
        at = path + strlen("/v1/");
    else if (str_starts_with(path, "/v1beta1/"))
        at = path + strlen("/v1beta1/");
    else
        return false;
    at = skip_project(at);
    if (at == NULL || !str_starts_with(at, MODEL_LEAD))
        return false;
    target->surface = SURFACE_VERTEX;
    return take_model(target, at + strlen(MODEL_LEAD));
}

static bool
take_developer(struct target *target, const char *path)
{
    static const char lead[] = "/v1beta/models/";

    if (!str_starts_with(path, lead))
        return false;
    target->surface = SURFACE_DEVELOPER;
    return take_model(target, path + strlen(lead));
}

struct target
target_find(const char *path)
{
    struct target target = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (strcmp(path, fixed[i].path) == 0) {
            target.kind = fixed[i].kind;
            target.surface = fixed[i].surface;
            return target;
        }
    if (str_starts_with(path, "/_sim/"))
        target.kind = TARGET_CONTROL;
    else if (take_vertex(&target, path) || take_developer(&target, path))
        target.kind = TARGET_MODEL;
    return target;
}
