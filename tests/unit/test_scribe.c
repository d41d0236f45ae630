/*
 * The scribe in a process of its own, spoken to by real clerks.  The four
 * questions a child asks its master are answered here, from shared memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "client/lite.h"
#include "ledger/clerk.h"
#include "ledger/frame.h"
#include "ledger/scribe.h"
#include "prefork/board.h"
#include "prefork/child.h"
#include "support/scratch.h"
#include "support/spoken.h"
#include "sys/counters.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/sock.h"

#define WAIT_MS     20000
#define CLERK_COUNT 50
#define SPOOL_BYTES (4 << 20)
#define KEY_TTL_US  INT64_C(3600000000)

ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);
struct spool_file *__real_spool_file_read(const char *path, struct err *err);
struct spool_file *__wrap_spool_file_read(const char *path, struct err *err);
int __real_lite_commit(struct lite *db, struct err *err);
int __wrap_lite_commit(struct lite *db, struct err *err);

/* Shared with the scribe's process. */
static struct {
    atomic_bool ready;
    atomic_bool leave;
    atomic_bool hurry;
    atomic_int sends_to_live; /* the scribe dies instead of the next; -1: off */
    atomic_bool stop_after_send;
    atomic_int commits;
    atomic_int progress;
    atomic_int spool_reads;
    atomic_int reads_until_ready;
    atomic_bool stop_when_ready;
} * shared;

enum {
    FAMILY_ENTRIES,
    FAMILY_SPOOLED,
    FAMILY_REPLAYED,
    FAMILY_FAILURES,
    FAMILY_COMMIT,
    FAMILY_FAILING,
    FAMILY_AWAY,
    FAMILY_SCHEMA,
    FAMILY_SPOOL_BATCHES,
    FAMILY_SPOOL_BYTES,
    FAMILY_SET_ASIDE,
    FAMILY_CHECKPOINTS,
};

#define PLAIN(family, how) \
    [family] = { .name = #family, .help = "", .kind = how, .labels = NULL }

static const char *const kinds[] = { "log_opened", "accepted", "finished",
                                     "left",       "orphaned", "log_closed",
                                     "log_linked", "admin" };
static const char *const checkpoint_labels[] = { "made", "failed" };
static const char *const schema_labels[] = { "found", "min", "max" };
static const int64_t bounds[] = { 1000 };
static const struct counters_family families[] = {
    [FAMILY_ENTRIES] = { .name = "entries_total",
                         .help = "entries",
                         .kind = COUNTERS_COUNTER,
                         .labels = kinds,
                         .label_count = ARRAY_LEN(kinds) },
    [FAMILY_COMMIT] = { .name = "commit_seconds",
                        .help = "commits",
                        .kind = COUNTERS_HISTOGRAM,
                        .bounds = bounds,
                        .bound_count = ARRAY_LEN(bounds) },
    [FAMILY_SCHEMA] = { .name = "schema",
                        .help = "",
                        .kind = COUNTERS_GAUGE,
                        .labels = schema_labels,
                        .label_count = ARRAY_LEN(schema_labels) },
    [FAMILY_CHECKPOINTS] = { .name = "checkpoints",
                             .help = "",
                             .kind = COUNTERS_COUNTER,
                             .labels = checkpoint_labels,
                             .label_count = ARRAY_LEN(checkpoint_labels) },
    PLAIN(FAMILY_SPOOLED, COUNTERS_COUNTER),
    PLAIN(FAMILY_REPLAYED, COUNTERS_COUNTER),
    PLAIN(FAMILY_FAILURES, COUNTERS_COUNTER),
    PLAIN(FAMILY_FAILING, COUNTERS_GAUGE),
    PLAIN(FAMILY_AWAY, COUNTERS_GAUGE),
    PLAIN(FAMILY_SPOOL_BATCHES, COUNTERS_GAUGE),
    PLAIN(FAMILY_SPOOL_BYTES, COUNTERS_GAUGE),
    PLAIN(FAMILY_SET_ASIDE, COUNTERS_GAUGE),
};

static char folder[SCRATCH_PATH_LEN], store_path[128], socket_path[128],
    log_path[128];
static char spool_path[128], key_path[128], notes_path[128];
static bool closed;
static int listen_fd, wake_fd;
static pid_t scribe_pid;
static bool in_scribe;
static struct board *board;
static struct counters *metrics;

/* ---- the scribe's process ---------------------------------------------- */

void
child_ready(struct child *child)
{
    (void)child;
    atomic_store(&shared->reads_until_ready, atomic_load(&shared->spool_reads));
    atomic_store(&shared->ready, true);
    if (atomic_exchange(&shared->stop_when_ready, false))
        raise(SIGSTOP);
}

void
child_progress(struct child *child)
{
    (void)child;
    atomic_fetch_add(&shared->progress, 1);
}

bool
child_should_leave(struct child *child)
{
    uint64_t ignored;
    const ssize_t len = read(wake_fd, &ignored, sizeof(ignored));

    (void)child;
    (void)len;
    return atomic_load(&shared->leave);
}

bool
child_should_hurry(struct child *child)
{
    return child_should_leave(child) && atomic_load(&shared->hurry);
}

int
child_fd(const struct child *child)
{
    (void)child;
    return wake_fd;
}

ssize_t
__wrap_send(int fd, const void *bytes, size_t len, int flags)
{
    ssize_t sent;

    if (in_scribe && atomic_load(&shared->sends_to_live) >= 0 &&
        atomic_fetch_sub(&shared->sends_to_live, 1) == 0)
        raise(SIGKILL);
    sent = __real_send(fd, bytes, len, flags);
    if (in_scribe && atomic_exchange(&shared->stop_after_send, false))
        raise(SIGSTOP);
    return sent;
}

struct spool_file *
__wrap_spool_file_read(const char *path, struct err *err)
{
    atomic_fetch_add(&shared->spool_reads, in_scribe);
    return __real_spool_file_read(path, err);
}

int
__wrap_lite_commit(struct lite *db, struct err *err)
{
    atomic_fetch_add(&shared->commits, in_scribe);
    return __real_lite_commit(db, err);
}

static void
scribe_start(void)
{
    atomic_store(&shared->ready, false);
    atomic_store(&shared->leave, false);
    atomic_store(&shared->hurry, false);
    atomic_store(&shared->sends_to_live, -1);
    atomic_store(&shared->stop_after_send, false);
    scribe_pid = fork();
    assert_true(scribe_pid >= 0);
    if (scribe_pid == 0) {
        const struct scribe_config config = {
            .listen_fd = listen_fd,
            .store = { .path = store_path, .url = "" },
            .spool = { .folder = spool_path,
                       .max_bytes = SPOOL_BYTES,
                       .reserve_bytes = SPOOL_BYTES / 4 },
            .closed = closed,
            .host = "test-host",
            .key_ttl_us = KEY_TTL_US,
            .signer = { .key_file = key_path,
                        .name = "test-host",
                        .file = notes_path,
                        .interval_ms = 60000,
                        .metrics = metrics,
                        .family = FAMILY_CHECKPOINTS },
            .metrics = { .counters = metrics,
                         .entries = FAMILY_ENTRIES,
                         .spooled = FAMILY_SPOOLED,
                         .replayed = FAMILY_REPLAYED,
                         .failures = FAMILY_FAILURES,
                         .commit = FAMILY_COMMIT,
                         .failing = FAMILY_FAILING,
                         .away = FAMILY_AWAY,
                         .schema = FAMILY_SCHEMA,
                         .spool_batches = FAMILY_SPOOL_BATCHES,
                         .spool_bytes = FAMILY_SPOOL_BYTES,
                         .set_aside = FAMILY_SET_ASIDE },
        };
        struct child child = { .board = board };

        in_scribe = true;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGXFSZ, SIG_IGN);
        if (log_to_file(log_path, NULL) == -1)
            _exit(99);
        _exit(scribe_run(&config, &child));
    }
}

static void
wait_until_ready(void)
{
    const int64_t deadline = clock_mono_ms() + WAIT_MS;

    while (!atomic_load(&shared->ready)) {
        assert_true(clock_left_ms(deadline) > 0);
        assert_int_equal(waitpid(scribe_pid, NULL, WNOHANG), 0);
        usleep(1000);
    }
}

