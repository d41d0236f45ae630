/* where.c - see where.h. */
#include "tandemctl/where.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

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
name_in_state_dir(const char *name, char path[PATH_MAX])
{
    const char *state_dir = environment_get("STATE_DIR");
    const int len =
        snprintf(path, PATH_MAX, "%s/%s",
                 state_dir != NULL ? state_dir : WHERE_STATE_DIR, name);

    if (len >= 0 && len < PATH_MAX)
        return 0;
    command_complain("STATE_DIR is too long");
    return -1;
}

/* A URL may hold a password, so it is not what people are told. */
static int
find_ledger(struct command_options *options)
{
    static char path[PATH_MAX];
    const char *url = environment_get("DATABASE_READER_URL");

    options->url = "";
    if (options->ledger != NULL && !is_url(options->ledger))
        return 0;
    if (options->ledger != NULL)
        url = options->ledger;
    else if (url == NULL)
        url = environment_get("DATABASE_URL");
    if (url == NULL) {
        options->ledger = path;
        return name_in_state_dir(WHERE_LEDGER, path);
    }
    options->url = url;
    options->ledger = "PostgreSQL";
    return 0;
}

static int
find_spool(struct command_options *options)
{
    static char path[PATH_MAX];

    options->spool = environment_get("SPOOL_DIR");
    if (options->spool != NULL)
        return 0;
    options->spool = path;
    return name_in_state_dir("spool", path);
}

int
where_find(struct command_options *options)
{
    if (find_ledger(options) == -1)
        return -1;
    return find_spool(options);
}
