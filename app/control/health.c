/* health.c - the health pages of pages.h. */
#include "control/pages.h"

#include "base/clock.h"
#include "guard/breakers.h"
#include "guard/provider.h"
#include "metrics.h"
#include "model/model.h"
#include "text/jsonw.h"

static int
status_of(const struct jsonw *json, bool good)
{
    if (jsonw_failed(json))
        return 500;
    return good ? 200 : 503;
}

static bool
ledger_is_served(const struct control_config *config)
{
    return !metrics_ledger().failing &&
           board_count(config->board, config->scribe_pool,
                       1u << BOARD_IDLE | 1u << BOARD_BUSY) > 0;
}

/* Leaves the object open. */
static void
write_provider(struct jsonw *json, const char *name,
               const struct provider_view *view)
{
    char last_attempt[CLOCK_UTC_LEN];

    jsonw_object(json, name);
    jsonw_bool(json, "initialized", view->initialized);
    jsonw_string(json, "last_error",
                 view->last_error[0] != '\0' ? view->last_error : NULL);
    jsonw_string(json, "hint", provider_hint(view->last_error));
    if (view->last_attempt_unix_us > 0) {
        clock_format_utc(view->last_attempt_unix_us, last_attempt);
        jsonw_string(json, "last_attempt", last_attempt);
    } else {
        jsonw_null(json, "last_attempt");
    }
    jsonw_int(json, "retry_count", (int64_t)view->failure_count);
}

static void
write_model(struct jsonw *json, enum model_role role,
            const struct provider_view *view)
{
    const enum breakers_component component =
        role == MODEL_FLASH ? BREAKERS_FLASH : BREAKERS_PRO;

    write_provider(json, model_role_name(role), view);
    jsonw_string(json, "circuit",
                 breaker_state_name(breakers_state(component)));
    jsonw_end_object(json);
}

/* The two roles as one: what hurts either hurts the service. */
static struct provider_view
worse(const struct provider_view *a, const struct provider_view *b)
{
    if (a->initialized != b->initialized)
        return a->initialized ? *b : *a;
    return a->failure_count >= b->failure_count ? *a : *b;
}

static void
write_workers(struct jsonw *json, const struct control_config *config)
{
    jsonw_object(json, "stream_workers");
    jsonw_int(json, "busy",
              (int64_t)board_count(config->board, config->stream_pool,
                                   BOARD_SERVING));
    jsonw_int(json, "max", config->config->stream_workers_max);
    jsonw_end_object(json);
}

static void
write_schema(struct jsonw *json, const struct metrics_ledger *ledger)
{
    jsonw_object(json, "schema");
    jsonw_int(json, "found", ledger->schema_found);
    jsonw_int(json, "min", ledger->schema_min);
    jsonw_int(json, "max", ledger->schema_max);
    jsonw_end_object(json);
}

static void
write_ledger(struct jsonw *json, bool available)
{
    const struct metrics_ledger ledger = metrics_ledger();

    jsonw_object(json, "ledger");
    jsonw_bool(json, "available", available);
    jsonw_bool(json, "database_away", ledger.away);
    jsonw_int(json, "spool_files", ledger.spool_batches);
    jsonw_int(json, "set_aside_files", ledger.set_aside);
    write_schema(json, &ledger);
    jsonw_end_object(json);
}

int
pages_health(const struct control_config *config, struct buf *out)
{
    const struct provider_view flash = provider_look(MODEL_FLASH);
    const struct provider_view pro = provider_look(MODEL_PRO);
    const struct provider_view both = worse(&flash, &pro);
    const bool ledger = ledger_is_served(config);
    const bool good = both.initialized && ledger;
    char now[CLOCK_UTC_LEN];
    struct jsonw json;

    clock_format_utc(clock_unix_us(), now);
    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    jsonw_string(&json, "status", good ? "healthy" : "degraded");
    jsonw_bool(&json, "ok", good);
    jsonw_string(&json, "timestamp", now);
    jsonw_string(&json, "service", "tandem");
    jsonw_string(&json, "version", TANDEM_VERSION);
    jsonw_bool(&json, "vertex_initialized", both.initialized);
    jsonw_string(&json, "project_id", config->config->project);
    jsonw_object(&json, "components");
    write_provider(&json, "vertex_ai", &both);
    jsonw_end_object(&json);
    write_model(&json, MODEL_FLASH, &flash);
    write_model(&json, MODEL_PRO, &pro);
    write_ledger(&json, ledger);
    write_workers(&json, config);
    jsonw_end_object(&json);
    jsonw_end_object(&json);
    return status_of(&json, good);
}

int
pages_livez(struct buf *out)
{
    struct jsonw json;

    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    jsonw_string(&json, "status", "alive");
    jsonw_end_object(&json);
    return status_of(&json, true);
}

int
pages_readyz(const struct control_config *config, struct buf *out)
{
    const bool provider = provider_look(MODEL_FLASH).worth_trying ||
                          provider_look(MODEL_PRO).worth_trying;
    const bool ledger = ledger_is_served(config);
    const bool staying = !metrics_is_draining();
    const struct metrics_ledger view = metrics_ledger();
    const bool schema = metrics_schema_fits(&view);
    const bool ready = provider && ledger && schema && staying;
    struct jsonw json;

    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    jsonw_bool(&json, "ready", ready);
    jsonw_array(&json, "failed");
    if (!provider)
        jsonw_string(&json, NULL, "provider");
    if (!ledger)
        jsonw_string(&json, NULL, "ledger");
    if (!schema)
        jsonw_string(&json, NULL, "schema");
    if (!staying)
        jsonw_string(&json, NULL, "draining");
    jsonw_end_array(&json);
    if (!schema)
        write_schema(&json, &view);
    jsonw_end_object(&json);
    return status_of(&json, ready);
}