/* The status of waitpid(2). */
static int
scribe_gone(void)
{
    const int64_t deadline = clock_mono_ms() + WAIT_MS;
    int status;

    while (waitpid(scribe_pid, &status, WNOHANG) == 0) {
        assert_true(clock_left_ms(deadline) > 0);
        usleep(1000);
    }
    scribe_pid = -1;
    return status;
}

static void
ask_to_leave(bool hurry)
{
    const uint64_t one = 1;

    atomic_store(&shared->hurry, hurry);
    atomic_store(&shared->leave, true);
    assert_int_equal(write(wake_fd, &one, sizeof(one)), sizeof(one));
}

static void
scribe_stop(void)
{
    ask_to_leave(false);
    assert_int_equal(scribe_gone(), 0);
}

static void
scribe_kill(void)
{
    kill(scribe_pid, SIGKILL);
    scribe_gone();
}

static int
set_up(void **state)
{
    (void)state;
    scratch_make(folder);
    snprintf(store_path, sizeof(store_path), "%s/ledger.db", folder);
    snprintf(socket_path, sizeof(socket_path), "%s/s", folder);
    snprintf(log_path, sizeof(log_path), "%s/log", folder);
    snprintf(spool_path, sizeof(spool_path), "%s/spool", folder);
    snprintf(key_path, sizeof(key_path), "%s/key", folder);
    snprintf(notes_path, sizeof(notes_path), "%s/notes", folder);
    closed = false;
    listen_fd = sock_listen_unix(socket_path,
                                 &(struct sock_access){ .mode = 0600 }, NULL);
    wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    board = board_new(4, NULL);
    metrics = counters_new(families, ARRAY_LEN(families), NULL);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (listen_fd == -1 || wake_fd == -1 || board == NULL || metrics == NULL ||
        shared == MAP_FAILED)
        return -1;
    scribe_start();
    wait_until_ready();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    if (scribe_pid > 0)
        scribe_kill();
    fd_close(&listen_fd);
    fd_close(&wake_fd);
    board_free(board);
    counters_free(metrics);
    munmap(shared, sizeof(*shared));
    scratch_remove(folder);
    return 0;
}

/* ---- clerks and records ------------------------------------------------ */

static struct uuid
new_run(void)
{
    struct uuid run_id;

    assert_int_equal(uuid_v7_new(&run_id, NULL), 0);
    return run_id;
}

#define STARTED_AT "\"started_at\":\"2026-01-31T23:59:59.123456Z\""
#define ACCEPTED_FACTS \
    "{\"flash_model\":\"quick\",\"principal\":\"key:demo\"," \
    "\"pro_model\":\"careful\"," STARTED_AT ",\"user_id\":null," \
    "\"worker_pid\":7}"
#define FINISHED_FACTS \
    "{\"flash\":{\"input_tokens\":11,\"latency_ms\":800," \
    "\"output_tokens\":22,\"served_model\":\"quick-1\"}," \
    "\"principal\":\"key:demo\",\"pro\":null,\"salvage\":\"flash_" \
    "only\"," STARTED_AT \
    ",\"status\":\"ok\",\"total_ms\":2012,\"user_id\":null}"
#define LEFT_FACTS(status) \
    "{\"client\":{\"last_seq\":4,\"left\":true,\"left_after_ms\":2013}," \
    "\"principal\":\"key:demo\"," STARTED_AT ",\"status\":\"" status "\"," \
    "\"user_id\":null}"

static const char *
facts_of(enum entry_kind kind)
{
    if (kind == ENTRY_LEFT)
        return LEFT_FACTS("cancelled");
    return kind == ENTRY_ACCEPTED ? ACCEPTED_FACTS : FINISHED_FACTS;
}

static struct entry_record
new_record(enum entry_kind kind, const struct uuid *run_id, const char *facts)
{
    return (struct entry_record){ .kind = kind,
                                  .run_id = *run_id,
                                  .facts = facts,
                                  .facts_len = strlen(facts) };
}

static void
submit_until(struct clerk *clerk, const struct entry_record *about,
             int64_t deadline_mono_ms)
{
    struct err err = { 0 };

    if (spoken_submit(clerk, about, deadline_mono_ms, &err) == -1)
        fail_msg("%s", err.text);
}

static void
submit(struct clerk *clerk, enum entry_kind kind, const struct uuid *run_id,
       const struct entry_content *parts, size_t part_count)
{
    struct entry_record about = new_record(kind, run_id, facts_of(kind));

    about.parts = parts;
    about.part_count = part_count;
    submit_until(clerk, &about, clock_mono_ms() + WAIT_MS);
}

static void
submit_within(struct clerk *clerk, enum entry_kind kind,
              const struct uuid *run_id, int64_t within_ms)
{
    const struct entry_record about = new_record(kind, run_id, facts_of(kind));

    submit_until(clerk, &about, clock_mono_ms() + within_ms);
}

/* Turns all of them until none waits. */
static void
pump(struct clerk *const *clerks, size_t count)
{
    struct pollfd polls[512];
    size_t waiting = 1;

    assert_true(count <= ARRAY_LEN(polls));
    while (waiting > 0) {
        int64_t wake_mono_ms = INT64_MAX;

        for (size_t i = 0; i < count; i++) {
            polls[i].fd = clerk_fd(clerks[i]);
            polls[i].events = clerk_events(clerks[i]);
            if (clerk_wake_mono_ms(clerks[i]) < wake_mono_ms)
                wake_mono_ms = clerk_wake_mono_ms(clerks[i]);
        }
        poll(polls, count,
             wake_mono_ms == INT64_MAX ? WAIT_MS : clock_left_ms(wake_mono_ms));
        waiting = 0;
        for (size_t i = 0; i < count; i++) {
            clerk_turn(clerks[i]);
            waiting += clerk_state(clerks[i]) == CLERK_WAITING;
        }
    }
}

static enum clerk_state
record(struct clerk *clerk, enum entry_kind kind, const struct uuid *run_id)
{
    submit(clerk, kind, run_id, NULL, 0);
    pump(&clerk, 1);
    return clerk_state(clerk);
}

static struct clerk *
new_clerk(void)
{
    struct clerk *clerk = clerk_new(socket_path, NULL);

    assert_non_null(clerk);
    return clerk;
}

/* ---- the ledger as a stranger sees it ---------------------------------- */

/* The answer of a query with one number; ? is the run. */
static int64_t
ledger_int(const char *sql, const struct uuid *run_id)
{
    struct err err = { 0 };
    struct lite *db = lite_open(store_path, LITE_READ_ONLY, WAIT_MS, &err);
    struct lite_stmt *stmt;
    char text[UUID_TEXT_LEN];
    int64_t value;

    if (db == NULL)
        fail_msg("%s", err.text);
    stmt = lite_prepare(db, sql, NULL);
    assert_non_null(stmt);
    if (run_id != NULL) {
        uuid_format(run_id, text);
        lite_bind_text(stmt, 1, text, strlen(text));
    }
    assert_int_equal(lite_step(stmt, NULL), LITE_ROW);
    value = lite_int(stmt, 0);
    lite_finalize(stmt);
    lite_close(db);
    return value;
}

static int64_t
count_kind(const struct uuid *run_id, const char *kind)
{
    char sql[160];

    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM entry WHERE run_id = ? AND kind = '%s'",
             kind);
    return ledger_int(sql, run_id);
}

static void
wait_for_kind(const struct uuid *run_id, const char *kind)
{
    const int64_t deadline = clock_mono_ms() + WAIT_MS;

    while (count_kind(run_id, kind) == 0) {
        assert_true(clock_left_ms(deadline) > 0);
        usleep(5000);
    }
}

/* Lines with these words. */
static int
count_in_log(const char *words)
{
    char line[8192];
    FILE *file = fopen(log_path, "re");
    int count = 0;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        count += strstr(line, words) != NULL;
    fclose(file);
    return count;
}

static bool
log_says(const char *words)
{
    return count_in_log(words) > 0;
}

static void
wait_for_log(const char *words)
{
    const int64_t deadline = clock_mono_ms() + WAIT_MS;

    while (!log_says(words)) {
        assert_true(clock_left_ms(deadline) > 0);
        usleep(5000);
    }
}

/* ---- idempotency keys -------------------------------------------------- */

