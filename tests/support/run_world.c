/* run_world.c - see run_world.h. */
#include "support/run_world.h"

#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "sys/log.h"
#include "text/json.h"

#define BEGAN_MONO_MS 1000000
#define BEGAN_UNIX_US INT64_C(1767225600000000)

#define CLIENT_FD 1001
#define SCRIBE_FD 1002
#define MASTER_FD 1003

#define MAX_WAITS 300

#define ARENA_BYTES (64 * 1024)

struct models {
    bool has_failed;
};

struct model_call {
    enum model_role role;
    enum model_outcome outcome;
    int64_t started_ms;
    int64_t ends_ms;
    bool is_done;
    char *text; /* owned, so that a sanitizer sees who reads it too late */
};

struct clerk {
    enum clerk_state state;
    enum entry_kind kind;
    int64_t answers_ms;
    int64_t deadline_ms;
    struct entry_receipt receipt;
};

struct fcgi {
    int64_t deadline_ms;
    bool is_flushed;
};

/* What a wait has already reported: a level that stays is no news. */
struct heard {
    bool client;
    bool master;
};

struct world world;

static const struct world_script *script;
static struct models models;
static struct model_call *calls[MODEL_ROLE_COUNT];
static struct clerk clerk;
static struct fcgi gate;
static struct child child;
static struct arena arena;
static struct heard heard;
static struct buf story;
static int64_t story_ms;

/* ---- the story ----------------------------------------------------------- */

static void tell(const char *fmt, ...) ATTR_PRINTF(1, 2);

static void
tell(const char *fmt, ...)
{
    char word[128];
    va_list args;

    va_start(args, fmt);
    vsnprintf(word, sizeof(word), fmt, args);
    va_end(args);
    if (story.len == 0 || story_ms != world.now_ms)
        assert_int_equal(buf_printf(&story, "%s%lld", story.len > 0 ? "\n" : "",
                                    (long long)world.now_ms),
                         BUF_OK);
    story_ms = world.now_ms;
    assert_int_equal(buf_printf(&story, " %s", word), BUF_OK);
}

const char *
world_story(void)
{
    return buf_cstr(&story);
}

static bool
has_come(int64_t at_ms)
{
    return at_ms != WORLD_NEVER && world.now_ms >= at_ms;
}

/* ---- the time ------------------------------------------------------------ */

int64_t
clock_mono_us(void)
{
    return (BEGAN_MONO_MS + world.now_ms) * 1000;
}

int64_t
clock_mono_ms(void)
{
    return BEGAN_MONO_MS + world.now_ms;
}

int64_t
clock_unix_us(void)
{
    return BEGAN_UNIX_US + world.now_ms * 1000;
}

int
clock_left_ms(int64_t deadline_mono_ms)
{
    const int64_t left_ms = deadline_mono_ms - clock_mono_ms();

    return left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

void
clock_format_utc(int64_t unix_us, char text[CLOCK_UTC_LEN])
{
    snprintf(text, CLOCK_UTC_LEN, "began+%lld",
             (long long)(unix_us - BEGAN_UNIX_US) / 1000);
}

static int64_t
since_began(int64_t mono_ms)
{
    return mono_ms == INT64_MAX ? INT64_MAX : mono_ms - BEGAN_MONO_MS;
}

void
log_write(enum log_level level, const char *event, const char *fmt, ...)
{
    (void)fmt;
    if (level >= LOG_LEVEL_WARNING)
        tell("?%s", event);
}

/* ---- waiting ------------------------------------------------------------- */

static int64_t
sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool
is_watched(const struct http_fd *fds, size_t count, int fd)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i].fd == fd && (fds[i].events & POLLIN) != 0)
            return true;
    return false;
}

/* When the first thing happens that this wait can see. */
static int64_t
next_event_ms(const struct http_fd *fds, size_t count, bool with_models)
{
    int64_t next_ms = INT64_MAX;

    if (script->left_at != WORLD_NEVER && is_watched(fds, count, CLIENT_FD))
        next_ms = sooner(next_ms, script->left_at);
    if (script->hurry_at != WORLD_NEVER && is_watched(fds, count, MASTER_FD))
        next_ms = sooner(next_ms, script->hurry_at);
    if (clerk.state == CLERK_WAITING && is_watched(fds, count, SCRIBE_FD))
        next_ms = sooner(next_ms, clerk.answers_ms);
    if (with_models && script->curl_fails_at != WORLD_NEVER)
        next_ms = sooner(next_ms, script->curl_fails_at);
    for (int role = 0; with_models && role < MODEL_ROLE_COUNT; role++)
        if (calls[role] != NULL && !calls[role]->is_done)
            next_ms = sooner(next_ms, calls[role]->ends_ms);
    return next_ms;
}

