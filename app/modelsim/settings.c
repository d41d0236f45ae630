/* settings.c - see settings.h. */
#include "modelsim/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "text/utf8.h"

#define PAIR_BYTES     (SETTINGS_TEXT_BYTES * 3)
#define MAX_MS         86400000
#define MAX_CHUNKS     100000
#define MAX_TEXT_BYTES (64 << 20)

static const char *const role_names[ROLE_COUNT] = { "flash", "pro", "token" };

static const char *const fault_names[FAULT_COUNT] = {
    [FAULT_NONE] = "none",
    [FAULT_STATUS] = "status",
    [FAULT_SILENT] = "silent",
    [FAULT_STALL] = "stall",
    [FAULT_DRIP] = "drip",
    [FAULT_SLOW_HEADERS] = "slow_headers",
    [FAULT_CUT] = "cut",
    [FAULT_RESET] = "reset",
    [FAULT_NOFINISH] = "nofinish",
    [FAULT_ERROR_TAIL] = "error_tail",
    [FAULT_TAIL_CUT] = "tail_cut",
    [FAULT_ERROR_EVENT] = "error_event",
    [FAULT_FINISH_THEN_ERROR] = "finish_then_error",
    [FAULT_FINISH_THEN_CUT] = "finish_then_cut",
    [FAULT_AFTER_DONE] = "after_done",
    [FAULT_RENAMED] = "renamed",
    [FAULT_BLOCKED] = "blocked",
    [FAULT_SAFETY] = "safety",
    [FAULT_MAX_TOKENS] = "max_tokens",
    [FAULT_EMPTY] = "empty",
    [FAULT_HTML] = "html",
    [FAULT_COMMENTS] = "comments",
    [FAULT_BADJSON] = "badjson",
    [FAULT_UNKNOWN_FINISH] = "unknown_finish",
    [FAULT_HUGE_LINE] = "huge_line",
    [FAULT_FINISH_EACH] = "finish_each",
    [FAULT_SURROGATE] = "surrogate",
    [FAULT_BADUTF8] = "badutf8",
};

static const struct number {
    const char *key;
    size_t offset;
    int64_t min;
    int64_t max;
} numbers[] = {
    { "delay_ms", offsetof(struct settings, delay_ms), 0, MAX_MS },
    { "chunk_ms", offsetof(struct settings, chunk_ms), 0, MAX_MS },
    { "chunks", offsetof(struct settings, chunks), 1, MAX_CHUNKS },
    { "thoughts", offsetof(struct settings, thoughts), 0, MAX_CHUNKS },
    { "after", offsetof(struct settings, after), 0, MAX_CHUNKS },
    { "text_bytes", offsetof(struct settings, text_bytes), 0, MAX_TEXT_BYTES },
    { "split", offsetof(struct settings, split), 0, MAX_TEXT_BYTES },
    { "drip_ms", offsetof(struct settings, drip_ms), 1, MAX_MS },
    { "status", offsetof(struct settings, status), 400, 599 },
    { "expires_in", offsetof(struct settings, expires_in_s), 0, MAX_MS },
    { "times", offsetof(struct settings, times), 0, INT32_MAX },
};

const char *
role_name(enum role role)
{
    return role_names[role];
}

void
settings_init(struct settings_all *all)
{
    const struct settings usual = {
        .chunk_ms = 40,
        .chunks = 8,
        .after = 2,
        .text_bytes = -1,
        .drip_ms = 1000,
        .status = 503,
        .retry_delay_ms = -1,
        .expires_in_s = 3599,
        .times = -1,
    };

    for (int role = 0; role < ROLE_COUNT; role++)
        all->roles[role] = usual;
    all->roles[ROLE_FLASH].delay_ms = 300;
    all->roles[ROLE_PRO].delay_ms = 2000;
}

static int
set_fault(struct settings *one, const char *value, struct err *err)
{
    for (int fault = 0; fault < FAULT_COUNT; fault++)
        if (strcmp(fault_names[fault], value) == 0) {
            one->fault = (enum fault)fault;
            return 0;
        }
    return err_set(err, ERR_INVALID, "there is no fault \"%.40s\"", value);
}

static int
set_number(struct settings *one, const struct number *number, const char *value,
           struct err *err)
{
    int64_t parsed;

    if (str_to_int(value, number->min, number->max, &parsed) == -1)
        return err_set(err, ERR_INVALID,
                       "%s is a number from %" PRId64 " to %" PRId64,
                       number->key, number->min, number->max);
    memcpy((char *)one + number->offset, &parsed, sizeof(parsed));
    if (number->offset == offsetof(struct settings, status))
        one->fault = FAULT_STATUS;
    return 0;
}

static int
set_string(char *to, size_t size, const char *key, const char *value,
           struct err *err)
{
    const size_t len = strlen(value);

    if (len >= size)
        return err_set(err, ERR_INVALID, "%s is at most %zu bytes long", key,
                       size - 1);
    memcpy(to, value, len + 1);
    return 0;
}