/* An accepted run with the key and request that these digits stand for. */
static void
submit_keyed(struct clerk *clerk, const struct uuid *run_id, char key,
             char request)
{
    char key_hash[ENTRY_HASH_HEX_LEN + 1] = "";
    char request_hash[ENTRY_HASH_HEX_LEN + 1] = "";
    struct entry_record about;
    char facts[512];

    memset(key_hash, key, ENTRY_HASH_HEX_LEN);
    memset(request_hash, request, ENTRY_HASH_HEX_LEN);
    snprintf(facts, sizeof(facts),
             "{\"idempotency_key\":\"%s\",\"request_hash\":\"%s\"," STARTED_AT
             "}",
             key_hash, request_hash);
    about = new_record(ENTRY_ACCEPTED, run_id, facts);
    submit_until(clerk, &about, clock_mono_ms() + WAIT_MS);
}

/* Another run asks for the key; it is told whose it is. */
static void
expect_taken(char key, char request, const struct uuid *holder, bool ended)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    submit_keyed(clerk, &run_id, key, request);
    pump(&clerk, 1);
    assert_int_equal(clerk_state(clerk), CLERK_TAKEN);
    assert_memory_equal(&clerk_holder(clerk)->run_id, holder, sizeof(*holder));
    assert_int_equal(clerk_holder(clerk)->same_request, request == 'a');
    assert_int_equal(clerk_holder(clerk)->ended, ended);
    assert_int_equal(count_kind(&run_id, "accepted"), 0);
    clerk_free(clerk);
}

static void
test_a_key_is_one_runs_while_it_lasts_and_after_it(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run(), other = new_run();

    (void)state;
    submit_keyed(clerk, &run_id, '1', 'a');
    pump(&clerk, 1);
    assert_int_equal(clerk_state(clerk), CLERK_RECORDED);
    expect_taken('1', 'a', &run_id, false);
    expect_taken('1', 'b', &run_id, false);
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_RECORDED);
    expect_taken('1', 'a', &run_id, true);
    submit_keyed(clerk, &other, '2', 'a');
    pump(&clerk, 1);
    assert_int_equal(clerk_state(clerk), CLERK_RECORDED);
    clerk_free(clerk);
}

static void
test_of_two_in_one_batch_the_key_is_the_firsts(void **state)
{
    struct clerk *clerks[] = { new_clerk(), new_clerk() };
    const struct uuid runs[] = { new_run(), new_run() };
    size_t taken;

    (void)state;
    kill(scribe_pid, SIGSTOP);
    for (size_t i = 0; i < 2; i++)
        submit_keyed(clerks[i], &runs[i], '1', 'a');
    kill(scribe_pid, SIGCONT);
    pump(clerks, 2);
    taken = clerk_state(clerks[0]) == CLERK_TAKEN ? 0 : 1;
    assert_int_equal(clerk_state(clerks[taken]), CLERK_TAKEN);
    assert_int_equal(clerk_state(clerks[1 - taken]), CLERK_RECORDED);
    assert_memory_equal(&clerk_holder(clerks[taken])->run_id, &runs[1 - taken],
                        sizeof(runs[0]));
    assert_false(clerk_holder(clerks[taken])->ended);
    assert_int_equal(count_kind(&runs[taken], "accepted"), 0);
    clerk_free(clerks[0]);
    clerk_free(clerks[1]);
}

static void
test_the_next_scribe_knows_the_keys(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    submit_keyed(clerk, &run_id, '1', 'a');
    pump(&clerk, 1);
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_RECORDED);
    clerk_free(clerk);
    scribe_kill();
    scribe_start();
    wait_until_ready();
    expect_taken('1', 'a', &run_id, true);
    expect_taken('1', 'b', &run_id, true);
}

static void
test_a_record_sent_again_has_its_own_key(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    atomic_store(&shared->sends_to_live, 0); /* dies when it answers */
    submit_keyed(clerk, &run_id, '1', 'a');
    while (waitpid(scribe_pid, NULL, WNOHANG) == 0)
        clerk_turn(clerk);
    scribe_start();
    wait_until_ready();
    pump(&clerk, 1);
    assert_int_equal(clerk_state(clerk), CLERK_RECORDED);
    assert_int_equal(count_kind(&run_id, "accepted"), 1);
    clerk_free(clerk);
}

static void
test_a_key_that_is_no_hash_is_refused(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    submit_keyed(clerk, &run_id, 'x', 'a');
    pump(&clerk, 1);
    assert_int_equal(clerk_state(clerk), CLERK_REFUSED);
    assert_string_equal(clerk_reason(clerk), "idempotency_key is no hash");
    clerk_free(clerk);
}

/* ---- ordinary life ----------------------------------------------------- */

static void
test_a_run_becomes_two_entries_and_its_receipts_name_them(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();
    struct entry_receipt first;

    (void)state;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    first = *clerk_receipt(clerk);
    assert_int_equal(first.state, ENTRY_COMMITTED);
    assert_int_equal(first.idx, 1); /* after log_opened */
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_RECORDED);
    assert_int_equal(clerk_receipt(clerk)->idx, 2);
    assert_int_equal(count_kind(&run_id, "accepted"), 1);
    assert_int_equal(count_kind(&run_id, "finished"), 1);
    assert_int_equal(ledger_int("SELECT total_ms FROM entry WHERE run_id = ? "
                                "AND kind = 'finished'",
                                &run_id),
                     2012);
    assert_int_equal(ledger_int("SELECT flash_latency_ms FROM experiment_runs "
                                "WHERE id = ? AND status = 'ok'",
                                &run_id),
                     800);
    clerk_free(clerk);
    scribe_stop();
}

static void
test_a_record_sent_twice_gets_the_first_receipt(void **state)
{
    struct clerk *one = new_clerk(), *other = new_clerk();
    const struct uuid run_id = new_run();
    struct entry_receipt first;

    (void)state;
    for (int kind = ENTRY_ACCEPTED; kind <= ENTRY_LEFT; kind++) {
        assert_int_equal(record(one, (enum entry_kind)kind, &run_id),
                         CLERK_RECORDED);
        first = *clerk_receipt(one);
        assert_int_equal(record(other, (enum entry_kind)kind, &run_id),
                         CLERK_RECORDED);
        assert_memory_equal(clerk_receipt(other), &first, sizeof(first));
    }
    assert_int_equal(ledger_int("SELECT count(*) FROM entry", NULL), 4);
    clerk_free(one);
    clerk_free(other);
}

static void
test_a_record_twice_in_one_batch_is_written_once(void **state)
{
    struct clerk *clerks[2] = { new_clerk(), new_clerk() };
    const struct uuid run_id = new_run();

    (void)state;
    kill(scribe_pid, SIGSTOP);
    submit(clerks[0], ENTRY_ACCEPTED, &run_id, NULL, 0);
    submit(clerks[1], ENTRY_ACCEPTED, &run_id, NULL, 0);
    kill(scribe_pid, SIGCONT);
    pump(clerks, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(clerk_state(clerks[i]), CLERK_RECORDED);
        assert_int_equal(clerk_receipt(clerks[i])->idx, 1);
        clerk_free(clerks[i]);
    }
    assert_int_equal(count_kind(&run_id, "accepted"), 1);
    assert_false(log_says("ledger_write_failed"));
}

static void
test_a_run_that_was_never_accepted_cannot_finish(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_REFUSED);
    assert_string_equal(clerk_reason(clerk), "the run was never accepted");
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    clerk_free(clerk);
}

/* As if a transaction of the scribe before had ended only now. */
static void
add_accepted_like(const struct uuid *run_id)
{
    struct err err = { 0 };
    struct lite *db = lite_open(store_path, LITE_READ_WRITE, WAIT_MS, &err);
    struct lite_stmt *stmt;
    char text[UUID_TEXT_LEN];

    if (db == NULL)
        fail_msg("%s", err.text);
    stmt = lite_prepare(
        db,
        "INSERT INTO entry (log_id, idx, recorded_at, kind, run_id, "
        "started_at, leaf_hash, body) "
        "SELECT log_id, idx + 1, recorded_at, kind, ?, started_at, "
        "leaf_hash, body FROM entry WHERE kind = 'accepted'",
        &err);
    if (stmt == NULL)
        fail_msg("%s", err.text);
    uuid_format(run_id, text);
    lite_bind_text(stmt, 1, text, strlen(text));
    if (lite_step(stmt, &err) != LITE_DONE)
        fail_msg("%s", err.text);
    lite_finalize(stmt);
    lite_close(db);
}

