/* run_world.c - see run_world.h. */
#include "support/run_world_inner.h"

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

#define MAX_WAITS 300

/* What telling the end to a slow reader may cost past the deadline. */
#define GRACE_MS 500

#define ARENA_BYTES (64 * 1024)

/* What a wait has already reported: a level that stays is no news. */
struct heard {
    bool client;
    bool master;
};

struct world world;

const struct world_script *world_script;
static struct child child;
static struct arena arena;
static struct heard heard;
static struct buf story;
static int64_t story_ms;

/* ---- the story ----------------------------------------------------------- */

void
world_tell(const char *fmt, ...)
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

bool
world_has_come(int64_t at_ms)
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

int64_t
world_from_mono(int64_t mono_ms)
{
    return mono_ms == INT64_MAX ? INT64_MAX : mono_ms - BEGAN_MONO_MS;
}

int64_t
world_to_mono(int64_t since_ms)
{
    return BEGAN_MONO_MS + since_ms;
}

void
log_write(enum log_level level, const char *event, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (len <= 0 || (size_t)len >= sizeof(text) || text[len - 1] == ' ')
        fail_msg("%s gives no reason: \"%s\"", event, text);
    if (level >= LOG_LEVEL_WARNING)
        world_tell("?%s", event);
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

    if (world_script->left_at != WORLD_NEVER &&
        is_watched(fds, count, WORLD_CLIENT_FD))
        next_ms = sooner(next_ms, world_script->left_at);
    if (world_script->hurry_at != WORLD_NEVER &&
        is_watched(fds, count, WORLD_MASTER_FD))
        next_ms = sooner(next_ms, world_script->hurry_at);
    if (world_clerk.state == CLERK_WAITING &&
        is_watched(fds, count, WORLD_SCRIBE_FD))
        next_ms = sooner(next_ms, world_clerk.answers_ms);
    if (with_models && world_script->curl_fails_at != WORLD_NEVER)
        next_ms = sooner(next_ms, world_script->curl_fails_at);
    for (int role = 0; with_models && role < MODEL_ROLE_COUNT; role++)
        if (world_calls[role] != NULL && !world_calls[role]->is_done)
            next_ms = sooner(next_ms, world_calls[role]->ends_ms);
    return next_ms;
}

static bool
end_due_calls(void)
{
    bool any = false;

    for (int role = 0; role < MODEL_ROLE_COUNT; role++) {
        struct model_call *call = world_calls[role];

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
    const bool client = world_has_come(world_script->left_at) &&
                        is_watched(fds, count, WORLD_CLIENT_FD);
    const bool master = world_has_come(world_script->hurry_at) &&
                        is_watched(fds, count, WORLD_MASTER_FD);
    const bool scribe = world_clerk.state == CLERK_WAITING &&
                        world.now_ms >= world_clerk.answers_ms &&
                        is_watched(fds, count, WORLD_SCRIBE_FD);
    const bool news =
        scribe || (client && !heard.client) || (master && !heard.master);

    heard.client = heard.client || client;
    heard.master = heard.master || master;
    return news;
}

/* What a poll would tell of each. */
static void
tell_events(struct http_fd *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int fd = fds[i].fd;
        const bool is_ready =
            (fd == WORLD_CLIENT_FD && world_has_come(world_script->left_at)) ||
            (fd == WORLD_MASTER_FD && world_has_come(world_script->hurry_at)) ||
            (fd == WORLD_SCRIBE_FD && world_clerk.state == CLERK_WAITING &&
             world.now_ms >= world_clerk.answers_ms);

        fds[i].revents = is_ready ? POLLIN : 0;
    }
}

void
world_wait(struct http_fd *fds, size_t count, int64_t until_ms,
           bool with_models)
{
    const int64_t before_ms = world.now_ms;
    const int64_t next_ms =
        sooner(until_ms, next_event_ms(fds, count, with_models));
    bool moved;

    if (!world_gate.is_flushed)
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
    tell_events(fds, count);
}