static bool
end_due_calls(void)
{
    bool any = false;

    for (int role = 0; role < MODEL_ROLE_COUNT; role++) {
        struct model_call *call = calls[role];

        if (call == NULL || call->is_done || world.now_ms < call->ends_ms)
            continue;
        call->is_done = true;
        any = true;
    }
    return any;
}

/* Whether anything is there that no wait told before. */
static bool
is_news(const struct http_fd *fds, size_t count)
{
    const bool client =
        has_come(script->left_at) && is_watched(fds, count, CLIENT_FD);
    const bool master =
        has_come(script->hurry_at) && is_watched(fds, count, MASTER_FD);
    const bool scribe = clerk.state == CLERK_WAITING &&
                        world.now_ms >= clerk.answers_ms &&
                        is_watched(fds, count, SCRIBE_FD);
    const bool news =
        scribe || (client && !heard.client) || (master && !heard.master);

    heard.client = heard.client || client;
    heard.master = heard.master || master;
    return news;
}

static void
wait_for_something(const struct http_fd *fds, size_t count, int64_t until_ms,
                   bool with_models)
{
    const int64_t before_ms = world.now_ms;
    const int64_t next_ms =
        sooner(until_ms, next_event_ms(fds, count, with_models));
    bool moved;

    if (!gate.is_flushed)
        fail_msg("a frame waits in a buffer while we wait");
    if (++world.wait_count > MAX_WAITS)
        fail_msg("no end after %d waits:\n%s", MAX_WAITS, world_story());
    if (next_ms > world.now_ms)
        world.now_ms = next_ms;
    moved = world.now_ms > before_ms;
    if (with_models && end_due_calls())
        moved = true;
    if (!is_news(fds, count) && !moved)
        world.vain_count++;
}

/* The same for code that asks the system. */
static int
wait_in_poll(const struct pollfd *polled, nfds_t count, int timeout_ms)
{
    struct http_fd fds[8];

    assert_true(count <= ARRAY_LEN(fds));
    for (nfds_t i = 0; i < count; i++)
        fds[i] = (struct http_fd){ polled[i].fd, polled[i].events, 0 };
    wait_for_something(fds, count, world.now_ms + timeout_ms, false);
    return 0;
}

int __wrap_poll(struct pollfd *polled, nfds_t count, int timeout_ms);
int __wrap___poll_chk(struct pollfd *polled, nfds_t count, int timeout_ms,
                      size_t size);

int
__wrap_poll(struct pollfd *polled, nfds_t count, int timeout_ms)
{
    return wait_in_poll(polled, count, timeout_ms);
}

int
__wrap___poll_chk(struct pollfd *polled, nfds_t count, int timeout_ms,
                  size_t size)
{
    (void)size;
    return wait_in_poll(polled, count, timeout_ms);
}

/* ---- the models ---------------------------------------------------------- */

struct model_call *__wrap_models_start(struct models *all, enum model_role role,
                                       const struct model_prompt *prompt,
                                       int64_t deadline_mono_ms,
                                       struct err *err);
int __wrap_models_turn(struct models *all, struct http_fd *extra,
                       size_t extra_count, int64_t until_mono_ms,
                       struct err *err);
bool __wrap_model_call_is_done(const struct model_call *call);
struct model_answer __wrap_model_call_answer(const struct model_call *call);
void __wrap_model_call_cancel(struct model_call *call);
void __wrap_model_call_free(struct model_call *call);

struct model_call *
__wrap_models_start(struct models *all, enum model_role role,
                    const struct model_prompt *prompt, int64_t deadline_mono_ms,
                    struct err *err)
{
    const struct world_model *plan = &script->model[role];
    const int64_t deadline_ms = since_began(deadline_mono_ms);
    struct model_call *call;

