/*
 * config - every setting of Tandem, in one struct filled from one table.
 *
 *     config = config_load(path, environ, &err);     path may be NULL
 *     config_free(config);
 *
 * A loaded configuration never changes: a reload makes a new one aside, and the
 * children of a generation keep the one they were forked with.
 */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "text/conf.h"

enum config_provider {
    CONFIG_PROVIDER_AUTO, /* the first that has what it needs: vertex, gemini,
                           * openai */
    CONFIG_PROVIDER_VERTEX,
    CONFIG_PROVIDER_GEMINI,
    CONFIG_PROVIDER_OPENAI,
};

enum config_audit { CONFIG_AUDIT_SPOOL, CONFIG_AUDIT_CLOSED };

enum config_events { CONFIG_CLASSIC, CONFIG_STAGED, CONFIG_BOTH };

/* What each of the two models may have of its own. */
struct config_role {
    int provider; /* enum config_provider */
    const char *model;
    const char *fallback_model;
    const char *fallback_thinking;
    const char *base_url;
    const char *api_key;
    const char *thinking;
    int64_t max_output_tokens;
    int64_t timeout_ms;
    int64_t timeout_min_ms; /* where adaptive time-outs end */
    int64_t timeout_max_ms;
    int64_t first_token_ms;
};

/* SOCKET_USERS when nobody says otherwise: the web server's user of Debian. */
#define CONFIG_SOCKET_USERS "www-data"

struct config {
    struct arena arena; /* owns every string below */

    /* where things are */
    const char *state_dir;
    const char *stream_socket;
    const char *control_socket;
    const char *scribe_socket;
    const char *socket_mode;
    const char *socket_group;
    const char *socket_users;

    /* the record */
    const char *instance_name;
    int audit_policy; /* enum config_audit */
    const char *spool_dir;
    int64_t spool_max_bytes;
    int64_t spool_reserve_bytes;
    int64_t idempotency_ttl_ms;

    /* checkpoints; the names are "" for the usual ones */
    const char *checkpoint_key_file;
    const char *checkpoint_name;
    const char *checkpoint_file;
    int64_t checkpoint_ms;

    /* the ledger in PostgreSQL; the URLs are "" without one */
    const char *database_url;
    const char *database_reader_url;
    int64_t database_ms;

    /* processes */
    int64_t stream_workers_min;
    int64_t stream_workers_max;
    int64_t stream_workers_spare;
    int64_t control_workers;
    int64_t max_requests_per_worker;
    int64_t worker_idle_ms;
    int64_t drain_ms;
    bool confine_workers;

    /* models */
    struct config_role flash;
    struct config_role pro;
    const char *gemini_flash_model;
    const char *gemini_pro_model;
    const char *project;
    const char *location;
    const char *credentials_file;
    const char *metadata_host;
    const char *gemini_api_key;
    const char *gemini_base_url;
    const char *vertex_base_url;
    const char *openai_base_url;
    const char *openai_api_key;
    const char *openai_max_tokens_name;
    bool http2;
    int64_t connect_ms;
    int64_t idle_ms;
    int64_t max_answer_bytes;
    int64_t model_retries;
    int64_t model_retry_pause_ms;
    int64_t breaker_failures;
    int64_t breaker_window_ms;
    int64_t breaker_open_ms;
    bool adaptive_timeouts;
    int64_t adaptive_interval_ms;

    /* one run */
    int64_t run_deadline_ms;
    int64_t heartbeat_ms;
    int64_t audit_share_ms;
    int flash_failure_cancels; /* 0 salvage, 1 cancel */
    bool early_flash_termination;
    int default_events; /* enum config_events */
    int64_t max_body_bytes;
    int64_t max_query_chars;
    bool redact_before_model;

    /* who may call */
    bool enable_auth;
    const char *api_key;

    /* what operators see */
    int log_level; /* enum log_level */
    const char *log_file;
    bool enable_metrics;
};

extern const struct conf_table config_table;

/* Defaults, then the file, then the environment, then what one option alone
 * cannot know.  NULL on ERR_INVALID (with file and line), ERR_SYSTEM,
 * ERR_NOMEM. */
struct config *config_load(const char *path, char **environment,
                           struct err *err) ATTR_MUST_CHECK;
void config_free(struct config *config); /* NULL is fine; leaves no secret */

/* For a process that faces the network: takes the writer's login to PostgreSQL
 * out of this configuration and the environment, and the reader's unless it
 * keeps that. */
void config_forget_database(struct config *config, bool keep_reader);

/* Where PostgreSQL is read, "" without it. */
const char *config_reader_url(const struct config *config);

/* The SQLite ledger of this configuration, and its spool.  NULL on ERR_NOMEM. */
const char *config_ledger_path(struct config *config) ATTR_MUST_CHECK;
const char *config_spool_path(struct config *config) ATTR_MUST_CHECK;

/* The key that signs checkpoints and the file they go to.  NULL on
 * ERR_NOMEM. */
const char *config_checkpoint_key_path(struct config *config) ATTR_MUST_CHECK;
const char *config_checkpoint_path(struct config *config) ATTR_MUST_CHECK;

#endif
