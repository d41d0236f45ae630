/*
 * listings.c - see listings.h.
 *
 * A cursor is the last row's start in microseconds, a dot, and its run id: a
 * place in the order, not a page number, so new runs never shift a page.
 */
#include "control/listings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "text/json.h"

#define DEFAULT_LIMIT 50
#define CURSOR_LEN    (20 + 1 + UUID_TEXT_LEN)

static int
parse_cursor(const char *text, struct reader_cursor *cursor)
{
    char digits[21];
    const char *dot = strchr(text, '.');

    if (dot == NULL || (size_t)(dot - text) >= sizeof(digits))
        return -1;
    memcpy(digits, text, (size_t)(dot - text));
    digits[dot - text] = '\0';
    cursor->set = true;
    if (str_to_int(digits, 0, INT64_MAX, &cursor->started_unix_us) == -1)
        return -1;
    return uuid_parse(dot + 1, &cursor->run_id);
}

static json_t *
format_cursor(const struct reader_cursor *cursor)
{
    char text[CURSOR_LEN];
    char run_id[UUID_TEXT_LEN];

    if (!cursor->set)
        return json_null();
    uuid_format(&cursor->run_id, run_id);
    snprintf(text, sizeof(text), "%" PRId64 ".%s", cursor->started_unix_us,
             run_id);
    return json_string(text);
}

/* Memory and damage are ours to see to; the rest is the database, whose time
 * may come again. */
static enum listings_result
failed(const struct err *err)
{
    return err->kind == ERR_SYSTEM ? LISTINGS_AWAY : LISTINGS_FAILED;
}

/* Appends value and gives it up. */
static enum listings_result
write_out(json_t *value, struct buf *out, struct err *err)
{
    const int result = json_write(value, out, err);

    json_decref(value);
    return result == 0 ? LISTINGS_OK : LISTINGS_FAILED;
}

enum listings_result
listings_page(struct reader *reader, const char *limit, const char *cursor,
              struct buf *out, struct err *err)
{
    struct reader_query query = { .limit = 0 };
    struct reader_cursor next = { .set = false };
    int64_t count = DEFAULT_LIMIT;
    json_t *rows;
    json_t *page;

    if (limit != NULL && str_to_int(limit, 1, LISTINGS_MAX, &count) == -1)
        return LISTINGS_BAD_LIMIT;
    if (cursor != NULL && parse_cursor(cursor, &query.after) == -1)
        return LISTINGS_BAD_CURSOR;
    query.limit = (size_t)count;
    rows = reader_list(reader, &query, &next, err);
    if (rows == NULL)
        return failed(err);
    page = json_pack("{s:o, s:o}", "experiments", rows, "next_cursor",
                     format_cursor(&next));
    if (page == NULL) {
        err_set(err, ERR_NOMEM, "listing");
        return LISTINGS_FAILED;
    }
    return write_out(page, out, err);
}

enum listings_result
listings_run(struct reader *reader, const char *run_id, struct buf *out,
             struct err *err)
{
    struct uuid id;
    json_t *run;

    if (uuid_parse(run_id, &id) == -1)
        return LISTINGS_BAD_ID;
    run = reader_get(reader, &id, err);
    if (run == NULL)
        return failed(err);
    if (json_is_null(run)) {
        json_decref(run);
        return LISTINGS_NOT_FOUND;
    }
    return write_out(run, out, err);
}
