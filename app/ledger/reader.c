/*
 * reader.c - see reader.h.
 *
 * Every answer shows one moment of the ledger.
 */
#include "ledger/reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "ledger/entry.h"
#include "ledger/reader_rows.h"
#include "text/json.h"
#include "text/utf8.h"

#define MAX_BODY_DEPTH 16
#define MEND_GROWTH    3 /* U+FFFD for a byte */

/* Members of a listed run that are columns as they are. */
static const struct {
    const char *name;
    enum reader_list_column column;
    bool is_number;
} plain_members[] = {
    { "query", LIST_QUERY, false },
    { "flash_response", LIST_FLASH_RESPONSE, false },
    { "pro_response", LIST_PRO_RESPONSE, false },
    { "flash_latency_ms", LIST_FLASH_LATENCY_MS, true },
    { "pro_latency_ms", LIST_PRO_LATENCY_MS, true },
    { "total_ms", LIST_TOTAL_MS, true },
    { "user_id", LIST_USER_ID, false },
    { "salvage", LIST_SALVAGE, false },
    { "flash_model", LIST_FLASH_MODEL, false },
    { "pro_model", LIST_PRO_MODEL, false },
};

/* ---- opening ----------------------------------------------------------- */

struct reader *
reader_open(const struct reader_place *place, struct err *err)
{
    return place->url[0] != '\0' ? reader_pg_open(place, err)
                                 : reader_lite_open(place->path, err);
}

void
reader_close(struct reader *reader)
{
    if (reader != NULL)
        reader->ops->close(reader);
}

bool
reader_sees_texts(const struct reader *reader)
{
    return !reader->hides_texts;
}

/* ---- rows to JSON ------------------------------------------------------ */

/* Each returns a new reference or NULL. */

/* Somebody changed it: tandemctl verify tells, and whoever reads the rest is
 * shown what can be. */
static json_t *
json_of_mended(const char *text, size_t len)
{
    bool mended = false;
    json_t *value = NULL;
    struct buf clean;

    buf_init(&clean, MEND_GROWTH * len);
    if (utf8_append_clean(&clean, text, len, &mended) == BUF_OK)
        value = json_stringn(clean.bytes, clean.len);
    buf_close(&clean);
    return value;
}

static json_t *
json_of_text(struct reader *reader, int column)
{
    size_t len;
    const char *text = reader->ops->text(reader, column, &len);

    if (text == NULL)
        return json_null();
    return utf8_is_clean(text, len) ? json_stringn_nocheck(text, len)
                                    : json_of_mended(text, len);
}

static json_t *
json_of_number(struct reader *reader, int column)
{
    if (reader->ops->is_null(reader, column))
        return json_null();
    return json_integer(reader->ops->number(reader, column));
}

static json_t *
json_of_time(struct reader *reader, int column)
{
    char text[CLOCK_UTC_LEN];

    if (reader->ops->is_null(reader, column))
        return json_null();
    clock_format_utc(reader->ops->unix_us(reader, column), text);
    return json_string(text);
}

static json_t *
json_of_hash(struct reader *reader, int column)
{
    char hex[2 * ENTRY_HASH_LEN + 1];
    size_t len;
    const void *bytes = reader->ops->text(reader, column, &len);

    if (bytes == NULL || len != ENTRY_HASH_LEN)
        return json_null();
    str_to_hex(bytes, len, hex);
    return json_string(hex);
}

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "a run as JSON");
}

/* ---- pages of runs ----------------------------------------------------- */

/* A new object, or NULL when memory is short. */
static json_t *
listed_run(struct reader *reader)
{
    json_t *run = json_object();
    int failed = run == NULL;

    failed |= json_object_set_new(run, "id", json_of_text(reader, LIST_ID));
    failed |= json_object_set_new(run, "created_at",
                                  json_of_time(reader, LIST_STARTED_AT));
    failed |=
        json_object_set_new(run, "status", json_of_text(reader, LIST_STATUS));
    for (size_t i = 0; i < ARRAY_LEN(plain_members); i++) {
        const int column = (int)plain_members[i].column;

        failed |= json_object_set_new(run, plain_members[i].name,
                                      plain_members[i].is_number
                                          ? json_of_number(reader, column)
                                          : json_of_text(reader, column));
    }
    if (!failed)
        return run;
    json_decref(run);
    return NULL;
}

static size_t
text_bytes(const json_t *run)
{
    size_t bytes = 0;

    for (size_t i = 0; i < ARRAY_LEN(plain_members); i++)
        bytes +=
            json_string_length(json_object_get(run, plain_members[i].name));
    return bytes;
}

static int
note_cursor(struct reader *reader, struct reader_cursor *cursor,
            struct err *err)
{
    const char *id = reader->ops->text(reader, LIST_ID, NULL);

