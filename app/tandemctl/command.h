/*
 * command - what every command of tandemctl is given and how it speaks.
 *
 * A command prints its answer to standard output and returns the exit code.
 * What went wrong goes to standard error: what, where, and what to do.
 */
#ifndef TANDEMCTL_COMMAND_H
#define TANDEMCTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/reader.h"
#include "ledger/verify.h"

#define COMMAND_MAX_HEADS 64

enum command_exit {
    COMMAND_OK = 0,
    COMMAND_NEGATIVE = 1, /* nothing like that; verify: findings */
    COMMAND_FAILED = 2,   /* bad usage, or it could not be done */
};

struct command_options {
    const char *ledger; /* path; or how to name the database to people */
    const char *url;    /* of PostgreSQL, "" for the file */
    const char *run_id; /* of show */
    bool json;
    size_t limit;
    struct reader_query runs; /* the filters */
    struct verify_anchor heads[COMMAND_MAX_HEADS];
    size_t head_count;
};

enum command_exit command_runs(const struct command_options *options);
enum command_exit command_show(const struct command_options *options);
enum command_exit command_verify(const struct command_options *options);

/* "tandemctl: ..." on standard error.  Returns COMMAND_FAILED. */
enum command_exit command_complain(const char *fmt, ...) ATTR_PRINTF(1, 2);

/* Says why the ledger could not be read and what may help. */
enum command_exit command_ledger_failed(const char *ledger,
                                        const struct err *err);

/* The same for a ledger that may be in PostgreSQL. */
enum command_exit command_read_failed(const struct command_options *options,
                                      const struct err *err);

/* The ledger of the command line; NULL with err.  Close it. */
struct reader *command_open_reader(const struct command_options *options,
                                   struct err *err) ATTR_MUST_CHECK;

/* One line of JSON.  False when memory is short. */
bool command_print_json(const json_t *value);

/* Text from a model or a user: control characters, which could steer the
 * terminal, become their escapes; line ends and tabs stay. */
void command_print_text(const char *text, size_t len);

#endif
