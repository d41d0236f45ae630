/* test_listings.c - pages of runs and single runs, from a small ledger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/attr.h"
#include "control/listings.h"
#include "support/ledger_fixture.h"
#include "sys/log.h"
#include "text/json.h"

#define RUN_ID "0197f7a0-0000-7000-8000-000000000001"

static struct fixture fixture;
static struct reader *reader;
static struct buf out;

static int
set_up(void **state)
{
    struct err err = { 0 };

    (void)state;
    fixture_make(&fixture);
    fixture_open_log(&fixture);
    buf_init(&out, 1024 * 1024);
    reader = reader_open(
        &(struct reader_place){ .path = fixture.path, .url = "" }, &err);
    if (reader == NULL)
        print_error("%s\n", err.text);
    return reader != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    reader_close(reader);
    buf_close(&out);
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

static enum listings_result
ask(const char *limit, const char *cursor)
{
    struct err err = { 0 };

    buf_clear(&out);
    return listings_page(reader, limit, cursor, &out, &err);
}

/* The page as it came; owned by the caller. */
static json_t *
page(const char *limit, const char *cursor)
{
    json_t *body;

    assert_int_equal(ask(limit, cursor), LISTINGS_OK);
    body = json_loads(buf_cstr(&out), 0, NULL);
    assert_non_null(body);
    assert_int_equal(json_object_size(body), 2);
    assert_true(json_is_array(json_object_get(body, "experiments")));
    return body;
}

static size_t
length_of(const json_t *body)
{
    return json_array_size(json_object_get(body, "experiments"));
}

/* ---- pages --------------------------------------------------------------- */

static void
test_a_page_of_an_empty_ledger_is_empty(void **state)
{
    json_t *body = page(NULL, NULL);

    (void)state;
    assert_int_equal(length_of(body), 0);
    assert_true(json_is_null(json_object_get(body, "next_cursor")));
    json_decref(body);
}

/* Some of them began in the same microsecond: a cursor is a place, no time. */
static void
test_following_the_cursors_meets_each_run_once_newest_first(void **state)
{
    static const char *const starts[] = {
        "2026-01-01T00:00:00.000001Z", "2026-01-02T00:00:00.000000Z",
        "2026-01-02T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z",
        "2026-01-02T00:00:00.000000Z", "2026-01-03T00:00:00.999999Z",
        "2026-01-04T00:00:00.000000Z",
    };
    char met[ARRAY_LEN(starts)][UUID_TEXT_LEN];
    char cursor[128] = "";
    size_t count = 0;
    int pages = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        accept_at(starts[i]);
    do {
        json_t *body = page("2", pages > 0 ? cursor : NULL);
        const json_t *runs = json_object_get(body, "experiments");
        const char *next = json_get_string(body, "next_cursor");
        const json_t *run;
        size_t i;

        json_array_foreach(runs, i, run)
        {
            const size_t from_oldest = ARRAY_LEN(starts) - 1 - count;

            assert_true(count < ARRAY_LEN(starts));
            assert_string_equal(json_get_string(run, "created_at"),
                                starts[from_oldest]);
            snprintf(met[count++], UUID_TEXT_LEN, "%s",
                     json_get_string(run, "id"));
        }
        snprintf(cursor, sizeof(cursor), "%s", next != NULL ? next : "");
        json_decref(body);
        pages++;
    } while (cursor[0] != '\0' && count < ARRAY_LEN(starts));
    assert_int_equal(count, ARRAY_LEN(starts));
    assert_int_equal(pages, 4);
    assert_string_equal(cursor, "");
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(met[i], met[j]);
}

static void
test_a_cursor_names_the_last_run_of_its_page(void **state)
{
    const struct uuid older = accept_at("2026-01-01T00:00:00.000000Z");
    const struct uuid newer = accept_at("2026-01-01T00:00:00.000007Z");
    json_t *body = page("1", NULL);
    char run_id[UUID_TEXT_LEN];
    char wanted[64];

    (void)state;
    (void)older;
    uuid_format(&newer, run_id);
    snprintf(wanted, sizeof(wanted), "1767225600000007.%s", run_id);
    assert_string_equal(json_get_string(body, "next_cursor"), wanted);
    json_decref(body);
}

static void
test_new_runs_do_not_shift_a_page(void **state)
{
    const struct uuid first = accept_at("2026-01-01T00:00:00.000000Z");
    char run_id[UUID_TEXT_LEN];
    char cursor[128];
    json_t *body;

    (void)state;
    accept_at("2026-01-02T00:00:00.000000Z");
    body = page("1", NULL);
    snprintf(cursor, sizeof(cursor), "%s",
             json_get_string(body, "next_cursor"));
    json_decref(body);
    accept_at("2026-01-03T00:00:00.000000Z");
    body = page("1", cursor);
    uuid_format(&first, run_id);
    assert_int_equal(length_of(body), 1);
    assert_string_equal(
        json_get_string(json_array_get(json_object_get(body, "experiments"), 0),
                        "id"),
        run_id);
    assert_true(json_is_null(json_object_get(body, "next_cursor")));
    json_decref(body);
}

static void
test_a_page_holds_fifty_runs_unless_told(void **state)
{
    json_t *body;

    (void)state;
    for (int i = 0; i < 51; i++)
        accept_at("2026-01-01T00:00:00.000000Z");
    body = page(NULL, NULL);
    assert_int_equal(length_of(body), 50);
    assert_non_null(json_get_string(body, "next_cursor"));
    json_decref(body);
    body = page("500", NULL);
    assert_int_equal(length_of(body), 51);
    assert_true(json_is_null(json_object_get(body, "next_cursor")));
    json_decref(body);
}

