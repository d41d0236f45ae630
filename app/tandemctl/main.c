/* main.c - tandemctl: look at Tandem's ledger. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/attr.h"
#include "base/str.h"
#include "tandemctl/command.h"
#include "tandemctl/where.h"

#define DEFAULT_LIMIT      20
#define MAX_LIMIT          1000000
#define DEFAULT_TIMEOUT_MS 60000
#define MAX_TIMEOUT_MS     86400000

static const char help[] =
    "Usage: tandemctl runs [--limit N] [--status S] [--user U] [--model M]\n"
    "                      [--since TIME] [--until TIME] [--json]\n"
    "       tandemctl show RUN_ID [--json]\n"
    "       tandemctl verify [--anchor FILE|LOG:SIZE:ROOT]... [--key "
    "KEY|FILE]...\n"
    "                        [--offline EXPORT] [--no-content] [--json]\n"
    "       tandemctl proof RUN_ID [--from SIZE]\n"
    "       tandemctl check-proof FILE --key KEY|FILE [--anchor ...]... "
    "[--json]\n"
    "       tandemctl export --format jsonl|csv [--status S] [--user U]\n"
    "                        [--since TIME] [--until TIME] [--no-content]\n"
    "       tandemctl key new|show FILE [--name NAME]\n"
    "       tandemctl spool ls [--json]\n"
    "       tandemctl spool drain [--set-aside] [--timeout SECONDS]\n"
    "       tandemctl doctor [--config FILE] [--json]\n"
    "       tandemctl selftest --faults [--keep] [--json]\n"
    "\n"
    "  runs         list the newest runs, newest first; times are UTC\n"
    "  show         show one run: its entries and its texts\n"
    "  verify       recompute every hash and compare; says where the ledger is "
    "not\n"
    "               what was written\n"
    "  proof        print a file that proves one run's entries to others\n"
    "  check-proof  check such a file; needs no ledger\n"
    "  export       print the ledger, or some of its runs\n"
    "  key          make a key that signs checkpoints, or show its verifier "
    "key\n"
    "  spool ls     list the batches that wait for the database on this host\n"
    "  spool drain  have the database tried now, and wait until none waits\n"
    "  doctor       look at configuration, providers, ledger, spool, disk and\n"
    "               clock, and say what to do\n"
    "  selftest     let all kinds of faults happen to a private instance with "
    "a\n"
    "               simulated provider, and say whether its promises held\n"
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
    "  --anchor FILE        checkpoints that were kept elsewhere\n"
    "  --anchor LOG:SIZE:ROOT, --head LOG:SIZE:ROOT\n"
    "                       a head that an earlier verify printed and that "
    "was\n"
    "                       kept elsewhere; may be given up to 64 times\n"
    "  --key KEY|FILE       a verifier key, or a file with one to a line\n"
    "  --offline EXPORT     verify a file that export --format jsonl wrote\n"
    "  --no-content         leave out the texts\n"
    "  --from SIZE          prove as well that the log continues the one that "
    "had\n"
    "                       so many entries\n"
    "  --name NAME          of the key (the host's)\n"
    "  --set-aside          try those again that the database would not take\n"
    "  --timeout SECONDS    how long spool drain waits (60)\n"
    "  --config FILE        tandemd's, beside the environment\n"
    "  --keep               leave the instance's folder, with logs and ledger\n"
    "  --json               one JSON object to a line\n"
    "  --ledger WHERE       the ledger: a file or postgresql://... "
    "($DATABASE_READER_URL,\n"
    "                       $DATABASE_URL, $STATE_DIR/ledger.db, or\n"
    "                       " WHERE_STATE_DIR "/" WHERE_LEDGER ")\n"
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
    ANCHOR,
    KEY,
    OFFLINE,
    NO_CONTENT,
    FROM,
    FORMAT,
    NAME,
    SET_ASIDE,
    TIMEOUT,
    CONFIG,
    FAULTS,
    KEEP,
    HELP,
    VERSION,
};

#define BIT(choice) (1u << (choice))
#define SELECTION   (BIT(STATUS) | BIT(USER) | BIT(SINCE) | BIT(UNTIL))
#define TRUST       (BIT(HEAD) | BIT(ANCHOR) | BIT(KEY) | BIT(JSON))
#define LISTING     (BIT(JSON) | BIT(LEDGER))

#define MAX_ARGUMENTS 2

static const char run_id_argument[] = "run id";
static const char file_argument[] = "file";
static const char key_verb[] = "verb, new or show";
static const char spool_verb[] = "verb, ls or drain";

/* The options a command has, as bits, and what its arguments are. */
static const struct command {
    const char *name;
    enum command_exit (*run)(const struct command_options *options);
    unsigned options;
    const char *arguments[MAX_ARGUMENTS];
} commands[] = {
    { "runs",
      command_runs,
      LISTING | BIT(LIMIT) | SELECTION | BIT(MODEL),
      { NULL } },
    { "show", command_show, LISTING, { run_id_argument } },
    { "verify",
      command_verify,
      LISTING | TRUST | BIT(OFFLINE) | BIT(NO_CONTENT),
      { NULL } },
    { "proof", command_proof, BIT(LEDGER) | BIT(FROM), { run_id_argument } },
    { "check-proof", command_check_proof, TRUST, { file_argument } },
    { "export",
      command_export,
      BIT(LEDGER) | BIT(FORMAT) | SELECTION | BIT(NO_CONTENT),
      { NULL } },
    { "key", command_key, BIT(NAME), { key_verb, file_argument } },
    { "spool",
      command_spool,
      BIT(JSON) | BIT(SET_ASIDE) | BIT(TIMEOUT),
      { spool_verb } },
    { "doctor", command_doctor, BIT(JSON) | BIT(CONFIG), { NULL } },
    { "selftest",
      command_selftest,
      BIT(FAULTS) | BIT(KEEP) | BIT(JSON),
      { NULL } },
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
    { "anchor", required_argument, NULL, ANCHOR },
    { "key", required_argument, NULL, KEY },
    { "offline", required_argument, NULL, OFFLINE },
    { "no-content", no_argument, NULL, NO_CONTENT },
    { "from", required_argument, NULL, FROM },
    { "format", required_argument, NULL, FORMAT },
    { "name", required_argument, NULL, NAME },
    { "set-aside", no_argument, NULL, SET_ASIDE },
    { "timeout", required_argument, NULL, TIMEOUT },
    { "config", required_argument, NULL, CONFIG },
    { "faults", no_argument, NULL, FAULTS },
    { "keep", no_argument, NULL, KEEP },
    { "help", no_argument, NULL, HELP },
    { "version", no_argument, NULL, VERSION },
    { NULL, 0, NULL, 0 },
};

