/* credential.c - see credential.h. */
#include "modelsim/credential.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define TOKEN_LEAD  "modelsim-token-"
#define BEARER_LEAD "Bearer "

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
