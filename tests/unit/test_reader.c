#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "ledger/reader.h"
#include "support/ledger_fixture.h"
#include "support/pg_cluster.h"
#include "sys/log.h"
#include "text/json.h"

#define REQUEST_MS 5000

static struct fixture fixture;
static struct reader *reader;
static int database_count;

static int
set_up(void **state)
{
    struct err err = { 0 };

    (void)state;
    fixture_make(&fixture);
    fixture_open_log(&fixture);
    reader = reader_open(
        &(struct reader_place){ .path = fixture.path, .url = "" }, &err);
    if (reader == NULL)
        print_error("%s\n", err.text);
    return reader != NULL ? 0 : -1;
}

/* The same on PostgreSQL: a database for each test, by the roles that write and
 * read in a service. */
static struct reader *
open_database(const char *user)
{
    static char url[512];
    struct err err = { 0 };
    struct reader *opened;

    snprintf(url, sizeof(url), "host=%s dbname=ledger%d user=%s",
             pg_cluster_folder(), database_count, user);
    opened = reader_open(&(struct reader_place){ .path = "",
                                                 .url = url,
                                                 .application = "test reader",
                                                 .request_ms = REQUEST_MS },
                         &err);
    assert_non_null(opened);
    return opened;
}

static int
set_up_database(void **state)
{
    static char url[512];
    char sql[64];

    (void)state;
    snprintf(sql, sizeof(sql), "CREATE DATABASE ledger%d TEMPLATE ledger",
             ++database_count);
    pg_cluster_sql("postgres", sql);
    snprintf(url, sizeof(url), "host=%s dbname=ledger%d user=scribe",
             pg_cluster_folder(), database_count);
    fixture_make(&fixture);
    fixture.url = url;
    fixture_open_log(&fixture);
    reader = open_database("auditor");
    return 0;
}

static int
start_cluster(void **state)
{
    (void)state;
    return pg_cluster_start() == 0 ? pg_cluster_say("deploy ledger") : -1;
}

static int
stop_cluster(void **state)
{
    (void)state;
    return pg_cluster_stop();
}

static int
tear_down(void **state)
{
    (void)state;
    reader_close(reader);
    fixture_remove(&fixture);
    return 0;
}

static struct uuid
accept_at(const char *started_at)
{
    const struct uuid run_id = fixture_new_run();

    fixture_write(&fixture, ENTRY_ACCEPTED, &run_id,
                  &(struct fixture_options){ .started_at = started_at });
    return run_id;
}

static json_t *
list(size_t limit, struct reader_cursor *cursor)
{
    const struct reader_query query = { .limit = limit, .after = *cursor };
    struct err err = { 0 };
    json_t *page = reader_list(reader, &query, cursor, &err);

    if (page == NULL)
        fail_msg("%s", err.text);
    return page;
}

static void
assert_id(const json_t *run, const struct uuid *run_id)
{
    char text[UUID_TEXT_LEN];

    uuid_format(run_id, text);
    assert_string_equal(json_get_string(run, "id"), text);
}

static void
test_a_listed_run_has_all_its_members(void **state)
{
    const struct uuid run_id = fixture_write_run(&fixture);
    struct reader_cursor cursor = { .set = false };
    json_t *page = list(10, &cursor), *run = json_array_get(page, 0);

    (void)state;
    assert_int_equal(json_array_size(page), 1);
    assert_false(cursor.set);
    assert_id(run, &run_id);
    assert_int_equal(json_object_size(run), 13);
    assert_string_equal(json_get_string(run, "query"), "why?");
    assert_string_equal(json_get_string(run, "flash_response"), "so");
    assert_string_equal(json_get_string(run, "pro_response"), "because");
    assert_int_equal(json_get_int(run, "flash_latency_ms", -1), 800);
    assert_int_equal(json_get_int(run, "pro_latency_ms", -1), 1900);
    assert_int_equal(json_get_int(run, "total_ms", -1), 2012);
    assert_string_equal(json_get_string(run, "created_at"),
                        "2026-01-31T23:59:59.123456Z");
    assert_string_equal(json_get_string(run, "user_id"), "u-1");
    assert_string_equal(json_get_string(run, "status"), "ok");
    assert_string_equal(json_get_string(run, "salvage"), "none");
    assert_string_equal(json_get_string(run, "flash_model"), "quick-1");
    assert_string_equal(json_get_string(run, "pro_model"), "careful-2");
    json_decref(page);
}

