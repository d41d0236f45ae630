/*
 * provider - what the simulated provider answers to one HTTP request.
 *
 *     provider = provider_new(&options, &err);
 *     provider_answer(provider, &request, &answer);   per whole request
 *     provider_done(provider, &answer, outcome);      exactly once after it
 *     provider_free(provider);                        NULL is fine
 *
 * Knows paths, keys and models; knows no sockets and never waits.
 */
#ifndef MODELSIM_PROVIDER_H
#define MODELSIM_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "modelsim/script.h"
#include "modelsim/settings.h"
#include "modelsim/stats.h"

struct provider_options {
    bool needs_auth;
    const char *api_key; /* the only one that is taken; NULL: any.  Borrowed */
    struct settings_all settings;
};

/* Borrowed for the call.  Absent headers and arguments are NULL. */
struct http_request {
    const char *method;
    const char *path; /* decoded, without query */
    const char *alt;  /* of the query, as is key */
    const char *key;
    const char *authorization;
    const char *goog_api_key;
    const char *metadata_flavor;
    const char *sim;
    const char *body;
    size_t body_len;
    unsigned *roles_seen; /* bits: asked before on this connection */
};

/* The caller closes the script. */
struct answer {
    struct script script;
    bool is_counted;
    struct ticket ticket;
};

struct provider;
struct provider *provider_new(const struct provider_options *options,
                              struct err *err) ATTR_MUST_CHECK;
void provider_free(struct provider *provider);

void provider_connected(struct provider *provider);
void provider_answer(struct provider *provider,
                     const struct http_request *request, struct answer *answer);
void provider_done(struct provider *provider, const struct answer *answer,
                   enum outcome outcome);

#endif
