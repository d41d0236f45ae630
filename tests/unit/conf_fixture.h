/*
 * conf_fixture - a small table of every type, and a file to read it from.
 */
#ifndef CONF_FIXTURE_H
#define CONF_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "text/conf.h"

struct values {
    const char *folder;
    const char *key;
    const char *note;
    int64_t workers;
    int64_t timeout_ms;
    bool metrics;
    int level;
};

static const char *const levels[] = { "DEBUG", "INFO", "ERROR", NULL };

#define AT(member) offsetof(struct values, member)

static const struct conf_option options[] = {
    { "STATE_DIR", CONF_STRING, AT(folder), "/var/lib/x", 1, 20, NULL,
      CONF_NEEDS_RESTART, "Folder of the ledger" },
    { "API_KEY", CONF_SECRET, AT(key), "", 0, 20, NULL, CONF_NEEDS_RESTART,
      "The key callers must show" },
    { "NOTE", CONF_STRING, AT(note), "two words", 0, 0, NULL, 0,
      "A text so long that its help does not fit into one line of the sample, "
      "which has eighty columns like everything else" },
    { "STREAM_WORKERS_MAX", CONF_INTEGER, AT(workers), "64", 1, 4096, NULL,
      CONF_NEEDS_RESTART, "Queries served at once" },
    { "FLASH_TIMEOUT_S", CONF_SECONDS, AT(timeout_ms), "5", 50, 3600000, NULL,
      0, "Longest wait for the fast answer" },
    { "ENABLE_METRICS", CONF_BOOLEAN, AT(metrics), "true", 0, 0, NULL,
      CONF_NEEDS_RESTART, "Serve /metrics" },
    { "LOG_LEVEL", CONF_CHOICE, AT(level), "INFO", 0, 0, levels,
      CONF_NEEDS_RESTART, "Least level that is logged" },
};

static const struct conf_table table = { options, ARRAY_LEN(options) };

static char folder[] = "/tmp/test_conf.XXXXXX";
static char path[64];
static struct arena arena;

static inline void
write_file(const char *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static inline struct values
defaults(void)
{
    struct values values = { 0 };

    assert_int_equal(conf_defaults(&table, &values, &arena, NULL), 0);
    return values;
}

static inline struct values
read_text(const char *text)
{
    struct values values = defaults();
    struct err err = { 0 };

    write_file(text, strlen(text));
    assert_int_equal(conf_read_file(&table, path, &values, &arena, &err), 0);
    return values;
}

static inline int
read_variable(const char *variable, struct values *values, struct err *err)
{
    char copy[200];
    char *environment[] = { copy, NULL };

    assert_in_range(snprintf(copy, sizeof(copy), "%s", variable), 1,
                    sizeof(copy) - 1);
    *values = defaults();
    return conf_read_environment(&table, environment, values, &arena, err);
}

static inline int
open_folder(void **state)
{
    (void)state;
    arena_init(&arena, 1000000);
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/x.conf", folder);
    return 0;
}

static inline int
close_folder(void **state)
{
    (void)state;
    arena_close(&arena);
    unlink(path);
    return rmdir(folder);
}

#endif
