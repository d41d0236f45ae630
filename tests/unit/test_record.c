/*
 * test_record.c - what the ledger is told of a run: the members that
 * docs/LEDGER.md lists, and their values for each way a run can go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "ask/record.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/str.h"
#include "support/canonical.h"
#include "text/json.h"

#define STARTED_UNIX_US INT64_C(1767225600123456)
#define STARTED_TEXT    "\"2026-01-01T00:00:00.123456Z\""

#define AGE_MS          5000
#define MAX_FACTS       24
#define MAX_FACTS_BYTES 8192

/* ---- members and their types --------------------------------------------- */

struct member {
    const char *name;
    char type; /* s text, i integer, b boolean, o object, a list; capital
                * letters: null as well */
};

static const struct member accepted_members[] = {
    { "started_at", 's' },     { "deadline_ms", 'i' },
    { "principal", 'S' },      { "user_id", 'S' },
    { "flash_model", 's' },    { "pro_model", 's' },
    { "flash_provider", 's' }, { "pro_provider", 's' },
    { "events", 's' },         { "worker_pid", 'i' },
    { "on_disconnect", 's' },  { "idempotency_key", 'S' },
    { "request_hash", 'S' },
};

static const struct member finished_members[] = {
    { "status", 's' },   { "salvage", 's' },   { "started_at", 's' },
    { "total_ms", 'i' }, { "principal", 'S' }, { "user_id", 'S' },
    { "client", 'o' },   { "sent", 'a' },      { "flash", 'o' },
    { "pro", 'o' },      { "first", 'S' },
};

static const struct member left_members[] = {
    { "status", 's' },    { "started_at", 's' }, { "client", 'o' },
    { "principal", 'S' }, { "user_id", 'S' },
};

static const struct member client_members[] = {
    { "left", 'b' },
    { "last_seq", 'i' },
    { "left_after_ms", 'I' },
};

static const struct member sent_members[] = {
    { "event", 's' },
    { "seq", 'i' },
    { "at_ms", 'i' },
};

static const struct member model_members[] = {
    { "outcome", 's' },           { "cancelled", 'S' },
    { "error_class", 'S' },       { "code", 'S' },
    { "requested_model", 's' },   { "served_model", 'S' },
    { "provider", 's' },          { "response_id", 'S' },
    { "finish_reason", 'S' },     { "http_status", 'I' },
    { "attempts", 'i' },          { "started_at", 'S' },
    { "first_token_ms", 'I' },    { "latency_ms", 'I' },
    { "input_tokens", 'I' },      { "output_tokens", 'I' },
    { "thought_tokens", 'I' },    { "cached_tokens", 'I' },
    { "total_tokens", 'I' },      { "rerouted", 'b' },
    { "transport_unclean", 'b' }, { "sent_ms", 'I' },
    { "attempt_log", 'a' },       { "fallback", 'b' },
    { "timeout_ms", 'i' },
};

static bool
is_of_type(const json_t *value, char type)
{
    switch (type) {
    case 'S':
        return json_is_null(value) || json_is_string(value);
    case 's':
        return json_is_string(value);
    case 'I':
        return json_is_null(value) || json_is_integer(value);
    case 'i':
        return json_is_integer(value);
    case 'b':
        return json_is_boolean(value);
    case 'o':
        return json_is_object(value);
    default:
        return json_is_array(value);
    }
}

/* All of them, of their types, and none besides. */
static void
assert_members(const json_t *object, const struct member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, members[i].name);

        if (value == NULL || !is_of_type(value, members[i].type))
            fail_msg("%s is %s", members[i].name,
                     value == NULL ? "missing" : "of another type");
    }
    assert_int_equal(json_object_size(object), count);
}

#define ASSERT_MEMBERS(object, members) \
    assert_members(object, members, ARRAY_LEN(members))

/* ---- runs ---------------------------------------------------------------- */

static const struct config config = {
    .flash = { .provider = CONFIG_PROVIDER_GEMINI, .model = "quick" },
    .pro = { .provider = CONFIG_PROVIDER_OPENAI, .model = "careful" },
    .run_deadline_ms = 50000,
    .enable_auth = true,
};

