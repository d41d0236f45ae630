#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/str.h"
#include "ledger/store.h"
#include "support/ledger_fixture.h"
#include "support/pg_cluster.h"
#include "support/spoken.h"

#define ATTEMPT_MS 2000
#define REQUEST_HASH \
    "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define PATIENCE_MS 20000
#define HOST        "host-a"

static struct store *store;
static struct uuid log_id;
static int64_t next_idx;

static struct store *
open_store(const char *database, const char *user)
{
    char place[512];
    struct err err = { 0 };
    struct store *opened;

    snprintf(place, sizeof(place), "host=%s dbname=%s user=%s",
             pg_cluster_folder(), database, user);
    opened = store_pg_open(place, ATTEMPT_MS, &err);
    assert_non_null(opened);
    return opened;
}

static int
set_up(void **state)
{
    (void)state;
    if (pg_cluster_start() == -1 || pg_cluster_say("deploy ledger") == -1)
        return -1;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    return pg_cluster_stop();
}

static int
begin(void **state)
{
    (void)state;
    store = open_store("ledger", "scribe");
    next_idx = 0;
    return uuid_v7_new(&log_id, NULL);
}

static int
end(void **state)
{
    (void)state;
    store->ops->close(store);
    return 0;
}

static const char *
sql(const char *text)
{
    return pg_cluster_sql("ledger", text);
}

/* ---- entries ------------------------------------------------------------- */

static const struct entry_content asked = { .part = ENTRY_PART_QUERY,
                                            .bytes = "why? \\ \" \n",
                                            .len = 10 };

/* The next entry of the log, sealed. */
static struct seal *
make_keyed(enum entry_kind kind, const struct uuid *run_id, int64_t unix_us,
           const char *key_hash)
{
    const struct seal_place place = { log_id, next_idx++, unix_us };
    struct seal *seal = calloc(1, sizeof(*seal));
    json_t *facts =
        json_pack("{s:s, s:s, s:s, s:s}", "host", HOST, "started_at",
                  "2026-01-31T23:59:59.123456Z", "status",
                  kind == ENTRY_LEFT ? "cancelled" : "ok", "user_id", "u-1");
    struct entry_record record = { .kind = kind };
    struct err err = { 0 };
    char *text;

    if (run_id != NULL) {
        record.run_id = *run_id;
        record.parts = &asked;
        record.part_count = kind == ENTRY_ACCEPTED ? 1 : 0;
    }
    if (kind == ENTRY_LOG_OPENED)
        json_object_set_new(facts, "previous", json_null());
    if (key_hash != NULL) {
        json_object_set_new(facts, "idempotency_key", json_string(key_hash));
        json_object_set_new(facts, "request_hash", json_string(REQUEST_HASH));
    }
    text = spoken_text_take(facts);
    record.facts = text;
    record.facts_len = strlen(text);
    assert_non_null(seal);
    seal_init(seal);
    if (seal_record(seal, &record, &place, &err) == -1)
        fail_msg("%s", err.text);
    free(text);
    return seal;
}

static struct seal *
make(enum entry_kind kind, const struct uuid *run_id, int64_t unix_us)
{
    return make_keyed(kind, run_id, unix_us, NULL);
}

static void
drop(struct seal *seal)
{
    seal_close(seal);
    free(seal);
}

static int
write_one(const struct seal *seal, struct err *err)
{
    return store->ops->write(store, &seal, 1, err);
}

/* An entry of now, written. */
static struct entry_receipt
put(enum entry_kind kind, const struct uuid *run_id)
{
    struct seal *seal = make(kind, run_id, clock_unix_us());
    const struct entry_receipt receipt = seal_receipt(seal);
    struct err err = { 0 };

    if (write_one(seal, &err) == -1)
        fail_msg("%s", err.text);
    drop(seal);
    return receipt;
}

static int
count_of_log(void)
{
    char text[UUID_TEXT_LEN], question[160];

    uuid_format(&log_id, text);
    snprintf(question, sizeof(question),
             "SELECT count(*) FROM tandem.entry WHERE log_id = '%s'", text);
    return atoi(sql(question));
}

/* ---- writing ------------------------------------------------------------- */

