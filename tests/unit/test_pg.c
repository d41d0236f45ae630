#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "client/pg.h"
#include "support/pg_cluster.h"

#define PATIENCE_MS 20000

static struct pg *pg;
static struct pg_query query;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static int faults_after = -1;

void *
__wrap_calloc(size_t count, size_t size)
{
    if (faults_after >= 0 && faults_after-- == 0)
        return NULL;
    return __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
    if (faults_after >= 0 && faults_after-- == 0)
        return NULL;
    return __real_realloc(old, size);
}

static int64_t
patience(void)
{
    return clock_mono_ms() + PATIENCE_MS;
}

static struct pg *
client_of(const char *url, enum pg_mode mode)
{
    const struct pg_options options = { .url = url,
                                        .application = "test pg",
                                        .mode = mode };
    struct err err = { 0 };
    struct pg *client = pg_new(&options, &err);

    assert_non_null(client);
    return client;
}

static struct pg *
client(enum pg_mode mode)
{
    char url[512];

    snprintf(url, sizeof(url), "host=%s dbname=postgres user=super",
             pg_cluster_folder());
    return client_of(url, mode);
}

static int
run_order(struct pg *client, const struct pg_order *order, int64_t deadline,
          struct err *err)
{
    if (pg_start(client, order, deadline, err) == -1)
        return -1;
    return pg_finish(client, deadline, err);
}

static void
ask(const char *sql)
{
    pg_query_close(&query);
    pg_query_init(&query, sql, 1u << 20);
}

static int
start(struct err *err)
{
    struct pg_query *queries[] = { &query };
    const struct pg_order order = { .queries = queries, .query_count = 1 };

    return pg_start(pg, &order, patience(), err);
}

static int
run_until(int64_t deadline, struct err *err)
{
    struct pg_query *queries[] = { &query };
    const struct pg_order order = { .queries = queries, .query_count = 1 };

    return run_order(pg, &order, deadline, err);
}

static int
run(const char *sql, struct err *err)
{
    ask(sql);
    return run_until(patience(), err);
}

static int
set_up(void **state)
{
    (void)state;
    return pg_cluster_start();
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
    pg = client(PG_WRITE);
    pg_query_init(&query, "", 0);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    pg_query_close(&query);
    pg_free(pg);
    return 0;
}

/* ---- what goes in and comes out ---------------------------------------- */

static void
every_type_comes_back_as_it_went_in(void **state)
{
    static const char text[] = "\\ ' \" \n \xf0\x9f\x98\x80";
    static const uint8_t bytes[] = { 0, 1, 255, 0 };
    const struct uuid id = { { 1, 2, 3, 4, 255 } };
    struct uuid found;
    struct err err = { 0 };
    size_t len;

    (void)state;
    ask("SELECT $1, $2, $3, $4, $5, $6, $1::int4, $7 = 'x'");
    pg_add_int(&query, -7);
    pg_add_text(&query, text, strlen(text));
    pg_add_bytes(&query, bytes, sizeof(bytes));
    pg_add_uuid(&query, &id);
    pg_add_time(&query, 1774000000123456);
    pg_add_null(&query, PG_TEXT);
    pg_add_text(&query, "", 0);
    assert_int_equal(start(&err), 0);
    assert_int_equal(pg_step(pg, patience(), &err), PG_ROW);
    assert_int_equal(pg_query_index(pg), 0);
    assert_int_equal(pg_int(pg, 0), -7);
    assert_string_equal(pg_text(pg, 1, &len), text);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(pg_text(pg, 2, &len), bytes, sizeof(bytes));
    assert_int_equal(len, sizeof(bytes));
    assert_int_equal(pg_uuid(pg, 3, &found), 0);
    assert_memory_equal(&found, &id, sizeof(id));
    assert_int_equal(pg_time(pg, 4), 1774000000123456);
    assert_true(pg_is_null(pg, 5));
    assert_null(pg_text(pg, 5, NULL));
    assert_int_equal(pg_int(pg, 6), -7);
    assert_int_equal(pg_int(pg, 7), 0);
    assert_int_equal(pg_uuid(pg, 0, &found), -1);
    assert_int_equal(pg_step(pg, patience(), &err), PG_DONE);
}

