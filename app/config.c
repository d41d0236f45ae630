/* config.c - see config.h. */
#include "config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "client/pg.h"

#define ARENA_MAX_BYTES (1024 * 1024)
#define HOUR_MS         3600000
#define DAY_MS          86400000
#define PATH_MAX_BYTES  107 /* what fits into sun_path */
#define TEXT_MAX_BYTES  4096
#define MODEL_MAX_BYTES 128

#define AT(member) offsetof(struct config, member)

static const char *const provider_words[] = { "auto", "vertex", "gemini",
                                              "openai", NULL };
static const char *const events_words[] = { "classic", "staged", "both", NULL };
static const char *const audit_words[] = { "spool", "closed", NULL };
static const char *const failure_words[] = { "salvage", "cancel", NULL };
static const char *const level_words[] = { "DEBUG", "INFO", "WARNING", "ERROR",
                                           NULL };

#define MODEL(name, member, otherwise, help) \
    { \
        name, CONF_STRING, AT(member), otherwise, 0, MODEL_MAX_BYTES, NULL, 0, \
            help \
    }
#define TEXT(name, member, otherwise, help) \
    { \
        name, CONF_STRING, AT(member), otherwise, 0, TEXT_MAX_BYTES, NULL, 0, \
            help \
    }
#define PATH(name, member, otherwise, help) \
    { \
        name, CONF_STRING, AT(member), otherwise, 1, PATH_MAX_BYTES, NULL, \
            CONF_NEEDS_RESTART, help \
    }
#define SECRET(name, member, help) \
    { \
        name, CONF_SECRET, AT(member), "", 0, TEXT_MAX_BYTES, NULL, 0, help \
    }
#define COUNT(name, member, otherwise, min, max, flags, help) \
    { \
        name, CONF_INTEGER, AT(member), otherwise, min, max, NULL, flags, help \
    }
#define SECONDS(name, member, otherwise, min, max, help) \
    { \
        name, CONF_SECONDS, AT(member), otherwise, min, max, NULL, 0, help \
    }
#define SWITCH(name, member, otherwise, help) \
    { \
        name, CONF_BOOLEAN, AT(member), otherwise, 0, 0, NULL, 0, help \
    }
#define CHOICE(name, member, otherwise, words, help) \
    { \
        name, CONF_CHOICE, AT(member), otherwise, 0, 0, words, 0, help \
    }

