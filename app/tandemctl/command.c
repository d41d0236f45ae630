/* command.c - see command.h. */
#include "tandemctl/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"

#define REQUEST_MS    30000
#define MAX_COMPLAINT 8192

/* ---- text of others ------------------------------------------------------ */

/* Of bytes that are no UTF-8 a terminal may make anything, so nothing beyond
 * ASCII stays then. */
static void
print_printable(FILE *out, const char *text, size_t len, bool many_lines)
{
    const bool is_utf8 = utf8_is_clean(text, len);

    for (size_t i = 0; i < len; i++) {
        const unsigned char byte = (unsigned char)text[i];
        const bool is_layout = many_lines && (byte == '\n' || byte == '\t');
        /* U+0080 to U+009F are C2 80 to C2 9F. */
        const bool is_c1 = is_utf8 && byte == 0xc2 &&
                           ((unsigned char)text[i + 1] & 0xe0) == 0x80;

        if (is_c1)
            fprintf(out, "\\u%04x", (unsigned)(unsigned char)text[++i]);
        else if ((byte < 0x20 && !is_layout) || byte == 0x7f ||
                 (byte >= 0x80 && !is_utf8))
            fprintf(out, "\\u%04x", (unsigned)byte);
        else
            putc(byte, out);
    }
}

void
command_print_text(const char *text, size_t len)
{
    print_printable(stdout, text, len, true);
}

void
command_print_in_line(const char *text)
{
    print_printable(stdout, text, strlen(text), false);
}

/* ---- what went wrong ----------------------------------------------------- */

enum command_exit
command_complain(const char *fmt, ...)
{
    char text[MAX_COMPLAINT];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fputs("tandemctl: ", stderr);
    print_printable(stderr, text, strlen(text), false);
    fputc('\n', stderr);
    return COMMAND_FAILED;
}

enum command_exit
command_complain_run_id(const char *text)
{
    return command_complain("\"%s\" is not a run id, which looks like "
                            "01976b5a-5c3e-7c31-8f2e-6d1f0a9b4c77; tandemctl "
                            "runs lists the newest",
                            text);
}

static enum command_exit
file_failed(const char *path, const struct err *err)
{
    command_complain("cannot read the ledger %s: %s", path, err->text);
    if (err->kind == ERR_SYSTEM)
        fputs("Run it as root or as the user that tandemd runs as; SQLite "
              "needs to write next to\nthe file even to read it.\n",
              stderr);
    else
        fputs("Name the ledger with --ledger FILE, or its folder in "
              "STATE_DIR.\n",
              stderr);
    return COMMAND_FAILED;
}

enum command_exit
command_read_failed(const struct command_options *options,
                    const struct err *err)
{
    if (options->url[0] == '\0')
        return file_failed(options->ledger, err);
    command_complain("cannot read the ledger in %s: %s", options->ledger,
                     err->text);
    fputs("DATABASE_READER_URL, else DATABASE_URL, says where it is; --ledger "
          "FILE or URL wins.\n",
          stderr);
    return COMMAND_FAILED;
}

/* ---- the ledger ---------------------------------------------------------- */

struct reader *
command_open_reader(const struct command_options *options, struct err *err)
{
    return reader_open(&(struct reader_place){ .path = options->ledger,
                                               .url = options->url,
                                               .application = "tandemctl",
                                               .request_ms = REQUEST_MS },
                       err);
}

struct source *
command_open_source(const struct command_options *options, struct err *err)
{
    if (options->export_file != NULL)
        return source_export_open(options->export_file, err);
    return source_open(&(struct source_place){ .path = options->ledger,
                                               .url = options->url,
                                               .application = "tandemctl" },
                       err);
}

enum command_exit
command_source_failed(const struct command_options *options,
                      const struct err *err)
{
    if (options->export_file != NULL)
        return command_complain("cannot read the export %s: %s",
                                options->export_file, err->text);
    command_read_failed(options, err);
    if (options->url[0] != '\0' && !options->without_texts)
        fputs("Texts are for the role tandem_auditor; --no-content does "
              "without.\n",
              stderr);
    return COMMAND_FAILED;
}

bool
command_print_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);

    if (text == NULL)
        return false;
    puts(text);
    free(text);
    return true;
}
