/* main.c - tandemctl: look at Tandem's ledger. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/attr.h"
#include "base/str.h"
#include "tandemctl/command.h"

#define DEFAULT_STATE_DIR "/var/lib/tandem"
#define LEDGER_NAME       "ledger.db"
#define DEFAULT_LIMIT     20
#define MAX_LIMIT         1000000

static const char help[] =
    "Usage: tandemctl runs [--limit N] [--status S] [--user U] [--model M]\n"
    "                      [--since TIME] [--until TIME] [--json] [--ledger "
    "WHERE]\n"
    "       tandemctl show RUN_ID [--json] [--ledger WHERE]\n"
    "       tandemctl verify [--head LOG:SIZE:ROOT]... [--json] [--ledger "
    "FILE]\n"
    "\n"
    "  runs     list the newest runs, newest first; times are UTC\n"
    "  show     show one run: its entries and its texts\n"
    "  verify   recompute every hash and compare; says where the ledger is "
    "not\n"
    "           what was written\n"
    "\n"
    "  --limit N            runs to list (20)\n"
    "  --status S           only runs with this status: ok, timeout, "
    "cancelled,\n"
    "                       error, orphaned, open\n"
    "  --user U, --model M  only runs of this user; that asked this model\n"
    "  --since, --until TIME\n"
    "                       only runs started from then on; before then.  "
    "UTC:\n"
    "                       2026-01-31 or 2026-01-31T23:59:59\n"
    "  --head LOG:SIZE:ROOT a head that an earlier verify printed and that "
    "was\n"
    "                       kept elsewhere; may be given up to 64 times\n"
    "  --json               one JSON object to a line\n"
    "  --ledger WHERE       the ledger: a file or postgresql://... "
    "($DATABASE_READER_URL,\n"
    "                       $DATABASE_URL, $STATE_DIR/ledger.db, or\n"
    "                       " DEFAULT_STATE_DIR "/" LEDGER_NAME ")\n"
    "  --help, --version\n"
    "\n"
    "Exit code: 0 in order, 1 no such run or findings, 2 could not be done.\n";

enum choice {
    LEDGER = 1,
    JSON,
    LIMIT,
    STATUS,
    USER,
    MODEL,
    SINCE,
    UNTIL,
    HEAD,
    HELP,
    VERSION,
};

#define FILTERS \
    (1u << STATUS | 1u << USER | 1u << MODEL | 1u << SINCE | 1u << UNTIL)

/* The options a command has beside --ledger and --json, as 1 << choice. */
static const struct command {
    const char *name;
    enum command_exit (*run)(const struct command_options *options);
    unsigned options;
    bool wants_run_id;
} commands[] = {
    { "runs", command_runs, 1u << LIMIT | FILTERS, false },
    { "show", command_show, 0, true },
    { "verify", command_verify, 1u << HEAD, false },
};

static const struct option long_options[] = {
    { "ledger", required_argument, NULL, LEDGER },
    { "json", no_argument, NULL, JSON },
    { "limit", required_argument, NULL, LIMIT },
    { "status", required_argument, NULL, STATUS },
    { "user", required_argument, NULL, USER },
    { "model", required_argument, NULL, MODEL },
    { "since", required_argument, NULL, SINCE },
    { "until", required_argument, NULL, UNTIL },
    { "head", required_argument, NULL, HEAD },
    { "help", no_argument, NULL, HELP },
    { "version", no_argument, NULL, VERSION },
    { NULL, 0, NULL, 0 },
};

/* What the command line said. */
struct line {
    struct command_options options;
    unsigned given; /* 1 << choice */
    char default_ledger[PATH_MAX];
};

/* "try --help" for what getopt or we cannot understand. */
static enum command_exit
usage(void)
{
    fputs("tandemctl --help says how it is used.\n", stderr);
    return COMMAND_FAILED;
}

/* LOG:SIZE:ROOT, as verify prints it. */
static int
parse_head(const char *text, struct verify_anchor *head)
{
    char copy[160];
    char *size, *root;

    if (strlen(text) >= sizeof(copy))
        return -1;
    strcpy(copy, text);
    size = strchr(copy, ':');
    if (size == NULL)
        return -1;
    *size++ = '\0';
    root = strchr(size, ':');
    if (root == NULL)
        return -1;
    *root++ = '\0';
    if (strlen(root) != 2 * ENTRY_HASH_LEN ||
        uuid_parse(copy, &head->log_id) == -1 ||
        str_to_int(size, 1, INT64_MAX, &head->size) == -1)
        return -1;
    return str_from_hex(root, head->root, ENTRY_HASH_LEN);
}

static int
take_limit(struct line *line, const char *text)
{
    int64_t limit;

    if (str_to_int(text, 1, MAX_LIMIT, &limit) == -1) {
        command_complain("--limit %s is not a number from 1 to %d", text,
                         MAX_LIMIT);
        return -1;
    }
    line->options.limit = (size_t)limit;
    return 0;
}

