/*
 * doctor.c - tandemctl doctor: look at everything that the service stands on,
 * and say what to do where it is not as it should be.
 *
 * It changes nothing, buys nothing, and needs no running service.
 */
#include "tandemctl/command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/http.h"
#include "client/pg.h"
#include "config.h"
#include "ledger/reader.h"
#include "ledger/spool.h"
#include "ledger/store.h"
#include "model/reach.h"
#include "model/setup.h"
#include "sys/confine.h"
#include "sys/fd.h"
#include "sys/sock.h"

#define ASK_MS     5000
#define MAX_SKEW_S 5
#define MIN_DAYS   30
#define MB         (1024 * 1024)
#define MAX_TEXT   512
#define REQUEST_MS 2000

#define TRUNCATE_ABI 3 /* of Landlock: the first that stops truncate(2) */

enum verdict { FINE, WORTH_KNOWING, WRONG };

struct doctor {
    struct config *config;
    bool json;
    bool failed_to_print;
    size_t wrong_count;
};

/* ---- telling ------------------------------------------------------------- */

static const char *
verdict_name(enum verdict verdict)
{
    static const char *const names[] = { "ok", "note", "WRONG" };

    return names[verdict];
}

static void
tell_json(struct doctor *doctor, enum verdict verdict, const char *what,
          const char *text)
{
    json_t *line = json_pack("{s:s, s:s, s:s}", "check", what, "verdict",
                             verdict_name(verdict), "text", text);

    if (line == NULL || !command_print_json(line))
        doctor->failed_to_print = true;
    json_decref(line);
}

/* One line for each check. */
static void tell(struct doctor *doctor, enum verdict verdict, const char *what,
                 const char *fmt, ...) ATTR_PRINTF(4, 5);

static void
tell(struct doctor *doctor, enum verdict verdict, const char *what,
     const char *fmt, ...)
{
    char text[MAX_TEXT];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (verdict == WRONG)
        doctor->wrong_count++;
    if (doctor->json) {
        tell_json(doctor, verdict, what, text);
        return;
    }
    printf("%-5s  %-13s  ", verdict_name(verdict), what);
    command_print_in_line(text);
    putchar('\n');
    fflush(stdout); /* the next one may take seconds */
}

/* ---- providers and the clock --------------------------------------------- */

static void
look_at_clock(struct doctor *doctor, const char *witness, int64_t skew_s)
{
    if (skew_s > MAX_SKEW_S || skew_s < -MAX_SKEW_S)
        tell(doctor, WRONG, "clock",
             "%" PRId64 " s off from %s: entries would get wrong times and "
             "Google's tokens be refused; set it (timedatectl, chrony)",
             skew_s, witness);
    else
        tell(doctor, FINE, "clock", "within %d s of %s", MAX_SKEW_S, witness);
}

static void
look_at_provider(struct doctor *doctor, const struct models_config *models,
                 enum model_role role)
{
    const char *what = role == MODEL_FLASH ? "flash" : "pro";
    struct reached reached;
    struct err err = { 0 };

    if (reach_provider(models, role, clock_mono_ms() + ASK_MS, &reached,
                       &err) == -1) {
        tell(doctor, WRONG, what,
             "%s does not answer: %s. Look at its address (%s_BASE_URL), the "
             "network and the firewall",
             reached.origin, err.text, role == MODEL_FLASH ? "FLASH" : "PRO");
        return;
    }
    tell(doctor, FINE, what, "%s answers; model %s", reached.origin,
         models->roles[role].model);
    if (role == MODEL_FLASH && reached.date_unix_s != 0)
        look_at_clock(doctor, reached.origin,
                      clock_unix_us() / 1000000 - reached.date_unix_s);
}

static void
look_at_providers(struct doctor *doctor)
{
    struct models_config models;
    struct err err = { 0 };

    model_setup(doctor->config, &models);
    if (models_check(&models, &err) == -1 || http_global_init(&err) == -1) {
        tell(doctor, WRONG, "models", "%s", err.text);
        return;
    }
    for (int role = 0; role < MODEL_ROLE_COUNT; role++)
        look_at_provider(doctor, &models, (enum model_role)role);
    http_global_cleanup();
}

/* ---- the ledger ---------------------------------------------------------- */

static void
look_at_schema(struct doctor *doctor, const struct store_schema *schema)
{
    if (schema->found >= schema->min && schema->found <= schema->max)
        tell(doctor, FINE, "schema", "version %" PRId64, schema->found);
    else
        tell(doctor, WRONG, "schema",
             "version %" PRId64 ", this program needs %" PRId64 " to %" PRId64
             ": %s (sql/README.md)",
             schema->found, schema->min, schema->max,
             schema->found < schema->min ? "have the missing steps deployed"
                                         : "use a newer program");
}