static void
arrays_hold_values_nulls_or_nothing(void **state)
{
    const struct uuid id = { { 9 } };
    struct err err = { 0 };

    (void)state;
    ask("SELECT $1::text, $2::text, $3::text, cardinality($4), $5::text,"
        " $6 = ARRAY['2026-03-20T09:46:40.123456Z'::timestamptz]");
    pg_array_begin(&query, PG_INT8);
    pg_add_int(&query, 1);
    pg_add_null(&query, PG_INT8);
    pg_add_int(&query, 3);
    pg_array_end(&query);
    pg_array_begin(&query, PG_TEXT);
    pg_add_str(&query, "a,b");
    pg_add_str(&query, "");
    pg_array_end(&query);
    pg_array_begin(&query, PG_BYTEA);
    pg_add_bytes(&query, "\x01\x02", 2);
    pg_array_end(&query);
    pg_array_begin(&query, PG_UUID);
    pg_array_end(&query);
    pg_array_begin(&query, PG_UUID);
    pg_add_uuid(&query, &id);
    pg_array_end(&query);
    pg_array_begin(&query, PG_TIMESTAMPTZ);
    pg_add_time(&query, 1774000000123456);
    pg_array_end(&query);
    assert_int_equal(start(&err), 0);
    assert_int_equal(pg_step(pg, patience(), &err), PG_ROW);
    assert_string_equal(pg_text(pg, 0, NULL), "{1,NULL,3}");
    assert_string_equal(pg_text(pg, 1, NULL), "{\"a,b\",\"\"}");
    assert_string_equal(pg_text(pg, 2, NULL), "{\"\\\\x0102\"}");
    assert_int_equal(pg_int(pg, 3), 0);
    assert_string_equal(pg_text(pg, 4, NULL),
                        "{09000000-0000-0000-0000-000000000000}");
    assert_int_equal(pg_int(pg, 5), 1);
    assert_int_equal(pg_step(pg, patience(), &err), PG_DONE);
}

static void
what_does_not_fit_is_told_before_anything_is_sent(void **state)
{
    struct err err = { 0 };

    (void)state;
    pg_query_init(&query, "SELECT $1", 4);
    pg_add_str(&query, "hello");
    assert_int_equal(run_until(patience(), &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_false(pg_is_connected(pg));
}

static void
statements_are_one_transaction_and_rows_say_whose_they_are(void **state)
{
    struct pg_query other;
    struct pg_query *queries[] = { &query, &other };
    const struct pg_order order = { .queries = queries,
                                    .query_count = 2,
                                    .statement_ms = 10000 };
    struct err err = { 0 };
    int64_t transaction;

    (void)state;
    assert_int_equal(run("SET synchronous_commit = off", &err), 0);
    pg_query_init(&other, "SELECT txid_current() FROM generate_series(1, 2)",
                  0);
    ask("SELECT txid_current(), current_setting('synchronous_commit'),"
        " current_setting('transaction_isolation'),"
        " current_setting('application_name'),"
        " current_setting('statement_timeout'),"
        " current_setting('lock_timeout')");
    assert_int_equal(pg_start(pg, &order, patience(), &err), 0);
    assert_int_equal(pg_step(pg, patience(), &err), PG_ROW);
    transaction = pg_int(pg, 0);
    assert_string_equal(pg_text(pg, 1, NULL), "on");
    assert_string_equal(pg_text(pg, 2, NULL), "read committed");
    assert_string_equal(pg_text(pg, 3, NULL), "test pg");
    assert_string_equal(pg_text(pg, 4, NULL), "9s");
    assert_string_equal(pg_text(pg, 5, NULL), "5s");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pg_step(pg, patience(), &err), PG_ROW);
        assert_int_equal(pg_query_index(pg), 1);
        assert_int_equal(pg_int(pg, 0), transaction);
    }
    assert_int_equal(pg_step(pg, patience(), &err), PG_DONE);
    pg_query_close(&other);
}

/* Its rows are still known to be its own. */
static void
who_makes_the_settings_is_given_the_limit_alone(void **state)
{
    struct pg_query *queries[] = { &query };
    const struct pg_order order = { .queries = queries,
                                    .query_count = 1,
                                    .statement_ms = 10000,
                                    .sets_itself = true };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(run("SET synchronous_commit = off", &err), 0);
    ask("SELECT current_setting('synchronous_commit'),"
        " current_setting('statement_timeout'),"
        " current_setting('lock_timeout')");
    assert_int_equal(pg_start(pg, &order, patience(), &err), 0);
    assert_int_equal(pg_step(pg, patience(), &err), PG_ROW);
    assert_int_equal(pg_query_index(pg), 0);
    assert_string_equal(pg_text(pg, 0, NULL), "off");
    assert_string_equal(pg_text(pg, 1, NULL), "9s");
    assert_string_equal(pg_text(pg, 2, NULL), "0");
    assert_int_equal(pg_step(pg, patience(), &err), PG_DONE);
}

