/*
 * pg_url.c - see pg_url.h.
 */
#include "client/pg_url.h"

#include <stdbool.h>
#include <string.h>

#include <libpq-fe.h>

#define MAX_URL_BYTES (64u << 10)

/* What is taken apart into hosts. */
struct lists {
    const char *name;
    const char *address;
    const char *port;
};

static size_t
count_items(const char *list)
{
    size_t count = 1;

    for (; *list != '\0'; list++)
        count += *list == ',';
    return count;
}

/* The item of this index, or the only one there is; NULL when it is empty. */
static const char *
item_of(struct pg_url *parsed, const char *list, size_t index, bool *failed)
{
    const char *item;
    size_t len;

    if (list == NULL)
        return NULL;
    if (count_items(list) == 1)
        index = 0;
    for (; index > 0; index--)
        list = strchr(list, ',') + 1;
    len = strcspn(list, ",");
    if (len == 0)
        return NULL;
    item = arena_strndup(&parsed->arena, list, len);
    *failed |= item == NULL;
    return item;
}

static int
check_count(const char *list, size_t wanted, const char *what, struct err *err)
{
    const size_t count = list != NULL ? count_items(list) : wanted;

    if (count == wanted || (count == 1 && strcmp(what, "port") == 0))
        return 0;
    return err_set(err, ERR_INVALID, "%zu items for %s, but %zu hosts", count,
                   what, wanted);
}

static int
split_hosts(struct pg_url *parsed, const struct lists *lists, struct err *err)
{
    const char *which = lists->address != NULL ? lists->address : lists->name;
    bool failed = false;

    parsed->host_count = which != NULL ? count_items(which) : 1;
    if (parsed->host_count > PG_MAX_HOSTS)
        return err_set(err, ERR_LIMIT, "more than %d hosts", PG_MAX_HOSTS);
    if (check_count(lists->name, parsed->host_count, "host", err) == -1 ||
        check_count(lists->port, parsed->host_count, "port", err) == -1)
        return -1;
    for (size_t i = 0; i < parsed->host_count; i++)
        parsed->hosts[i] = (struct pg_url_host){
            .name = item_of(parsed, lists->name, i, &failed),
            .address = item_of(parsed, lists->address, i, &failed),
            .port = item_of(parsed, lists->port, i, &failed),
        };
    return failed ? err_set(err, ERR_NOMEM, "the hosts of a URL") : 0;
}

static int
keep_setting(struct pg_url *parsed, const char *name, const char *value,
             struct err *err)
{
    const size_t i = parsed->setting_count;

    if (i == PG_URL_MAX_SETTINGS)
        return err_set(err, ERR_LIMIT, "more than %d settings",
                       PG_URL_MAX_SETTINGS);
    parsed->names[i] = arena_strdup(&parsed->arena, name);
    parsed->values[i] = arena_strdup(&parsed->arena, value);
    if (parsed->names[i] == NULL || parsed->values[i] == NULL)
        return err_set(err, ERR_NOMEM, "the settings of a URL");
    parsed->setting_count++;
    return 0;
}

static int
take_apart(struct pg_url *parsed, const PQconninfoOption *options,
           struct err *err)
{
    struct lists lists = { NULL, NULL, NULL };

    for (; options->keyword != NULL; options++) {
        if (options->val == NULL)
            continue;
        if (strcmp(options->keyword, "host") == 0)
            lists.name = options->val;
        else if (strcmp(options->keyword, "hostaddr") == 0)
            lists.address = options->val;
        else if (strcmp(options->keyword, "port") == 0)
            lists.port = options->val;
        else if (keep_setting(parsed, options->keyword, options->val, err) ==
                 -1)
            return -1;
    }
    parsed->database = pg_url_get(parsed, "dbname");
    return split_hosts(parsed, &lists, err);
}

/* The password is among them. */
static void
wipe(PQconninfoOption *options)
{
    for (; options->keyword != NULL; options++)
        if (options->val != NULL)
            explicit_bzero(options->val, strlen(options->val));
}

int
pg_url_parse(struct pg_url *parsed, const char *url, struct err *err)
{
    char *said = NULL; /* quotes the URL */
    PQconninfoOption *options;
    int result;

    memset(parsed, 0, sizeof(*parsed));
    arena_init(&parsed->arena, MAX_URL_BYTES);
    options = PQconninfoParse(url, &said);
    PQfreemem(said);
    if (options == NULL)
        return err_set(err, ERR_INVALID,
                       "not of the form "
                       "postgresql://user:password@host:port/database or "
                       "host=... port=... dbname=... user=...");
    result = take_apart(parsed, options, err);
    wipe(options);
    PQconninfoFree(options);
    return result;
}

void
pg_url_close(struct pg_url *parsed)
{
    arena_wipe(&parsed->arena);
    arena_close(&parsed->arena);
}

const char *
pg_url_get(const struct pg_url *parsed, const char *name)
{
    for (size_t i = 0; i < parsed->setting_count; i++)
        if (strcmp(parsed->names[i], name) == 0)
            return parsed->values[i];
    return NULL;
}
