/* columns.c - see columns.h. */
#include "ledger/columns.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "ledger/canon.h"

/* How a column's value stands in the body. */
enum form { FORM_INT, FORM_TEXT, FORM_TIME };

static const struct {
    const char *name;
    enum form form;
} table[COLUMN_COUNT] = {
    [COLUMN_LOG_ID] = { "log_id", FORM_TEXT },
    [COLUMN_IDX] = { "idx", FORM_INT },
    [COLUMN_RECORDED_AT] = { "recorded_at", FORM_TIME },
    [COLUMN_KIND] = { "kind", FORM_TEXT },
    [COLUMN_RUN_ID] = { "run_id", FORM_TEXT },
    [COLUMN_STATUS] = { "status", FORM_TEXT },
    [COLUMN_SALVAGE] = { "salvage", FORM_TEXT },
    [COLUMN_STARTED_AT] = { "started_at", FORM_TIME },
    [COLUMN_TOTAL_MS] = { "total_ms", FORM_INT },
    [COLUMN_FLASH_LATENCY_MS] = { "flash_latency_ms", FORM_INT },
    [COLUMN_PRO_LATENCY_MS] = { "pro_latency_ms", FORM_INT },
    [COLUMN_FLASH_MODEL] = { "flash_model", FORM_TEXT },
    [COLUMN_PRO_MODEL] = { "pro_model", FORM_TEXT },
    [COLUMN_FLASH_INPUT_TOKENS] = { "flash_input_tokens", FORM_INT },
    [COLUMN_FLASH_OUTPUT_TOKENS] = { "flash_output_tokens", FORM_INT },
    [COLUMN_PRO_INPUT_TOKENS] = { "pro_input_tokens", FORM_INT },
    [COLUMN_PRO_OUTPUT_TOKENS] = { "pro_output_tokens", FORM_INT },
    [COLUMN_PRINCIPAL] = { "principal", FORM_TEXT },
    [COLUMN_USER_ID] = { "user_id", FORM_TEXT },
};

/* A member of the body and the column it fills. */
struct member {
    const char *key;
    size_t key_len;
    enum column column;
};

#define MEMBER(key, column) \
    { \
        key, sizeof(key) - 1, column \
    }

static const struct member of_body[] = {
    MEMBER("flash_model", COLUMN_FLASH_MODEL),
    MEMBER("idx", COLUMN_IDX),
    MEMBER("kind", COLUMN_KIND),
    MEMBER("log_id", COLUMN_LOG_ID),
    MEMBER("principal", COLUMN_PRINCIPAL),
    MEMBER("pro_model", COLUMN_PRO_MODEL),
    MEMBER("recorded_at", COLUMN_RECORDED_AT),
    MEMBER("run_id", COLUMN_RUN_ID),
    MEMBER("salvage", COLUMN_SALVAGE),
    MEMBER("started_at", COLUMN_STARTED_AT),
    MEMBER("status", COLUMN_STATUS),
    MEMBER("total_ms", COLUMN_TOTAL_MS),
    MEMBER("user_id", COLUMN_USER_ID),
};

static const struct member of_flash[] = {
    MEMBER("input_tokens", COLUMN_FLASH_INPUT_TOKENS),
    MEMBER("latency_ms", COLUMN_FLASH_LATENCY_MS),
    MEMBER("output_tokens", COLUMN_FLASH_OUTPUT_TOKENS),
    MEMBER("served_model", COLUMN_FLASH_MODEL),
};

static const struct member of_pro[] = {
    MEMBER("input_tokens", COLUMN_PRO_INPUT_TOKENS),
    MEMBER("latency_ms", COLUMN_PRO_LATENCY_MS),
    MEMBER("output_tokens", COLUMN_PRO_OUTPUT_TOKENS),
    MEMBER("served_model", COLUMN_PRO_MODEL),
};

const char *
column_name(enum column column)
{
    assert((unsigned)column < COLUMN_COUNT);
    return table[column].name;
}

bool
column_is(const struct column_value *value, const char *text)
{
    return value->type == COLUMN_TEXT && value->len == strlen(text) &&
           memcmp(value->text, text, value->len) == 0;
}

/* ---- times ------------------------------------------------------------- */

static bool
has_form_of_time(const char *text)
{
    static const char form[] = "0000-00-00T00:00:00.000000Z";

    for (size_t i = 0; i < sizeof(form) - 1; i++)
        if (form[i] == '0' ? text[i] < '0' || text[i] > '9'
                           : text[i] != form[i])
            return false;
    return true;
}

static int
digits(const char *text, size_t len)
{
    int value = 0;

    for (size_t i = 0; i < len; i++)
        value = value * 10 + (text[i] - '0');
    return value;
}