static const struct model_attempt two_attempts[] = {
    { "quick", "HttpError503", 503, 0, 20 },
    { "spare", "", 200, 1100, 180 },
};

/* clang-format off */
#define ANSWERED { \
    .outcome = MODEL_COMPLETE, .text = "whole", .text_len = 5, \
    .served_model = "served-1", .response_id = "r-1", \
    .finish_reason = "STOP", .error_class = "", \
    .usage = { 10, 5, 2, 0, 17 }, .http_status = 200, .attempts = 2, \
    .attempt_log = two_attempts, .fallback = true, \
    .rerouted = true, .transport_unclean = true, \
    .started_unix_us = STARTED_UNIX_US, .first_token_ms = 40, \
    .latency_ms = 300 }
#define BROKE_OFF(how, why, arrived) { \
    .outcome = how, .text = arrived, .text_len = sizeof(arrived) - 1, \
    .served_model = "served-1", .response_id = "", .finish_reason = "", \
    .error_class = why, .usage = { -1, -1, -1, -1, -1 }, \
    .http_status = 200, .attempts = 1, .attempt_log = two_attempts, \
    .started_unix_us = STARTED_UNIX_US, \
    .first_token_ms = -1, .latency_ms = 3000, .cleaned = true }
#define UNKNOWN { \
    .text = "", .served_model = "", .response_id = "", \
    .finish_reason = "", .error_class = "", \
    .usage = { -1, -1, -1, -1, -1 }, .first_token_ms = -1 }
/* clang-format on */

struct fact {
    const char *path;
    const char *json;
};

struct record_case {
    const char *name;
    struct model_answer answer[MODEL_ROLE_COUNT];
    enum turn_cancel cancelled[MODEL_ROLE_COUNT];
    bool client_left;
    bool hurried;
    int64_t left_after_ms;
    struct run_frame frames[4];
    struct fact facts[MAX_FACTS];
    const char *parts;
};

static void
run_make(struct run *run, const struct record_case *is)
{
    *run = (struct run){ .config = &config,
                         .id_text = "0197f7a0-0000-7000-8000-000000000001",
                         .started_unix_us = STARTED_UNIX_US,
                         .started_mono_ms = clock_mono_ms() - AGE_MS,
                         .principal = "api_key",
                         .left_after_ms = is->left_after_ms };
    run->request.words = VOCAB_STAGED;
    run->facts.requested_model[MODEL_FLASH] = config.flash.model;
    run->facts.requested_model[MODEL_PRO] = config.pro.model;
    run->turn.client_left = is->client_left;
    run->turn.hurried = is->hurried;
    for (int role = 0; role < MODEL_ROLE_COUNT; role++) {
        run->facts.answer[role] = is->answer[role];
        run->timeout_ms[role] = 5000;
        run->turn.cancelled[role] = is->cancelled[role];
        if (is->cancelled[role] == TURN_NOT_CANCELLED)
            run->turn.outcome[role] = is->answer[role].outcome;
    }
    while (run->frame_count < ARRAY_LEN(is->frames) &&
           is->frames[run->frame_count].event != NULL) {
        run->frames[run->frame_count] = is->frames[run->frame_count];
        run->frame_count++;
    }
    buf_init(&run->query, 1024);
    buf_init(&run->context, 1024);
    buf_init(&run->user, 1024);
    assert_int_equal(buf_append_str(&run->query, "why?"), BUF_OK);
}

static void
run_unmake(struct run *run)
{
    buf_close(&run->query);
    buf_close(&run->context);
    buf_close(&run->user);
}

/* The facts that write appends, which are canonical. */
static json_t *
facts_of(const struct run *run,
         int (*write)(const struct run *run, struct buf *facts))
{
    struct buf text;
    char *canonical;
    json_t *facts;

    buf_init(&text, MAX_FACTS_BYTES);
    assert_int_equal(write(run, &text), 0);
    facts = json_parse(text.bytes, text.len, 8, NULL);
    assert_non_null(facts);
    canonical = json_dumps(facts, CANONICAL);
    assert_non_null(canonical);
    assert_string_equal(text.bytes, canonical);
    free(canonical);
    buf_close(&text);
    return facts;
}

