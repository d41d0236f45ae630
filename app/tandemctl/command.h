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
#include "ledger/note.h"
#include "ledger/reader.h"
#include "ledger/source.h"
#include "ledger/verify.h"

#define COMMAND_MAX_HEADS 64
#define COMMAND_MAX_FILES 16

enum command_exit {
    COMMAND_OK = 0,
    COMMAND_NEGATIVE = 1, /* nothing like that; verify: findings */
    COMMAND_FAILED = 2,   /* bad usage, or it could not be done */
};

enum command_format { COMMAND_NO_FORMAT, COMMAND_JSONL, COMMAND_CSV };

struct command_options {
    const char *ledger; /* path; or how to name the database to people */
    const char *url;    /* of PostgreSQL, "" for the file */
    const char *run_id; /* of show and proof */
    const char *file;   /* of check-proof and key */
    const char *verb;   /* of key and spool */
    const char *spool;  /* folder */
    const char *config; /* of doctor; NULL: the environment alone */
    bool set_aside;     /* of spool drain */
    int64_t timeout_ms;
    const char *name; /* of a key */
    bool json;
    size_t limit;
    struct reader_query runs; /* the filters */
    struct verify_anchor heads[COMMAND_MAX_HEADS];
    size_t head_count;
    const char *anchor_files[COMMAND_MAX_FILES];
    size_t anchor_file_count;
    struct note_key keys[NOTE_MAX_KEYS];
    size_t key_count;
    const char *export_file; /* verify --offline */
    bool without_texts;
    int64_t from; /* of proof; 0: none */
    bool faults;  /* of selftest */
    bool keep;    /* its folder */
    enum command_format format;
};

enum command_exit command_runs(const struct command_options *options);
enum command_exit command_show(const struct command_options *options);
enum command_exit command_verify(const struct command_options *options);
enum command_exit command_proof(const struct command_options *options);
enum command_exit command_check_proof(const struct command_options *options);
enum command_exit command_export(const struct command_options *options);
enum command_exit command_key(const struct command_options *options);
enum command_exit command_spool(const struct command_options *options);
enum command_exit command_doctor(const struct command_options *options);
enum command_exit command_selftest(const struct command_options *options);

/* The value of --key: a verifier key, or a file with one to a line. */
int command_add_key(struct command_options *options, const char *text,
                    struct err *err) ATTR_MUST_CHECK;

/* The value of --anchor: LOG:SIZE:ROOT, or a file of signed checkpoints. */
int command_add_anchor(struct command_options *options, const char *text,
                       struct err *err) ATTR_MUST_CHECK;

/* "tandemctl: ..." on standard error, as one line of printable text.  Returns
 * COMMAND_FAILED. */
enum command_exit command_complain(const char *fmt, ...) ATTR_PRINTF(1, 2);

/* Says what a run id looks like.  Returns COMMAND_FAILED. */
enum command_exit command_complain_run_id(const char *text);

/* Says why the ledger could not be read and what may help. */
enum command_exit command_read_failed(const struct command_options *options,
                                      const struct err *err);

/* The ledger of the command line; NULL with err.  Close it. */
struct reader *command_open_reader(const struct command_options *options,
                                   struct err *err) ATTR_MUST_CHECK;

/* The same for whoever reads all of it. */
struct source *command_open_source(const struct command_options *options,
                                   struct err *err) ATTR_MUST_CHECK;
enum command_exit command_source_failed(const struct command_options *options,
                                        const struct err *err);

/* One line of JSON.  False when memory is short. */
bool command_print_json(const json_t *value);

/* Text from a model, a user, or whoever had the ledger in hand: control
 * characters, which could steer the terminal, become their escapes; line ends
 * and tabs stay. */
void command_print_text(const char *text, size_t len);

/* The same for text that stands within a line: none of it ends the line. */
void command_print_in_line(const char *text);

#endif