static void
many_rows_come_one_by_one_and_may_be_left(void **state)
{
    struct err err = { 0 };
    int64_t sum = 0;
    enum pg_step step;

    (void)state;
    ask("SELECT n FROM generate_series(1, 100000) AS n");
    assert_int_equal(start(&err), 0);
    while ((step = pg_step(pg, patience(), &err)) == PG_ROW)
        sum += pg_int(pg, 0);
    assert_int_equal(step, PG_DONE);
    assert_int_equal(sum, INT64_C(100000) * 100001 / 2);
    assert_true(pg_is_connected(pg));

    assert_int_equal(start(&err), 0);
    assert_int_equal(pg_step(pg, patience(), &err), PG_ROW);
    pg_stop(pg);
    assert_false(pg_is_connected(pg));
    assert_int_equal(run("SELECT 1", &err), 0);
    pg_stop(pg);
    assert_true(pg_is_connected(pg));
}

/* ---- who is to blame --------------------------------------------------- */

static void
the_kind_says_whether_it_may_heal(void **state)
{
    static const struct {
        const char *sql;
        const char *sqlstate;
        enum err_kind kind;
    } cases[] = {
        { "INSERT INTO blame VALUES (1, 'a', 'x')", "23514", ERR_INVALID },
        { "INSERT INTO blame VALUES (NULL, 'a', '')", "23502", ERR_INVALID },
        { "INSERT INTO blame VALUES (1, 'z', '')", "23514", ERR_SYSTEM },
        { "INSERT INTO blame VALUES (2, 'a', ''), (2, 'a', '')", "23505",
          ERR_INVALID },
        { "SELECT 'seven'::int8", "22P02", ERR_INVALID },
        { "DO $$BEGIN RAISE 'x' USING ERRCODE = 'TD001'; END$$", "TD001",
          ERR_INVALID },
        { "DO $$BEGIN RAISE 'x' USING ERRCODE = 'TD002'; END$$", "TD002",
          ERR_INVALID },
        { "DO $$BEGIN RAISE 'x' USING ERRCODE = '54000'; END$$", "54000",
          ERR_LIMIT },
        { "DO $$BEGIN RAISE 'x' USING ERRCODE = '53100'; END$$", "53100",
          ERR_SYSTEM },
        { "DO $$BEGIN RAISE 'x' USING ERRCODE = '40P01'; END$$", "40P01",
          ERR_SYSTEM },
        { "DO $$BEGIN RAISE 'x' USING ERRCODE = '57P01'; END$$", "57P01",
          ERR_SYSTEM },
        { "SELECT * FROM nowhere", "42P01", ERR_SYSTEM },
        { "SET ROLE super; SELECT 1", "42601", ERR_SYSTEM },
    };

    (void)state;
    pg_cluster_sql("postgres",
                   "CREATE TABLE blame (id int NOT NULL, part text, note text "
                   "CONSTRAINT empty CHECK (note = ''), UNIQUE (id, part)) "
                   "PARTITION BY LIST (part);"
                   "CREATE TABLE blame_a PARTITION OF blame FOR VALUES IN "
                   "('a')");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };

        assert_int_equal(run(cases[i].sql, &err), -1);
        assert_string_equal(pg_sqlstate(pg), cases[i].sqlstate);
        assert_int_equal(err.kind, cases[i].kind);
        assert_non_null(strstr(err.text, cases[i].sqlstate));
        assert_null(strstr(err.text, "seven"));
        assert_false(pg_is_connected(pg));
    }
    assert_string_equal(
        pg_cluster_sql("postgres", "SELECT count(*) FROM blame"), "0");
}

static void
a_password_is_in_no_error(void **state)
{
    static const char *const urls[] = {
        "postgresql://joe:hunter2@[::1",
        "postgresql://joe:hunter2@/x?nonsense=1",
        "host=/nowhere user=joe password=hunter2",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        const struct pg_options options = { .url = urls[i],
                                            .application = "x" };
        struct err err = { 0 };
        struct pg *joe = pg_new(&options, &err);

        if (joe != NULL)
            assert_int_equal(pg_connect(joe, patience(), &err), -1);
        assert_int_equal(err.kind, joe != NULL ? ERR_SYSTEM : ERR_INVALID);
        assert_null(strstr(err.text, "hunter2"));
        pg_free(joe);
    }
}