    assert_ptr_equal(all, &models);
    assert_non_null(prompt->system);
    assert_string_equal(prompt->user, "why?");
    world.model_deadline_ms[role] = deadline_ms;
    if (plan->unstartable) {
        err_set(err, ERR_NOMEM, "call");
        return NULL;
    }
    tell("ask:%s", model_role_name(role));
    call = calloc(1, sizeof(*call));
    assert_non_null(call);
    call->role = role;
    call->outcome = plan->outcome;
    call->started_ms = world.now_ms;
    call->ends_ms = world.now_ms + plan->took_ms;
    call->text = strdup(plan->text != NULL                       ? plan->text
                        : model_outcome_is_answer(plan->outcome) ? "so"
                                                                 : "");
    if (plan->outcome == MODEL_PENDING || call->ends_ms > deadline_ms) {
        call->outcome = MODEL_TIMED_OUT;
        call->ends_ms = deadline_ms;
    }
    calls[role] = call;
    return call;
}

int
__wrap_models_turn(struct models *all, struct http_fd *extra,
                   size_t extra_count, int64_t until_mono_ms, struct err *err)
{
    if (all->has_failed)
        world.turns_after_failure++;
    wait_for_something(extra, extra_count, since_began(until_mono_ms), true);
    if (!has_come(script->curl_fails_at))
        return 0;
    all->has_failed = true;
    return err_set(err, ERR_SYSTEM, "curl");
}

bool
__wrap_model_call_is_done(const struct model_call *call)
{
    return call->is_done;
}

struct model_answer
__wrap_model_call_answer(const struct model_call *call)
{
    return (struct model_answer){
        .outcome = call->is_done ? call->outcome : MODEL_PENDING,
        .text = call->text,
        .text_len = strlen(call->text),
        .served_model = "served",
        .response_id = "",
        .finish_reason = "",
        .error_class = "",
        .usage = { -1, -1, -1, -1, -1 },
        .attempts = 1,
        .started_unix_us = BEGAN_UNIX_US + call->started_ms * 1000,
        .first_token_ms = -1,
        .latency_ms = sooner(call->ends_ms, world.now_ms) - call->started_ms,
    };
}

void
__wrap_model_call_cancel(struct model_call *call)
{
    if (call->is_done)
        return;
    tell("cancel:%s", model_role_name(call->role));
    call->is_done = true;
    call->outcome = MODEL_CANCELLED;
}

void
__wrap_model_call_free(struct model_call *call)
{
    if (call == NULL)
        return;
    tell("free:%s", model_role_name(call->role));
    calls[call->role] = NULL;
    free(call->text);
    free(call);
}

/* ---- the scribe ---------------------------------------------------------- */

static void
keep_parts(const struct entry_record *record)
{
    char *const text = world.parts[record->kind];
    const size_t size = sizeof(world.parts[record->kind]);

    text[0] = '\0';
    for (size_t i = 0; i < record->part_count; i++) {
        const struct entry_content *part = &record->parts[i];
        const size_t len = strlen(text);

        snprintf(text + len, size - len, "%s%s=%.*s", i > 0 ? " " : "",
                 entry_part_name(part->part), (int)part->len, part->bytes);
    }
}

int
clerk_submit(struct clerk *to, const struct entry_record *record,
             int64_t deadline_mono_ms, struct err *err)
{
    const enum entry_kind kind = record->kind;
    const int64_t took_ms = script->scribe[kind].took_ms;

    assert_int_not_equal(to->state, CLERK_WAITING);
    assert_memory_equal(&record->run_id, &world.run.id, sizeof(world.run.id));
    assert_null(world.facts[kind]);
    world.facts[kind] = json_deep_copy(record->facts);
    world.write_deadline_ms[kind] = since_began(deadline_mono_ms);
    keep_parts(record);
    to->state = CLERK_IDLE;
    if (script->scribe[kind].answer == WORLD_UNWRITABLE)
        return err_set(err, ERR_LIMIT, "too large");
    tell("write:%s", entry_kind_name(kind));
    to->state = CLERK_WAITING;
    to->kind = kind;
    to->deadline_ms = since_began(deadline_mono_ms);
    to->answers_ms =
        script->scribe[kind].answer == WORLD_SILENT
            ? INT64_MAX
            : world.now_ms + (took_ms > 0 ? took_ms : WORLD_WRITE_MS);
    return 0;
}

int
clerk_fd(const struct clerk *of)
{
    (void)of;
    return SCRIBE_FD;
}

short
clerk_events(const struct clerk *of)
{
    (void)of;
    return POLLIN;
}

