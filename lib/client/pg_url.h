/*
 * pg_url - a PostgreSQL URL taken apart: its hosts, and the rest.
 *
 * libpq would try several hosts by itself, but spends the whole deadline on the
 * first that swallows packets.
 */
#ifndef CLIENT_PG_URL_H
#define CLIENT_PG_URL_H

#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "client/pg.h"

#define PG_URL_MAX_SETTINGS 64

/* NULL where the URL is silent; libpq has its defaults then. */
struct pg_url_host {
    const char *name;    /* or the folder of a unix socket */
    const char *address; /* hostaddr */
    const char *port;
};

struct pg_url {
    struct arena arena; /* owns every string below */
    struct pg_url_host hosts[PG_MAX_HOSTS];
    size_t host_count; /* at least 1 */
    const char *database;
    /* The others, host, hostaddr and port left out. */
    const char *names[PG_URL_MAX_SETTINGS];
    const char *values[PG_URL_MAX_SETTINGS];
    size_t setting_count;
};

/* Errors do not quote the URL: it may hold a password.  ERR_INVALID,
 * ERR_LIMIT, ERR_NOMEM.  Close it in any case. */
int pg_url_parse(struct pg_url *parsed, const char *url,
                 struct err *err) ATTR_MUST_CHECK;
void pg_url_close(struct pg_url *parsed);

/* NULL when the URL does not set it. */
const char *pg_url_get(const struct pg_url *parsed, const char *name);

#endif