static void
test_open_and_orphaned_runs_are_listed(void **state)
{
    const struct uuid orphan_id = accept_at("2026-01-01T00:00:00.000000Z");
    struct reader_cursor cursor = { .set = false };
    json_t *page, *run;

    (void)state;
    accept_at("2026-01-02T00:00:00.000000Z");
    fixture_write(&fixture, ENTRY_ORPHANED, &orphan_id, NULL);
    page = list(10, &cursor);
    assert_int_equal(json_array_size(page), 2);
    run = json_array_get(page, 0);
    assert_string_equal(json_get_string(run, "status"), "open");
    assert_true(json_is_null(json_object_get(run, "query")));
    assert_true(json_is_null(json_object_get(run, "total_ms")));
    assert_string_equal(json_get_string(run, "flash_model"), "quick");
    run = json_array_get(page, 1);
    assert_id(run, &orphan_id);
    assert_string_equal(json_get_string(run, "status"), "orphaned");
    json_decref(page);
}

static void
test_pages_are_newest_first_and_neither_skip_nor_repeat(void **state)
{
    static const char *const times[] = {
        "2026-01-03T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z",
        "2026-01-02T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z",
        "2026-01-02T00:00:00.000000Z",
    };
    struct reader_cursor cursor = { .set = false };
    char seen[ARRAY_LEN(times)][UUID_TEXT_LEN];
    char last[CLOCK_UTC_LEN] = "9999";
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        accept_at(times[i]);
    do {
        json_t *page = list(2, &cursor), *run;
        size_t i;

        assert_in_range(json_array_size(page), 1, 2);
        json_array_foreach(page, i, run)
        {
            const char *created_at = json_get_string(run, "created_at");

            assert_true(strcmp(created_at, last) <= 0);
            snprintf(last, sizeof(last), "%s", created_at);
            assert_true(count < ARRAY_LEN(seen));
            snprintf(seen[count], sizeof(seen[count]), "%s",
                     json_get_string(run, "id"));
            for (size_t j = 0; j < count; j++)
                assert_string_not_equal(seen[j], seen[count]);
            count++;
        }
        json_decref(page);
    } while (cursor.set);
    assert_int_equal(count, ARRAY_LEN(times));
}

static void
test_a_page_that_ends_exactly_has_no_next(void **state)
{
    struct reader_cursor cursor = { .set = false };

    (void)state;
    accept_at("2026-01-01T00:00:00.000000Z");
    accept_at("2026-01-02T00:00:00.000000Z");
    json_decref(list(2, &cursor));
    assert_false(cursor.set);
}

/* Long answers: a third of a page each, and a bit. */
static void
test_a_page_of_long_texts_ends_early_and_says_where_to_go_on(void **state)
{
    static char answer[READER_PAGE_BYTES / 3 + 1];
    const struct entry_content parts[] = {
        { .part = ENTRY_PART_PRO, .bytes = answer, .len = sizeof(answer) },
    };
    struct reader_cursor cursor = { .set = false };
    struct uuid run_ids[5];
    json_t *page;

    (void)state;
    memset(answer, 'a', sizeof(answer));
    for (size_t i = 0; i < ARRAY_LEN(run_ids); i++) {
        run_ids[i] = accept_at("2026-01-01T00:00:00.000000Z");
        fixture_write(
            &fixture, ENTRY_FINISHED, &run_ids[i],
            &(struct fixture_options){ .parts = parts, .part_count = 1 });
    }
    page = list(10, &cursor);
    assert_int_equal(json_array_size(page), 3);
    assert_id(json_array_get(page, 0), &run_ids[4]);
    assert_id(json_array_get(page, 2), &run_ids[2]);
    assert_true(cursor.set);
    json_decref(page);
    page = list(10, &cursor);
    assert_int_equal(json_array_size(page), 2);
    assert_id(json_array_get(page, 0), &run_ids[1]);
    assert_id(json_array_get(page, 1), &run_ids[0]);
    assert_false(cursor.set);
    json_decref(page);
}

static void
test_one_run_is_shown_with_entries_and_texts(void **state)
{
    const struct uuid run_id = fixture_write_run(&fixture);
    json_t *run = reader_get(reader, &run_id, NULL);
    json_t *entries = json_object_get(run, "entries");
    json_t *first = json_array_get(entries, 0);
    json_t *content = json_object_get(run, "content");

    (void)state;
    assert_id(run, &run_id);
    assert_string_equal(json_get_string(run, "status"), "ok");
    assert_int_equal(json_array_size(entries), 2);
    assert_string_equal(json_get_string(first, "kind"), "accepted");
    assert_int_equal(json_get_int(first, "idx", -1), 1);
    assert_int_equal(strlen(json_get_string(first, "leaf_hash")), 64);
    assert_int_equal(strlen(json_get_string(first, "log_id")), 36);
    assert_int_equal(strlen(json_get_string(first, "recorded_at")), 27);
    assert_string_equal(
        json_get_string(json_object_get(first, "body"), "principal"),
        "key:\"demo\"\n");
    assert_string_equal(json_get_string(json_array_get(entries, 1), "kind"),
                        "finished");
    assert_int_equal(json_object_size(content), 4);
    assert_string_equal(json_get_string(content, "context"), "{}");
    json_decref(run);
}