int64_t
clerk_wake_mono_ms(const struct clerk *of)
{
    return of->state == CLERK_WAITING ? BEGAN_MONO_MS + of->deadline_ms
                                      : INT64_MAX;
}

void
clerk_turn(struct clerk *of)
{
    if (of->state != CLERK_WAITING)
        return;
    if (world.now_ms >= of->answers_ms) {
        const bool recorded = script->scribe[of->kind].answer == WORLD_RECORDS;

        of->state = recorded ? CLERK_RECORDED : CLERK_REFUSED;
        of->receipt.idx = of->kind;
        tell(recorded ? "receipt" : "refused");
    } else if (world.now_ms >= of->deadline_ms) {
        of->state = CLERK_LATE;
        tell("late");
    }
}

enum clerk_state
clerk_state(const struct clerk *of)
{
    return of->state;
}

const struct entry_receipt *
clerk_receipt(const struct clerk *of)
{
    assert_int_equal(of->state, CLERK_RECORDED);
    return &of->receipt;
}

const char *
clerk_reason(const struct clerk *of)
{
    (void)of;
    return "";
}

/* ---- the client ---------------------------------------------------------- */

static void
tell_done(const json_t *data)
{
    const json_t *audit = json_object_get(data, "audit");
    const json_t *index = json_object_get(audit, "index");

    if (json_is_integer(index))
        tell("done:%s:%s", json_get_string(data, "status"),
             entry_kind_name((enum entry_kind)json_integer_value(index)));
    else
        tell("done:%s:%s", json_get_string(data, "status"),
             json_get_string(audit, "state"));
}

static void
tell_frame(const char *event, const json_t *data)
{
    const char *code = json_get_string(data, "code");

    if (strcmp(event, "done") == 0)
        tell_done(data);
    else if (code != NULL)
        tell("%s:%s%s", event, code,
             json_is_true(json_object_get(data, "terminal")) ? "!" : "");
    else
        tell("%s", event);
}

