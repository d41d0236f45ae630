/* generation.c - see generation.h. */
#include "tandemd/generation.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guard/privacy.h"
#include "model/setup.h"
#include "tandemd/confinement.h"
#include "tandemd/listen.h"

#define ODDITY_LEN 4300 /* SOCKET_USERS and a sentence */

static int
add_peer(struct generation *generation, uid_t uid, struct err *err)
{
    if (generation->peer_count == GENERATION_MAX_PEERS)
        return err_set(err, ERR_LIMIT, "SOCKET_USERS names more than %d users",
                       GENERATION_MAX_PEERS - 2);
    generation->peers[generation->peer_count++] = uid;
    return 0;
}

/* Users this machine does not have are passed over: the default names the web
 * server's user, and not every machine has one. */
static int
find_peers(struct generation *generation, struct err *err)
{
    struct config *config = generation->config;
    char *names = arena_strdup(&config->arena, config->socket_users);
    char *rest = names;
    const char *name;

    if (names == NULL)
        return err_set(err, ERR_NOMEM, "SOCKET_USERS");
    if (add_peer(generation, 0, err) == -1 ||
        add_peer(generation, geteuid(), err) == -1)
        return -1;
    while ((name = strsep(&rest, ", ")) != NULL) {
        const struct passwd *user = name[0] != '\0' ? getpwnam(name) : NULL;

        if (user != NULL && add_peer(generation, user->pw_uid, err) == -1)
            return -1;
        if (user == NULL && name[0] != '\0' && generation->unknown_peer == NULL)
            generation->unknown_peer = name;
    }
    return 0;
}

static int
check(const struct config *config, struct err *err)
{
    struct models_config models;
    struct privacy *privacy;
    mode_t mode;

    if (listen_check(config, &mode, err) == -1)
        return -1;
    privacy = privacy_new(err);

    if (privacy == NULL)
        return -1;
    privacy_free(privacy);
    model_setup(config, &models);
    return models_check(&models, err);
}

struct generation *
generation_new(const char *config_path, char **environment, struct err *err)
{
    struct generation *generation = calloc(1, sizeof(*generation));

    if (generation == NULL) {
        err_set(err, ERR_NOMEM, "configuration");
        return NULL;
    }
    generation->next = generation;
    generation->config = config_load(config_path, environment, err);
    if (generation->config == NULL)
        goto fail;
    generation->ledger_path = config_ledger_path(generation->config);
    generation->spool_path = config_spool_path(generation->config);
    generation->checkpoint_key_path =
        config_checkpoint_key_path(generation->config);
    generation->checkpoint_path = config_checkpoint_path(generation->config);
    if (generation->ledger_path == NULL || generation->spool_path == NULL ||
        generation->checkpoint_key_path == NULL ||
        generation->checkpoint_path == NULL) {
        err_set(err, ERR_NOMEM, "STATE_DIR");
        goto fail;
    }
    if (find_peers(generation, err) == -1 ||
        check(generation->config, err) == -1)
        goto fail;
    return generation;

fail:
    generation_free(generation);
    return NULL;
}

static void
leave_ring(struct generation *generation)
{
    struct generation *before = generation;

    while (before->next != generation)
        before = before->next;
    before->next = generation->next;
}

void
generation_free(struct generation *generation)
{
    if (generation == NULL)
        return;
    leave_ring(generation);
    confinement_free(generation->confinement);
    config_free(generation->config);
    free(generation);
}

void
generation_join(struct generation *generation, struct generation *ring)
{
    generation->next = ring->next;
    ring->next = generation;
}

void
generation_forget_database(const struct generation *generation,
                           bool keep_reader)
{
    const struct generation *each = generation;

    do {
        config_forget_database(each->config, keep_reader);
        each = each->next;
    } while (each != generation);
}

void
generation_tell_oddities(const struct generation *generation,
                         void (*tell)(const char *event, const char *text))
{
    const struct config *config = generation->config;
    char text[ODDITY_LEN];

    if (config->pro.timeout_ms + config->audit_share_ms >
        config->run_deadline_ms)
        tell("odd_times",
             "PRO_TIMEOUT_S and AUDIT_SHARE_S are more than RUN_DEADLINE_S: "
             "the accurate model will be cut earlier");
    if (config->drain_ms < config->run_deadline_ms)
        tell("odd_times", "DRAIN_S is less than RUN_DEADLINE_S: a stop may cut "
                          "queries short");
    if (generation->unknown_peer == NULL ||
        strcmp(config->socket_users, CONFIG_SOCKET_USERS) == 0)
        return;
    snprintf(text, sizeof(text),
             "SOCKET_USERS names %s, whom this machine does not have: if it is "
             "the web server's user, nobody gets through to us",
             generation->unknown_peer);
    tell("odd_users", text);
}

bool
generation_knows_peer(const struct generation *generation, uid_t uid)
{
    for (size_t i = 0; i < generation->peer_count; i++)
        if (generation->peers[i] == uid)
            return true;
    return false;
}