static int
set_one(struct settings *one, const char *key, const char *value,
        struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (strcmp(numbers[i].key, key) == 0)
            return set_number(one, &numbers[i], value, err);
    if (strcmp(key, "fault") == 0)
        return set_fault(one, value, err);
    if (strcmp(key, "finish") == 0)
        return set_string(one->finish, sizeof(one->finish), key, value, err);
    if (strcmp(key, "model_version") == 0)
        return set_string(one->model_version, sizeof(one->model_version), key,
                          value, err);
    if (strcmp(key, "text") == 0) {
        if (!utf8_is_clean(value, strlen(value)))
            return err_set(err, ERR_INVALID, "text is no clean UTF-8");
        one->has_text = true;
        return set_string(one->text, sizeof(one->text), key, value, err);
    }
    if (strcmp(key, "retry_delay_s") == 0) {
        if (str_to_ms(value, 0, MAX_MS, &one->retry_delay_ms) == -1)
            return err_set(err, ERR_INVALID, "%s is a number of seconds", key);
        return 0;
    }
    return err_set(err, ERR_INVALID, "there is no key \"%.60s\"", key);
}

int
settings_apply(struct settings_all *all, const char *key, const char *value,
               struct err *err)
{
    for (int role = 0; role < ROLE_COUNT; role++) {
        const size_t len = strlen(role_names[role]);

        if (strncmp(key, role_names[role], len) == 0 && key[len] == '.')
            return set_one(&all->roles[role], key + len + 1, value, err);
    }
    if (set_one(&all->roles[ROLE_FLASH], key, value, err) == -1)
        return -1;
    return set_one(&all->roles[ROLE_PRO], key, value, err);
}

/* Replaces %XX in place.  A NUL cannot be part of a value. */
static int
unescape(char *text, struct err *err)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        char byte = *from;

        if (byte == '%') {
            char digits[3] = { from[1], from[1] == '\0' ? '\0' : from[2] };

            if (str_from_hex(digits, &byte, 1) == -1 || byte == '\0')
                return err_set(err, ERR_INVALID,
                               "%% must be followed by two hex digits");
            from += 2;
        }
        *to++ = byte;
    }
    *to = '\0';
    return 0;
}

static int
apply_pair(struct settings_all *all, const char *pair, size_t len,
           struct err *err)
{
    char copy[PAIR_BYTES];
    char *value;

    if (len >= sizeof(copy))
        return err_set(err, ERR_INVALID, "a setting is too long");
    memcpy(copy, pair, len);
    copy[len] = '\0';
    value = strchr(copy, '=');
    if (value == NULL)
        return err_set(err, ERR_INVALID, "\"%.60s\" is not key=value", copy);
    *value++ = '\0';
    if (unescape(value, err) == -1)
        return -1;
    return settings_apply(all, copy, value, err);
}

static int
apply_pairs(struct settings_all *all, const char *list, size_t len,
            const char *separators, struct err *err)
{
    const char *const end = list + len;

    while (list < end) {
        const char *stop = list;

        while (stop < end && strchr(separators, *stop) == NULL)
            stop++;
        if (stop > list &&
            apply_pair(all, list, (size_t)(stop - list), err) == -1)
            return -1;
        list = stop + 1;
    }
    return 0;
}

int
settings_apply_header(struct settings_all *all, const char *list,
                      struct err *err)
{
    return apply_pairs(all, list, strlen(list), ", ", err);
}

int
settings_apply_directives(struct settings_all *all, const char *text,
                          struct err *err)
{
    while ((text = strstr(text, SETTINGS_DIRECTIVE_BEGIN)) != NULL) {
        const char *end;

        text += strlen(SETTINGS_DIRECTIVE_BEGIN);
        end = strstr(text, SETTINGS_DIRECTIVE_END);
        if (end == NULL)
            return err_set(err, ERR_INVALID, "a [[sim directive has no ]]");
        if (apply_pairs(all, text, (size_t)(end - text), " \t\r\n", err) == -1)
            return -1;
        text = end;
    }
    return 0;
}

static int
apply_json_value(struct settings_all *all, const char *key, const json_t *value,
                 struct err *err)
{
    char number[32];

    if (json_is_string(value))
        return settings_apply(all, key, json_string_value(value), err);
    if (json_is_integer(value))
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
                 json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof(number), "%.9f", json_real_value(value));
    else
        return err_set(err, ERR_INVALID, "%.60s is a string or a number", key);
    return settings_apply(all, key, number, err);
}

int
settings_apply_json(struct settings_all *all, json_t *object, struct err *err)
{
    if (!json_is_object(object))
        return err_set(err, ERR_INVALID, "settings are a JSON object");
    for (void *at = json_object_iter(object); at != NULL;
         at = json_object_iter_next(object, at))
        if (apply_json_value(all, json_object_iter_key(at),
                             json_object_iter_value(at), err) == -1)
            return -1;
    return 0;
}