/* "flash.outcome" or "status". */
static const json_t *
value_at(const json_t *facts, const char *path)
{
    const char *dot = strchr(path, '.');
    char object[32];

    if (dot == NULL)
        return json_object_get(facts, path);
    snprintf(object, sizeof(object), "%.*s", (int)(dot - path), path);
    return json_object_get(json_object_get(facts, object), dot + 1);
}

static bool
says(const json_t *facts, const struct fact *fact)
{
    const json_t *value = value_at(facts, fact->path);
    json_t *wanted = json_loads(fact->json, JSON_DECODE_ANY, NULL);
    char *is = value != NULL ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    bool same;

    assert_non_null(wanted);
    same = value != NULL && json_equal(value, wanted) == 1;
    if (!same)
        print_error("%s is %s, not %s\n", fact->path,
                    is != NULL ? is : "missing", fact->json);
    json_decref(wanted);
    free(is);
    return same;
}

static void
parts_text(const struct entry_content *parts, size_t count, char *text,
           size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const size_t len = strlen(text);

        snprintf(text + len, size - len, "%s%s=%.*s%s", i > 0 ? " " : "",
                 entry_part_name(parts[i].part), (int)parts[i].len,
                 parts[i].bytes, parts[i].cleaned ? "(cleaned)" : "");
    }
}

/* ---- finished ------------------------------------------------------------ */

