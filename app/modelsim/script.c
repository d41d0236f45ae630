/* script.c - see script.h. */
#include "modelsim/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_STEPS 16
#define HEAD_BYTES  256

void
script_init(struct script *script)
{
    *script = (struct script){ .status = 200, .content_type = TYPE_JSON };
    buf_init(&script->bytes, SCRIPT_MAX_BYTES);
}

void
script_close(struct script *script)
{
    buf_close(&script->bytes);
    free(script->steps);
    script->steps = NULL;
    script->step_count = 0;
    script->step_capacity = 0;
}

bool
script_failed(const struct script *script)
{
    return script->failed;
}

static int
grow_steps(struct script *script)
{
    const size_t capacity =
        script->step_capacity == 0 ? FIRST_STEPS : script->step_capacity * 2;
    struct script_step *steps =
        reallocarray(script->steps, capacity, sizeof(*steps));

    if (steps == NULL)
        return -1;
    script->steps = steps;
    script->step_capacity = capacity;
    return 0;
}

void
script_step(struct script *script, int64_t wait_ms)
{
    if (script->failed)
        return;
    if (script->step_count == script->step_capacity &&
        grow_steps(script) == -1) {
        script->failed = true;
        return;
    }
    script->steps[script->step_count++] =
        (struct script_step){ .wait_ms = wait_ms, .end = script->bytes.len };
}

void
script_add(struct script *script, const char *bytes, size_t len)
{
    if (script->step_count == 0)
        script_step(script, 0);
    if (!script->failed && buf_append(&script->bytes, bytes, len) != BUF_OK)
        script->failed = true;
    if (!script->failed)
        script->steps[script->step_count - 1].end = script->bytes.len;
}

void
script_add_text(struct script *script, const char *text)
{
    script_add(script, text, strlen(text));
}

void
script_add_json_take(struct script *script, json_t *value, size_t flags)
{
    char *text = value == NULL ? NULL : json_dumps(value, flags);

    if (text == NULL)
        script->failed = true;
    else
        script_add_text(script, text);
    free(text);
    json_decref(value);
}

void
script_halve_last(struct script *script)
{
    size_t begin = 0;
    size_t keep;

    if (script->failed || script->step_count == 0)
        return;
    if (script->step_count > 1)
        begin = script->steps[script->step_count - 2].end;
    keep = begin + (script->bytes.len - begin) / 2;
    script->steps[script->step_count - 1].end = keep;
}

void
script_whole(struct script *script, int status, const char *type)
{
    script->status = status;
    script->content_type = type;
    script->chunked = false;
    script->declared_bytes = script->bytes.len;
}

void
script_prepend_head(struct script *script)
{
    struct script whole = *script;
    char head[HEAD_BYTES];

    snprintf(head, sizeof(head),
             "HTTP/1.1 %d \r\nContent-Type: %s\r\nConnection: close\r\n\r\n",
             script->status, script->content_type);
    buf_init(&whole.bytes, SCRIPT_MAX_BYTES);
    whole.steps = NULL;
    whole.step_count = 0;
    whole.step_capacity = 0;
    script_add_text(&whole, head);
    script_add(&whole, buf_cstr(&script->bytes), script->bytes.len);
    script_close(script);
    *script = whole;
}