static void
what_is_written_stands_there_with_its_columns(void **state)
{
    const struct uuid run_id = fixture_new_run();
    struct seal *seal = make(ENTRY_ACCEPTED, &run_id, 1774000000123456);
    const struct seal *batch[] = { seal };
    char text[UUID_TEXT_LEN], hex[2 * ENTRY_HASH_LEN + 1], question[512];
    struct err err = { 0 };

    (void)state;
    sql("SET ROLE tandem_owner; "
        "SELECT tandem.make_partition(p, '2026-03-01') "
        "FROM unnest(ARRAY['entry', 'content']) AS p");
    if (store->ops->write(store, batch, 1, &err) == -1)
        fail_msg("%s", err.text);
    uuid_format(&run_id, text);
    str_to_hex(seal->leaf_hash, ENTRY_HASH_LEN, hex);
    snprintf(question, sizeof(question),
             "SELECT concat_ws(' ', idx, kind, user_id, flash_model IS NULL, "
             "extract(epoch FROM recorded_at), "
             "started_at = '2026-01-31T23:59:59.123456Z', "
             "encode(leaf_hash, 'hex') = '%s', "
             "leaf_hash = sha256('\\x00'::bytea || convert_to(body, 'UTF8'))) "
             "FROM tandem.entry WHERE run_id = '%s'",
             hex, text);
    assert_string_equal(sql(question),
                        "0 accepted u-1 t 1774000000.123456 t t t");
    snprintf(question, sizeof(question),
             "SELECT concat_ws(' ', part, body = E'why? \\\\ \" \\n', "
             "(SELECT entry.body::jsonb #>> '{content,0,sha256}' "
             "FROM tandem.entry WHERE run_id = content.run_id) = "
             "encode(sha256('\\x03'::bytea || salt || "
             "convert_to(body, 'UTF8')), 'hex')) "
             "FROM tandem.content WHERE run_id = '%s'",
             text);
    assert_string_equal(sql(question), "query t t");
    drop(seal);
}

static void
the_same_batch_again_changes_nothing(void **state)
{
    const struct uuid run_id = fixture_new_run();
    struct seal *first = make(ENTRY_ACCEPTED, &run_id, clock_unix_us());
    struct seal *second = make(ENTRY_FINISHED, &run_id, clock_unix_us());
    const struct seal *batch[] = { first, second };
    struct err err = { 0 };

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(store->ops->write(store, batch, 2, &err), 0);
    assert_int_equal(count_of_log(), 2);
    assert_int_equal(write_one(second, &err), 0);
    assert_int_equal(count_of_log(), 2);
    drop(first);
    drop(second);
}

static void
another_entry_in_its_place_is_refused(void **state)
{
    const int64_t now = clock_unix_us();
    struct seal *first = make(ENTRY_ADMIN, &log_id, now);
    struct seal *other;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(write_one(first, &err), 0);
    next_idx = 0;
    other = make(ENTRY_LOG_CLOSED, NULL, now);
    assert_int_equal(write_one(other, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.text, "TD002"));
    assert_int_equal(count_of_log(), 1);
    drop(first);
    drop(other);
}

static void
one_bad_entry_takes_the_batch_with_it(void **state)
{
    const struct uuid run_id = fixture_new_run();
    const struct uuid other = fixture_new_run();
    struct seal *good = make(ENTRY_ACCEPTED, &other, clock_unix_us());
    struct seal *bad = make(ENTRY_FINISHED, &run_id, clock_unix_us());
    const struct seal *batch[] = { good, bad };
    struct err err = { 0 };

    (void)state;
    put(ENTRY_ACCEPTED, &run_id);
    put(ENTRY_FINISHED, &run_id);
    assert_int_equal(store->ops->write(store, batch, 2, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.text, "run_claim_pkey"));
    assert_int_equal(count_of_log(), 2);
    memset(&err, 0, sizeof(err));
    assert_int_equal(write_one(good, &err), 0);
    drop(good);
    drop(bad);
}

