/* show.c - tandemctl show: one run, its entries and its texts. */
#include "tandemctl/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/reader.h"
#include "text/json.h"

static bool
print_entry(const json_t *entry)
{
    char *body = json_dumps(json_object_get(entry, "body"),
                            JSON_INDENT(2) | JSON_SORT_KEYS);

    if (body == NULL)
        return false;
    printf("\n%s at %s\n", json_get_string(entry, "kind"),
           json_get_string(entry, "recorded_at"));
    printf("  log        %s\n", json_get_string(entry, "log_id"));
    printf("  index      %" PRId64 "\n", json_get_int(entry, "idx", -1));
    printf("  leaf hash  %s\n", json_get_string(entry, "leaf_hash"));
    command_print_text(body, strlen(body));
    putchar('\n');
    free(body);
    return true;
}

static bool
print_run(const json_t *run)
{
    json_t *entries = json_object_get(run, "entries");
    json_t *content = json_object_get(run, "content");
    const char *part;
    json_t *value;
    size_t i;

    printf("Run     %s\nStatus  %s\n", json_get_string(run, "id"),
           json_get_string(run, "status"));
    json_array_foreach(entries, i, value) if (!print_entry(value)) return false;
    json_object_foreach(content, part, value)
    {
        if (json_is_null(value)) {
            printf("\n---- %s, which this login may not see ----\n", part);
            continue;
        }
        printf("\n---- %s, %zu bytes ----\n", part, json_string_length(value));
        command_print_text(json_string_value(value), json_string_length(value));
        putchar('\n');
    }
    return true;
}

static enum command_exit
show(struct reader *reader, const struct command_options *options,
     const struct uuid *run_id)
{
    struct err err = { 0 };
    json_t *run = reader_get(reader, run_id, &err);
    bool printed;

    if (run == NULL)
        return command_read_failed(options, &err);
    if (json_is_null(run)) {
        command_complain("there is no run %s in %s; tandemctl runs lists the "
                         "newest",
                         options->run_id, options->ledger);
        json_decref(run);
        return COMMAND_NEGATIVE;
    }
    printed = options->json ? command_print_json(run) : print_run(run);
    json_decref(run);
    return printed ? COMMAND_OK : command_complain("not enough memory");
}

enum command_exit
command_show(const struct command_options *options)
{
    struct err err = { 0 };
    struct reader *reader;
    struct uuid run_id;
    enum command_exit code;

    if (uuid_parse(options->run_id, &run_id) == -1)
        return command_complain_run_id(options->run_id);
    reader = command_open_reader(options, &err);
    if (reader == NULL)
        return command_read_failed(options, &err);
    code = show(reader, options, &run_id);
    reader_close(reader);
    return code;
}