static const struct record_case cases[] = {
    { .name = "both answer",
      .answer = { ANSWERED, ANSWERED },
      .left_after_ms = -1,
      .frames = { { "start", 1, 0 },
                  { "flash_complete", 2, 310 },
                  { "pro_complete", 3, 320 } },
      .facts = { { "status", "\"ok\"" },
                 { "salvage", "\"none\"" },
                 { "started_at", STARTED_TEXT },
                 { "principal", "\"api_key\"" },
                 { "client",
                   "{\"left\":false,\"last_seq\":3,\"left_after_ms\":null}" },
                 { "sent",
                   "[{\"event\":\"start\",\"seq\":1,\"at_ms\":0},"
                   "{\"event\":\"flash_complete\",\"seq\":2,\"at_ms\":310},"
                   "{\"event\":\"pro_complete\",\"seq\":3,\"at_ms\":320}]" },
                 { "flash",
                   "{\"outcome\":\"complete\",\"cancelled\":null,"
                   "\"code\":null,\"error_class\":null,"
                   "\"finish_reason\":\"STOP\",\"http_status\":200,"
                   "\"attempts\":2,\"attempt_log\":["
                   "{\"model\":\"quick\",\"error_class\":\"HttpError503\","
                   "\"http_status\":503,\"wait_ms\":0,\"took_ms\":20},"
                   "{\"model\":\"spare\",\"error_class\":null,"
                   "\"http_status\":200,\"wait_ms\":1100,\"took_ms\":180}],"
                   "\"fallback\":true,\"timeout_ms\":5000,\"rerouted\":true,"
                   "\"transport_unclean\":true,\"input_tokens\":10,"
                   "\"output_tokens\":5,\"thought_tokens\":2,"
                   "\"cached_tokens\":0,\"total_tokens\":17,"
                   "\"provider\":\"gemini\",\"requested_model\":\"quick\","
                   "\"served_model\":\"served-1\",\"response_id\":\"r-1\","
                   "\"started_at\":" STARTED_TEXT ","
                   "\"first_token_ms\":40,\"latency_ms\":300,"
                   "\"sent_ms\":310}" },
                 { "pro.provider", "\"openai\"" },
                 { "pro.requested_model", "\"careful\"" },
                 { "pro.sent_ms", "320" } },
      .parts = "flash=whole pro=whole" },
    { .name = "Flash is superseded",
      .answer = { BROKE_OFF(MODEL_CANCELLED, "", "who"), ANSWERED },
      .cancelled = { TURN_SUPERSEDED, TURN_NOT_CANCELLED },
      .left_after_ms = -1,
      .frames = { { "final", 1, 290 } },
      .facts = { { "status", "\"ok\"" },
                 { "salvage", "\"none\"" },
                 { "flash.outcome", "\"superseded\"" },
                 { "flash.cancelled", "\"superseded\"" },
                 { "flash.code", "\"cancelled\"" },
                 { "flash.served_model", "null" },
                 { "flash.first_token_ms", "null" },
                 { "flash.latency_ms", "3000" },
                 { "flash.sent_ms", "null" },
                 { "pro.outcome", "\"complete\"" },
                 { "pro.sent_ms", "290" } },
      .parts = "flash_partial=who(cleaned) pro=whole" },
    { .name = "Pro times out with a part of its text",
      .answer = { ANSWERED, BROKE_OFF(MODEL_TIMED_OUT, "IdleTimeout", "whol") },
      .left_after_ms = -1,
      .frames = { { "preliminary", 1, 310 } },
      .facts = { { "status", "\"timeout\"" },
                 { "salvage", "\"flash_only\"" },
                 { "flash.sent_ms", "310" },
                 { "pro.outcome", "\"timed_out\"" },
                 { "pro.cancelled", "null" },
                 { "pro.code", "\"pro_timeout\"" },
                 { "pro.error_class", "\"IdleTimeout\"" },
                 { "pro.finish_reason", "null" },
                 { "pro.response_id", "null" },
                 { "pro.served_model", "null" },
                 { "pro.input_tokens", "null" },
                 { "pro.http_status", "200" },
                 { "pro.sent_ms", "null" } },
      .parts = "flash=whole pro_partial=whol(cleaned)" },
    { .name = "a shutdown before any model was asked",
      .answer = { UNKNOWN, UNKNOWN },
      .cancelled = { TURN_SHUTDOWN, TURN_SHUTDOWN },
      .hurried = true,
      .left_after_ms = -1,
      .facts = { { "status", "\"cancelled\"" },
                 { "sent", "[]" },
                 { "client.last_seq", "0" },
                 { "client.left", "false" },
                 { "flash.outcome", "\"not_started\"" },
                 { "flash.cancelled", "\"shutdown\"" },
                 { "flash.started_at", "null" },
                 { "flash.latency_ms", "null" },
                 { "flash.http_status", "null" },
                 { "flash.attempts", "0" },
                 { "flash.attempt_log", "[]" },
                 { "flash.requested_model", "\"quick\"" },
                 { "pro.outcome", "\"not_started\"" } },
      .parts = "" },
    { .name = "the client leaves between the answers",
      .answer = { ANSWERED, BROKE_OFF(MODEL_CANCELLED, "", "") },
      .cancelled = { TURN_NOT_CANCELLED, TURN_CLIENT_GONE },
      .client_left = true,
      .left_after_ms = 500,
      .frames = { { "preliminary", 1, 310 } },
      .facts = { { "status", "\"cancelled\"" },
                 { "salvage", "\"flash_only\"" },
                 { "client",
                   "{\"left\":true,\"last_seq\":1,\"left_after_ms\":500}" },
                 { "pro.outcome", "\"cancelled\"" },
                 { "pro.cancelled", "\"client\"" },
                 { "pro.code", "\"cancelled\"" } },
      .parts = "flash=whole" },
    { .name = "policy cancels Pro when Flash fails",
      .answer = { BROKE_OFF(MODEL_FAILED, "ServerError", ""),
                  BROKE_OFF(MODEL_CANCELLED, "", "") },
      .cancelled = { TURN_NOT_CANCELLED, TURN_SIBLING },
      .left_after_ms = -1,
      .facts = { { "status", "\"error\"" },
                 { "flash.code", "\"flash_error\"" },
                 { "flash.error_class", "\"ServerError\"" },
                 { "pro.cancelled", "\"sibling\"" } },
      .parts = "" },
};

static void
assert_finished_members(const json_t *facts)
{
    const json_t *frame;
    size_t i;

    ASSERT_MEMBERS(facts, finished_members);
    ASSERT_MEMBERS(json_object_get(facts, "client"), client_members);
    ASSERT_MEMBERS(json_object_get(facts, "flash"), model_members);
    ASSERT_MEMBERS(json_object_get(facts, "pro"), model_members);
    json_array_foreach(json_object_get(facts, "sent"), i, frame)
        ASSERT_MEMBERS(frame, sent_members);
}