static void
another_encoding_is_refused(void **state)
{
    char url[512];
    struct err err = { 0 };

    (void)state;
    pg_cluster_sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' "
                               "LOCALE 'C' TEMPLATE template0");
    snprintf(url, sizeof(url), "host=%s dbname=latin user=super",
             pg_cluster_folder());
    pg_free(pg);
    pg = client_of(url, PG_WRITE);
    assert_int_equal(pg_connect(pg, patience(), &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.text, "LATIN1"));
}

static void
too_many_connections_have_their_code(void **state)
{
    char url[512];
    struct err err = { 0 };

    (void)state;
    pg_cluster_sql("postgres", "CREATE ROLE crowd LOGIN CONNECTION LIMIT 0");
    snprintf(url, sizeof(url), "host=%s dbname=postgres user=crowd",
             pg_cluster_folder());
    pg_free(pg);
    pg = client_of(url, PG_WRITE);
    assert_int_equal(run("SELECT 1", &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_string_equal(pg_sqlstate(pg), "53300");
}

/* ---- time -------------------------------------------------------------- */

static void
the_server_gives_up_before_the_deadline(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(run("SELECT 1", &err), 0);
    ask("SELECT pg_sleep(60)");
    assert_int_equal(run_until(clock_mono_ms() + 5000, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_string_equal(pg_sqlstate(pg), "57014");
}

static void
a_lock_is_not_waited_for_until_the_end(void **state)
{
    struct pg *holder = client(PG_WRITE);
    struct pg_query lock;
    struct pg_query *queries[] = { &lock };
    const struct pg_order order = { .queries = queries, .query_count = 1 };
    struct err err = { 0 };

    (void)state;
    pg_cluster_sql("postgres", "CREATE TABLE held (id int)");
    pg_query_init(&lock, "SELECT pg_advisory_lock(1), 1", 0);
    assert_int_equal(run_order(holder, &order, patience(), &err), 0);
    assert_int_equal(run("SELECT 1", &err), 0);
    ask("SELECT pg_advisory_lock(1)");
    assert_int_equal(run_until(clock_mono_ms() + 4000, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_string_equal(pg_sqlstate(pg), "55P03");
    pg_query_close(&lock);
    pg_free(holder);
}

static void
a_server_that_falls_silent_costs_the_deadline_and_the_connection(void **state)
{
    struct err err = { 0 };
    int64_t began;
    pid_t backend;

    (void)state;
    ask("SELECT pg_backend_pid()");
    assert_int_equal(start(&err), 0);
    assert_int_equal(pg_step(pg, patience(), &err), PG_ROW);
    backend = (pid_t)pg_int(pg, 0);
    assert_int_equal(pg_step(pg, patience(), &err), PG_DONE);

    assert_int_equal(kill(backend, SIGSTOP), 0);
    began = clock_mono_ms();
    assert_int_equal(run_until(began + 300, &err), -1);
    assert_in_range(clock_mono_ms() - began, 300, PATIENCE_MS);
    kill(backend, SIGCONT);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "in time"));
    assert_string_equal(pg_sqlstate(pg), "");
    assert_false(pg_is_connected(pg));
}

/* Believes one client who he is, lets him in or not, and sends notices without
 * an end. */
static _Noreturn void
talk(int listen_fd, bool lets_in)
{
    static const char welcome[] = "R\0\0\0\010\0\0\0\0Z\0\0\0\005I";
    static const char notice[] = "N\0\0\0\005\0";
    const size_t welcome_len = lets_in ? sizeof(welcome) - 1 : 9;
    char bytes[6 * 8192];
    int fd = accept(listen_fd, NULL, NULL);

    if (fd == -1 || recv(fd, bytes, sizeof(bytes), 0) <= 0 ||
        send(fd, welcome, welcome_len, MSG_NOSIGNAL) == -1)
        _exit(1);
    for (size_t at = 0; at < sizeof(bytes); at += 6)
        memcpy(bytes + at, notice, 6);
    while (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
        continue;
    _exit(0);
}

static struct pg *
client_of_talker(pid_t *talker, bool lets_in)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    const int listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    char url[128];

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listen_fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listen_fd, 1), 0);
    assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&address, &len),
                     0);
    *talker = fork();
    assert_true(*talker >= 0);
    if (*talker == 0)
        talk(listen_fd, lets_in);
    close(listen_fd);
    snprintf(url, sizeof(url),
             "postgresql://super@127.0.0.1:%d/postgres?sslmode=disable",
             ntohs(address.sin_port));
    return client_of(url, PG_READ);
}