static void
a_full_batch_of_large_texts_is_written(void **state)
{
    enum { COUNT = 200, LEN = 50000 };
    struct seal *seals[COUNT];
    const struct seal *batch[COUNT];
    struct entry_content text = { .part = ENTRY_PART_PRO, .len = LEN };
    char *bytes = malloc(LEN);
    struct err err = { 0 };

    (void)state;
    assert_non_null(bytes);
    memset(bytes, '\\', LEN);
    text.bytes = bytes;
    for (int i = 0; i < COUNT; i++) {
        const struct uuid run_id = fixture_new_run();

        batch[i] = seals[i] = make(ENTRY_ACCEPTED, &run_id, clock_unix_us());
        seals[i]->parts = &text;
    }
    if (store->ops->write(store, batch, COUNT, &err) == -1)
        fail_msg("%s", err.text);
    assert_int_equal(count_of_log(), COUNT);
    assert_string_equal(
        sql("SELECT count(*) FROM tandem.content WHERE part = 'pro' "
            "AND body = repeat('\\', 50000)"),
        "200");
    for (int i = 0; i < COUNT; i++)
        drop(seals[i]);
    free(bytes);
}

/* ---- what may heal ------------------------------------------------------- */

/* The entry is refused for now, and taken when heal has run. */
static void
heals(struct seal *seal, const char *sign, const char *heal)
{
    const int before = count_of_log();
    struct err err = { 0 };

    assert_int_equal(write_one(seal, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    if (strstr(err.text, sign) == NULL)
        fail_msg("%s: wanted %s", err.text, sign);
    sql(heal);
    memset(&err, 0, sizeof(err));
    if (write_one(seal, &err) == -1)
        fail_msg("%s", err.text);
    assert_int_equal(count_of_log(), before + 1);
    drop(seal);
}

static struct seal *
make_one(void)
{
    const struct uuid run_id = fixture_new_run();

    return make(ENTRY_ACCEPTED, &run_id, clock_unix_us());
}

static void
a_missing_month_is_not_the_entrys_fault(void **state)
{
    const struct uuid run_id = fixture_new_run();

    (void)state;
    heals(make(ENTRY_ACCEPTED, &run_id, INT64_C(4102444800000000)),
          "ensure_partitions()",
          "SET ROLE tandem_owner; "
          "SELECT tandem.make_partition(p, '2100-01-01') "
          "FROM unnest(ARRAY['entry', 'content']) AS p");
}

static void
a_lock_ends_in_time(void **state)
{
    char command[512];
    FILE *holder;
    struct seal *seal = make_one();
    struct err err = { 0 };
    int64_t began;

    (void)state;
    put(ENTRY_ADMIN, &log_id); /* connected */
    snprintf(command, sizeof(command),
             "psql -X -q -U super -h %s -d ledger >/dev/null",
             pg_cluster_folder());
    holder = popen(command, "w");
    assert_non_null(holder);
    fputs("BEGIN; LOCK TABLE tandem.entry IN ACCESS EXCLUSIVE MODE;\n", holder);
    fflush(holder);
    while (strcmp(sql("SELECT count(*) FROM pg_locks WHERE granted AND "
                      "mode = 'AccessExclusiveLock' AND "
                      "relation = 'tandem.entry'::regclass"),
                  "1") != 0)
        continue;
    began = clock_mono_ms();
    assert_int_equal(write_one(seal, &err), -1);
    assert_true(clock_mono_ms() - began < ATTEMPT_MS);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "55P03"));
    fputs("ROLLBACK;\n", holder);
    pclose(holder);
    assert_int_equal(write_one(seal, &err), 0);
    drop(seal);
}

/* Tries until the outcome is the wanted one: the server hears of a setting when
 * it likes. */
static void
write_until(int wanted, struct err *err)
{
    const int64_t deadline = clock_mono_ms() + PATIENCE_MS;
    int result;

    do {
        struct seal *seal = make_one();

        assert_true(clock_mono_ms() < deadline);
        memset(err, 0, sizeof(*err));
        result = write_one(seal, err);
        drop(seal);
    } while (result != wanted);
}

static void
a_server_that_has_become_read_only_heals(void **state)
{
    struct err err = { 0 };

    (void)state;
    put(ENTRY_ADMIN, &log_id);
    sql("ALTER SYSTEM SET default_transaction_read_only = on");
    sql("SELECT pg_reload_conf()");
    write_until(-1, &err);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "25006"));
    write_until(-1, &err); /* as with a new connection */
    assert_non_null(strstr(err.text, "read-only"));
    sql("ALTER SYSTEM RESET default_transaction_read_only");
    sql("SELECT pg_reload_conf()");
    write_until(0, &err);
}

static void
no_connection_to_be_had_heals(void **state)
{
    (void)state;
    sql("ALTER ROLE scribe CONNECTION LIMIT 0");
    heals(make_one(), "too many connections",
          "ALTER ROLE scribe CONNECTION LIMIT -1");
}