/* clang-format off */
static const struct conf_option options[] = {
    PATH("STATE_DIR", state_dir, "/var/lib/tandem",
         "Folder of the embedded ledger, ledger.db"),
    { "DATABASE_URL", CONF_SECRET, AT(database_url), "", 0, TEXT_MAX_BYTES,
      NULL, CONF_NEEDS_RESTART, "PostgreSQL instead of the embedded ledger: "
      "the scribe's login, with tandem_writer" },
    { "DATABASE_READER_URL", CONF_SECRET, AT(database_reader_url), "", 0,
      TEXT_MAX_BYTES, NULL, CONF_NEEDS_RESTART,
      "Login of control workers, with tandem_reader or tandem_auditor; empty: "
      "DATABASE_URL" },
    SECONDS("DATABASE_TIMEOUT_S", database_ms, "1", 100, 30000,
            "One attempt to write to PostgreSQL; more for more than 4 MB"),
    PATH("STREAM_SOCKET", stream_socket, "/run/tandem/stream.sock",
         "FastCGI socket for /api/reasoning/"),
    PATH("CONTROL_SOCKET", control_socket, "/run/tandem/control.sock",
         "FastCGI socket for everything else"),
    PATH("SCRIBE_SOCKET", scribe_socket, "/run/tandem/scribe.sock",
         "Socket between workers and the scribe; nobody else connects"),
    { "SOCKET_MODE", CONF_STRING, AT(socket_mode), "0660", 3, 4, NULL,
      CONF_NEEDS_RESTART, "Permissions of the two FastCGI sockets, octal" },
    { "SOCKET_GROUP", CONF_STRING, AT(socket_group), "", 0, 64, NULL,
      CONF_NEEDS_RESTART,
      "Group of the two FastCGI sockets: the web server's; empty keeps ours" },
    TEXT("SOCKET_USERS", socket_users, CONFIG_SOCKET_USERS,
         "Users besides root and ourselves who may connect, by comma"),

    { "INSTANCE_NAME", CONF_STRING, AT(instance_name), "", 0, 200, NULL,
      CONF_NEEDS_RESTART,
      "Name of this Tandem in the ledger, like no other's in the same database; "
      "empty: the host's name" },
    { "AUDIT_POLICY", CONF_CHOICE, AT(audit_policy), "spool", 0, 0,
      audit_words, CONF_NEEDS_RESTART,
      "While the database is away: spool records on this host's disk, or stay "
      "closed to new queries" },
    { "SPOOL_DIR", CONF_STRING, AT(spool_dir), "", 0, TEXT_MAX_BYTES, NULL,
      CONF_NEEDS_RESTART, "Folder of the spool; empty: STATE_DIR/spool" },
    COUNT("SPOOL_MAX_BYTES", spool_max_bytes, "1073741824", 1048576,
          1099511627776, CONF_NEEDS_RESTART, "Largest size of the spool"),
    COUNT("SPOOL_RESERVE_BYTES", spool_reserve_bytes, "67108864", 0,
          1099511627776, CONF_NEEDS_RESTART,
          "New queries are refused when the spool or its disk has no more room "
          "than this; queries under way may use it"),
    SECONDS("IDEMPOTENCY_TTL_S", idempotency_ttl_ms, "86400", 1000, 7 * DAY_MS,
            "An Idempotency-Key is remembered this long"),

    { "CHECKPOINT_KEY_FILE", CONF_STRING, AT(checkpoint_key_file), "", 0,
      TEXT_MAX_BYTES, NULL, CONF_NEEDS_RESTART,
      "Key that signs checkpoints, made when there is none; empty: "
      "STATE_DIR/checkpoint.key" },
    { "CHECKPOINT_NAME", CONF_STRING, AT(checkpoint_name), "", 0, 200, NULL,
      CONF_NEEDS_RESTART,
      "Name of that key and of this ledger's logs, without blanks and plus "
      "signs; empty: as INSTANCE_NAME" },
    { "CHECKPOINT_FILE", CONF_STRING, AT(checkpoint_file), "", 0,
      TEXT_MAX_BYTES, NULL, CONF_NEEDS_RESTART,
      "Checkpoints are appended to this file, best on another disk or host; "
      "empty: STATE_DIR/checkpoints.txt" },
    { "CHECKPOINT_INTERVAL_S", CONF_SECONDS, AT(checkpoint_ms), "60", 100,
      HOUR_MS, NULL, CONF_NEEDS_RESTART,
      "Between checkpoints while entries arrive; hourly when none do" },

    COUNT("STREAM_WORKERS_MIN", stream_workers_min, "4", 1, 4096, 0,
          "Stream workers kept even when idle"),
    COUNT("STREAM_WORKERS_MAX", stream_workers_max, "64", 1, 4096,
          CONF_NEEDS_RESTART,
          "Queries served at once; the next caller gets 503"),
    COUNT("STREAM_WORKERS_SPARE", stream_workers_spare, "4", 1, 1024, 0,
          "Idle stream workers kept ready for a burst"),
    COUNT("CONTROL_WORKERS", control_workers, "2", 1, 16, 0,
          "Workers for health, metrics and listings"),
    COUNT("MAX_REQUESTS_PER_WORKER", max_requests_per_worker, "10000", 0,
          1000000000, 0, "A worker is replaced after this many; 0: never"),
    SECONDS("WORKER_IDLE_S", worker_idle_ms, "60", 100, DAY_MS,
            "Surplus idle workers are kept this long"),
    { "DRAIN_S", CONF_SECONDS, AT(drain_ms), "60", 100, HOUR_MS, NULL,
      CONF_NEEDS_RESTART,
      "A stop waits this long for running queries, then cuts them short" },
    { "CONFINE_WORKERS", CONF_BOOLEAN, AT(confine_workers), "true", 0, 0, NULL,
      CONF_NEEDS_RESTART,
      "Keep workers from opening the record and its keys (Landlock)" },

    CHOICE("FLASH_PROVIDER", flash.provider, "auto", provider_words,
           "Who serves the fast model"),
    CHOICE("PRO_PROVIDER", pro.provider, "auto", provider_words,
           "Who serves the accurate model"),
    MODEL("GEMINI_FLASH_MODEL", gemini_flash_model, "gemini-2.5-flash",
         "Id of the fast model"),
    MODEL("GEMINI_PRO_MODEL", gemini_pro_model, "gemini-2.5-pro",
         "Id of the accurate model"),
    MODEL("FLASH_MODEL", flash.model, "",
         "Id of the fast model, whoever serves it; empty: GEMINI_FLASH_MODEL"),
    MODEL("PRO_MODEL", pro.model, "",
         "Id of the accurate model, whoever serves it; empty: GEMINI_PRO_MODEL"),
    MODEL("FLASH_FALLBACK_MODEL", flash.fallback_model, "",
         "Asked instead when the fast model is not available; empty: none"),
    MODEL("PRO_FALLBACK_MODEL", pro.fallback_model, "",
         "Asked instead when the accurate model is not available; empty: none"),
    TEXT("FLASH_BASE_URL", flash.base_url, "",
         "Address of the fast model's provider, if not the usual one"),
    TEXT("PRO_BASE_URL", pro.base_url, "",
         "Address of the accurate model's provider, if not the usual one"),
    SECRET("FLASH_API_KEY", flash.api_key,
           "Key for the fast model, if not the provider's"),
    SECRET("PRO_API_KEY", pro.api_key,
           "Key for the accurate model, if not the provider's"),
    TEXT("FLASH_THINKING", flash.thinking, "",
         "Thinking budget (number) or level (word) of the fast model"),
    TEXT("PRO_THINKING", pro.thinking, "",
         "Thinking budget (number) or level (word) of the accurate model"),
    TEXT("FLASH_FALLBACK_THINKING", flash.fallback_thinking, "",
         "The same of FLASH_FALLBACK_MODEL"),
    TEXT("PRO_FALLBACK_THINKING", pro.fallback_thinking, "",
         "The same of PRO_FALLBACK_MODEL"),
    COUNT("FLASH_MAX_OUTPUT_TOKENS", flash.max_output_tokens, "0", 0, 1000000,
          0, "Length limit of the fast answer, thinking included; 0: none"),
    COUNT("PRO_MAX_OUTPUT_TOKENS", pro.max_output_tokens, "0", 0, 1000000, 0,
          "Length limit of the accurate answer, thinking included; 0: none"),
    SECONDS("FLASH_TIMEOUT_S", flash.timeout_ms, "5", 50, HOUR_MS,
            "Longest wait for the fast answer"),
    SECONDS("PRO_TIMEOUT_S", pro.timeout_ms, "45", 50, HOUR_MS,
            "Longest wait for the accurate answer"),
    SECONDS("FLASH_FIRST_TOKEN_S", flash.first_token_ms, "0", 0, HOUR_MS,
            "Longest wait for its first token; 0: FLASH_TIMEOUT_S alone"),
    SECONDS("PRO_FIRST_TOKEN_S", pro.first_token_ms, "0", 0, HOUR_MS,
            "Longest wait for its first token; 0: PRO_TIMEOUT_S alone"),
    SECONDS("CONNECT_TIMEOUT_S", connect_ms, "5", 50, 300000,
            "Longest wait for a connection to a provider"),
    SECONDS("IDLE_TIMEOUT_S", idle_ms, "30", 50, HOUR_MS,
            "Longest silence in the middle of an answer"),
    COUNT("MODEL_RETRIES", model_retries, "2", 0, 5, 0,
          "A model is asked again so often, while nothing of its answer came: "
          "after 429, 503 and lost connections, inside its time-out"),
    SECONDS("MODEL_RETRY_DELAY_S", model_retry_pause_ms, "1", 10, 60000,
            "Pause before the first of them, then doubled, unless the provider "
            "names one"),
    COUNT("BREAKER_FAILURES", breaker_failures, "5", 0, 1000, 0,
          "So many calls in a row that did not reach a model open its breaker: "
          "it counts as unavailable without being asked; 0: never"),
    SECONDS("BREAKER_WINDOW_S", breaker_window_ms, "60", 100, HOUR_MS,
            "They must lie within this time"),
    SECONDS("BREAKER_OPEN_S", breaker_open_ms, "60", 100, HOUR_MS,
            "After this time one call of the whole host tries the model again"),
    SWITCH("ADAPTIVE_TIMEOUTS", adaptive_timeouts, "false",
           "Let the time-outs of both models follow what calls really take, "
           "starting from FLASH_TIMEOUT_S and PRO_TIMEOUT_S"),
    SECONDS("ADAPTIVE_INTERVAL_S", adaptive_interval_ms, "60", 1000, HOUR_MS,
            "Least time between two changes; each is 20 % at the most"),
    SECONDS("FLASH_TIMEOUT_MIN_S", flash.timeout_min_ms, "2", 50, HOUR_MS,
            "An adaptive time-out of the fast model goes no lower"),
    SECONDS("FLASH_TIMEOUT_MAX_S", flash.timeout_max_ms, "10", 50, HOUR_MS,
            "An adaptive time-out of the fast model goes no higher"),
    SECONDS("PRO_TIMEOUT_MIN_S", pro.timeout_min_ms, "20", 50, HOUR_MS,
            "An adaptive time-out of the accurate model goes no lower"),
    SECONDS("PRO_TIMEOUT_MAX_S", pro.timeout_max_ms, "60", 50, HOUR_MS,
            "An adaptive time-out of the accurate model goes no higher"),
    COUNT("MAX_ANSWER_BYTES", max_answer_bytes, "4194304", 1024, 8388608, 0,
          "Longest answer text taken from one model"),
    TEXT("PROJECT_ID", project, "", "Google Cloud project, for vertex"),
    TEXT("LOCATION", location, "us-central1",
         "Google Cloud location, for vertex"),
    TEXT("GOOGLE_APPLICATION_CREDENTIALS", credentials_file, "",
         "Service account or authorized user file, for vertex; empty: the "
         "metadata server"),
    TEXT("GCE_METADATA_HOST", metadata_host, "",
         "Host of the metadata server, if not the usual one"),
    TEXT("VERTEX_BASE_URL", vertex_base_url, "",
         "Address of Vertex AI, if not the location's own"),
    SECRET("GEMINI_API_KEY", gemini_api_key,
           "Key of the Gemini Developer API, for gemini"),
    TEXT("GEMINI_BASE_URL", gemini_base_url, "",
         "Address of the Gemini Developer API, if not Google's"),
    TEXT("OPENAI_BASE_URL", openai_base_url, "",
         "Address of an OpenAI-compatible server up to /v1, for openai"),
    SECRET("OPENAI_API_KEY", openai_api_key,
           "Key of the OpenAI-compatible server; may be empty"),
    TEXT("OPENAI_MAX_TOKENS_NAME", openai_max_tokens_name, "max_tokens",
         "What that server calls the length limit"),
    SWITCH("PROVIDER_HTTP2", http2, "false",
           "Speak HTTP/2 to providers; Debian 12's curl can report cut streams "
           "as whole there, so answers then rest on end markers alone"),

    SECONDS("RUN_DEADLINE_S", run_deadline_ms, "50", 100, HOUR_MS,
            "Every query has ended by then, record included"),
    SECONDS("AUDIT_SHARE_S", audit_share_ms, "2", 10, 60000,
            "Part of the deadline kept for writing the record"),
    COUNT("HEARTBEAT_MS", heartbeat_ms, "1000", 50, 60000, 0,
          "A comment line goes to the client this often, in milliseconds"),
    CHOICE("FLASH_FAILURE_POLICY", flash_failure_cancels, "salvage",
           failure_words,
           "When the fast model fails: salvage the accurate answer, or cancel"),
    SWITCH("EARLY_FLASH_TERMINATION", early_flash_termination, "true",
           "Stop the fast model when the accurate one was faster"),
    CHOICE("SSE_DEFAULT_EVENTS", default_events, "classic", events_words,
           "Event vocabulary for callers who do not name one"),
    COUNT("MAX_BODY_BYTES", max_body_bytes, "262144", 256, 8388608, 0,
          "Longest request body"),
    COUNT("MAX_QUERY_CHARS", max_query_chars, "32768", 1, 8388608, 0,
          "Longest query, in characters"),
    SWITCH("REDACT_BEFORE_MODEL", redact_before_model, "true",
           "Models see the redacted text too; if not, an answer may repeat "
           "personal text, and answers are stored as they came"),

    SWITCH("ENABLE_AUTH", enable_auth, "false",
           "Ask for API_KEY in X-API-Key, except on health paths"),
    SECRET("API_KEY", api_key, "The key callers must show, 16 bytes or more; with ENABLE_AUTH"),

    CHOICE("LOG_LEVEL", log_level, "INFO", level_words,
           "Least level that is logged"),
    { "LOG_FILE", CONF_STRING, AT(log_file), "", 0, TEXT_MAX_BYTES, NULL,
      CONF_NEEDS_RESTART,
      "Append log lines to this file; empty: standard error" },
    SWITCH("ENABLE_METRICS", enable_metrics, "true",
           "Serve /metrics; otherwise it is 404"),
};
/* clang-format on */