static void
look_at_writer(struct doctor *doctor)
{
    const struct config *config = doctor->config;
    struct store_schema schema;
    struct err err = { 0 };
    struct store *store =
        store_pg_open(config->database_url, config->database_ms, &err);

    if (store == NULL || store->ops->check(store, &schema, &err) == -1) {
        tell(doctor, WRONG, "database",
             "%s. Does it run, may this host connect (pg_hba.conf), are login "
             "and grants as in sql/README.md?",
             err.text);
    } else {
        tell(doctor, FINE, "database",
             "DATABASE_URL connects and may look at "
             "the schema");
        look_at_schema(doctor, &schema);
    }
    if (store != NULL)
        store->ops->close(store);
}

static void
tell_reader(struct doctor *doctor, struct reader *reader)
{
    const struct reader_query query = { .limit = 1 };
    struct reader_cursor next;
    struct err err = { 0 };
    json_t *page = reader_list(reader, &query, &next, &err);

    if (page == NULL)
        tell(doctor, WRONG, "reader",
             "%s. Listings will not work: give DATABASE_READER_URL a login "
             "with tandem_reader or tandem_auditor",
             err.text);
    else if (!reader_sees_texts(reader))
        tell(doctor, WORTH_KNOWING, "reader",
             "it may not see texts (tandem_auditor may): listings show null");
    else
        tell(doctor, FINE, "reader", "the newest run can be read");
    json_decref(page);
}

static void
look_at_reader(struct doctor *doctor, const char *path)
{
    const struct reader_place place = {
        .path = path,
        .url = config_reader_url(doctor->config),
        .application = "tandemctl",
        .request_ms = REQUEST_MS,
    };
    struct err err = { 0 };
    struct reader *reader;

    if (place.url[0] == '\0' && access(path, F_OK) == -1) {
        tell(doctor, WORTH_KNOWING, "ledger",
             "%s is not there yet: the first start makes it", path);
        return;
    }
    reader = reader_open(&place, &err);
    if (reader == NULL)
        tell(doctor, WRONG, "reader", "%s", err.text);
    else
        tell_reader(doctor, reader);
    reader_close(reader);
}

static void
look_at_ledger(struct doctor *doctor)
{
    const char *path = config_ledger_path(doctor->config);

    if (path == NULL) {
        tell(doctor, WRONG, "ledger", "not enough memory");
        return;
    }
    if (doctor->config->database_url[0] != '\0')
        look_at_writer(doctor);
    look_at_reader(doctor, path);
}

/* The one time that the reader's login is told.  False when there is none: the
 * checks before have said why. */
static bool
ask_database(const struct doctor *doctor, const char *sql, int64_t *unix_us)
{
    const struct pg_options options = { .url =
                                            config_reader_url(doctor->config),
                                        .application = "tandemctl",
                                        .mode = PG_READ };
    const int64_t deadline = clock_mono_ms() + ASK_MS;
    struct pg_query query;
    struct pg_query *const queries[] = { &query };
    const struct pg_order order = { .queries = queries, .query_count = 1 };
    bool told = false;
    struct err err = { 0 };
    struct pg *pg;

    pg_query_init(&query, sql, 0);
    pg = pg_new(&options, &err);
    if (pg != NULL && pg_start(pg, &order, deadline, &err) == 0 &&
        pg_step(pg, deadline, &err) == PG_ROW) {
        *unix_us = pg_time(pg, 0);
        told = true;
    }
    if (pg != NULL)
        pg_stop(pg);
    pg_free(pg);
    pg_query_close(&query);
    return told;
}

/* Nothing can be recorded in a month without a partition. */
static void
look_at_months(struct doctor *doctor)
{
    const int64_t day_us = INT64_C(86400) * 1000000;
    int64_t end_unix_us, days;

    if (!ask_database(doctor,
                      "SELECT min(ends) FROM (SELECT max(ends_at) AS ends "
                      "FROM tandem.partition_calendar GROUP BY parent_name) "
                      "AS horizon",
                      &end_unix_us))
        return;
    days = (end_unix_us - clock_unix_us()) / day_us;
    if (days < MIN_DAYS)
        tell(doctor, WRONG, "months",
             "the database has partitions for %" PRId64 " more days, then "
             "nothing can be recorded there: have SELECT "
             "tandem.ensure_partitions() run daily (sql/README.md)",
             days > 0 ? days : 0);
    else
        tell(doctor, FINE, "months", "partitions for %" PRId64 " more days",
             days);
}

static void
look_at_database(struct doctor *doctor)
{
    int64_t unix_us;

    if (config_reader_url(doctor->config)[0] == '\0')
        return;
    look_at_months(doctor);
    if (ask_database(doctor, "SELECT clock_timestamp()", &unix_us))
        look_at_clock(doctor, "the database",
                      (clock_unix_us() - unix_us) / 1000000);
}

/* ---- this host ----------------------------------------------------------- */