/* One block as a client reads it, up to a blank line. */
static void
tell_block(const char *block)
{
    const char *event = strstr(block, "event: ");
    const char *bytes = strstr(block, "data: ");
    char name[32];
    json_t *data;

    if (event == NULL) {
        tell(strncmp(block, "Status: ", 8) == 0 ? "headers" : "heartbeat");
        return;
    }
    assert_non_null(bytes);
    assert_int_equal(sscanf(event, "event: %31s", name), 1);
    data = json_loads(bytes + 6, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(data);
    tell_frame(name, data);
    json_decref(data);
}

/* Whether bytes still get through; a slow reader costs time. */
static bool
gets_through(const struct fcgi *to)
{
    const bool stalled = has_come(script->stalled_at);
    const int64_t through_ms = world.now_ms + script->write_ms;

    if (stalled || through_ms > to->deadline_ms) {
        assert_int_not_equal(to->deadline_ms, INT64_MAX);
        if (to->deadline_ms > world.now_ms)
            world.now_ms = to->deadline_ms;
        return false;
    }
    world.now_ms = through_ms;
    return !has_come(script->left_at) && !has_come(script->unwritable_at);
}

int
fcgi_write(struct fcgi *to, const void *bytes, size_t len, struct err *err)
{
    char *text = strndup(bytes, len);
    char *block = text;

    if (!gets_through(to)) {
        free(text);
        return err_set(err, ERR_SYSTEM, "gone");
    }
    to->is_flushed = false;
    while (*block != '\0') {
        char *end = strstr(block, "\n\n");

        assert_non_null(end);
        *end = '\0';
        tell_block(block);
        block = end + 2;
    }
    free(text);
    return 0;
}

int
fcgi_flush(struct fcgi *to, struct err *err)
{
    (void)err;
    to->is_flushed = true;
    return 0;
}

void
fcgi_set_deadline(struct fcgi *of, int64_t deadline_mono_ms)
{
    of->deadline_ms = since_began(deadline_mono_ms);
}

int
fcgi_fd(const struct fcgi *of)
{
    (void)of;
    return CLIENT_FD;
}

bool
fcgi_client_is_gone(const struct fcgi *of)
{
    (void)of;
    return has_come(script->left_at);
}

/* ---- the master ---------------------------------------------------------- */

int
child_fd(const struct child *of)
{
    (void)of;
    return MASTER_FD;
}

bool
child_should_hurry(struct child *of)
{
    (void)of;
    return has_come(script->hurry_at);
}

/* ---- the whole ----------------------------------------------------------- */

static void
set_up_config(struct config *config)
{
    config->flash.timeout_ms = WORLD_FLASH_MS;
    config->flash.model = "quick";
    config->pro.timeout_ms = 2 * WORLD_RUN_MS;
    config->pro.model = "careful";
    config->run_deadline_ms = WORLD_RUN_MS;
    config->audit_share_ms = WORLD_RUN_MS - WORLD_MODELS_MS;
    config->heartbeat_ms =
        script->heartbeat_ms > 0 ? script->heartbeat_ms : 3600 * 1000;
    config->redact_before_model = true;
}

static void
set_up_run(struct run *run)
{
    const struct turn_policy policy = {
        .flash_failure_cancels = script->flash_failure_cancels,
        .early_flash_termination = !script->patient,
        .errors_end_stream = script->words != VOCAB_CLASSIC,
    };

    run->config = &world.config;
    run->id.bytes[0] = 7;
    uuid_format(&run->id, run->id_text);
    run->started_unix_us = clock_unix_us();
    run->started_mono_ms = BEGAN_MONO_MS;
    run->deadline_mono_ms = BEGAN_MONO_MS + WORLD_RUN_MS;
    run->models_deadline_mono_ms = BEGAN_MONO_MS + WORLD_MODELS_MS;
    run->left_after_ms = -1;
    run->request.words = script->words;
    buf_init(&run->query, 1024);
    assert_int_equal(buf_append_str(&run->query, "why?"), BUF_OK);
    turn_init(&run->turn, &policy);
    run->facts = (struct vocab_facts){
        .run_id = run->id_text,
        .query = run->query.bytes,
        .query_len = run->query.len,
        .requested_model = { world.config.flash.model, world.config.pro.model },
        .answer = { run_not_asked, run_not_asked },
        .deadline_ms = WORLD_RUN_MS,
    };
}

void
world_begin(const struct world_script *told)
{
    script = told;
    world = (struct world){ .now_ms = 0 };
    models = (struct models){ .has_failed = false };
    clerk = (struct clerk){ .state = CLERK_IDLE };
    gate = (struct fcgi){ .deadline_ms = INT64_MAX, .is_flushed = true };
    heard = (struct heard){ .client = false };
    buf_init(&story, 64 * 1024);
    arena_init(&arena, ARENA_BYTES);
    while (script->no_room && arena_alloc(&arena, 1) != NULL)
        continue;
    stream_init(&world.stream, &gate);
    if (script->out_max_bytes > 0)
        buf_init(&world.stream.out, script->out_max_bytes);
    set_up_config(&world.config);
    set_up_run(&world.run);
    world.tools = (struct turn_run_tools){ .models = &models,
                                           .clerk = &clerk,
                                           .child = &child,
                                           .arena = &arena,
                                           .stream = &world.stream };
}

void
world_end(void)
{
    for (int role = 0; role < MODEL_ROLE_COUNT; role++)
        __wrap_model_call_free(calls[role]);
    for (int kind = 0; kind < ENTRY_KIND_COUNT; kind++)
        json_decref(world.facts[kind]);
    vocab_close(&world.run.vocab);
    stream_close(&world.stream);
    buf_close(&world.run.query);
    arena_close(&arena);
    buf_close(&story);
}

const char *
world_record(void)
{
    static char text[256];
    const json_t *facts = world.facts[ENTRY_FINISHED];
    const json_t *client = json_object_get(facts, "client");
    const json_t *left_after = json_object_get(client, "left_after_ms");
    const json_t *frame;
    size_t len, i;

    if (facts == NULL)
        return "none";
    snprintf(text, sizeof(text),
             "%s/%s %s %s:", json_get_string(facts, "status"),
             json_get_string(facts, "salvage"),
             json_get_string(json_object_get(facts, "flash"), "outcome"),
             json_get_string(json_object_get(facts, "pro"), "outcome"));
    json_array_foreach(json_object_get(facts, "sent"), i, frame)
    {
        len = strlen(text);
        snprintf(text + len, sizeof(text) - len, " %s",
                 json_get_string(frame, "event"));
    }
    len = strlen(text);
    if (json_is_true(json_object_get(client, "left")))
        snprintf(text + len, sizeof(text) - len, " left@%lld",
                 (long long)json_integer_value(left_after));
    return text;
}