const struct conf_table config_table = { options, ARRAY_LEN(options) };

/* ---- what one option alone cannot know ----------------------------------- */

static bool
is_set(const char *text)
{
    return text[0] != '\0';
}

static int
choose_provider(const struct config *config, struct config_role *role,
                struct err *err)
{
    if (role->provider != CONFIG_PROVIDER_AUTO)
        return 0;
    if (is_set(config->project))
        role->provider = CONFIG_PROVIDER_VERTEX;
    else if (is_set(config->gemini_api_key))
        role->provider = CONFIG_PROVIDER_GEMINI;
    else if (is_set(config->openai_base_url))
        role->provider = CONFIG_PROVIDER_OPENAI;
    else
        return err_set(err, ERR_INVALID,
                       "no model provider: set PROJECT_ID (Vertex AI), "
                       "GEMINI_API_KEY (Gemini API) or OPENAI_BASE_URL");
    return 0;
}

/* A role's own value wins over its provider's, that over the built-in one. */
static void
complete_role(const struct config *config, struct config_role *role,
              const char *model)
{
    role->model = str_or(role->model, model);
    switch ((enum config_provider)role->provider) {
    case CONFIG_PROVIDER_VERTEX:
        role->base_url = str_or(role->base_url, config->vertex_base_url);
        break;
    case CONFIG_PROVIDER_GEMINI:
        role->base_url = str_or(role->base_url, config->gemini_base_url);
        role->api_key = str_or(role->api_key, config->gemini_api_key);
        break;
    case CONFIG_PROVIDER_OPENAI:
        role->base_url = str_or(role->base_url, config->openai_base_url);
        role->api_key = str_or(role->api_key, config->openai_api_key);
        break;
    case CONFIG_PROVIDER_AUTO:
        break;
    }
}