static void
test_finished_tells_how_it_went(void **state)
{
    size_t bad = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct run run;
        json_t *facts;
        size_t wrong = 0;

        run_make(&run, &cases[i]);
        facts = facts_of(&run, record_finished);
        assert_finished_members(facts);
        for (const struct fact *fact = cases[i].facts; fact->path != NULL;
             fact++)
            wrong += !says(facts, fact);
        if (wrong > 0)
            print_error("in \"%s\"\n", cases[i].name);
        bad += wrong;
        json_decref(facts);
        run_unmake(&run);
    }
    assert_int_equal(bad, 0);
}

static void
test_facts_that_have_no_room_are_an_error(void **state)
{
    struct run run;
    struct buf facts;

    (void)state;
    run_make(&run, &cases[0]);
    buf_init(&facts, 100);
    assert_int_equal(record_accepted(&run, &facts), -1);
    assert_int_equal(record_finished(&run, &facts), -1);
    assert_int_equal(record_left(&run, &facts), -1);
    buf_close(&facts);
    run_unmake(&run);
}

static void
test_what_arrived_is_kept_whole_or_as_a_part(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct entry_content parts[ENTRY_MAX_PARTS];
        struct run run;
        char text[256];

        run_make(&run, &cases[i]);
        parts_text(parts, record_finished_parts(&run, parts), text,
                   sizeof(text));
        assert_string_equal(text, cases[i].parts);
        run_unmake(&run);
    }
}

static void
test_total_ms_is_what_done_says(void **state)
{
    struct run run;
    json_t *facts;

    (void)state;
    run_make(&run, &cases[0]);
    run.facts.total_ms = AGE_MS;
    facts = facts_of(&run, record_finished);
    assert_true(says(facts, &(struct fact){ "total_ms", "5000" }));
    json_decref(facts);
    run_unmake(&run);
}

static void
test_which_model_was_first_is_told(void **state)
{
    static const char *const told[] = { "null", "\"flash\"", "\"pro\"" };

    (void)state;
    for (int first = -1; first < MODEL_ROLE_COUNT; first++) {
        struct run run;
        json_t *facts;

        run_make(&run, &cases[0]);
        run.turn.first = first;
        facts = facts_of(&run, record_finished);
        assert_true(says(facts, &(struct fact){ "first", told[first + 1] }));
        json_decref(facts);
        run_unmake(&run);
    }
}

/* ---- accepted and left --------------------------------------------------- */

static void
test_accepted_tells_who_asks_whom(void **state)
{
    static const struct fact wanted[] = {
        { "started_at", STARTED_TEXT },     { "deadline_ms", "50000" },
        { "principal", "\"api_key\"" },     { "user_id", "\"u-1\"" },
        { "flash_model", "\"quick\"" },     { "pro_model", "\"careful\"" },
        { "flash_provider", "\"gemini\"" }, { "pro_provider", "\"openai\"" },
        { "events", "\"staged\"" },
    };
    struct run run;
    json_t *facts;

    (void)state;
    run_make(&run, &cases[0]);
    assert_int_equal(buf_append_str(&run.user, "u-1"), BUF_OK);
    facts = facts_of(&run, record_accepted);
    ASSERT_MEMBERS(facts, accepted_members);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        assert_true(says(facts, &wanted[i]));
    assert_int_equal(json_integer_value(json_object_get(facts, "worker_pid")),
                     getpid());
    json_decref(facts);
    run_unmake(&run);
}

static void
test_a_key_is_told_as_hashes(void **state)
{
    struct run run;
    json_t *facts;

    (void)state;
    run_make(&run, &cases[0]);
    facts = facts_of(&run, record_accepted);
    assert_true(says(facts, &(struct fact){ "idempotency_key", "null" }));
    assert_true(says(facts, &(struct fact){ "request_hash", "null" }));
    assert_true(says(facts, &(struct fact){ "on_disconnect", "\"cancel\"" }));
    json_decref(facts);
    run.request.outlives_client = true;
    strcpy(run.idempotency.key, "k");
    strcpy(run.idempotency.request, "r");
    facts = facts_of(&run, record_accepted);
    assert_true(says(facts, &(struct fact){ "idempotency_key", "\"k\"" }));
    assert_true(says(facts, &(struct fact){ "request_hash", "\"r\"" }));
    assert_true(says(facts, &(struct fact){ "on_disconnect", "\"continue\"" }));
    json_decref(facts);
    run_unmake(&run);
}