static void
test_a_run_whose_beginning_was_committed_late_can_finish(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid other = new_run();
    const struct uuid run_id = new_run();
    int status;

    (void)state;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &other), CLERK_RECORDED);
    scribe_kill();
    submit(clerk, ENTRY_ACCEPTED, &run_id, NULL, 0);
    atomic_store(&shared->stop_when_ready, true);
    scribe_start();
    wait_until_ready();
    assert_int_equal(waitpid(scribe_pid, &status, WUNTRACED), scribe_pid);
    assert_true(WIFSTOPPED(status));
    add_accepted_like(&run_id);
    kill(scribe_pid, SIGCONT);
    pump(&clerk, 1);
    assert_int_equal(clerk_state(clerk), CLERK_RECORDED);
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_RECORDED);
    assert_int_equal(count_kind(&run_id, "accepted"), 1);
    assert_int_equal(count_kind(&run_id, "finished"), 1);
    clerk_free(clerk);
}

static void
test_a_run_whose_client_left_late_is_cancelled(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    for (int kind = ENTRY_ACCEPTED; kind <= ENTRY_LEFT; kind++)
        assert_int_equal(record(clerk, (enum entry_kind)kind, &run_id),
                         CLERK_RECORDED);
    assert_int_equal(clerk_receipt(clerk)->idx, 3);
    assert_int_equal(count_kind(&run_id, "finished"), 1);
    assert_int_equal(ledger_int("SELECT flash_latency_ms FROM experiment_runs "
                                "WHERE id = ? AND status = 'cancelled'",
                                &run_id),
                     800);
    clerk_free(clerk);
    scribe_stop();
    assert_int_equal(ledger_int("SELECT json_extract(body, '$.entries.left') "
                                "FROM entry WHERE kind = 'log_closed'",
                                NULL),
                     1);
}

static void
test_a_run_that_has_not_finished_cannot_be_left(void **state)
{
    struct clerk *clerk = new_clerk(), *other = new_clerk();
    const struct uuid run_id = new_run(), unknown_id = new_run();

    (void)state;
    assert_int_equal(record(other, ENTRY_LEFT, &unknown_id), CLERK_REFUSED);
    assert_string_equal(clerk_reason(other), "the run has not finished");
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    assert_int_equal(record(other, ENTRY_LEFT, &run_id), CLERK_REFUSED);
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_RECORDED);
    assert_int_equal(count_kind(&run_id, "left"), 0);
    clerk_free(clerk);
    clerk_free(other);
}

static void
test_an_answer_of_a_megabyte_is_stored_byte_for_byte(void **state)
{
    const size_t len = 1 << 20;
    char *text = malloc(len);
    struct entry_content part = { .part = ENTRY_PART_PRO, .len = len };
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();
    struct lite *db;
    struct lite_stmt *stmt;
    size_t stored_len;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(1 + i % 126);
    part.bytes = text;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    submit(clerk, ENTRY_FINISHED, &run_id, &part, 1);
    pump(&clerk, 1);
    assert_int_equal(clerk_state(clerk), CLERK_RECORDED);
    db = lite_open(store_path, LITE_READ_ONLY, WAIT_MS, NULL);
    stmt = lite_prepare(db, "SELECT body FROM content", NULL);
    assert_int_equal(lite_step(stmt, NULL), LITE_ROW);
    assert_memory_equal(lite_text(stmt, 0, &stored_len), text, len);
    assert_int_equal(stored_len, len);
    lite_finalize(stmt);
    lite_close(db);
    clerk_free(clerk);
    free(text);
}

static uint64_t
commit_count(void)
{
    return counters_bucket(metrics, FAMILY_COMMIT, 0, 0) +
           counters_bucket(metrics, FAMILY_COMMIT, 0, 1);
}

/* The scribe counts after it has answered. */
static void
wait_for_count(size_t family, size_t label, uint64_t value)
{
    const int64_t deadline = clock_mono_ms() + WAIT_MS;

    while (counters_get(metrics, family, label) != value) {
        assert_true(clock_left_ms(deadline) > 0);
        usleep(5000);
    }
}

static void
test_records_that_come_together_share_a_commit(void **state)
{
    struct clerk *clerks[200];
    uint64_t before;

    (void)state;
    kill(scribe_pid, SIGSTOP); /* so that all of them wait */
    before = commit_count();
    for (size_t i = 0; i < ARRAY_LEN(clerks); i++) {
        const struct uuid run_id = new_run();

        clerks[i] = new_clerk();
        submit(clerks[i], ENTRY_ACCEPTED, &run_id, NULL, 0);
    }
    kill(scribe_pid, SIGCONT);
    pump(clerks, ARRAY_LEN(clerks));
    for (size_t i = 0; i < ARRAY_LEN(clerks); i++) {
        assert_int_equal(clerk_state(clerks[i]), CLERK_RECORDED);
        clerk_free(clerks[i]);
    }
    wait_for_count(FAMILY_ENTRIES, ENTRY_ACCEPTED, ARRAY_LEN(clerks));
    assert_in_range(commit_count() - before, 1, ARRAY_LEN(clerks) / 10);
}

static void
test_more_records_than_a_batch_holds_are_all_written(void **state)
{
    struct clerk *clerks[300];

    (void)state;
    kill(scribe_pid, SIGSTOP);
    for (size_t i = 0; i < ARRAY_LEN(clerks); i++) {
        const struct uuid run_id = new_run();

        clerks[i] = new_clerk();
        submit(clerks[i], ENTRY_ACCEPTED, &run_id, NULL, 0);
    }
    kill(scribe_pid, SIGCONT);
    pump(clerks, ARRAY_LEN(clerks));
    for (size_t i = 0; i < ARRAY_LEN(clerks); i++) {
        assert_int_equal(clerk_state(clerks[i]), CLERK_RECORDED);
        clerk_free(clerks[i]);
    }
    assert_int_equal(ledger_int("SELECT count(*) FROM entry "
                                "WHERE kind = 'accepted'",
                                NULL),
                     ARRAY_LEN(clerks));
}

/* ---- workers that die -------------------------------------------------- */

static void
test_a_run_whose_worker_died_is_orphaned(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    clerk_free(clerk);
    wait_for_kind(&run_id, "orphaned");
    assert_int_equal(
        ledger_int("SELECT started_at = 1769903999123456 AND status = "
                   "'orphaned' AND flash_model = 'quick' AND pro_model = "
                   "'careful' AND principal = 'key:demo' FROM entry "
                   "WHERE run_id = ? AND kind = 'orphaned'",
                   &run_id),
        1);
    clerk = new_clerk();
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_REFUSED);
    assert_string_equal(clerk_reason(clerk),
                        "the run was recorded as orphaned before");
    assert_int_equal(count_kind(&run_id, "orphaned"), 1);
    clerk_free(clerk);
}

/* Somebody with a tool of his own. */
static void
alter_ledger(const char *sql)
{
    struct lite *db = lite_open(store_path, LITE_READ_WRITE, WAIT_MS, NULL);
    struct err err = { 0 };

    assert_non_null(db);
    if (lite_exec(db, sql, &err) == -1)
        fail_msg("%s", err.text);
    lite_close(db);
}

static struct uuid
lose_run(void)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    clerk_free(clerk);
    return run_id;
}

static void
test_a_run_whose_beginning_is_gone_is_told_once_and_holds_up_nobody(
    void **state)
{
    struct clerk *clerk = new_clerk();
    struct uuid run_id = new_run();

    (void)state;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    alter_ledger("DROP TRIGGER entry_no_delete;"
                 "DELETE FROM entry WHERE kind = 'accepted'");
    clerk_free(clerk);
    wait_for_log("reason=its accepted entry is not there");
    usleep(1500000); /* for what must not come */
    run_id = lose_run();
    wait_for_kind(&run_id, "orphaned");
    assert_int_equal(count_in_log("ledger_orphan_failed"), 1);
}