/* "2026-01-31T23:59:59.123456Z" exactly.  0 or -1. */
static int
parse_time(const char *text, size_t len, int64_t *unix_us)
{
    struct tm read, tm;
    time_t seconds;

    if (len != CLOCK_UTC_LEN - 1 || !has_form_of_time(text))
        return -1;
    read = (struct tm){ .tm_year = digits(text, 4) - 1900,
                        .tm_mon = digits(text + 5, 2) - 1,
                        .tm_mday = digits(text + 8, 2),
                        .tm_hour = digits(text + 11, 2),
                        .tm_min = digits(text + 14, 2),
                        .tm_sec = digits(text + 17, 2) };
    tm = read;
    seconds = timegm(&tm);
    /* What is no date, such as the 30th of February, becomes one. */
    if (seconds < 0 || tm.tm_mon != read.tm_mon || tm.tm_mday != read.tm_mday ||
        tm.tm_hour != read.tm_hour || tm.tm_min != read.tm_min ||
        tm.tm_sec != read.tm_sec)
        return -1;
    *unix_us = (int64_t)seconds * 1000000 + digits(text + 20, 6);
    return 0;
}

/* ---- values ------------------------------------------------------------ */

static int
fail(struct err *err, const char *member, const char *what)
{
    return err_set(err, ERR_INVALID, "%s is not %s", member, what);
}

static int
unescape(struct columns *columns, const struct canon_text *text,
         struct column_value *value, const char *member, struct err *err)
{
    char *to = columns->escaped + columns->escaped_len;

    if (text->len > sizeof(columns->escaped) - columns->escaped_len)
        return fail(err, member, "short enough for a column");
    value->text = to;
    value->len = canon_unescape(text, to);
    columns->escaped_len += value->len;
    return 0;
}

static int
read_text(struct columns *columns, struct canon *in, enum form form,
          struct column_value *value, const char *member, struct err *err)
{
    struct canon_text text;

    canon_string(in, &text);
    if (canon_failed(in))
        return fail(err, member, "a text");
    if (form == FORM_TIME) {
        value->type = COLUMN_INT;
        if (parse_time(text.bytes, text.len, &value->number) == -1)
            return fail(err, member, "a time in UTC with microseconds");
        return 0;
    }
    value->type = COLUMN_TEXT;
    value->text = text.bytes;
    value->len = text.len;
    return text.escaped ? unescape(columns, &text, value, member, err) : 0;
}

static int
read_value(struct columns *columns, struct canon *in,
           const struct member *member, struct err *err)
{
    struct column_value *value = &columns->at[member->column];
    const enum form form = table[member->column].form;

    *value = (struct column_value){ .type = COLUMN_NULL };
    if (canon_peek(in) == CANON_NULL) {
        canon_skip(in);
        return 0;
    }
    if (form != FORM_INT)
        return read_text(columns, in, form, value, member->key, err);
    value->type = COLUMN_INT;
    canon_int(in, &value->number);
    return canon_failed(in) ? fail(err, member->key, "an integer") : 0;
}

/* Takes the value of key when it fills a column, else passes over it. */
static int
read_member(struct columns *columns, struct canon *in,
            const struct canon_text *key, const struct member *members,
            size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (key->len == members[i].key_len &&
            memcmp(key->bytes, members[i].key, key->len) == 0)
            return read_value(columns, in, &members[i], err);
    canon_skip(in);
    return 0;
}

static int
read_model(struct columns *columns, struct canon *in,
           const struct member *members, size_t count, struct err *err)
{
    struct canon_text key = { 0 };

    if (canon_peek(in) == CANON_NULL) {
        canon_skip(in);
        return 0;
    }
    canon_object(in);
    while (canon_next_key(in, &key))
        if (read_member(columns, in, &key, members, count, err) == -1)
            return -1;
    return 0;
}

/* ---- content and logs -------------------------------------------------- */

static int
read_part(struct columns *columns, struct canon *in, struct err *err)
{
    struct canon_text key = { 0 }, name = { 0 }, sha256 = { 0 };
    int64_t len = -1;

    canon_object(in);
    while (canon_next_key(in, &key)) {
        if (canon_key_is(&key, "part"))
            canon_string(in, &name);
        else if (canon_key_is(&key, "sha256"))
            canon_string(in, &sha256);
        else if (canon_key_is(&key, "len"))
            canon_int(in, &len);
        else
            canon_skip(in);
    }
    if (canon_failed(in) || name.len == 0 || len < 0 ||
        sha256.len != COLUMNS_HASH_HEX_LEN)
        return fail(err, "content", "a list of part, sha256, len, cleaned");
    if (columns->part_count == ENTRY_MAX_PARTS)
        return fail(err, "content", "short enough");
    columns->parts[columns->part_count++] =
        (struct column_part){ .name = name.bytes,
                              .name_len = name.len,
                              .sha256 = sha256.bytes,
                              .len = len };
    return 0;
}