static void
test_providers_are_named_as_in_the_configuration(void **state)
{
    static const struct fact wanted[] = {
        [CONFIG_PROVIDER_AUTO] = { "pro_provider", "\"auto\"" },
        [CONFIG_PROVIDER_VERTEX] = { "pro_provider", "\"vertex\"" },
        [CONFIG_PROVIDER_GEMINI] = { "pro_provider", "\"gemini\"" },
        [CONFIG_PROVIDER_OPENAI] = { "pro_provider", "\"openai\"" },
    };
    struct config other = config;
    struct run run;

    (void)state;
    run_make(&run, &cases[0]);
    run.config = &other;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        json_t *facts;

        other.pro.provider = (int)i;
        facts = facts_of(&run, record_accepted);
        assert_true(says(facts, &wanted[i]));
        json_decref(facts);
    }
    run_unmake(&run);
}

static void
test_who_is_not_known_is_null(void **state)
{
    static const struct fact wanted[] = { { "principal", "null" },
                                          { "user_id", "null" } };
    struct run run;
    json_t *facts[3];

    (void)state;
    run_make(&run, &cases[0]);
    run.principal = NULL;
    facts[0] = facts_of(&run, record_accepted);
    facts[1] = facts_of(&run, record_finished);
    facts[2] = facts_of(&run, record_left);
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        for (size_t j = 0; j < ARRAY_LEN(wanted); j++)
            assert_true(says(facts[i], &wanted[j]));
        json_decref(facts[i]);
    }
    run_unmake(&run);
}

static void
test_left_says_cancelled_and_how_far_the_client_got(void **state)
{
    static const struct fact wanted[] = {
        { "status", "\"cancelled\"" },
        { "started_at", STARTED_TEXT },
        { "principal", "\"api_key\"" },
        { "client", "{\"left\":true,\"last_seq\":3,\"left_after_ms\":905}" },
    };
    struct run run;
    json_t *facts;

    (void)state;
    run_make(&run, &cases[0]);
    run.turn.client_left = true;
    run.left_after_ms = 905;
    facts = facts_of(&run, record_left);
    ASSERT_MEMBERS(facts, left_members);
    ASSERT_MEMBERS(json_object_get(facts, "client"), client_members);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        assert_true(says(facts, &wanted[i]));
    json_decref(facts);
    run_unmake(&run);
}

static void
test_the_question_is_kept_with_its_context(void **state)
{
    struct entry_content parts[ENTRY_MAX_PARTS];
    struct run run;
    char text[128];

    (void)state;
    run_make(&run, &cases[0]);
    parts_text(parts, record_accepted_parts(&run, parts), text, sizeof(text));
    assert_string_equal(text, "query=why?");
    assert_int_equal(buf_append_str(&run.context, "{\"a\":1}"), BUF_OK);
    run.context_changed = true;
    parts_text(parts, record_accepted_parts(&run, parts), text, sizeof(text));
    assert_string_equal(text, "query=why? context={\"a\":1}(cleaned)");
    run.query_changed = true;
    run.context_changed = false;
    parts_text(parts, record_accepted_parts(&run, parts), text, sizeof(text));
    assert_string_equal(text, "query=why?(cleaned) context={\"a\":1}");
    run_unmake(&run);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finished_tells_how_it_went),
        cmocka_unit_test(test_facts_that_have_no_room_are_an_error),
        cmocka_unit_test(test_what_arrived_is_kept_whole_or_as_a_part),
        cmocka_unit_test(test_total_ms_is_what_done_says),
        cmocka_unit_test(test_which_model_was_first_is_told),
        cmocka_unit_test(test_accepted_tells_who_asks_whom),
        cmocka_unit_test(test_a_key_is_told_as_hashes),
        cmocka_unit_test(test_providers_are_named_as_in_the_configuration),
        cmocka_unit_test(test_who_is_not_known_is_null),
        cmocka_unit_test(test_left_says_cancelled_and_how_far_the_client_got),
        cmocka_unit_test(test_the_question_is_kept_with_its_context),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