static void
test_a_run_that_was_left_is_cancelled_wherever_it_is_shown(void **state)
{
    const struct uuid run_id = fixture_write_run(&fixture);
    struct reader_cursor cursor = { .set = false };
    json_t *page, *run, *entries;

    (void)state;
    fixture_write(&fixture, ENTRY_LEFT, &run_id, NULL);
    page = list(10, &cursor);
    assert_int_equal(json_array_size(page), 1);
    run = json_array_get(page, 0);
    assert_string_equal(json_get_string(run, "status"), "cancelled");
    assert_int_equal(json_get_int(run, "total_ms", -1), 2012);
    json_decref(page);
    run = reader_get(reader, &run_id, NULL);
    assert_string_equal(json_get_string(run, "status"), "cancelled");
    entries = json_object_get(run, "entries");
    assert_int_equal(json_array_size(entries), 3);
    assert_string_equal(json_get_string(json_array_get(entries, 2), "kind"),
                        "left");
    json_decref(run);
    if (fixture.url != NULL)
        return; /* sql/tests/view.sql looks at the view there */
    assert_int_equal(
        fixture_int(&fixture,
                    "SELECT count(*) FROM experiment_runs WHERE status = "
                    "'cancelled' AND pro_response = 'because' AND "
                    "pro_latency_ms = 1900"),
        1);
}

static void
test_an_open_run_says_so(void **state)
{
    const struct uuid run_id = accept_at("2026-01-01T00:00:00.000000Z");
    json_t *run = reader_get(reader, &run_id, NULL);

    (void)state;
    assert_string_equal(json_get_string(run, "status"), "open");
    assert_int_equal(json_object_size(json_object_get(run, "content")), 0);
    json_decref(run);
}

static void
test_a_run_that_is_not_there_is_null(void **state)
{
    const struct uuid run_id = fixture_new_run();
    json_t *run = reader_get(reader, &run_id, NULL);

    (void)state;
    assert_true(json_is_null(run));
    json_decref(run);
}

static void
test_a_ledger_that_is_not_there_is_told_apart(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_null(reader_open(
        &(struct reader_place){ .path = "/nowhere/ledger.db", .url = "" },
        &err));
    assert_int_equal(err.kind, ERR_INVALID);
}

static void
test_the_view_for_people_agrees(void **state)
{
    (void)state;
    fixture_write_run(&fixture);
    accept_at("2026-01-01T00:00:00.000000Z");
    assert_int_equal(
        fixture_int(&fixture,
                    "SELECT count(*) FROM experiment_runs WHERE query = 'why?' "
                    "AND context = '{}' AND flash_response = 'so' AND "
                    "pro_response = 'because' AND flash_latency_ms = 800 AND "
                    "pro_latency_ms = 1900 AND user_id = 'u-1' AND status = "
                    "'ok' AND created_at = '2026-01-31T23:59:59.123456Z'"),
        1);
    assert_int_equal(fixture_int(&fixture,
                                 "SELECT count(*) FROM experiment_runs "
                                 "WHERE status = 'open' AND query IS NULL"),
                     1);
}

static void
test_entries_and_content_refuse_changes(void **state)
{
    static const char *const statements[] = {
        "UPDATE entry SET status = 'ok'",
        "DELETE FROM entry",
        "UPDATE content SET body = ''",
        "INSERT OR REPLACE INTO entry SELECT * FROM entry WHERE idx = 0",
        "INSERT OR REPLACE INTO entry (log_id, idx, recorded_at, kind, run_id,"
        " leaf_hash, body) SELECT 'x', 0, 0, kind, run_id, leaf_hash, body"
        " FROM entry WHERE kind = 'accepted'",
        "INSERT OR REPLACE INTO entry (log_id, idx, recorded_at, kind, run_id,"
        " leaf_hash, body) SELECT 'x', 0, 0, 'orphaned', run_id, leaf_hash,"
        " body FROM entry WHERE kind = 'finished'",
        "INSERT OR REPLACE INTO entry (log_id, idx, recorded_at, kind, run_id,"
        " leaf_hash, body) SELECT 'x', 0, 0, kind, run_id, leaf_hash, body"
        " FROM entry WHERE kind = 'left'",
        "INSERT OR REPLACE INTO content SELECT * FROM content",
    };
    struct uuid run_id;
    struct lite *db;

    (void)state;
    run_id = fixture_write_run(&fixture);
    fixture_write(&fixture, ENTRY_LEFT, &run_id, NULL);
    db = lite_open(fixture.path, LITE_READ_WRITE, 1000, NULL);
    assert_non_null(db);
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        struct err err = { 0 };

        if (lite_exec(db, statements[i], &err) != -1)
            fail_msg("%s", statements[i]);
    }
    lite_close(db);
}

