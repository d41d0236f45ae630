/* prompt.c - see prompt.h. */
#include "modelsim/prompt.h"

#include <string.h>

#define MAX_USER_BYTES (32 << 20)

void
prompt_init(struct prompt *prompt)
{
    *prompt = (struct prompt){ 0 };
    buf_init(&prompt->user, MAX_USER_BYTES);
    buf_init(&prompt->last_user, MAX_USER_BYTES);
}

void
prompt_close(struct prompt *prompt)
{
    json_decref(prompt->body);
    prompt->body = NULL;
    buf_close(&prompt->user);
    buf_close(&prompt->last_user);
}

static int
parse(struct prompt *prompt, const char *body, size_t len, struct err *err)
{
    prompt->body = json_loadb(body, len, 0, NULL);
    if (!json_is_object(prompt->body))
        return err_set(err, ERR_INVALID,
                       "Invalid JSON payload received: not an object.");
    return 0;
}

static int
add_line(struct buf *to, const char *text, struct err *err)
{
    if (buf_append_str(to, text) != BUF_OK ||
        buf_append_str(to, "\n") != BUF_OK)
        return err_set(err, ERR_LIMIT, "The prompt is too long.");
    return 0;
}

/* One text of a turn; value may be anything. */
static int
hear(struct prompt *prompt, const json_t *value, bool is_user, struct err *err)
{
    const char *text = json_string_value(value);

    if (text == NULL)
        return 0;
    prompt->bytes += json_string_length(value);
    if (!is_user)
        return 0;
    if (add_line(&prompt->user, text, err) == -1)
        return -1;
    return add_line(&prompt->last_user, text, err);
}

/* An array of objects with a member text: Gemini's parts, OpenAI's content. */
static int
hear_parts(struct prompt *prompt, const json_t *parts, bool is_user,
           struct err *err)
{
    for (size_t i = 0; i < json_array_size(parts); i++)
        if (hear(prompt, json_object_get(json_array_get(parts, i), "text"),
                 is_user, err) == -1)
            return -1;
    return 0;
}

static bool
is_user_turn(const json_t *turn)
{
    const char *role = json_string_value(json_object_get(turn, "role"));

    return role == NULL || strcmp(role, "user") == 0;
}

static int
hear_turn(struct prompt *prompt, const json_t *turn, const char *member,
          struct err *err)
{
    const json_t *content = json_object_get(turn, member);
    const bool is_user = is_user_turn(turn);

    if (is_user)
        buf_clear(&prompt->last_user);
    if (json_is_string(content))
        return hear(prompt, content, is_user, err);
    return hear_parts(prompt, content, is_user, err);
}

static int
hear_turns(struct prompt *prompt, const char *list, const char *member,
           struct err *err)
{
    const json_t *turns = json_object_get(prompt->body, list);

    if (json_array_size(turns) == 0)
        return err_set(err, ERR_INVALID, "%s is not specified.", list);
    for (size_t i = 0; i < json_array_size(turns); i++)
        if (hear_turn(prompt, json_array_get(turns, i), member, err) == -1)
            return -1;
    return 0;
}

int
prompt_read_gemini(struct prompt *prompt, const char *body, size_t len,
                   struct err *err)
{
    const json_t *system;

    if (parse(prompt, body, len, err) == -1 ||
        hear_turns(prompt, "contents", "parts", err) == -1)
        return -1;
    system = json_object_get(prompt->body, "systemInstruction");
    return hear_parts(prompt, json_object_get(system, "parts"), false, err);
}

int
prompt_read_openai(struct prompt *prompt, const char *body, size_t len,
                   struct err *err)
{
    const json_t *options;

    if (parse(prompt, body, len, err) == -1 ||
        hear_turns(prompt, "messages", "content", err) == -1)
        return -1;
    prompt->model = json_string_value(json_object_get(prompt->body, "model"));
    if (prompt->model == NULL)
        return err_set(err, ERR_INVALID, "you must provide a model parameter");
    prompt->streams = json_is_true(json_object_get(prompt->body, "stream"));
    options = json_object_get(prompt->body, "stream_options");
    prompt->include_usage =
        json_is_true(json_object_get(options, "include_usage"));
    return 0;
}