/* The same for code that asks the system. */
static int
wait_in_poll(struct pollfd *polled, nfds_t count, int timeout_ms)
{
    struct http_fd fds[8];

    assert_true(count <= ARRAY_LEN(fds));
    for (nfds_t i = 0; i < count; i++)
        fds[i] = (struct http_fd){ polled[i].fd, polled[i].events, 0 };
    world_wait(fds, count, world.now_ms + timeout_ms, false);
    for (nfds_t i = 0; i < count; i++)
        polled[i].revents = fds[i].revents;
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
    config->heartbeat_ms = world_script->heartbeat_ms > 0
                               ? world_script->heartbeat_ms
                               : 3600 * 1000;
    config->redact_before_model = true;
}

static void
set_up_run(struct run *run)
{
    const struct turn_policy policy = {
        .flash_failure_cancels = world_script->flash_failure_cancels,
        .early_flash_termination = !world_script->patient,
        .errors_end_stream = world_script->words != VOCAB_CLASSIC,
        .outlives_client = world_script->outlives_client,
    };

    run->config = &world.config;
    run->id.bytes[0] = 7;
    uuid_format(&run->id, run->id_text);
    run->started_unix_us = clock_unix_us();
    run->started_mono_ms = BEGAN_MONO_MS;
    run->deadline_mono_ms = BEGAN_MONO_MS + WORLD_RUN_MS;
    run->models_deadline_mono_ms = BEGAN_MONO_MS + WORLD_MODELS_MS;
    run->timeout_ms[MODEL_FLASH] = world.config.flash.timeout_ms;
    run->timeout_ms[MODEL_PRO] = world.config.pro.timeout_ms;
    run->left_after_ms = -1;
    run->request.words = world_script->words;
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
    world_script = told;
    world = (struct world){ .now_ms = 0 };
    world_models = (struct models){ .has_failed = false };
    world_clerk = (struct clerk){ .state = CLERK_IDLE };
    world_gate = (struct fcgi){ .deadline_ms = INT64_MAX, .is_flushed = true };
    heard = (struct heard){ .client = false };
    buf_init(&story, 64 * 1024);
    arena_init(&arena, ARENA_BYTES);
    while (world_script->no_room && arena_alloc(&arena, 1) != NULL)
        continue;
    stream_init(&world.stream);
    stream_open(&world.stream, &world_gate);
    if (world_script->out_max_bytes > 0)
        buf_init(&world.stream.out, world_script->out_max_bytes);
    set_up_config(&world.config);
    set_up_run(&world.run);
    world.tools = (struct turn_run_tools){ .models = &world_models,
                                           .clerk = &world_clerk,
                                           .child = &child,
                                           .arena = &arena,
                                           .stream = &world.stream };
}

void
world_end(void)
{
    for (int role = 0; role < MODEL_ROLE_COUNT; role++)
        model_call_free(world_calls[role]);
    for (int kind = 0; kind < ENTRY_KIND_COUNT; kind++)
        json_decref(world.facts[kind]);
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

/* ---- cases --------------------------------------------------------------- */

/* The receipt that counts is that of `finished`, whatever came after it. */
static bool
has_the_right_receipt(void)
{
    const struct entry_receipt *receipt = world.run.facts.receipt;

    return receipt == NULL || receipt->idx == ENTRY_FINISHED;
}

static bool
play(const struct world_case *is)
{
    bool good;
    int result;

    world_begin(&is->script);
    result = turn_run(&world.run, &world.tools);
    good = result == is->result && strcmp(world_story(), is->story) == 0 &&
           strcmp(world_record(), is->record) == 0 && world.vain_count == 0 &&
           world.turns_after_failure == 0 && has_the_right_receipt() &&
           world.now_ms <= WORLD_RUN_MS + GRACE_MS;
    if (!good)
        print_error("%s: returned %d, %d waits in vain, %d turns after curl "
                    "failed, recorded \"%s\", expected \"%s\"\n%s\n"
                    "expected:\n%s\n",
                    is->name, result, world.vain_count,
                    world.turns_after_failure, world_record(), is->record,
                    world_story(), is->story);
    world_end();
    return good;
}

void
world_play(const struct world_case *cases, size_t count)
{
    size_t bad = 0;

    for (size_t i = 0; i < count; i++)
        bad += !play(&cases[i]);
    assert_int_equal(bad, 0);
}