static void
test_an_end_that_is_refused_is_told_once(void **state)
{
    (void)state;
    alter_ledger("CREATE TRIGGER refuse BEFORE INSERT ON entry "
                 "WHEN new.kind = 'orphaned' "
                 "BEGIN SELECT raise(ABORT, 'never'); END");
    lose_run();
    lose_run();
    lose_run();
    wait_for_log("reason=SQLite: never");
    usleep(1500000); /* for what must not come */
    assert_int_equal(count_in_log("ledger_orphan_failed"), 3);
    assert_false(log_says("ledger_write_failed"));
}

static void
test_a_run_that_a_living_worker_shows_waits_for_it(void **state)
{
    const int slot = board_claim(board, 0, 1);
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run(), other_id = new_run();
    struct clerk *other = new_clerk();

    (void)state;
    board_set_pid(board, (size_t)slot, getpid());
    board_set_job(board, (size_t)slot, &run_id);
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    assert_int_equal(record(other, ENTRY_ACCEPTED, &other_id), CLERK_RECORDED);
    clerk_free(clerk);
    clerk_free(other);
    wait_for_kind(&other_id, "orphaned"); /* both had the same time */
    assert_int_equal(count_kind(&run_id, "orphaned"), 0);
    clerk = new_clerk();
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_RECORDED);
    clerk_free(clerk);
    board_release(board, (size_t)slot);
}

static void
test_a_run_left_open_by_a_killed_scribe_is_orphaned_by_the_next(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    scribe_kill();
    clerk_free(clerk);
    scribe_start();
    wait_for_kind(&run_id, "orphaned");
}

static void
test_a_clerk_that_names_its_run_to_the_next_scribe_keeps_it(void **state)
{
    struct clerk *clerks[2] = { new_clerk(), new_clerk() };
    const struct uuid kept_id = new_run(), lost_id = new_run();
    const int64_t deadline = clock_mono_ms() + WAIT_MS;

    (void)state;
    assert_int_equal(record(clerks[0], ENTRY_ACCEPTED, &kept_id),
                     CLERK_RECORDED);
    assert_int_equal(record(clerks[1], ENTRY_ACCEPTED, &lost_id),
                     CLERK_RECORDED);
    scribe_kill();
    clerk_free(clerks[1]);
    scribe_start();
    while (count_kind(&lost_id, "orphaned") == 0) {
        assert_true(clock_left_ms(deadline) > 0);
        clerk_turn(clerks[0]);
        usleep(2000);
    }
    assert_int_equal(count_kind(&kept_id, "orphaned"), 0);
    assert_int_equal(record(clerks[0], ENTRY_FINISHED, &kept_id),
                     CLERK_RECORDED);
    clerk_free(clerks[0]);
}

/* ---- a scribe that dies ------------------------------------------------ */

static void
test_a_scribe_killed_before_its_answers_loses_and_doubles_nothing(void **state)
{
    static const int answers_before_death[] = { 0, 1, 20, CLERK_COUNT - 1 };

    (void)state;
    for (size_t round = 0; round < ARRAY_LEN(answers_before_death); round++) {
        struct clerk *clerks[CLERK_COUNT];
        struct uuid run_ids[CLERK_COUNT];

        kill(scribe_pid, SIGSTOP);
        for (size_t i = 0; i < CLERK_COUNT; i++) {
            run_ids[i] = new_run();
            clerks[i] = new_clerk();
            submit(clerks[i], ENTRY_ACCEPTED, &run_ids[i], NULL, 0);
        }
        atomic_store(&shared->sends_to_live, answers_before_death[round]);
        kill(scribe_pid, SIGCONT);
        assert_true(WIFSIGNALED(scribe_gone()));
        assert_int_equal(count_kind(&run_ids[0], "accepted"), 1);
        scribe_start();
        pump(clerks, CLERK_COUNT);
        for (size_t i = 0; i < CLERK_COUNT; i++) {
            assert_int_equal(clerk_state(clerks[i]), CLERK_RECORDED);
            assert_int_equal(count_kind(&run_ids[i], "accepted"), 1);
            submit(clerks[i], ENTRY_FINISHED, &run_ids[i], NULL, 0);
        }
        pump(clerks, CLERK_COUNT);
        for (size_t i = 0; i < CLERK_COUNT; i++) {
            assert_int_equal(clerk_state(clerks[i]), CLERK_RECORDED);
            assert_int_equal(count_kind(&run_ids[i], "finished"), 1);
            assert_int_equal(count_kind(&run_ids[i], "orphaned"), 0);
            clerk_free(clerks[i]);
        }
    }
}

/* ---- what must not harm the others ------------------------------------- */

static const struct hostile {
    const char *bytes;
    size_t len;
} hostile[] = {
#define BYTES(text) \
    { \
        text, sizeof(text) - 1 \
    }
    BYTES("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    BYTES("\1\1\0\0\xff\xff\xff\xff"), /* 4 GiB announced */
    BYTES("\1\1\0\0\1\x80\0\0"),       /* one byte above 24 MiB */
    BYTES("\1\1\0\0\0\0\0\0"),         /* an empty record */
    BYTES("\1\2\0\0\0\0\0\3abc"),      /* a run of 3 bytes */
    BYTES("\1\3\0\0\0\0\0\0"),         /* an answer, to us */
    BYTES("\2\1\0\0\0\0\0\0"),         /* another version */
    BYTES("\1\1\0\0\0\0\0\x16\1RRRRRRRRRRRRRRRR\xff\0\0\0\0"), /* 255 parts */
    BYTES("\1\1\0\0\0\0\0\x16\0RRRRRRRRRRRRRRRR\0\0\0\0\0"),   /* log_opened */
    BYTES("\1\1\0\0\0\0\0\x1c\1RRRRRRRRRRRRRRRR\1\0\0\0\0"
          "\0\0\xff\xff\xff\xff"), /* a part longer than its frame */
#undef BYTES
};

/* True when the scribe closes the connection in time. */
static bool
is_closed(int fd)
{
    char byte;

    return fd_wait(fd, POLLIN, clock_mono_ms() + WAIT_MS) > 0 &&
           recv(fd, &byte, 1, 0) <= 0;
}

static void
test_hostile_frames_cost_only_their_connection(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        int fd = sock_connect_unix(socket_path, NULL);

        assert_int_equal(fd_write_all(fd, hostile[i].bytes, hostile[i].len,
                                      clock_mono_ms() + WAIT_MS, NULL),
                         0);
        if (!is_closed(fd))
            fail_msg("frame %zu was not refused", i);
        fd_close(&fd);
    }
    assert_true(log_says("scribe_bad_frame"));
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_RECORDED);
    clerk_free(clerk);
}

static void
test_a_frame_that_comes_byte_by_byte_is_understood(void **state)
{
    const struct uuid run_id = new_run();
    const struct entry_record about =
        new_record(ENTRY_ACCEPTED, &run_id, ACCEPTED_FACTS);
    int fd = sock_connect_unix(socket_path, NULL);
    struct buf frame;

    (void)state;
    buf_init(&frame, FRAME_MAX_BYTES);
    assert_int_equal(spoken_append(&frame, &about, NULL), 0);
    for (size_t i = 0; i < frame.len; i++)
        assert_int_equal(send(fd, frame.bytes + i, 1, MSG_NOSIGNAL), 1);
    wait_for_kind(&run_id, "accepted");
    fd_close(&fd);
    buf_close(&frame);
}

static void
test_frames_that_come_at_once_are_all_understood(void **state)
{
    struct entry_record records[3];
    int fd = sock_connect_unix(socket_path, NULL);
    struct buf frames;

    (void)state;
    buf_init(&frames, FRAME_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        const struct uuid run_id = new_run();

        records[i] = new_record(ENTRY_ACCEPTED, &run_id, ACCEPTED_FACTS);
        assert_int_equal(spoken_append(&frames, &records[i], NULL), 0);
    }
    assert_int_equal(send(fd, frames.bytes, frames.len, MSG_NOSIGNAL),
                     frames.len);
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        wait_for_kind(&records[i].run_id, "accepted");
    fd_close(&fd);
    buf_close(&frames);
}