/* Whoever has the file can write what is no text.  One such place must not keep
 * the rest from being read. */
static void
test_what_is_no_text_is_shown_as_far_as_it_is(void **state)
{
    static const char spoil[] =
        "INSERT INTO content SELECT run_id, CAST(x'70ff' AS TEXT),"
        " zeroblob(32), '' FROM entry WHERE kind = 'accepted';"
        "INSERT INTO content SELECT run_id, 'query', zeroblob(32),"
        " CAST(x'61ff62' AS TEXT) FROM entry WHERE kind = 'accepted'";
    const struct uuid run_id = accept_at("2026-01-01T00:00:00.000000Z");
    struct lite *db = lite_open(fixture.path, LITE_READ_WRITE, 1000, NULL);
    struct reader_cursor cursor = { .set = false };
    struct err err = { 0 };
    json_t *page, *run, *content;

    (void)state;
    assert_non_null(db);
    if (lite_exec(db, spoil, &err) == -1)
        fail_msg("%s", err.text);
    lite_close(db);
    page = list(10, &cursor);
    assert_string_equal(json_get_string(json_array_get(page, 0), "query"),
                        "a\xef\xbf\xbd"
                        "b");
    json_decref(page);
    run = reader_get(reader, &run_id, NULL);
    content = json_object_get(run, "content");
    assert_string_equal(json_get_string(content, "query"), "a\xef\xbf\xbd"
                                                           "b");
    assert_non_null(json_object_get(content, "p\xef\xbf\xbd"));
    json_decref(run);
}

/* ---- filters --------------------------------------------------------------- */

static size_t
count_of(const struct reader_query *query)
{
    struct reader_cursor next;
    struct err err = { 0 };
    json_t *page = reader_list(reader, query, &next, &err);
    size_t count;

    if (page == NULL)
        fail_msg("%s", err.text);
    count = json_array_size(page);
    json_decref(page);
    return count;
}

static void
test_filters_choose_runs_and_the_next_page_keeps_to_them(void **state)
{
    struct reader_query query = { .limit = 1, .status = "open" };
    struct reader_cursor next;
    json_t *page;
    const struct {
        struct reader_query query;
        size_t count;
    } cases[] = {
        { { .limit = 9 }, 4 },
        { { .limit = 9, .status = "ok" }, 1 },
        { { .limit = 9, .status = "cancelled" }, 1 },
        { { .limit = 9, .status = "timeout" }, 0 },
        { { .limit = 9, .user = "u-1" }, 4 },
        { { .limit = 9, .user = "u-2" }, 0 },
        { { .limit = 9, .model = "quick-1" }, 2 },
        { { .limit = 9, .model = "careful" }, 2 },
        { { .limit = 9, .model = "care" }, 0 },
        /* 2026-01-02 and the end of January */
        { { .limit = 9, .since_unix_us = 1767312000000000 }, 3 },
        { { .limit = 9, .until_unix_us = 1767312000000000 }, 1 },
        { { .limit = 9, .until_unix_us = 1767312000000001 }, 2 },
        { { .limit = 9, .status = "open", .since_unix_us = 1767312000000000 },
          1 },
    };
    struct uuid left;

    (void)state;
    fixture_write_run(&fixture);
    left = fixture_write_run(&fixture);
    fixture_write(&fixture, ENTRY_LEFT, &left, NULL);
    accept_at("2026-01-01T00:00:00.000000Z");
    accept_at("2026-01-02T00:00:00.000000Z");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (count_of(&cases[i].query) != cases[i].count)
            fail_msg("case %zu finds %zu", i, count_of(&cases[i].query));

    page = reader_list(reader, &query, &next, NULL);
    assert_int_equal(json_array_size(page), 1);
    assert_true(next.set);
    json_decref(page);
    query.after = next;
    page = reader_list(reader, &query, &next, NULL);
    assert_int_equal(json_array_size(page), 1);
    assert_false(next.set);
    assert_string_equal(json_get_string(json_array_get(page, 0), "created_at"),
                        "2026-01-01T00:00:00.000000Z");
    json_decref(page);
}