/* Their form only: a database that is away must not keep us from starting. */
static int
check_url(const char *name, const char *url, struct err *err)
{
    struct pg *pg;

    if (!is_set(url))
        return 0;
    pg = pg_new(&(struct pg_options){ .url = url, .application = "" }, err);
    if (pg == NULL) {
        err_prefix(err, "%s", name);
        return -1;
    }
    pg_free(pg);
    return 0;
}

static int
check_database(const struct config *config, struct err *err)
{
    if (is_set(config->database_reader_url) && !is_set(config->database_url))
        return err_set(err, ERR_INVALID,
                       "DATABASE_READER_URL is set, but DATABASE_URL is not");
    if (check_url("DATABASE_URL", config->database_url, err) == -1)
        return -1;
    return check_url("DATABASE_READER_URL", config->database_reader_url, err);
}

static int
check_whole(const struct config *config, struct err *err)
{
    if (config->enable_auth && strlen(config->api_key) < 16)
        return err_set(err, ERR_INVALID,
                       "ENABLE_AUTH=true needs API_KEY of 16 bytes or more");
    if (!config->enable_auth && is_set(config->api_key))
        return err_set(err, ERR_INVALID,
                       "API_KEY is set, but nobody is asked for it: set "
                       "ENABLE_AUTH=true as well, or leave API_KEY empty");
    if (config->stream_workers_min > config->stream_workers_max)
        return err_set(err, ERR_INVALID,
                       "STREAM_WORKERS_MIN is above STREAM_WORKERS_MAX");
    if (config->spool_reserve_bytes >= config->spool_max_bytes)
        return err_set(err, ERR_INVALID,
                       "SPOOL_RESERVE_BYTES is not below SPOOL_MAX_BYTES");
    if (config->flash.timeout_min_ms > config->flash.timeout_max_ms ||
        config->pro.timeout_min_ms > config->pro.timeout_max_ms)
        return err_set(err, ERR_INVALID,
                       "FLASH_TIMEOUT_MIN_S or PRO_TIMEOUT_MIN_S is above its "
                       "_MAX_S");
    if (config->audit_share_ms * 2 > config->run_deadline_ms)
        return err_set(err, ERR_INVALID,
                       "AUDIT_SHARE_S is more than half of RUN_DEADLINE_S");
    return check_database(config, err);
}