static void
test_a_whole_run_that_comes_at_once_is_written_in_order(void **state)
{
    const struct uuid run_id = new_run();
    int fd = sock_connect_unix(socket_path, NULL);
    struct buf frames;

    (void)state;
    buf_init(&frames, FRAME_MAX_BYTES);
    for (int kind = ENTRY_ACCEPTED; kind <= ENTRY_LEFT; kind++) {
        const struct entry_record about = new_record(
            (enum entry_kind)kind, &run_id, facts_of((enum entry_kind)kind));

        assert_int_equal(spoken_append(&frames, &about, NULL), 0);
    }
    assert_int_equal(send(fd, frames.bytes, frames.len, MSG_NOSIGNAL),
                     frames.len);
    wait_for_kind(&run_id, "left");
    assert_int_equal(
        ledger_int("SELECT group_concat(kind) = 'accepted,finished,left' "
                   "FROM (SELECT kind FROM entry WHERE run_id = ? "
                   "ORDER BY idx)",
                   &run_id),
        1);
    fd_close(&fd);
    buf_close(&frames);
}

static void
test_a_left_record_with_another_status_or_a_text_is_refused(void **state)
{
    static const struct entry_content part = { .part = ENTRY_PART_PRO,
                                               .bytes = "late",
                                               .len = 4 };
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();
    struct entry_record bad[] = {
        new_record(ENTRY_LEFT, &run_id, LEFT_FACTS("ok")),
        new_record(ENTRY_LEFT, &run_id, LEFT_FACTS("cancelled")),
    };

    (void)state;
    bad[1].parts = &part;
    bad[1].part_count = 1;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_RECORDED);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const int64_t deadline = clock_mono_ms() + WAIT_MS;

        assert_int_equal(spoken_submit(clerk, &bad[i], deadline, NULL), 0);
        pump(&clerk, 1);
        assert_int_equal(clerk_state(clerk), CLERK_REFUSED);
    }
    assert_int_equal(count_kind(&run_id, "left"), 0);
    assert_int_equal(record(clerk, ENTRY_LEFT, &run_id), CLERK_RECORDED);
    clerk_free(clerk);
}

static void
test_one_bad_record_does_no_harm_to_those_beside_it(void **state)
{
    struct entry_content part = { .part = ENTRY_PART_QUERY,
                                  .bytes = "hello",
                                  .len = 5 };
    struct clerk *clerks[3];
    struct uuid run_ids[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        clerks[i] = new_clerk();
        run_ids[i] = new_run();
        submit(clerks[i], ENTRY_ACCEPTED, &run_ids[i], &part, 1);
        pump(&clerks[i], 1);
        assert_int_equal(clerk_state(clerks[i]), CLERK_RECORDED);
    }
    kill(scribe_pid, SIGSTOP);
    for (size_t i = 0; i < 3; i++) /* the second says its query again */
        submit(clerks[i], ENTRY_FINISHED, &run_ids[i], &part, i == 1 ? 1 : 0);
    kill(scribe_pid, SIGCONT);
    pump(clerks, 3);
    assert_int_equal(clerk_state(clerks[0]), CLERK_RECORDED);
    assert_int_equal(clerk_state(clerks[1]), CLERK_REFUSED);
    assert_int_equal(clerk_state(clerks[2]), CLERK_RECORDED);
    assert_true(log_says("Audit log persistence failed"));
    assert_false(log_says("hello"));
    /* Numbers have no gap: 0 is log_opened, then three and two. */
    assert_int_equal(ledger_int("SELECT max(idx) FROM entry "
                                "WHERE kind <> 'orphaned'",
                                NULL),
                     5);
    for (size_t i = 0; i < 3; i++)
        clerk_free(clerks[i]);
    wait_for_kind(&run_ids[1], "orphaned");
}

static void
test_one_bad_record_among_many_costs_few_commits(void **state)
{
    struct clerk *clerks[CLERK_COUNT];
    struct uuid run_ids[CLERK_COUNT];
    const size_t bad = CLERK_COUNT - 3;
    struct entry_content part = { .part = ENTRY_PART_QUERY,
                                  .bytes = "hello",
                                  .len = 5 };

    (void)state;
    for (size_t i = 0; i < CLERK_COUNT; i++) {
        clerks[i] = new_clerk();
        run_ids[i] = new_run();
        submit(clerks[i], ENTRY_ACCEPTED, &run_ids[i], &part, 1);
    }
    pump(clerks, CLERK_COUNT);
    kill(scribe_pid, SIGSTOP);
    for (size_t i = 0; i < CLERK_COUNT; i++)
        submit(clerks[i], ENTRY_FINISHED, &run_ids[i], &part, i == bad);
    atomic_store(&shared->commits, 0);
    kill(scribe_pid, SIGCONT);
    pump(clerks, CLERK_COUNT);
    for (size_t i = 0; i < CLERK_COUNT; i++) {
        assert_int_equal(clerk_state(clerks[i]),
                         i == bad ? CLERK_REFUSED : CLERK_RECORDED);
        clerk_free(clerks[i]);
    }
    assert_in_range(atomic_load(&shared->commits), 2, CLERK_COUNT / 2);
}

static void
expect_bad_facts(struct clerk *clerk, enum entry_kind kind, const char *facts)
{
    const struct uuid run_id = new_run();
    const struct entry_record about = new_record(kind, &run_id, facts);

    submit_until(clerk, &about, clock_mono_ms() + WAIT_MS);
    pump(&clerk, 1);
    if (clerk_state(clerk) != CLERK_REFUSED)
        fail_msg("%s was not refused: %s", entry_kind_name(kind), facts);
    assert_true(clerk_reason(clerk)[0] != '\0');
    assert_int_equal(count_kind(&run_id, entry_kind_name(kind)), 0);
}

static void
test_facts_that_are_no_entry_are_refused(void **state)
{
    static const char *const bad[] = {
        "{\"started_at\":\"yesterday\"}",
        "{\"total_ms\":\"many\"}",
        "{\"ratio\":0.5}",
        "{\"idx\":0," STARTED_AT "}", /* the scribe's own */
        "{" STARTED_AT ",\"a\":1}",
        "{" STARTED_AT "," STARTED_AT "}",
        "{" STARTED_AT ",\"user_id\":\"\xff\"}",
        "[]",
        "",
    };
    struct clerk *clerk = new_clerk();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        expect_bad_facts(clerk, ENTRY_ACCEPTED, bad[i]);
        expect_bad_facts(clerk, ENTRY_ADMIN, bad[i]);
    }
    clerk_free(clerk);
}