/* What the command line said. */
struct line {
    struct command_options options;
    unsigned given; /* bits */
};

/* "try --help" for what getopt or we cannot understand. */
static enum command_exit
usage(void)
{
    fputs("tandemctl --help says how it is used.\n", stderr);
    return COMMAND_FAILED;
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

/* What another file makes of the value. */
static int
take_with(int (*add)(struct command_options *options, const char *text,
                     struct err *err),
          struct line *line, const char *name, const char *text)
{
    struct err err = { 0 };

    if (add(&line->options, text, &err) == 0)
        return 0;
    command_complain("--%s: %s", name, err.text);
    return -1;
}

static int
take_from(struct line *line, const char *text)
{
    if (str_to_int(text, 1, INT64_MAX, &line->options.from) == 0)
        return 0;
    command_complain("--from %s is not the size of a log", text);
    return -1;
}

static int
take_timeout(struct line *line, const char *text)
{
    if (str_to_ms(text, 0, MAX_TIMEOUT_MS, &line->options.timeout_ms) == 0)
        return 0;
    command_complain("--timeout %s is not a number of seconds up to %d", text,
                     MAX_TIMEOUT_MS / 1000);
    return -1;
}

static int
take_format(struct line *line, const char *text)
{
    if (strcmp(text, "jsonl") == 0) {
        line->options.format = COMMAND_JSONL;
    } else if (strcmp(text, "csv") == 0) {
        line->options.format = COMMAND_CSV;
    } else {
        command_complain("--format is jsonl or csv, not \"%s\"", text);
        return -1;
    }
    return 0;
}

/* The options that say which runs. */
static int
take_selection(struct line *line, int choice, const char *value)
{
    struct reader_query *runs = &line->options.runs;

    switch (choice) {
    case LIMIT:
        return take_limit(line, value);
    case STATUS:
        runs->status = value;
        return 0;
    case USER:
        runs->user = value;
        return 0;
    case MODEL:
        runs->model = value;
        return 0;
    case SINCE:
        return take_time("since", value, &runs->since_unix_us);
    default:
        return take_time("until", value, &runs->until_unix_us);
    }
}

/* -1 when it was complained about. */
static int
take_option(struct line *line, int choice, const char *value)
{
    struct command_options *options = &line->options;

    line->given |= BIT(choice);
    switch (choice) {
    case LEDGER:
        options->ledger = value;
        return 0;
    case JSON:
        options->json = true;
        return 0;
    case LIMIT:
    case STATUS:
    case USER:
    case MODEL:
    case SINCE:
    case UNTIL:
        return take_selection(line, choice, value);
    case HEAD:
        return take_with(command_add_anchor, line, "head", value);
    case ANCHOR:
        return take_with(command_add_anchor, line, "anchor", value);
    case KEY:
        return take_with(command_add_key, line, "key", value);
    case OFFLINE:
        options->export_file = value;
        return 0;
    case NO_CONTENT:
        options->without_texts = true;
        return 0;
    case FROM:
        return take_from(line, value);
    case FORMAT:
        return take_format(line, value);
    case NAME:
        options->name = value;
        return 0;
    case SET_ASIDE:
        options->set_aside = true;
        return 0;
    case TIMEOUT:
        return take_timeout(line, value);
    case CONFIG:
        options->config = value;
        return 0;
    case FAULTS:
        options->faults = true;
        return 0;
    case KEEP:
        options->keep = true;
        return 0;
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

static int
take_arguments(struct line *line, const struct command *command, int count,
               char *const *arguments)
{
    struct command_options *options = &line->options;
    int at = 0;

    for (; at < MAX_ARGUMENTS && command->arguments[at] != NULL; at++) {
        const char *what = command->arguments[at];

        if (at == count) {
            command_complain("%s needs a %s%s", command->name, what,
                             what == run_id_argument
                                 ? "; tandemctl runs lists the newest"
                                 : "");
            return -1;
        }
        if (what == run_id_argument)
            options->run_id = arguments[at];
        else if (what == key_verb || what == spool_verb)
            options->verb = arguments[at];
        else
            options->file = arguments[at];
    }
    if (count == at)
        return 0;
    command_complain("%s has no use for \"%s\"", command->name,
                     arguments[count - 1]);
    return -1;
}

/* Options and arguments that the command has no use for are mistakes. */
static int
check_line(struct line *line, const struct command *command, int count,
           char *const *arguments)
{
    for (size_t i = 0; long_options[i].name != NULL; i++)
        if ((line->given & ~command->options & BIT(long_options[i].val)) != 0) {
            command_complain("%s has no option --%s", command->name,
                             long_options[i].name);
            return -1;
        }
    return take_arguments(line, command, count, arguments);
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
        where_find(&line->options) == -1)
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
    if ((line->given & BIT(HELP)) != 0) {
        fputs(help, stdout);
        return COMMAND_OK;
    }
    if ((line->given & BIT(VERSION)) != 0) {
        puts("tandemctl " TANDEM_VERSION);
        return COMMAND_OK;
    }
    return run_command(line, argc - optind, argv + optind);
}

int
main(int argc, char **argv)
{
    static struct line line = {
        .options = { .limit = DEFAULT_LIMIT, .timeout_ms = DEFAULT_TIMEOUT_MS }
    };
    const enum command_exit code = run_line(&line, argc, argv);

    /* A full disk or a closed pipe must not look like an answer; what failed
     * has said so itself. */
    if ((fflush(stdout) == EOF || ferror(stdout) != 0) &&
        code != COMMAND_FAILED)
        return (int)command_complain("cannot write the answer");
    return (int)code;
}