static void
test_a_limit_is_a_number_from_1_to_500(void **state)
{
    static const char *const bad[] = {
        "",    "0",  "501", "-1",  "ten",  "1e2",
        "1.5", " 5", "5 ",  "0x5", "5\n6", "99999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (ask(bad[i], NULL) != LISTINGS_BAD_LIMIT)
            fail_msg("limit \"%s\" was taken", bad[i]);
        assert_int_equal(out.len, 0);
    }
    assert_int_equal(ask("1", NULL), LISTINGS_OK);
    assert_int_equal(ask("500", NULL), LISTINGS_OK);
}

static void
test_a_cursor_that_is_none_of_ours_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        ".",
        "1",
        "1.",
        ("." RUN_ID),
        RUN_ID,
        ("-1." RUN_ID),
        ("x." RUN_ID),
        ("1x." RUN_ID),
        (" 1." RUN_ID),
        ("1.." RUN_ID),
        ("1." RUN_ID "0"),
        ("1." RUN_ID ".1"),
        ("1. " RUN_ID),
        "1.0197f7a0000070008000000000000001",
        "1.0197f7a0-0000-7000-8000-00000000000g",
        ("9223372036854775808." RUN_ID),
        ("00000000000000000000000000001." RUN_ID),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (ask(NULL, bad[i]) != LISTINGS_BAD_CURSOR)
            fail_msg("cursor \"%s\" was taken", bad[i]);
        assert_int_equal(out.len, 0);
    }
    assert_int_equal(ask(NULL, "0." RUN_ID), LISTINGS_OK);
    assert_int_equal(ask(NULL, "9223372036854775807." RUN_ID), LISTINGS_OK);
}

static void
test_a_page_that_does_not_fit_is_a_failure_of_ours(void **state)
{
    struct err err = { 0 };
    struct buf small;

    (void)state;
    fixture_write_run(&fixture);
    buf_init(&small, 64);
    assert_int_equal(listings_page(reader, NULL, NULL, &small, &err),
                     LISTINGS_FAILED);
    assert_int_not_equal(err.text[0], 0);
    buf_close(&small);
}

/* ---- one run ------------------------------------------------------------- */

static void
test_a_run_is_found_by_its_id_in_either_case(void **state)
{
    const struct uuid run_id = fixture_write_run(&fixture);
    char text[UUID_TEXT_LEN];
    struct err err = { 0 };
    json_t *run;

    (void)state;
    uuid_format(&run_id, text);
    assert_int_equal(listings_run(reader, text, &out, &err), LISTINGS_OK);
    run = json_loads(buf_cstr(&out), 0, NULL);
    assert_string_equal(json_get_string(run, "id"), text);
    assert_string_equal(json_get_string(run, "status"), "ok");
    assert_int_equal(json_array_size(json_object_get(run, "entries")), 2);
    json_decref(run);
    for (char *c = text; *c != '\0'; c++)
        if (*c >= 'a' && *c <= 'f')
            *c = (char)(*c - 'a' + 'A');
    assert_int_equal(listings_run(reader, text, &out, &err), LISTINGS_OK);
}

static void
test_what_is_no_id_is_not_looked_for(void **state)
{
    static const char *const bad[] = {
        "",
        "1",
        "latest",
        (RUN_ID "0"),
        (RUN_ID "/"),
        (" " RUN_ID),
        "0197f7a0-0000-7000-8000-00000000000",
        "0197f7a0000070008000000000000001",
    };
    struct err err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (listings_run(reader, bad[i], &out, &err) != LISTINGS_BAD_ID)
            fail_msg("\"%s\" was looked for", bad[i]);
    assert_int_equal(out.len, 0);
}

static void
test_a_run_that_is_not_there_is_not_found(void **state)
{
    struct err err = { 0 };

    (void)state;
    fixture_write_run(&fixture);
    assert_int_equal(listings_run(reader, RUN_ID, &out, &err),
                     LISTINGS_NOT_FOUND);
    assert_int_equal(out.len, 0);
}

static void
test_an_entry_that_cannot_be_read_is_a_failure_of_ours(void **state)
{
    const struct uuid run_id = fixture_write_run(&fixture);
    char text[UUID_TEXT_LEN];
    struct err err = { 0 };

    (void)state;
    fixture_tamper(&fixture, "UPDATE entry SET body = '{' WHERE "
                             "kind = 'finished'");
    uuid_format(&run_id, text);
    assert_int_equal(listings_run(reader, text, &out, &err), LISTINGS_FAILED);
    assert_int_not_equal(err.text[0], 0);
    assert_int_equal(out.len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_page_of_an_empty_ledger_is_empty),
        TEST(test_following_the_cursors_meets_each_run_once_newest_first),
        TEST(test_a_cursor_names_the_last_run_of_its_page),
        TEST(test_new_runs_do_not_shift_a_page),
        TEST(test_a_page_holds_fifty_runs_unless_told),
        TEST(test_a_limit_is_a_number_from_1_to_500),
        TEST(test_a_cursor_that_is_none_of_ours_is_refused),
        TEST(test_a_page_that_does_not_fit_is_a_failure_of_ours),
        TEST(test_a_run_is_found_by_its_id_in_either_case),
        TEST(test_what_is_no_id_is_not_looked_for),
        TEST(test_a_run_that_is_not_there_is_not_found),
        TEST(test_an_entry_that_cannot_be_read_is_a_failure_of_ours),
    };

    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