/* In UTC, as runs are listed. */
static int
take_time(const char *name, const char *text, int64_t *unix_us)
{
    static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S",
                                         "%Y-%m-%dT%H:%M:%SZ",
                                         "%Y-%m-%d %H:%M:%S" };

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = { .tm_mday = 1 };
        const char *rest = strptime(text, forms[i], &tm);

        if (rest != NULL && *rest == '\0') {
            *unix_us = (int64_t)timegm(&tm) * 1000000;
            return 0;
        }
    }
    command_complain("--%s %s is not a time such as 2026-01-31 or "
                     "2026-01-31T23:59:59",
                     name, text);
    return -1;
}

static int
take_head(struct line *line, const char *text)
{
    struct command_options *options = &line->options;

    if (options->head_count == COMMAND_MAX_HEADS) {
        command_complain("--head is given more than %d times",
                         COMMAND_MAX_HEADS);
        return -1;
    }
    if (parse_head(text, &options->heads[options->head_count]) == -1) {
        command_complain("--head %s is not LOG:SIZE:ROOT as verify prints it",
                         text);
        return -1;
    }
    options->head_count++;
    return 0;
}

/* -1 when it was complained about. */
static int
take_option(struct line *line, int choice, const char *value)
{
    line->given |= 1u << choice;
    switch (choice) {
    case LEDGER:
        line->options.ledger = value;
        return 0;
    case JSON:
        line->options.json = true;
        return 0;
    case LIMIT:
        return take_limit(line, value);
    case STATUS:
        line->options.runs.status = value;
        return 0;
    case USER:
        line->options.runs.user = value;
        return 0;
    case MODEL:
        line->options.runs.model = value;
        return 0;
    case SINCE:
        return take_time("since", value, &line->options.runs.since_unix_us);
    case UNTIL:
        return take_time("until", value, &line->options.runs.until_unix_us);
    case HEAD:
        return take_head(line, value);
    default:
        return 0;
    }
}

static const struct command *
find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* Options and arguments that the command has no use for are mistakes. */
static int
check_line(struct line *line, const struct command *command, int count,
           char *const *arguments)
{
    const unsigned known = command->options | 1u << LEDGER | 1u << JSON;

    for (size_t i = 0; long_options[i].name != NULL; i++)
        if ((line->given & ~known & 1u << long_options[i].val) != 0) {
            command_complain("%s has no option --%s", command->name,
                             long_options[i].name);
            return -1;
        }
    if (command->wants_run_id && count == 0) {
        command_complain("%s needs a run id; tandemctl runs lists the newest",
                         command->name);
        return -1;
    }
    if (count > (command->wants_run_id ? 1 : 0)) {
        command_complain("%s has no use for \"%s\"", command->name,
                         arguments[count - 1]);
        return -1;
    }
    if (command->wants_run_id)
        line->options.run_id = arguments[0];
    return 0;
}

static const char *
environment_get(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static bool
is_url(const char *where)
{
    return str_starts_with(where, "postgresql://") ||
           str_starts_with(where, "postgres://");
}

static int
name_file(struct line *line)
{
    const char *state_dir = environment_get("STATE_DIR");
    const int len = snprintf(
        line->default_ledger, sizeof(line->default_ledger), "%s/%s",
        state_dir != NULL ? state_dir : DEFAULT_STATE_DIR, LEDGER_NAME);

    if (len < 0 || (size_t)len >= sizeof(line->default_ledger)) {
        command_complain("STATE_DIR is too long");
        return -1;
    }
    line->options.ledger = line->default_ledger;
    return 0;
}

/* A URL may hold a password, so it is not what people are told. */
static int
find_ledger(struct line *line)
{
    struct command_options *options = &line->options;
    const char *url = environment_get("DATABASE_READER_URL");

    options->url = "";
    if (options->ledger != NULL && !is_url(options->ledger))
        return 0;
    if (options->ledger != NULL)
        url = options->ledger;
    else if (url == NULL)
        url = environment_get("DATABASE_URL");
    if (url == NULL)
        return name_file(line);
    options->url = url;
    options->ledger = "PostgreSQL";
    return 0;
}

static enum command_exit
run_command(struct line *line, int count, char *const *arguments)
{
    const struct command *command;

    if (count == 0) {
        fputs(help, stderr);
        return COMMAND_FAILED;
    }
    command = find_command(arguments[0]);
    if (command == NULL) {
        command_complain("there is no command \"%s\"", arguments[0]);
        return usage();
    }
    if (check_line(line, command, count - 1, arguments + 1) == -1 ||
        find_ledger(line) == -1)
        return COMMAND_FAILED;
    return command->run(&line->options);
}

static enum command_exit
run_line(struct line *line, int argc, char **argv)
{
    int choice;

    while ((choice = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        if (choice == '?')
            return usage();
        else if (take_option(line, choice, optarg) == -1)
            return COMMAND_FAILED;
    if ((line->given & 1u << HELP) != 0) {
        fputs(help, stdout);
        return COMMAND_OK;
    }
    if ((line->given & 1u << VERSION) != 0) {
        puts("tandemctl " TANDEM_VERSION);
        return COMMAND_OK;
    }
    return run_command(line, argc - optind, argv + optind);
}

int
main(int argc, char **argv)
{
    static struct line line = { .options.limit = DEFAULT_LIMIT };
    const enum command_exit code = run_line(&line, argc, argv);

    /* A full disk or a closed pipe must not look like an answer. */
    if (fflush(stdout) == EOF || ferror(stdout) != 0)
        return (int)command_complain("cannot write the answer");
    return (int)code;
}