static void
a_server_that_never_stops_talking_is_left(void **state)
{
    struct pg_query *const queries[] = { &query };
    const struct pg_order order = { .queries = queries, .query_count = 1 };
    struct pg *asker;
    struct err err = { 0 };
    pid_t talker;

    (void)state;
    ask("SELECT 1");
    asker = client_of_talker(&talker, true);
    assert_int_equal(pg_connect(asker, patience(), &err), 0);
    alarm(2 * PATIENCE_MS / 1000); /* it would go on for ever */
    assert_int_equal(run_order(asker, &order, clock_mono_ms() + 300, &err), -1);
    alarm(0);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_false(pg_is_connected(asker));
    pg_free(asker);
    kill(talker, SIGKILL);
    waitpid(talker, NULL, 0);
}

static void
one_that_talks_instead_of_letting_us_in_is_left_as_well(void **state)
{
    struct pg *asker;
    struct err err = { 0 };
    pid_t talker;

    (void)state;
    asker = client_of_talker(&talker, false);
    alarm(2 * PATIENCE_MS / 1000);
    assert_int_equal(pg_connect(asker, clock_mono_ms() + 300, &err), -1);
    alarm(0);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "in time"));
    pg_free(asker);
    kill(talker, SIGKILL);
    waitpid(talker, NULL, 0);
}

