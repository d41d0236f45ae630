/* runs.c - tandemctl runs: the newest runs, one to a line. */
#include "tandemctl/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ledger/reader.h"
#include "text/json.h"

#define PAGE_SIZE 200

static const char *
text_of(const json_t *run, const char *key)
{
    const char *text = json_get_string(run, key);

    return text != NULL ? text : "-";
}

/* Whatever is longer than its column moves those after it. */
static void
print_column(const json_t *run, const char *key, size_t width)
{
    const char *text = text_of(run, key);
    const size_t len = strlen(text);

    command_print_in_line(text);
    printf("%*s", len < width ? (int)(width - len) : 0, "");
}

/* Whole seconds are enough for a list. */
static void
print_time(const json_t *run)
{
    const char *text = text_of(run, "created_at");

    if (strlen(text) >= 19)
        printf("%.10s %.8s", text, text + 11);
    else
        printf("%-19s", text);
}

static void
print_ms(const json_t *run, const char *key)
{
    if (json_is_integer(json_object_get(run, key)))
        printf("  %8" PRId64, json_get_int(run, key, 0));
    else
        printf("  %8s", "-");
}

static void
print_heading(void)
{
    printf("%-36s  %-19s  %-9s  %-10s  %8s  %8s  %8s  %s\n", "RUN",
           "STARTED (UTC)", "STATUS", "SALVAGE", "TOTAL ms", "FLASH ms",
           "PRO ms", "USER");
}

static void
print_run(const json_t *run)
{
    print_column(run, "id", 36);
    fputs("  ", stdout);
    print_time(run);
    fputs("  ", stdout);
    print_column(run, "status", 9);
    fputs("  ", stdout);
    print_column(run, "salvage", 10);
    print_ms(run, "total_ms");
    print_ms(run, "flash_latency_ms");
    print_ms(run, "pro_latency_ms");
    fputs("  ", stdout);
    print_column(run, "user_id", 0);
    putchar('\n');
}

static bool
print_page(const json_t *page, bool as_json)
{
    size_t i;
    json_t *run;

    json_array_foreach(page, i, run)
    {
        if (!as_json)
            print_run(run);
        else if (!command_print_json(run))
            return false;
    }
    return true;
}

static enum command_exit
print_runs(struct reader *reader, const struct command_options *options)
{
    struct reader_query query = options->runs;
    struct reader_cursor cursor = { .set = false };
    size_t left = options->limit;

    do {
        struct err err = { 0 };
        json_t *page;
        bool printed;

        query.limit = left < PAGE_SIZE ? left : PAGE_SIZE;
        query.after = cursor;
        page = reader_list(reader, &query, &cursor, &err);
        if (page == NULL)
            return command_read_failed(options, &err);
        if (!query.after.set && !options->json && json_array_size(page) > 0)
            print_heading();
        printed = print_page(page, options->json);
        left -= json_array_size(page);
        json_decref(page);
        if (!printed)
            return command_complain("not enough memory");
    } while (cursor.set && left > 0);
    if (left == options->limit && !options->json)
        puts("No such runs.");
    else if (cursor.set && !options->json)
        printf("There are older runs: --limit N shows more than %zu.\n",
               options->limit);
    return COMMAND_OK;
}

enum command_exit
command_runs(const struct command_options *options)
{
    struct err err = { 0 };
    struct reader *reader = command_open_reader(options, &err);
    enum command_exit code;

    if (reader == NULL)
        return command_read_failed(options, &err);
    code = print_runs(reader, options);
    reader_close(reader);
    return code;
}