/* ---- PostgreSQL alone ------------------------------------------------------ */

static void
test_a_login_without_texts_shows_them_as_null(void **state)
{
    const struct uuid run_id = fixture_write_run(&fixture);
    struct reader_cursor cursor = { .set = false };
    json_t *page, *run, *content;

    (void)state;
    assert_true(reader_sees_texts(reader));
    reader_close(reader);
    reader = open_database("reader");
    page = list(10, &cursor);
    run = json_array_get(page, 0);
    assert_false(reader_sees_texts(reader));
    assert_true(json_is_null(json_object_get(run, "query")));
    assert_true(json_is_null(json_object_get(run, "pro_response")));
    assert_int_equal(json_get_int(run, "pro_latency_ms", -1), 1900);
    json_decref(page);

    run = reader_get(reader, &run_id, NULL);
    content = json_object_get(run, "content");
    assert_int_equal(json_array_size(json_object_get(run, "entries")), 2);
    assert_int_equal(json_object_size(content), 4);
    assert_true(json_is_null(json_object_get(content, "flash")));
    json_decref(run);
}

static void
test_a_login_that_may_not_read_is_told_what_it_lacks(void **state)
{
    const struct reader_query query = { .limit = 1 };
    struct reader_cursor next;
    struct err err = { 0 };

    (void)state;
    reader_close(reader);
    reader = open_database("scribe");
    assert_null(reader_list(reader, &query, &next, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "tandem_reader"));
}

static void
test_a_database_that_was_away_is_read_again(void **state)
{
    const struct uuid run_id = fixture_write_run(&fixture);
    const struct reader_query query = { .limit = 1 };
    struct reader_cursor next;
    struct err err = { 0 };
    json_t *page;

    (void)state;
    page = reader_list(reader, &query, &next, &err);
    assert_non_null(page);
    json_decref(page);
    assert_int_equal(pg_cluster_say("down fast"), 0);
    assert_null(reader_list(reader, &query, &next, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    memset(&err, 0, sizeof(err));
    assert_null(reader_get(reader, &run_id, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(pg_cluster_say("up"), 0);
    memset(&err, 0, sizeof(err));
    page = reader_list(reader, &query, &next, &err);
    if (page == NULL)
        fail_msg("%s", err.text);
    assert_id(json_array_get(page, 0), &run_id);
    json_decref(page);
}

/* Of any store, and of one. */
#define READER_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#define DATABASE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_database, tear_down)

#define OF_ANY(TEST) \
    TEST(test_a_listed_run_has_all_its_members), \
        TEST(test_open_and_orphaned_runs_are_listed), \
        TEST(test_pages_are_newest_first_and_neither_skip_nor_repeat), \
        TEST(test_a_page_that_ends_exactly_has_no_next), \
        TEST(test_a_page_of_long_texts_ends_early_and_says_where_to_go_on), \
        TEST(test_one_run_is_shown_with_entries_and_texts), \
        TEST(test_a_run_that_was_left_is_cancelled_wherever_it_is_shown), \
        TEST(test_an_open_run_says_so), \
        TEST(test_a_run_that_is_not_there_is_null), \
        TEST(test_filters_choose_runs_and_the_next_page_keeps_to_them)

int
main(void)
{
    const struct CMUnitTest in_a_file[] = {
        OF_ANY(READER_TEST),
        READER_TEST(test_a_ledger_that_is_not_there_is_told_apart),
        READER_TEST(test_the_view_for_people_agrees),
        READER_TEST(test_entries_and_content_refuse_changes),
        READER_TEST(test_what_is_no_text_is_shown_as_far_as_it_is),
    };
    const struct CMUnitTest in_a_database[] = {
        OF_ANY(DATABASE_TEST),
        DATABASE_TEST(test_a_login_without_texts_shows_them_as_null),
        DATABASE_TEST(test_a_login_that_may_not_read_is_told_what_it_lacks),
        DATABASE_TEST(test_a_database_that_was_away_is_read_again),
    };
    int failed;

    log_set_level(LOG_LEVEL_ERROR);
    failed = cmocka_run_group_tests(in_a_file, NULL, NULL);
    failed +=
        cmocka_run_group_tests(in_a_database, start_cluster, stop_cluster);
    return failed;
}