static void
set_file_limit(rlim_t bytes)
{
    const struct rlimit limit = { .rlim_cur = bytes,
                                  .rlim_max = RLIM_INFINITY };

    assert_int_equal(prlimit(scribe_pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

static void
test_records_wait_for_a_full_disk_to_pass(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    set_file_limit(4096); /* the write-ahead log is longer already */
    submit(clerk, ENTRY_FINISHED, &run_id, NULL, 0);
    wait_for_log("records wait");
    assert_int_equal(clerk_state(clerk), CLERK_WAITING);
    set_file_limit(RLIM_INFINITY);
    pump(&clerk, 1);
    assert_int_equal(clerk_state(clerk), CLERK_RECORDED);
    assert_int_equal(clerk_receipt(clerk)->state, ENTRY_COMMITTED);
    assert_int_equal(count_kind(&run_id, "finished"), 1);
    assert_true(log_says("ledger_writes_again"));
    clerk_free(clerk);
}

/* Who was turned away meanwhile has no run; a run that has ended has its end,
 * although its clerk waited no longer. */
static void
test_after_a_full_disk_ends_are_written_and_beginnings_are_not(void **state)
{
    struct clerk *first = new_clerk();
    struct clerk *second = new_clerk();
    const struct uuid ended_id = new_run(), refused_id = new_run();

    (void)state;
    assert_int_equal(record(first, ENTRY_ACCEPTED, &ended_id), CLERK_RECORDED);
    set_file_limit(4096);
    submit_within(first, ENTRY_FINISHED, &ended_id, 400);
    wait_for_log("records wait"); /* so they do not share a batch */
    submit_within(second, ENTRY_ACCEPTED, &refused_id, 400);
    pump(&first, 1);
    pump(&second, 1);
    assert_int_equal(clerk_state(first), CLERK_LATE);
    assert_int_equal(clerk_state(second), CLERK_LATE);
    set_file_limit(RLIM_INFINITY);
    wait_for_kind(&ended_id, "finished");
    assert_int_equal(record(second, ENTRY_ACCEPTED, &(struct uuid){ { 7 } }),
                     CLERK_RECORDED);
    assert_int_equal(count_kind(&refused_id, "accepted"), 0);
    assert_int_equal(count_kind(&ended_id, "orphaned"), 0);
    assert_int_equal(
        ledger_int("SELECT count(*) = max(idx) + 1 FROM entry", NULL), 1);
    clerk_free(first);
    clerk_free(second);
}

#define FIRST_BATCH "0000000000000000.jsonl"

static void
copy_file(const char *from, const char *to)
{
    struct buf text;

    buf_init(&text, SPOOL_BYTES);
    assert_int_equal(file_read(from, &text, NULL), 0);
    assert_int_equal(file_write_durably(to, 0600, text.bytes, text.len, NULL),
                     0);
    buf_close(&text);
}

static void
wait_until_gone(const char *path)
{
    const int64_t deadline = clock_mono_ms() + WAIT_MS;

    while (access(path, F_OK) == 0) {
        assert_true(clock_left_ms(deadline) > 0);
        usleep(5000);
    }
}

/* A power cut may bring back a batch that was committed and removed. */
static void
test_a_batch_that_comes_back_opens_no_run_again(void **state)
{
    char away[160], batch[160], copy[160], drain[160], bad[160];
    const struct uuid ended_id = new_run(), lost_id = new_run();
    struct clerk *clerk = new_clerk();

    (void)state;
    snprintf(away, sizeof(away), "%s/elsewhere", folder);
    snprintf(copy, sizeof(copy), "%s/copy", folder);
    snprintf(batch, sizeof(batch), "%s/new/" FIRST_BATCH, spool_path);
    snprintf(drain, sizeof(drain), "%s/drain", spool_path);
    snprintf(bad, sizeof(bad), "%s/bad/" FIRST_BATCH, spool_path);
    assert_int_equal(rename(store_path, away), 0);
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &ended_id), CLERK_RECORDED);
    assert_int_equal(clerk_receipt(clerk)->state, ENTRY_SPOOLED);
    copy_file(batch, copy);
    assert_int_equal(rename(away, store_path), 0);
    assert_int_equal(file_write_durably(drain, 0600, "", 0, NULL), 0);
    wait_until_gone(batch);
    assert_int_equal(record(clerk, ENTRY_FINISHED, &ended_id), CLERK_RECORDED);
    scribe_kill();
    clerk_free(clerk);

    copy_file(copy, batch);
    scribe_start();
    wait_until_ready();
    clerk = new_clerk();
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &lost_id), CLERK_RECORDED);
    clerk_free(clerk);
    wait_for_kind(&lost_id, "orphaned"); /* so the other was looked at, too */
    assert_false(log_says("kind=orphaned"));
    assert_int_equal(count_kind(&ended_id, "orphaned"), 0);
    assert_int_equal(access(bad, F_OK), -1);
    assert_int_equal(access(batch, F_OK), -1);
    scribe_stop();
}

static void
test_what_is_spooled_is_read_once_at_the_start(void **state)
{
    struct clerk *clerk = new_clerk();
    char away[160];

    (void)state;
    snprintf(away, sizeof(away), "%s/elsewhere", folder);
    assert_int_equal(rename(store_path, away), 0);
    for (int i = 0; i < 5; i++) {
        const struct uuid run_id = new_run();

        assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id),
                         CLERK_RECORDED);
        assert_int_equal(clerk_receipt(clerk)->state, ENTRY_SPOOLED);
    }
    scribe_kill();
    clerk_free(clerk);
    assert_int_equal(rename(away, store_path), 0);
    atomic_store(&shared->spool_reads, 0);
    atomic_store(&shared->progress, 0);
    scribe_start();
    wait_until_ready();
    assert_int_equal(atomic_load(&shared->reads_until_ready), 5);
    assert_int_equal(atomic_load(&shared->progress), 5);
}

/* There is no time for five attempts: the spool has it, and the log its end. */
static void
test_leaving_while_the_ledger_is_away_writes_what_is_held(void **state)
{
    const struct uuid run_id = new_run();
    struct clerk *clerk = new_clerk();
    char away[160];

    (void)state;
    snprintf(away, sizeof(away), "%s/elsewhere", folder);
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    assert_int_equal(rename(store_path, away), 0);
    submit(clerk, ENTRY_FINISHED, &run_id, NULL, 0);
    wait_for_log("records wait");
    scribe_stop();
    clerk_turn(clerk);
    assert_int_equal(clerk_state(clerk), CLERK_RECORDED);
    assert_int_equal(clerk_receipt(clerk)->state, ENTRY_SPOOLED);
    clerk_free(clerk);

    assert_int_equal(rename(away, store_path), 0);
    scribe_start();
    wait_for_kind(&run_id, "finished");
    wait_for_log("ledger_spool_drained");
    assert_int_equal(
        ledger_int("SELECT count(*) FROM entry WHERE kind = 'log_closed'",
                   NULL),
        1);
}

static void
test_a_log_is_signed_for_from_its_beginning_to_its_end(void **state)
{
    static const char of_all[] = "SELECT count(*) FROM checkpoint WHERE size = "
                                 "(SELECT max(idx) + 1 FROM entry)";
    struct clerk *clerk = new_clerk();

    (void)state;
    wait_for_count(FAMILY_CHECKPOINTS, 0, 1);
    assert_int_equal(ledger_int(of_all, NULL), 1);
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &(struct uuid){ { 7 } }),
                     CLERK_RECORDED);
    assert_int_equal(ledger_int(of_all, NULL), 0); /* a minute has not passed */
    scribe_stop();
    assert_int_equal(ledger_int(of_all, NULL), 1);
    assert_int_equal(counters_get(metrics, FAMILY_CHECKPOINTS, 1), 0);
    clerk_free(clerk);
}

/* Checkpoints of all of the first log. */
static const char of_lost[] =
    "SELECT count(*) FROM checkpoint JOIN (SELECT log_id, max(idx) AS last "
    "FROM entry GROUP BY log_id ORDER BY min(rowid) LIMIT 1) AS lost "
    "ON checkpoint.log_id = lost.log_id AND size = last + 1";

static void
test_the_next_scribe_signs_for_a_log_that_a_kill_ended(void **state)
{
    struct clerk *clerk = new_clerk();

    (void)state;
    wait_for_count(FAMILY_CHECKPOINTS, 0, 1);
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &(struct uuid){ { 7 } }),
                     CLERK_RECORDED);
    scribe_kill();
    assert_int_equal(ledger_int(of_lost, NULL), 0);
    scribe_start();
    wait_until_ready();
    wait_for_count(FAMILY_CHECKPOINTS, 0, 3);
    assert_int_equal(ledger_int(of_lost, NULL), 1);
    clerk_free(clerk);
}

/* ---- beginnings and ends ----------------------------------------------- */

/* First refused by the ledger, then while that is away. */
static void
test_the_last_checkpoint_of_an_ended_log_is_tried_until_it_is_kept(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();
    int64_t deadline, again_mono_ms;
    char away[160], drain[160];

    (void)state;
    snprintf(away, sizeof(away), "%s/elsewhere", folder);
    snprintf(drain, sizeof(drain), "%s/drain", spool_path);
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    scribe_kill();
    alter_ledger("CREATE TRIGGER refuse BEFORE INSERT ON checkpoint "
                 "BEGIN SELECT raise(ABORT, 'never'); END");
    scribe_start();
    wait_for_log("checkpoint_not_kept");
    again_mono_ms = clock_mono_ms() + SIGNER_RETRY_MS;
    alter_ledger("DROP TRIGGER refuse");
    assert_int_equal(rename(store_path, away), 0);
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_RECORDED);
    usleep((useconds_t)(clock_left_ms(again_mono_ms) + 1500) * 1000);
    assert_int_equal(rename(away, store_path), 0);
    assert_int_equal(file_write_durably(drain, 0600, "", 0, NULL), 0);
    deadline = clock_mono_ms() + WAIT_MS + SIGNER_RETRY_MS;
    while (ledger_int(of_lost, NULL) == 0) {
        assert_true(clock_left_ms(deadline) > 0);
        usleep(5000);
    }
    clerk_free(clerk);
}