static void
a_right_that_was_taken_away_heals(void **state)
{
    (void)state;
    sql("SET ROLE tandem_owner; REVOKE INSERT ON tandem.content "
        "FROM tandem_writer");
    heals(make_one(), "42501",
          "SET ROLE tandem_owner; GRANT INSERT ON tandem.content "
          "TO tandem_writer");
}

/* Its COMMIT is sent and done, but the answer never comes: it waits for a
 * standby that does not exist. */
static void
a_commit_of_unknown_outcome_may_be_sent_again(void **state)
{
    struct seal *seal = make_one();
    struct err err = { 0 };

    (void)state;
    put(ENTRY_ADMIN, &log_id);
    sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    sql("SET synchronous_commit = local; SELECT pg_reload_conf()");
    while (strcmp(sql("SHOW synchronous_standby_names"), "nobody") != 0)
        continue;
    assert_int_equal(write_one(seal, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "in time"));
    sql("ALTER SYSTEM RESET synchronous_standby_names");
    sql("SELECT pg_reload_conf()");
    while (count_of_log() != 2) /* what we were not told */
        continue;
    memset(&err, 0, sizeof(err));
    if (write_one(seal, &err) == -1)
        fail_msg("%s", err.text);
    assert_int_equal(count_of_log(), 2);
    drop(seal);
}

/* A database whose commits do not wait for the disk, and wait for locks for ever;
 * what is set when an entry comes is seen by a trigger. */
static void
a_commit_waits_for_the_disk_whatever_the_server_does(void **state)
{
    struct seal *seal = make_one();
    struct err err = { 0 };
    int result;

    (void)state;
    sql("ALTER ROLE scribe SET synchronous_commit = off");
    sql("CREATE FUNCTION public.look() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN IF current_setting('synchronous_commit') <> 'on' "
        "OR current_setting('lock_timeout') = '0' THEN "
        "RAISE EXCEPTION 'not as it has to be'; END IF; RETURN NULL; END$$");
    sql("CREATE TRIGGER look AFTER INSERT ON tandem.entry "
        "EXECUTE FUNCTION public.look()");
    result = write_one(seal, &err);
    sql("DROP TRIGGER look ON tandem.entry"); /* others write, too */
    sql("DROP FUNCTION public.look()");
    sql("ALTER ROLE scribe RESET synchronous_commit");
    drop(seal);
    if (result == -1)
        fail_msg("%s", err.text);
}

/* ---- a way that swallows ------------------------------------------------- */

/* Between a client and the server: lets so many bytes of the client's through,
 * then nothing more, and keeps both connections. */
static void
swallow(int listen_fd, long let_through)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct pollfd ends[2] = { { .events = POLLIN }, { .events = POLLIN } };
    static char bytes[65536];

    snprintf(at.sun_path, sizeof(at.sun_path), "%s/.s.PGSQL.5432",
             pg_cluster_folder());
    ends[0].fd = accept(listen_fd, NULL, NULL);
    ends[1].fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(ends[1].fd, (struct sockaddr *)&at, sizeof(at)) == -1)
        _exit(1);
    while (poll(ends, 2, -1) > 0)
        for (int i = 0; i < 2; i++) {
            ssize_t len;

            if (ends[i].revents == 0)
                continue;
            len = read(ends[i].fd, bytes, sizeof(bytes));
            if (i == 0 && len > let_through)
                len = let_through;
            if (i == 0)
                let_through -= len > 0 ? len : 0;
            for (ssize_t at_byte = 0; at_byte < len;) {
                const ssize_t sent = write(ends[1 - i].fd, bytes + at_byte,
                                           (size_t)(len - at_byte));

                if (sent <= 0)
                    _exit(1);
                at_byte += sent;
            }
            if (len <= 0)
                ends[i].fd = -1; /* never closed: nobody hears of it */
        }
    _exit(0);
}

static pid_t
start_to_swallow(const char *path, long let_through)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 1), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        swallow(fd, let_through);
    close(fd);
    return pid;
}

