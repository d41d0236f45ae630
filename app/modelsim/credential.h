/*
 * credential - what a caller shows, and whether it opens the door.
 *
 * Values are compared and forgotten: only their kind is ever passed on.
 */
#ifndef MODELSIM_CREDENTIAL_H
#define MODELSIM_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modelsim/provider.h"

#define CREDENTIAL_TOKEN_BYTES 64

enum credential_kind { CREDENTIAL_NONE, CREDENTIAL_BEARER, CREDENTIAL_KEY };

enum credential_verdict {
    CREDENTIAL_TAKEN,
    CREDENTIAL_MISSING,
    CREDENTIAL_WRONG,
};

/* Borrowed from the request. */
struct credential {
    enum credential_kind kind;
    const char *value;
};

struct credential credential_of(const struct http_request *request);
const char *credential_name(enum credential_kind kind);

/* api_key is the one that is wanted, or NULL; the tokens that we gave out,
 * numbered up to token_count, open every door too. */
enum credential_verdict credential_judge(const struct credential *credential,
                                         const char *api_key,
                                         int64_t token_count);

/* The form of a token request: NULL when its fields are there, else OAuth's
 * word for what is wrong, a literal. */
const char *credential_judge_grant(const char *form);

/* The text of our token number i. */
void credential_token(int64_t i, char text[CREDENTIAL_TOKEN_BYTES]);

#endif