static void
look_at_disk(struct doctor *doctor, const char *what, const char *folder,
             const char *danger)
{
    const int64_t wanted = 2 * doctor->config->spool_reserve_bytes;
    struct statvfs disk;
    int64_t left;

    if (statvfs(folder, &disk) == -1) {
        tell(doctor, WORTH_KNOWING, what,
             "%s is not there yet, or may not be read by you", folder);
        return;
    }
    left = (int64_t)(disk.f_bavail * disk.f_frsize);
    if (left < wanted)
        tell(doctor, WRONG, what,
             "%" PRId64 " MB left under %s, and SPOOL_RESERVE_BYTES is %" PRId64
             " MB: %s; make room",
             left / MB, folder, doctor->config->spool_reserve_bytes / MB,
             danger);
    else
        tell(doctor, FINE, what, "%" PRId64 " MB left under %s", left / MB,
             folder);
}

static bool
are_on_one_disk(const char *one, const char *other)
{
    struct stat first, second;

    return stat(one, &first) == 0 && stat(other, &second) == 0 &&
           first.st_dev == second.st_dev;
}

/* The reserve is kept where the spool is; the ledger may lie elsewhere. */
static void
look_at_disks(struct doctor *doctor, const char *spool)
{
    const char *state = doctor->config->state_dir;
    const bool has_spool = access(spool, F_OK) == 0; /* made at first start */

    look_at_disk(doctor, "disk", has_spool ? spool : state,
                 "queries are refused below that");
    if (has_spool && !are_on_one_disk(spool, state))
        look_at_disk(doctor, "state disk", state, "the ledger needs room");
}

static void
look_at_spool(struct doctor *doctor, const char *folder)
{
    struct spool_counts counts;
    struct err err = { 0 };

    if (spool_look(folder, &counts, &err) == -1)
        tell(doctor, WORTH_KNOWING, "spool",
             "%s. The first start makes it; else run this as root or as "
             "tandemd's user",
             err.text);
    else if (counts.set_aside > 0)
        tell(doctor, WRONG, "spool",
             "%zu batches in %s/%s that the database would not take: the log "
             "says why (ledger_batch_set_aside); mend it, then tandemctl "
             "spool drain --set-aside",
             counts.set_aside, folder, SPOOL_BAD);
    else if (counts.batches > 0)
        tell(doctor, WORTH_KNOWING, "spool",
             "%zu batches wait for the database; tandemctl spool drain asks "
             "for an attempt now",
             counts.batches);
    else
        tell(doctor, FINE, "spool", "empty");
}

static void
look_at_service(struct doctor *doctor)
{
    const char *path = doctor->config->control_socket;
    struct err err = { 0 };
    int fd = sock_connect_unix(path, &err);

    if (fd == -1)
        tell(doctor, WORTH_KNOWING, "service",
             "nobody listens on %s: tandemd does not run (%s)", path, err.text);
    else
        tell(doctor, FINE, "service", "tandemd listens on %s", path);
    fd_close(&fd);
}

static void
look_at_confinement(struct doctor *doctor)
{
    static const char what[] = "confinement";
    const int abi = confine_abi();

    if (!doctor->config->confine_workers)
        tell(doctor, WORTH_KNOWING, what,
             "CONFINE_WORKERS is false: a worker that is taken over can open "
             "the ledger's file and the signing key");
    else if (abi == 0)
        tell(doctor, WORTH_KNOWING, what,
             "this kernel has no Landlock: a worker that is taken over can "
             "open the ledger's file and the signing key. Linux 5.13 has it, "
             "unless the boot parameter lsm= leaves it out");
    else if (abi < TRUNCATE_ABI)
        tell(doctor, WORTH_KNOWING, what,
             "Landlock %d: workers cannot open the record, but before Linux "
             "6.2 one that is taken over can cut its files short",
             abi);
    else
        tell(doctor, FINE, what, "Landlock %d: workers cannot open the record",
             abi);
}

static void
look_at_host(struct doctor *doctor)
{
    const char *spool = config_spool_path(doctor->config);

    if (spool == NULL) {
        tell(doctor, WRONG, "spool", "not enough memory");
        return;
    }
    look_at_disks(doctor, spool);
    look_at_spool(doctor, spool);
    look_at_confinement(doctor);
    look_at_service(doctor);
}

/* ---- all of it ----------------------------------------------------------- */

static enum command_exit
conclude(const struct doctor *doctor)
{
    if (doctor->failed_to_print)
        return command_complain("not enough memory");
    if (doctor->wrong_count == 0)
        return COMMAND_OK;
    if (!doctor->json)
        printf("%zu of these want mending.\n", doctor->wrong_count);
    return COMMAND_NEGATIVE;
}

enum command_exit
command_doctor(const struct command_options *options)
{
    struct doctor doctor = { .json = options->json };
    struct err err = { 0 };

    doctor.config = config_load(options->config, environ, &err);
    if (doctor.config == NULL) {
        tell(&doctor, WRONG, "configuration", "%s", err.text);
        return conclude(&doctor);
    }
    tell(&doctor, FINE, "configuration", "%s",
         options->config != NULL ? options->config : "from the environment");
    look_at_providers(&doctor);
    look_at_ledger(&doctor);
    look_at_database(&doctor);
    look_at_host(&doctor);
    config_free(doctor.config);
    return conclude(&doctor);
}