static void
test_leaving_closes_the_log_and_the_next_one_names_it(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_RECORDED);
    scribe_stop();
    assert_int_equal(
        ledger_int("SELECT json_extract(body, '$.size') FROM entry "
                   "WHERE kind = 'log_closed'",
                   NULL),
        3);
    scribe_start();
    wait_until_ready();
    assert_int_equal(
        ledger_int("SELECT json_extract(body, '$.previous.size') FROM entry "
                   "WHERE kind = 'log_opened' ORDER BY rowid DESC LIMIT 1",
                   NULL),
        4);
    clerk_free(clerk);
}

static void
test_a_scribe_that_leaves_writes_what_was_sent_before(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    kill(scribe_pid, SIGSTOP);
    submit(clerk, ENTRY_FINISHED, &run_id, NULL, 0);
    ask_to_leave(false);
    kill(scribe_pid, SIGCONT);
    pump(&clerk, 1);
    assert_int_equal(clerk_state(clerk), CLERK_RECORDED);
    assert_int_equal(scribe_gone(), 0);
    assert_int_equal(ledger_int("SELECT kind = 'log_closed' FROM entry "
                                "ORDER BY rowid DESC LIMIT 1",
                                NULL),
                     1);
    clerk_free(clerk);
}

static void
test_a_record_sent_while_the_one_before_is_answered_is_still_written(
    void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();

    (void)state;
    atomic_store(&shared->stop_after_send, true);
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    submit(clerk, ENTRY_FINISHED, &run_id, NULL, 0);
    ask_to_leave(false);
    assert_int_equal(waitpid(scribe_pid, NULL, WUNTRACED), scribe_pid);
    kill(scribe_pid, SIGCONT);
    assert_int_equal(scribe_gone(), 0);
    assert_int_equal(count_kind(&run_id, "finished"), 1);
    clerk_free(clerk);
}

static void
test_a_scribe_in_a_hurry_stays_for_the_runs_that_are_open(void **state)
{
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();
    const int64_t begin_mono_ms = clock_mono_ms();

    (void)state;
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    ask_to_leave(true);
    usleep(200000); /* longer than it would take to leave at once */
    assert_int_equal(record(clerk, ENTRY_FINISHED, &run_id), CLERK_RECORDED);
    clerk_free(clerk);
    assert_int_equal(scribe_gone(), 0);
    assert_in_range(clock_mono_ms() - begin_mono_ms, 200, 2500);
}

static void
test_a_scribe_in_a_hurry_does_not_stay_for_ever(void **state)
{
    const int slot = board_claim(board, 0, 1);
    struct clerk *clerk = new_clerk();
    const struct uuid run_id = new_run();
    const int64_t begin_mono_ms = clock_mono_ms();

    (void)state;
    board_set_pid(board, (size_t)slot, getpid());
    board_set_job(board, (size_t)slot, &run_id);
    assert_int_equal(record(clerk, ENTRY_ACCEPTED, &run_id), CLERK_RECORDED);
    ask_to_leave(true);
    assert_int_equal(scribe_gone(), 0);
    assert_in_range(clock_mono_ms() - begin_mono_ms, 2900, WAIT_MS);
    clerk_free(clerk);
    board_release(board, (size_t)slot);
}

static void
test_a_second_scribe_waits_for_the_first(void **state)
{
    const pid_t first_pid = scribe_pid;
    int status;

    (void)state;
    scribe_start();
    usleep(100000);
    assert_false(atomic_load(&shared->ready));
    kill(first_pid, SIGKILL);
    assert_int_equal(waitpid(first_pid, &status, 0), first_pid);
    wait_until_ready();
}

static void
test_a_ledger_of_a_newer_version_is_left_alone(void **state)
{
    struct lite *db;

    (void)state;
    scribe_stop();
    db = lite_open(store_path, LITE_READ_WRITE, WAIT_MS, NULL);
    assert_non_null(db);
    assert_int_equal(lite_exec(db, "PRAGMA user_version = 9", NULL), 0);
    lite_close(db);
    scribe_start();
    assert_int_equal(WEXITSTATUS(scribe_gone()), CHILD_EXIT_CONFIG);
    assert_true(log_says("schema version 9, this program knows up to 2"));
}

#define SCRIBE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIBE_TEST(test_a_key_is_one_runs_while_it_lasts_and_after_it),
        SCRIBE_TEST(test_of_two_in_one_batch_the_key_is_the_firsts),
        SCRIBE_TEST(test_the_next_scribe_knows_the_keys),
        SCRIBE_TEST(test_a_record_sent_again_has_its_own_key),
        SCRIBE_TEST(test_a_key_that_is_no_hash_is_refused),
        SCRIBE_TEST(test_a_run_becomes_two_entries_and_its_receipts_name_them),
        SCRIBE_TEST(test_a_record_sent_twice_gets_the_first_receipt),
        SCRIBE_TEST(test_a_record_twice_in_one_batch_is_written_once),
        SCRIBE_TEST(test_a_run_that_was_never_accepted_cannot_finish),
        SCRIBE_TEST(test_a_run_whose_beginning_was_committed_late_can_finish),
        SCRIBE_TEST(test_a_run_whose_client_left_late_is_cancelled),
        SCRIBE_TEST(test_a_run_that_has_not_finished_cannot_be_left),
        SCRIBE_TEST(test_an_answer_of_a_megabyte_is_stored_byte_for_byte),
        SCRIBE_TEST(test_records_that_come_together_share_a_commit),
        SCRIBE_TEST(test_more_records_than_a_batch_holds_are_all_written),
        SCRIBE_TEST(test_a_run_whose_worker_died_is_orphaned),
        SCRIBE_TEST(
            test_a_run_whose_beginning_is_gone_is_told_once_and_holds_up_nobody),
        SCRIBE_TEST(test_an_end_that_is_refused_is_told_once),
        SCRIBE_TEST(test_a_run_that_a_living_worker_shows_waits_for_it),
        SCRIBE_TEST(
            test_a_run_left_open_by_a_killed_scribe_is_orphaned_by_the_next),
        SCRIBE_TEST(
            test_a_clerk_that_names_its_run_to_the_next_scribe_keeps_it),
        SCRIBE_TEST(
            test_a_scribe_killed_before_its_answers_loses_and_doubles_nothing),
        SCRIBE_TEST(test_hostile_frames_cost_only_their_connection),
        SCRIBE_TEST(test_a_frame_that_comes_byte_by_byte_is_understood),
        SCRIBE_TEST(test_frames_that_come_at_once_are_all_understood),
        SCRIBE_TEST(test_a_whole_run_that_comes_at_once_is_written_in_order),
        SCRIBE_TEST(
            test_a_left_record_with_another_status_or_a_text_is_refused),
        SCRIBE_TEST(test_one_bad_record_does_no_harm_to_those_beside_it),
        SCRIBE_TEST(test_one_bad_record_among_many_costs_few_commits),
        SCRIBE_TEST(test_facts_that_are_no_entry_are_refused),
        SCRIBE_TEST(test_records_wait_for_a_full_disk_to_pass),
        SCRIBE_TEST(
            test_after_a_full_disk_ends_are_written_and_beginnings_are_not),
        SCRIBE_TEST(test_a_batch_that_comes_back_opens_no_run_again),
        SCRIBE_TEST(test_what_is_spooled_is_read_once_at_the_start),
        SCRIBE_TEST(test_leaving_while_the_ledger_is_away_writes_what_is_held),
        SCRIBE_TEST(test_a_log_is_signed_for_from_its_beginning_to_its_end),
        SCRIBE_TEST(test_the_next_scribe_signs_for_a_log_that_a_kill_ended),
        SCRIBE_TEST(
            test_the_last_checkpoint_of_an_ended_log_is_tried_until_it_is_kept),
        SCRIBE_TEST(test_leaving_closes_the_log_and_the_next_one_names_it),
        SCRIBE_TEST(test_a_scribe_that_leaves_writes_what_was_sent_before),
        SCRIBE_TEST(
            test_a_record_sent_while_the_one_before_is_answered_is_still_written),
        SCRIBE_TEST(test_a_scribe_in_a_hurry_stays_for_the_runs_that_are_open),
        SCRIBE_TEST(test_a_scribe_in_a_hurry_does_not_stay_for_ever),
        SCRIBE_TEST(test_a_second_scribe_waits_for_the_first),
        SCRIBE_TEST(test_a_ledger_of_a_newer_version_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