static int
complete(struct config *config, struct err *err)
{
    if (choose_provider(config, &config->flash, err) == -1 ||
        choose_provider(config, &config->pro, err) == -1)
        return -1;
    complete_role(config, &config->flash, config->gemini_flash_model);
    complete_role(config, &config->pro, config->gemini_pro_model);
    return check_whole(config, err);
}

/* ---- loading ------------------------------------------------------------- */

struct config *
config_load(const char *path, char **environment, struct err *err)
{
    struct config *config = calloc(1, sizeof(*config));

    if (config == NULL) {
        err_set(err, ERR_NOMEM, "configuration");
        return NULL;
    }
    arena_init(&config->arena, ARENA_MAX_BYTES);
    if (conf_defaults(&config_table, config, &config->arena, err) == -1 ||
        (path != NULL && conf_read_file(&config_table, path, config,
                                        &config->arena, err) == -1) ||
        conf_read_environment(&config_table, environment, config,
                              &config->arena, err) == -1 ||
        complete(config, err) == -1) {
        config_free(config);
        return NULL;
    }
    return config;
}

void
config_free(struct config *config)
{
    if (config == NULL)
        return;
    arena_wipe(&config->arena);
    arena_close(&config->arena);
    free(config);
}

/* The string is the arena's, so it is ours to overwrite. */
static void
forget(const char **secret, const char *name)
{
    const char *variable = getenv(name);

    explicit_bzero((void *)(uintptr_t)*secret, strlen(*secret));
    *secret = "";
    if (variable != NULL)
        explicit_bzero((void *)(uintptr_t)variable, strlen(variable));
}

void
config_forget_database(struct config *config, bool keep_reader)
{
    if (keep_reader && !is_set(config->database_reader_url))
        return; /* it reads with the writer's */
    forget(&config->database_url, "DATABASE_URL");
    if (!keep_reader)
        forget(&config->database_reader_url, "DATABASE_READER_URL");
}

const char *
config_reader_url(const struct config *config)
{
    return str_or(config->database_reader_url, config->database_url);
}

const char *
config_ledger_path(struct config *config)
{
    return arena_printf(&config->arena, "%s/ledger.db", config->state_dir);
}

const char *
config_checkpoint_key_path(struct config *config)
{
    if (is_set(config->checkpoint_key_file))
        return config->checkpoint_key_file;
    return arena_printf(&config->arena, "%s/checkpoint.key", config->state_dir);
}

const char *
config_checkpoint_path(struct config *config)
{
    if (is_set(config->checkpoint_file))
        return config->checkpoint_file;
    return arena_printf(&config->arena, "%s/checkpoints.txt",
                        config->state_dir);
}

const char *
config_spool_path(struct config *config)
{
    if (is_set(config->spool_dir))
        return config->spool_dir;
    return arena_printf(&config->arena, "%s/spool", config->state_dir);
}