static int
read_content(struct columns *columns, struct canon *in, struct err *err)
{
    canon_array(in);
    while (canon_next_element(in))
        if (read_part(columns, in, err) == -1)
            return -1;
    return canon_failed(in) ? fail(err, "content", "a list") : 0;
}

static int
read_hash(struct canon *in, uint8_t hash[ENTRY_HASH_LEN], const char *member,
          struct err *err)
{
    char hex[COLUMNS_HASH_HEX_LEN + 1];
    struct canon_text text;

    canon_string(in, &text);
    if (canon_failed(in) || text.len != COLUMNS_HASH_HEX_LEN)
        return fail(err, member, "a hash");
    memcpy(hex, text.bytes, COLUMNS_HASH_HEX_LEN);
    hex[COLUMNS_HASH_HEX_LEN] = '\0';
    if (str_from_hex(hex, hash, ENTRY_HASH_LEN) == -1)
        return fail(err, member, "a hash");
    return 0;
}

static int
read_uuid(struct canon *in, struct uuid *uuid, struct err *err)
{
    char text[UUID_TEXT_LEN];
    struct canon_text raw;

    canon_string(in, &raw);
    if (canon_failed(in) || raw.len != UUID_TEXT_LEN - 1)
        return fail(err, "previous.log_id", "a UUID");
    memcpy(text, raw.bytes, raw.len);
    text[raw.len] = '\0';
    if (uuid_parse(text, uuid) == -1)
        return fail(err, "previous.log_id", "a UUID");
    return 0;
}

static int
read_previous(struct columns *columns, struct canon *in, struct err *err)
{
    struct column_log *log = &columns->previous;
    struct canon_text key = { 0 };
    int result = 0;

    if (canon_peek(in) == CANON_NULL) {
        canon_skip(in);
        return 0;
    }
    log->present = true;
    canon_object(in);
    while (result == 0 && canon_next_key(in, &key)) {
        if (canon_key_is(&key, "log_id"))
            result = read_uuid(in, &log->log_id, err);
        else if (canon_key_is(&key, "root"))
            result = read_hash(in, log->root, "previous.root", err);
        else if (canon_key_is(&key, "size"))
            canon_int(in, &log->size);
        else
            canon_skip(in);
    }
    return result;
}

/* The members that only entries about a log have.  False: it is none. */
static bool
read_log_member(struct columns *columns, struct canon *in,
                const struct canon_text *key)
{
    if (canon_key_is(key, "previous_known")) {
        bool known = false;

        canon_bool(in, &known);
        columns->previous_unknown = !known;
    } else if (canon_key_is(key, "host")) {
        struct canon_text host;

        canon_string(in, &host);
        columns->host = host.bytes;
        columns->host_len = host.len;
    } else if (canon_key_is(key, "size")) {
        canon_int(in, &columns->closed.size);
    } else {
        return false;
    }
    return true;
}

/* ---- the body ---------------------------------------------------------- */

static int
read_body_member(struct columns *columns, struct canon *in,
                 const struct canon_text *key, struct err *err)
{
    if (canon_key_is(key, "content"))
        return read_content(columns, in, err);
    if (canon_key_is(key, "flash"))
        return read_model(columns, in, of_flash, ARRAY_LEN(of_flash), err);
    if (canon_key_is(key, "pro"))
        return read_model(columns, in, of_pro, ARRAY_LEN(of_pro), err);
    if (canon_key_is(key, "previous"))
        return read_previous(columns, in, err);
    if (canon_key_is(key, "root")) {
        columns->closed.present = true;
        return read_hash(in, columns->closed.root, "root", err);
    }
    if (read_log_member(columns, in, key))
        return 0;
    if (canon_key_is(key, "v")) {
        canon_int(in, &columns->format);
        return 0;
    }
    return read_member(columns, in, key, of_body, ARRAY_LEN(of_body), err);
}

int
columns_read(struct columns *columns, const char *body, size_t len,
             struct err *err)
{
    struct canon_text key = { 0 };
    struct canon in;

    columns->format = 0;
    memset(columns->at, 0, sizeof(columns->at));
    columns->part_count = 0;
    columns->previous = (struct column_log){ .present = false };
    columns->closed = (struct column_log){ .present = false };
    columns->previous_unknown = false;
    columns->host = NULL;
    columns->host_len = 0;
    columns->escaped_len = 0;
    canon_init(&in, body, len);
    canon_object(&in);
    while (canon_next_key(&in, &key))
        if (read_body_member(columns, &in, &key, err) == -1)
            return -1;
    canon_end(&in);
    if (canon_failed(&in))
        return err_set(err, ERR_INVALID, "the body is not canonical JSON");
    return 0;
}