static void
a_connection_that_was_ended_while_idle_is_made_anew(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_int_equal(run("SELECT 1", &err), 0);
    assert_int_equal(pg_cluster_say("down fast"), 0);
    assert_int_equal(run("SELECT 1", &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(pg_cluster_say("up"), 0);
    memset(&err, 0, sizeof(err));
    assert_int_equal(run("SELECT 1", &err), 0);
    assert_int_equal(pg_cluster_say("down fast"), 0);
    assert_int_equal(pg_cluster_say("up"), 0);
    assert_int_equal(run("SELECT 1", &err), 0);
    assert_int_equal(err.kind, ERR_NONE);
}

/* ---- several hosts ----------------------------------------------------- */

/* Takes connections and never says a word. */
static int
listen_silently(int *port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void
a_silent_host_uses_up_its_share_only_and_comes_last_then(void **state)
{
    char url[512];
    struct err err = { 0 };
    int64_t began;
    int port;
    const int silent = listen_silently(&port);

    (void)state;
    snprintf(url, sizeof(url),
             "host=127.0.0.1,%s port=%d,5432 dbname=postgres user=super",
             pg_cluster_folder(), port);
    pg_free(pg);
    pg = client_of(url, PG_WRITE);
    began = clock_mono_ms();
    assert_int_equal(pg_connect(pg, began + 8000, &err), 0);
    assert_in_range(clock_mono_ms() - began, 4000, 8000);
    assert_non_null(strstr(pg_place(pg), pg_cluster_folder()));
    assert_int_equal(err.kind, ERR_NONE);

    pg_disconnect(pg);
    assert_int_equal(pg_connect(pg, clock_mono_ms() + 8000, &err), 0);
    assert_non_null(strstr(pg_place(pg), pg_cluster_folder()));
    close(silent);
}

static void
a_writer_passes_over_a_read_only_host(void **state)
{
    char url[512];
    struct err err = { 0 };

    (void)state;
    pg_cluster_sql("postgres", "CREATE DATABASE readonly");
    pg_cluster_sql("postgres", "ALTER DATABASE readonly SET "
                               "default_transaction_read_only = on");
    snprintf(url, sizeof(url),
             "host=%s dbname=readonly user=super target_session_attrs=any",
             pg_cluster_folder());
    pg_free(pg);
    pg = client_of(url, PG_WRITE);
    assert_int_equal(pg_connect(pg, patience(), &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "read-only"));

    memset(&err, 0, sizeof(err));
    pg_free(pg);
    pg = client_of(url, PG_READ);
    assert_int_equal(run("SELECT 1", &err), 0);
    assert_int_equal(run("CREATE TABLE t ()", &err), -1);
    assert_string_equal(pg_sqlstate(pg), "25006");
    assert_int_equal(err.kind, ERR_SYSTEM);
}

static void
a_reader_may_prefer_a_standby_and_take_what_there_is(void **state)
{
    static const struct {
        const char *attrs;
        int result;
    } cases[] = { { "standby", -1 },
                  { "prefer-standby", 0 },
                  { "primary", 0 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char url[512];
        struct err err = { 0 };

        snprintf(url, sizeof(url),
                 "host=/nowhere,%s dbname=postgres user=super "
                 "target_session_attrs=%s",
                 pg_cluster_folder(), cases[i].attrs);
        pg_free(pg);
        pg = client_of(url, PG_READ);
        assert_int_equal(pg_connect(pg, patience(), &err), cases[i].result);
        assert_int_equal(err.kind != ERR_NONE, cases[i].result == -1);
    }
}

static void
names_are_looked_up(void **state)
{
    char url[512];
    struct err err = { 0 };
    int port;
    const int fd = listen_silently(&port);

    (void)state;
    close(fd); /* now nobody listens there */
    snprintf(url, sizeof(url), "postgresql://joe:hunter2@localhost:%d/x", port);
    pg_free(pg);
    pg = client_of(url, PG_READ);
    assert_int_equal(pg_connect(pg, patience(), &err), -1);
    assert_non_null(strstr(err.text, "refused"));
    assert_non_null(strstr(err.text, "localhost:"));
    assert_null(strstr(err.text, "hunter2"));

    memset(&err, 0, sizeof(err));
    pg_free(pg);
    pg = client_of("postgresql://nobody.invalid/x", PG_READ);
    assert_int_equal(pg_connect(pg, patience(), &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "nobody.invalid"));
}

/* ---- memory ------------------------------------------------------------ */

static int
say_hello(struct err *err)
{
    const struct pg_options options = {
        .url = "host=localhost,127.0.0.1 port=1 password=hunter2",
        .application = "x",
        .mode = PG_WRITE,
    };
    struct pg_query hello;
    struct pg_query *queries[] = { &hello };
    const struct pg_order order = { .queries = queries, .query_count = 1 };
    struct pg *client_of_few = pg_new(&options, err);
    int result = -1;

    pg_query_init(&hello, "SELECT $1", 100);
    pg_add_str(&hello, "hello");
    if (client_of_few != NULL)
        result = run_order(client_of_few, &order, patience(), err);
    pg_query_close(&hello);
    pg_free(client_of_few);
    return result;
}

/* Nobody listens there, so in the end that is the error. */
static void
every_allocation_may_fail(void **state)
{
    struct err err = { 0 };
    int round = 0;

    (void)state;
    do {
        assert_in_range(round, 0, 49);
        memset(&err, 0, sizeof(err));
        faults_after = round++;
        assert_int_equal(say_hello(&err), -1);
        faults_after = -1;
    } while (err.kind == ERR_NOMEM);
    assert_in_range(round, 4, 49);
    assert_int_equal(err.kind, ERR_SYSTEM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_type_comes_back_as_it_went_in),
        TEST(arrays_hold_values_nulls_or_nothing),
        TEST(what_does_not_fit_is_told_before_anything_is_sent),
        TEST(statements_are_one_transaction_and_rows_say_whose_they_are),
        TEST(who_makes_the_settings_is_given_the_limit_alone),
        TEST(many_rows_come_one_by_one_and_may_be_left),
        TEST(the_kind_says_whether_it_may_heal),
        TEST(a_password_is_in_no_error),
        TEST(another_encoding_is_refused),
        TEST(too_many_connections_have_their_code),
        TEST(the_server_gives_up_before_the_deadline),
        TEST(a_lock_is_not_waited_for_until_the_end),
        TEST(a_server_that_falls_silent_costs_the_deadline_and_the_connection),
        TEST(a_server_that_never_stops_talking_is_left),
        TEST(one_that_talks_instead_of_letting_us_in_is_left_as_well),
        TEST(a_connection_that_was_ended_while_idle_is_made_anew),
        TEST(a_silent_host_uses_up_its_share_only_and_comes_last_then),
        TEST(a_writer_passes_over_a_read_only_host),
        TEST(a_reader_may_prefer_a_standby_and_take_what_there_is),
        TEST(names_are_looked_up),
        TEST(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