    cursor->started_unix_us = reader->ops->unix_us(reader, LIST_STARTED_AT);
    if (id == NULL || uuid_parse(id, &cursor->run_id) == -1)
        return err_set(err, ERR_SYSTEM,
                       "the ledger holds an id that is no "
                       "UUID: run tandemctl verify");
    return 0;
}

/* Fills the page; *next is set when a row came beyond it.  Of a page that is
 * long before it has all its runs, the other rows are not waited for. */
static int
read_page(struct reader *reader, size_t limit, json_t *page,
          struct reader_cursor *next, struct err *err)
{
    struct reader_cursor last = { .set = true };
    enum reader_step step;
    size_t bytes = 0;

    while ((step = reader->ops->next(reader, err)) == READER_ROW) {
        json_t *run;

        if (json_array_size(page) == limit) {
            *next = last;
            continue; /* to the end, which is no row away */
        }
        if (bytes >= READER_PAGE_BYTES) {
            *next = last;
            return 0;
        }
        run = listed_run(reader);
        if (run == NULL || json_array_append_new(page, run) == -1)
            return no_memory(err);
        bytes += text_bytes(run);
        if (note_cursor(reader, &last, err) == -1)
            return -1;
    }
    return step == READER_DONE ? 0 : -1;
}

json_t *
reader_list(struct reader *reader, const struct reader_query *query,
            struct reader_cursor *next, struct err *err)
{
    json_t *page = json_array();
    int result = -1;

    *next = (struct reader_cursor){ .set = false };
    if (page == NULL) {
        no_memory(err);
        return NULL;
    }
    if (reader->ops->list(reader, query, err) == 0)
        result = read_page(reader, query->limit, page, next, err);
    reader->ops->stop(reader);
    if (result == 0)
        return page;
    json_decref(page);
    return NULL;
}

/* ---- one run ----------------------------------------------------------- */

/* A run as it is put together; new references. */
struct whole {
    json_t *entries;
    json_t *content;
    json_t *status; /* that of the last entry which has one */
};

/* A new object, or NULL. */
static json_t *
entry_of_row(struct reader *reader, struct err *err)
{
    size_t len;
    const char *text = reader->ops->text(reader, ENTRY_BODY, &len);
    json_t *body = NULL;
    json_t *entry;

    if (text != NULL)
        body = json_parse(text, len, MAX_BODY_DEPTH, err);
    if (body == NULL) {
        err_prefix(err, "the body of an entry (run tandemctl verify)");
        return NULL;
    }
    entry = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "log_id",
                      json_of_text(reader, ENTRY_LOG_ID), "idx",
                      json_of_number(reader, ENTRY_IDX), "recorded_at",
                      json_of_time(reader, ENTRY_RECORDED_AT), "kind",
                      json_of_text(reader, ENTRY_OF_KIND), "leaf_hash",
                      json_of_hash(reader, ENTRY_LEAF_HASH), "body", body);
    if (entry == NULL)
        no_memory(err);
    return entry;
}

static int
add_entry(struct reader *reader, struct whole *run, struct err *err)
{
    json_t *entry = entry_of_row(reader, err);

    if (entry == NULL)
        return -1;
    if (json_array_append_new(run->entries, entry) == -1)
        return no_memory(err);
    if (!reader->ops->is_null(reader, ENTRY_STATUS)) {
        json_decref(run->status);
        run->status = json_of_text(reader, ENTRY_STATUS);
    }
    return 0;
}

static int
add_content(struct reader *reader, struct whole *run, struct err *err)
{
    json_t *part = json_of_text(reader, CONTENT_PART);
    const int result =
        json_object_set_new(run->content, json_string_value(part),
                            json_of_text(reader, CONTENT_TEXT));

    json_decref(part);
    return result == 0 ? 0 : no_memory(err);
}

static int
read_run(struct reader *reader, struct whole *run, struct err *err)
{
    enum reader_step step;

    while ((step = reader->ops->next(reader, err)) == READER_ROW) {
        const int added = reader->ops->set(reader) == GET_ENTRIES
                              ? add_entry(reader, run, err)
                              : add_content(reader, run, err);

        if (added == -1)
            return -1;
    }
    return step == READER_DONE ? 0 : -1;
}

json_t *
reader_get(struct reader *reader, const struct uuid *run_id, struct err *err)
{
    struct whole run = { json_array(), json_object(), json_string("open") };
    json_t *answer = NULL;
    char text[UUID_TEXT_LEN];

    uuid_format(run_id, text);
    if (reader->ops->get(reader, run_id, err) == 0 &&
        read_run(reader, &run, err) == 0) {
        if (json_array_size(run.entries) == 0)
            answer = json_null();
        else
            answer = json_pack("{s:s, s:O, s:O, s:O}", "id", text, "status",
                               run.status, "entries", run.entries, "content",
                               run.content);
        if (answer == NULL)
            no_memory(err);
    }
    reader->ops->stop(reader);
    json_decref(run.entries);
    json_decref(run.content);
    json_decref(run.status);
    return answer;
}
