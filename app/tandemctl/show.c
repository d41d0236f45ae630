/* show.c - tandemctl show: one run, its entries and its texts. */
#include "tandemctl/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/reader.h"
#include "text/json.h"

static void
print_member(const json_t *object, const char *key)
{
    const char *text = json_get_string(object, key);

    command_print_in_line(text != NULL ? text : "-");
}

static bool
print_entry(const json_t *entry)
{
    char *body = json_dumps(json_object_get(entry, "body"),
                            JSON_INDENT(2) | JSON_SORT_KEYS);

    if (body == NULL)
        return false;
    putchar('\n');
    print_member(entry, "kind");
    printf(" at ");
    print_member(entry, "recorded_at");
    printf("\n  log        ");
    print_member(entry, "log_id");
    printf("\n  index      %" PRId64 "\n  leaf hash  ",
           json_get_int(entry, "idx", -1));
    print_member(entry, "leaf_hash");
    putchar('\n');
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

    printf("Run     ");
    print_member(run, "id");
    printf("\nStatus  ");
    print_member(run, "status");
    putchar('\n');
    json_array_foreach(entries, i, value) if (!print_entry(value)) return false;
    json_object_foreach(content, part, value)
    {
        printf("\n---- ");
        command_print_in_line(part);
        if (json_is_null(value)) {
            puts(", which this login may not see ----");
            continue;
        }
        printf(", %zu bytes ----\n", json_string_length(value));
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
