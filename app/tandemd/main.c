/*
 * tandemd - one question, two answers, a record nobody can lose.
 *
 * Start-up reads as a list; the work is in service.c and the folders it names.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "config.h"
#include "gate/fcgi.h"
#include "prefork/child.h"
#include "sys/log.h"
#include "tandemd/generation.h"
#include "tandemd/service.h"

#define TEXT_MAX_BYTES (1024 * 1024)
#define EXIT_USAGE     2

enum task { TASK_SERVE, TASK_CHECK, TASK_DUMP, TASK_SAMPLE };

static const char usage[] =
    "usage: tandemd [-c FILE] [-t]\n"
    "  -c, --config FILE   read settings from FILE; the environment wins\n"
    "  -t, --test          check the configuration and exit\n"
    "      --dump-config   print the settings in force and exit\n"
    "      --sample-config print a sample file with every option and exit\n"
    "      --version       print the version and exit\n"
    "      --help          print this and exit\n";

struct options {
    enum task task;
    const char *config_path;
};

/* Ends the process for --help, --version and mistakes. */
static struct options
parse_options(int argc, char **argv)
{
    enum { DUMP = 256, SAMPLE, VERSION, HELP };
    static const struct option known[] = {
        { "config", required_argument, NULL, 'c' },
        { "test", no_argument, NULL, 't' },
        { "dump-config", no_argument, NULL, DUMP },
        { "sample-config", no_argument, NULL, SAMPLE },
        { "version", no_argument, NULL, VERSION },
        { "help", no_argument, NULL, HELP },
        { NULL, 0, NULL, 0 },
    };
    struct options options = { TASK_SERVE, NULL };
    int option;

    while ((option = getopt_long(argc, argv, "c:t", known, NULL)) != -1) {
        switch (option) {
        case 'c':
            options.config_path = optarg;
            break;
        case 't':
            options.task = TASK_CHECK;
            break;
        case DUMP:
            options.task = TASK_DUMP;
            break;
        case SAMPLE:
            options.task = TASK_SAMPLE;
            break;
        case VERSION:
            puts("tandemd " TANDEM_VERSION);
            exit(EXIT_SUCCESS);
        case HELP:
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        default:
            fputs(usage, stderr);
            exit(EXIT_USAGE);
        }
    }
    if (optind == argc)
        return options;
    fprintf(stderr, "tandemd: unexpected argument: %s\n%s", argv[optind],
            usage);
    exit(EXIT_USAGE);
}

/* Prints the sample file, or the configuration in force. */
static int
print_config(const struct config *config)
{
    struct buf text;
    struct err err = { 0 };
    int result;

    buf_init(&text, TEXT_MAX_BYTES);
    result = config == NULL ? conf_sample(&config_table, &text, &err)
                            : conf_dump(&config_table, config, &text, &err);
    if (result == 0)
        fputs(buf_cstr(&text), stdout);
    else
        fprintf(stderr, "tandemd: %s\n", err.text);
    buf_close(&text);
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static struct generation *
load(const struct options *options)
{
    struct err err = { 0 };
    struct generation *generation =
        generation_new(options->config_path, environ, &err);

    if (generation == NULL)
        fprintf(stderr, "tandemd: %s\n", err.text);
    return generation;
}

static void
warn(const char *event, const char *text)
{
    (void)event;
    fprintf(stderr, "tandemd: warning: %s\n", text);
}

static void
say_it_is_fine(const struct generation *generation)
{
    generation_tell_oddities(generation, warn);
    puts("tandemd: configuration OK");
}

/* A core would hold prompts, answers and keys. */
static void
forbid_core_dumps(void)
{
    const struct rlimit none = { 0, 0 };

    setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* its leak check must be able to trace us */
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

static int
serve(struct generation *generation, const char *config_path)
{
    const struct config *config = generation->config;
    struct err err = { 0 };

    log_set_process("master", -1, 1);
    log_set_level((enum log_level)config->log_level);
    umask(0077);
    forbid_core_dumps();
    if ((config->log_file[0] != '\0' &&
         log_to_file(config->log_file, &err) == -1) ||
        fcgi_global_init(&err) == -1) {
        fprintf(stderr, "tandemd: %s\n", err.text);
        generation_free(generation);
        return CHILD_EXIT_CONFIG;
    }
    return service_run(generation, config_path, environ);
}

int
main(int argc, char **argv)
{
    const struct options options = parse_options(argc, argv);
    struct generation *generation;
    int code = EXIT_SUCCESS;

    if (options.task == TASK_SAMPLE)
        return print_config(NULL);
    generation = load(&options);
    if (generation == NULL)
        return CHILD_EXIT_CONFIG;
    if (options.task == TASK_SERVE)
        return serve(generation, options.config_path);
    if (options.task == TASK_DUMP)
        code = print_config(generation->config);
    else
        say_it_is_fine(generation);
    generation_free(generation);
    return code;
}