static void
a_batch_that_came_in_part_stands_in_nobodys_way(void **state)
{
    enum { LEN = 1000000 };
    struct entry_content text = { .part = ENTRY_PART_PRO, .len = LEN };
    struct store *ours = store;
    struct seal *seal = make_one();
    char folder[] = "/tmp/test_store_pg.XXXXXX", path[64], place[128];
    struct err err = { 0 };
    pid_t pid;

    (void)state;
    text.bytes = calloc(1, LEN);
    memset((char *)(uintptr_t)text.bytes, 'x', LEN);
    seal->parts = &text;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", folder);
    pid = start_to_swallow(path, LEN / 2);
    snprintf(place, sizeof(place), "host=%s dbname=ledger user=scribe", folder);
    store = store_pg_open(place, ATTEMPT_MS, &err);
    assert_non_null(store);
    assert_int_equal(write_one(seal, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "in time"));
    store->ops->close(store);

    store = ours; /* the server still waits for the rest of the first one */
    memset(&err, 0, sizeof(err));
    if (write_one(seal, &err) == -1)
        fail_msg("%s", err.text);
    assert_int_equal(count_of_log(), 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    unlink(path);
    rmdir(folder);
    free((char *)(uintptr_t)text.bytes);
    drop(seal);
}

static void
another_encoding_blames_no_entry(void **state)
{
    struct store *ours = store;
    struct store_schema schema;
    struct seal *seal = make_one();
    struct err err = { 0 };

    (void)state;
    pg_cluster_sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' "
                               "LOCALE 'C' TEMPLATE template0");
    store = open_store("latin", "super");
    assert_int_equal(write_one(seal, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    memset(&err, 0, sizeof(err));
    assert_int_equal(store->ops->check(store, &schema, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    store->ops->close(store);
    store = ours;
    drop(seal);
}

/* ---- questions ----------------------------------------------------------- */

static void
the_schema_is_known(void **state)
{
    struct store *empty = open_store("postgres", "super");
    struct store_schema schema;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(store->ops->check(store, &schema, &err), 0);
    assert_int_equal(schema.found, 16);
    assert_in_range(schema.found, schema.min, schema.max);
    assert_int_equal(empty->ops->check(empty, &schema, &err), 0);
    assert_int_equal(schema.found, 0);
    assert_int_equal(schema.min, STORE_PG_SCHEMA_MIN);
    assert_int_equal(err.kind, ERR_NONE);
    empty->ops->close(empty);
}

static void
an_entry_is_found_by_run_and_kind(void **state)
{
    const struct uuid run_id = fixture_new_run();
    struct entry_receipt written, found;
    struct err err = { 0 };
    struct buf body;

    (void)state;
    put(ENTRY_ACCEPTED, &run_id);
    written = put(ENTRY_FINISHED, &run_id);
    assert_int_equal(
        store->ops->find(store, &run_id, ENTRY_FINISHED, &found, &err),
        STORE_FOUND);
    assert_int_equal(found.state, written.state);
    assert_int_equal(found.idx, written.idx);
    assert_int_equal(found.recorded_unix_us, written.recorded_unix_us);
    assert_memory_equal(&found.log_id, &log_id, sizeof(log_id));
    assert_memory_equal(found.leaf_hash, written.leaf_hash, ENTRY_HASH_LEN);
    assert_int_equal(
        store->ops->find(store, &run_id, ENTRY_ORPHANED, &found, &err),
        STORE_NONE);

    buf_init(&body, SEAL_MAX_BODY_BYTES);
    assert_int_equal(
        store->ops->read_body(store, &run_id, ENTRY_ACCEPTED, &body, &err),
        STORE_FOUND);
    assert_non_null(strstr(buf_cstr(&body), "\"kind\":\"accepted\""));
    assert_int_equal(
        store->ops->read_body(store, &run_id, ENTRY_LEFT, &body, &err),
        STORE_NONE);
    buf_close(&body);
}

static void
the_last_log_is_that_of_the_host(void **state)
{
    const struct uuid first = log_id;
    const struct uuid next = fixture_new_run();
    struct merkle tree = { .size = 0 };
    uint8_t wanted[ENTRY_HASH_LEN], found[ENTRY_HASH_LEN];
    struct store_log log;
    struct uuid newest;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(store->ops->last_log(store, "host-c", &next, &log, &err),
                     STORE_NONE);
    put(ENTRY_LOG_OPENED, NULL);
    assert_int_equal(uuid_v7_new(&log_id, NULL), 0);
    next_idx = 0;
    assert_int_equal(
        merkle_append(&tree, put(ENTRY_LOG_OPENED, NULL).leaf_hash, &err), 0);
    for (int i = 0; i < 5; i++) {
        const struct uuid run_id = fixture_new_run();

        assert_int_equal(
            merkle_append(&tree, put(ENTRY_ACCEPTED, &run_id).leaf_hash, &err),
            0);
    }
    assert_int_equal(store->ops->last_log(store, HOST, &next, &log, &err),
                     STORE_FOUND);
    assert_memory_equal(&log.log_id, &log_id, sizeof(log_id));
    assert_int_equal(log.tree.size, 6);
    assert_int_equal(merkle_root(&tree, wanted, &err), 0);
    assert_int_equal(merkle_root(&log.tree, found, &err), 0);
    assert_memory_equal(found, wanted, ENTRY_HASH_LEN);
    assert_int_equal(store->ops->last_log(store, HOST, &log_id, &log, &err),
                     STORE_FOUND);
    assert_memory_equal(&log.log_id, &first, sizeof(first));
    assert_int_equal(store->ops->newest_log(store, HOST, &first, &newest, &err),
                     STORE_FOUND);
    assert_memory_equal(&newest, &log_id, sizeof(log_id));
    assert_int_equal(
        store->ops->newest_log(store, "host-c", &first, &newest, &err),
        STORE_NONE);
}

/* All of a transaction lies in a socket when its scribe dies, and the next one
 * has read the log before the server begins with it. */
static void
what_is_begun_after_the_log_was_read_is_refused(void **state)
{
    struct store *other = open_store("ledger", "scribe");
    const struct uuid next = fixture_new_run();
    const int64_t patience = clock_mono_ms() + PATIENCE_MS;
    struct seal *seal;
    struct store_log log;
    struct err err = { 0 };
    char question[80];
    pid_t backend;

    (void)state;
    put(ENTRY_LOG_OPENED, NULL);
    backend = (pid_t)atoi(sql("SELECT pid FROM pg_stat_activity WHERE usename "
                              "= 'scribe' ORDER BY backend_start DESC"));
    seal = make_one();
    assert_int_equal(kill(backend, SIGSTOP), 0);
    assert_int_equal(write_one(seal, &err), -1);
    assert_non_null(strstr(err.text, "in time"));
    assert_int_equal(other->ops->last_log(other, HOST, &next, &log, &err),
                     STORE_FOUND);
    kill(backend, SIGCONT);
    assert_memory_equal(&log.log_id, &log_id, sizeof(log_id));
    snprintf(question, sizeof(question),
             "SELECT count(*) FROM pg_stat_activity WHERE pid = %d",
             (int)backend);
    while (strcmp(sql(question), "0") != 0)
        assert_true(clock_mono_ms() < patience);
    assert_int_equal(log.tree.size, 1);
    assert_int_equal(count_of_log(), 1);
    memset(&err, 0, sizeof(err));
    assert_int_equal(write_one(seal, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.text, "TD005"));
    drop(seal);
    other->ops->close(other);
}

struct seen {
    struct uuid runs[16];
    size_t count;
};

static int
see(void *arg, const struct uuid *run_id, struct err *err)
{
    struct seen *seen = arg;

    if (seen->count == ARRAY_LEN(seen->runs))
        return err_set(err, ERR_LIMIT, "enough");
    seen->runs[seen->count++] = *run_id;
    return 0;
}

static void
open_runs_are_those_without_an_end(void **state)
{
    const struct uuid open = fixture_new_run(), ended = fixture_new_run();
    struct seen seen = { .count = 0 };
    struct err err = { 0 };

    (void)state;
    sql("ALTER TABLE tandem.open_run DISABLE TRIGGER ALL; "
        "DELETE FROM tandem.open_run; "
        "ALTER TABLE tandem.open_run ENABLE ALWAYS TRIGGER insert_only; "
        "ALTER TABLE tandem.open_run ENABLE ALWAYS TRIGGER no_truncate");
    put(ENTRY_LOG_OPENED, NULL);
    put(ENTRY_ACCEPTED, &open);
    put(ENTRY_ACCEPTED, &ended);
    put(ENTRY_FINISHED, &ended);
    assert_int_equal(store->ops->open_runs(store, HOST, see, &seen, &err), 0);
    assert_int_equal(seen.count, 1);
    assert_memory_equal(&seen.runs[0], &open, sizeof(open));
    assert_int_equal(store->ops->open_runs(store, "host-b", see, &seen, &err),
                     0);
    assert_int_equal(seen.count, 1);

    seen.count = ARRAY_LEN(seen.runs);
    assert_int_equal(store->ops->open_runs(store, HOST, see, &seen, &err), -1);
    assert_string_equal(err.text, "enough");
    put(ENTRY_ORPHANED, &open); /* the store is as good as ever */
}

static void
a_key_is_found_and_is_one_runs_at_a_time(void **state)
{
    static const char key_hash[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const struct uuid runs[] = { fixture_new_run(), fixture_new_run() };
    const int64_t now_unix_us = clock_unix_us();
    struct store_key key;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(store->ops->find_key(store, key_hash, 0, &key, &err),
                     STORE_NONE);
    for (size_t i = 0; i < 2; i++) {
        struct seal *seal =
            make_keyed(ENTRY_ACCEPTED, &runs[i], now_unix_us, key_hash);

        assert_int_equal(write_one(seal, &err), i == 0 ? 0 : -1);
        drop(seal);
    }
    assert_int_equal(err.kind, ERR_INVALID); /* it is the entry's fault */
    next_idx--;
    err = (struct err){ 0 };
    for (int ended = 0; ended < 2; ended++) {
        assert_int_equal(
            store->ops->find_key(store, key_hash, now_unix_us, &key, &err),
            STORE_FOUND);
        assert_memory_equal(&key.run_id, &runs[0], sizeof(runs[0]));
        assert_string_equal(key.request_hash, REQUEST_HASH);
        assert_int_equal(key.ended, ended);
        if (!ended)
            put(ENTRY_FINISHED, &runs[0]);
    }
    assert_int_equal(
        store->ops->find_key(store, key_hash, now_unix_us + 1, &key, &err),
        STORE_NONE);
    assert_int_equal(err.kind, ERR_NONE);
}

static void
a_checkpoint_may_be_written_twice(void **state)
{
    struct store_checkpoint checkpoint = { .size = 3,
                                           .recorded_unix_us = clock_unix_us(),
                                           .note = "tandem\n3\n" };
    struct err err = { 0 };

    (void)state;
    checkpoint.log_id = log_id;
    memset(checkpoint.root, 7, sizeof(checkpoint.root));
    for (int i = 0; i < 2; i++)
        if (store->ops->write_checkpoint(store, &checkpoint, &err) == -1)
            fail_msg("%s", err.text);
    assert_string_equal(sql("SELECT concat_ws(' ', count(*), max(size), "
                            "max(note) = E'tandem\\n3\\n', "
                            "max(encode(root, 'hex')) = repeat('07', 32)) "
                            "FROM tandem.checkpoint"),
                        "1 3 t t");
}

static void
what_is_no_url_is_refused_without_being_told(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_null(store_pg_open("postgresql://joe:hunter2@[", 1000, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_null(strstr(err.text, "hunter2"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_stands_there_with_its_columns),
        TEST(the_same_batch_again_changes_nothing),
        TEST(another_entry_in_its_place_is_refused),
        TEST(one_bad_entry_takes_the_batch_with_it),
        TEST(a_full_batch_of_large_texts_is_written),
        TEST(a_missing_month_is_not_the_entrys_fault),
        TEST(a_lock_ends_in_time),
        TEST(a_server_that_has_become_read_only_heals),
        TEST(no_connection_to_be_had_heals),
        TEST(a_right_that_was_taken_away_heals),
        TEST(a_commit_of_unknown_outcome_may_be_sent_again),
        TEST(a_commit_waits_for_the_disk_whatever_the_server_does),
        TEST(a_batch_that_came_in_part_stands_in_nobodys_way),
        TEST(another_encoding_blames_no_entry),
        TEST(the_schema_is_known),
        TEST(an_entry_is_found_by_run_and_kind),
        TEST(the_last_log_is_that_of_the_host),
        TEST(what_is_begun_after_the_log_was_read_is_refused),
        TEST(open_runs_are_those_without_an_end),
        TEST(a_key_is_found_and_is_one_runs_at_a_time),
        TEST(a_checkpoint_may_be_written_twice),
        TEST(what_is_no_url_is_refused_without_being_told),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
