/* credential.c - see credential.h. */
#include "modelsim/credential.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "text/uri.h"

#define TOKEN_LEAD  "modelsim-token-"
#define BEARER_LEAD "Bearer "

#define FORM_BYTES    (256 << 10)
#define GRANT_JWT     "urn:ietf:params:oauth:grant-type:jwt-bearer"
#define GRANT_REFRESH "refresh_token"

struct credential
credential_of(const struct http_request *request)
{
    const char *bearer = request->authorization;

    if (bearer != NULL &&
        strncasecmp(bearer, BEARER_LEAD, strlen(BEARER_LEAD)) == 0 &&
        bearer[strlen(BEARER_LEAD)] != '\0')
        return (struct credential){ CREDENTIAL_BEARER,
                                    bearer + strlen(BEARER_LEAD) };
    if (request->goog_api_key != NULL && request->goog_api_key[0] != '\0')
        return (struct credential){ CREDENTIAL_KEY, request->goog_api_key };
    if (request->key != NULL && request->key[0] != '\0')
        return (struct credential){ CREDENTIAL_KEY, request->key };
    return (struct credential){ CREDENTIAL_NONE, "" };
}

const char *
credential_name(enum credential_kind kind)
{
    switch (kind) {
    case CREDENTIAL_BEARER:
        return "bearer";
    case CREDENTIAL_KEY:
        return "key";
    case CREDENTIAL_NONE:
        break;
    }
    return "none";
}

void
credential_token(int64_t i, char text[CREDENTIAL_TOKEN_BYTES])
{
    snprintf(text, CREDENTIAL_TOKEN_BYTES, TOKEN_LEAD "%" PRId64, i);
}

static bool
is_our_token(const char *value, int64_t token_count)
{
    int64_t i;

    return str_starts_with(value, TOKEN_LEAD) &&
           str_to_int(value + strlen(TOKEN_LEAD), 1, token_count, &i) == 0;
}

enum credential_verdict
credential_judge(const struct credential *credential, const char *api_key,
                 int64_t token_count)
{
    if (credential->kind == CREDENTIAL_NONE)
        return CREDENTIAL_MISSING;
    if (api_key == NULL || strcmp(credential->value, api_key) == 0 ||
        is_our_token(credential->value, token_count))
        return CREDENTIAL_TAKEN;
    return CREDENTIAL_WRONG;
}

static bool
has_fields(const char *form, const char *const *names, struct arena *arena)
{
    for (; *names != NULL; names++) {
        const char *value = uri_query_get(form, *names, arena);

        if (value == NULL || value[0] == '\0')
            return false;
    }
    return true;
}

static const char *
judge_form(const char *form, struct arena *arena)
{
    static const char *const jwt[] = { "assertion", NULL };
    static const char *const refresh[] = { "refresh_token", "client_id",
                                           "client_secret", NULL };
    const char *grant = uri_query_get(form, "grant_type", arena);

    if (grant == NULL)
        return "invalid_request";
    if (strcmp(grant, GRANT_JWT) == 0)
        return has_fields(form, jwt, arena) ? NULL : "invalid_request";
    if (strcmp(grant, GRANT_REFRESH) == 0)
        return has_fields(form, refresh, arena) ? NULL : "invalid_request";
    return "unsupported_grant_type";
}

const char *
credential_judge_grant(const char *form)
{
    struct arena arena;
    const char *word;

    arena_init(&arena, FORM_BYTES);
    word = judge_form(form, &arena);
    arena_close(&arena);
    return word;
}
