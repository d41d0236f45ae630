/* export.c - tandemctl export: the ledger as a text. */
#include "tandemctl/command.h"

#include <stdio.h>

#include "ledger/export.h"

static int
to_output(void *arg, const char *bytes, size_t len, struct err *err)
{
    (void)arg;
    if (fwrite(bytes, 1, len, stdout) != len)
        return err_set_errno(err, ERR_SYSTEM, "cannot write the export");
    return 0;
}

/* False: everything was asked for. */
static bool
is_selection(const struct reader_query *runs)
{
    return runs->since_unix_us != 0 || runs->until_unix_us != 0 ||
           runs->user != NULL || runs->status != NULL;
}

enum command_exit
command_export(const struct command_options *options)
{
    const struct reader_query *runs = &options->runs;
    const struct source_selection selection = {
        .since_unix_us =
            runs->since_unix_us != 0 ? runs->since_unix_us : INT64_MIN,
        .until_unix_us =
            runs->until_unix_us != 0 ? runs->until_unix_us : INT64_MAX,
        .user = runs->user,
        .status = runs->status,
    };
    const struct export_request request = {
        .as_csv = options->format == COMMAND_CSV,
        .texts = !options->without_texts,
        .selection = is_selection(runs) ? &selection : NULL,
    };
    struct err err = { 0 };
    struct source *source;
    int result = -1;

    if (options->format == COMMAND_NO_FORMAT)
        return command_complain("export needs --format jsonl or --format csv");
    source = command_open_source(options, &err);
    if (source != NULL) {
        result = export_write(source, &request, to_output, NULL, &err);
        source->ops->close(source);
    }
    if (result == 0)
        return COMMAND_OK;
    return ferror(stdout) != 0 ? command_complain("%s", err.text)
                               : command_source_failed(options, &err);
}
