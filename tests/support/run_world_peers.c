/* run_world_peers.c - who is at the other ends of a run; see run_world.h. */
#include "support/run_world_inner.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/json.h"

struct models world_models;
struct model_call *world_calls[MODEL_ROLE_COUNT];
struct clerk world_clerk;
struct fcgi world_gate;

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
    const struct world_model *plan = &world_script->model[role];
    const int64_t deadline_ms = world_from_mono(deadline_mono_ms);
    struct model_call *call;

    assert_ptr_equal(all, &world_models);
    assert_non_null(prompt->system);
    assert_string_equal(prompt->user, "why?");
    if (plan->unstartable) {
        err_set(err, ERR_NOMEM, "call");
        return NULL;
    }
    world_tell("ask:%s", model_role_name(role));
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
    world_calls[role] = call;
    return call;
}

int
__wrap_models_turn(struct models *all, struct http_fd *extra,
                   size_t extra_count, int64_t until_mono_ms, struct err *err)
{
    if (all->has_failed)
        world.turns_after_failure++;
    world_wait(extra, extra_count, world_from_mono(until_mono_ms), true);
    if (!world_has_come(world_script->curl_fails_at))
        return 0;
    all->has_failed = true;
    return err_set(err, ERR_SYSTEM, "curl");
}

bool
__wrap_model_call_is_done(const struct model_call *call)
{
    return call->is_done;
}

static const struct model_attempt the_attempt = { .model = "quick",
                                                  .error_class = "" };

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
        .attempt_log = &the_attempt,
        .started_unix_us = world.run.started_unix_us + call->started_ms * 1000,
        .first_token_ms = -1,
        /* of one that was cut, so far */
        .latency_ms =
            (call->ends_ms < world.now_ms ? call->ends_ms : world.now_ms) -
            call->started_ms,
    };
}

void
__wrap_model_call_cancel(struct model_call *call)
{
    if (call->is_done)
        return;
    world_tell("cancel:%s", model_role_name(call->role));
    call->is_done = true;
    call->outcome = MODEL_CANCELLED;
}

void
__wrap_model_call_free(struct model_call *call)
{
    if (call == NULL)
        return;
    world_tell("free:%s", model_role_name(call->role));
    world_calls[call->role] = NULL;
    free(call->text);
    free(call);
}

/* ---- the scribe ---------------------------------------------------------- */

int
clerk_submit(struct clerk *to, const struct frame_record *record,
             int64_t deadline_mono_ms, struct err *err)
{
    const enum entry_kind kind = record->kind;
    const int64_t took_ms = world_script->scribe[kind].took_ms;

    assert_int_not_equal(to->state, CLERK_WAITING);
    assert_memory_equal(&record->run_id, &world.run.id, sizeof(world.run.id));
    assert_null(world.facts[kind]);
    world.facts[kind] = json_loadb(record->facts, record->facts_len, 0, NULL);
    assert_non_null(world.facts[kind]);
    to->state = CLERK_IDLE;
    if (world_script->scribe[kind].answer == WORLD_UNWRITABLE)
        return err_set(err, ERR_LIMIT, "too large");
    world_tell("write:%s", entry_kind_name(kind));
    to->state = CLERK_WAITING;
    to->kind = kind;
    to->deadline_ms = world_from_mono(deadline_mono_ms);
    to->answers_ms =
        world_script->scribe[kind].answer == WORLD_SILENT
            ? INT64_MAX
            : world.now_ms + (took_ms > 0 ? took_ms : WORLD_WRITE_MS);
    return 0;
}

int
clerk_fd(const struct clerk *of)
{
    (void)of;
    return WORLD_SCRIBE_FD;
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
    return of->state == CLERK_WAITING ? world_to_mono(of->deadline_ms)
                                      : INT64_MAX;
}

void
clerk_turn(struct clerk *of)
{
    if (of->state != CLERK_WAITING)
        return;
    if (world.now_ms >= of->answers_ms) {
        const bool recorded =
            world_script->scribe[of->kind].answer == WORLD_RECORDS;

        of->state = recorded ? CLERK_RECORDED : CLERK_REFUSED;
        of->receipt.idx = of->kind;
        world_tell(recorded ? "receipt" : "refused");
    } else if (world.now_ms >= of->deadline_ms) {
        of->state = CLERK_LATE;
        world_tell("late");
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
    return "the scribe would not";
}

/* ---- the client ---------------------------------------------------------- */

static void
tell_done(const json_t *data)
{
    const json_t *audit = json_object_get(data, "audit");
    const json_t *index = json_object_get(audit, "index");

    if (json_is_integer(index))
        world_tell("done:%s:%s", json_get_string(data, "status"),
                   entry_kind_name((enum entry_kind)json_integer_value(index)));
    else
        world_tell("done:%s:%s", json_get_string(data, "status"),
                   json_get_string(audit, "state"));
}

static void
tell_frame(const char *event, const json_t *data)
{
    const char *code = json_get_string(data, "code");

    if (strcmp(event, "done") == 0)
        tell_done(data);
    else if (code != NULL)
        world_tell("%s:%s%s", event, code,
                   json_is_true(json_object_get(data, "terminal")) ? "!" : "");
    else
        world_tell("%s", event);
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
        world_tell(strncmp(block, "Status: ", 8) == 0 ? "headers"
                                                      : "heartbeat");
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
    const bool stalled = world_has_come(world_script->stalled_at);
    const int64_t through_ms = world.now_ms + world_script->write_ms;

    if (stalled || through_ms > to->deadline_ms) {
        assert_int_not_equal(to->deadline_ms, INT64_MAX);
        if (to->deadline_ms > world.now_ms)
            world.now_ms = to->deadline_ms;
        return false;
    }
    world.now_ms = through_ms;
    return !world_has_come(world_script->left_at) &&
           !world_has_come(world_script->unwritable_at);
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
    of->deadline_ms = world_from_mono(deadline_mono_ms);
}

int
fcgi_fd(const struct fcgi *of)
{
    (void)of;
    return WORLD_CLIENT_FD;
}

bool
fcgi_client_is_gone(const struct fcgi *of)
{
    (void)of;
    return world_has_come(world_script->left_at);
}

/* ---- the master ---------------------------------------------------------- */

int
child_fd(const struct child *of)
{
    (void)of;
    return WORLD_MASTER_FD;
}

bool
child_should_hurry(struct child *of)
{
    (void)of;
    return world_has_come(world_script->hurry_at);
}
