/*
 * conf - a table of options is the single source for values, bounds,
 * defaults, --dump-config, the sample file and the manual.
 *
 *     values = zeroed struct of the caller
 *     conf_defaults(&table, &values, &arena, &err)
 *     conf_read_file(...)      KEY=value lines, fit for systemd EnvironmentFile
 *     conf_read_environment(...)      wins, so it comes last
 *
 * Defaults are text and go through the same parser as users' values.  Every
 * message names the source: "tandem.conf:12: FLASH_TIMEOUT_S=0: must be 0.05 to
 * 3600 seconds".  Strings are copied to the arena; a secret that a later source
 * replaces is overwritten there.
 */
#ifndef TEXT_CONF_H
#define TEXT_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

/* A secret as it is shown, which is no value of one. */
#define CONF_HIDDEN "***"

enum conf_type {
    CONF_STRING,  /* const char *, never NULL; min..max bytes when max > 0;
                     UTF-8 without control characters */
    CONF_SECRET,  /* the same; shown as CONF_HIDDEN */
    CONF_INTEGER, /* int64_t, min..max */
    CONF_SECONDS, /* int64_t milliseconds, written as decimal seconds */
    CONF_BOOLEAN, /* bool */
    CONF_CHOICE,  /* int: index of one of choices; any case is read */
};

enum conf_flag {
    CONF_NEEDS_RESTART = 1, /* a reload that changes it is refused */
};

struct conf_option {
    const char *name; /* such as FLASH_TIMEOUT_S */
    enum conf_type type;
    size_t offset;         /* offsetof() into the caller's struct */
    const char *otherwise; /* the default, as text */
    int64_t min;           /* CONF_SECONDS: milliseconds */
    int64_t max;
    const char *const *choices; /* CONF_CHOICE: words, then NULL */
    unsigned flags;
    const char *help; /* one line, sentence case, no full stop */
};

struct conf_table {
    const struct conf_option *options;
    size_t count;
};

int conf_defaults(const struct conf_table *table, void *values,
                  struct arena *arena, struct err *err) ATTR_MUST_CHECK;

/* Blank lines and lines that begin with # are skipped; a value may stand in
 * single or double quotes (no escapes inside); blanks around KEY and value do
 * not count.  Unknown and repeated keys are errors; for an unknown one the
 * nearest name is offered, if one is near. */
int conf_read_file(const struct conf_table *table, const char *path,
                   void *values, struct arena *arena,
                   struct err *err) ATTR_MUST_CHECK;

/* Takes the variables the table names; others are none of its business. */
int conf_read_environment(const struct conf_table *table, char **environment,
                          void *values, struct arena *arena,
                          struct err *err) ATTR_MUST_CHECK;

/* The first CONF_NEEDS_RESTART option whose value differs, or NULL. */
const struct conf_option *conf_first_frozen_change(
    const struct conf_table *table, const void *old_values,
    const void *new_values);

/* What a value may be, such as "0.05 to 3600 seconds". */
enum buf_status conf_append_bounds(
    struct buf *out, const struct conf_option *option) ATTR_MUST_CHECK;

/* KEY=value lines that conf_read_file() reads back (secrets that are set as
 * ***).  Like conf_sample(), adds to out the whole text or nothing. */
int conf_dump(const struct conf_table *table, const void *values,
              struct buf *out, struct err *err) ATTR_MUST_CHECK;

/* The sample file: help, bounds, and every option commented out at its
 * default. */
int conf_sample(const struct conf_table *table, struct buf *out,
                struct err *err) ATTR_MUST_CHECK;

#endif
