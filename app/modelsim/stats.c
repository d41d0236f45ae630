/* stats.c - see stats.h. */
#include "modelsim/stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "text/utf8.h"

#define CLEAN_BYTES (STATS_BODY_BYTES * 3) /* if every byte became U+FFFD */

struct tally {
    int64_t requests;
    int64_t completions;
    int64_t aborted;
    int64_t broken;
    int64_t open;
    int64_t open_peak;
    int64_t connections;
    int64_t last_abort_unix_us; /* 0: none */
};

struct kept {
    enum role role;
    int64_t received_unix_us;
    char *path;             /* owned; NULL: nothing is kept here */
    const char *credential; /* a literal */
    struct buf body;
    size_t body_bytes; /* as received */
};

struct stats {
    unsigned generation;
    int64_t connections;
    struct tally roles[ROLE_COUNT];
    int64_t kept_count; /* ever; the newest is at kept_count - 1 */
    struct kept kept[STATS_KEPT_REQUESTS];
};

static void
forget(struct kept *kept)
{
    free(kept->path);
    kept->path = NULL;
    buf_close(&kept->body);
}

struct stats *
stats_new(struct err *err)
{
    struct stats *stats = calloc(1, sizeof(*stats));

    if (stats == NULL) {
        err_set(err, ERR_NOMEM, "counters");
        return NULL;
    }
    for (size_t i = 0; i < STATS_KEPT_REQUESTS; i++)
        buf_init(&stats->kept[i].body, CLEAN_BYTES);
    return stats;
}

void
stats_free(struct stats *stats)
{
    if (stats == NULL)
        return;
    for (size_t i = 0; i < STATS_KEPT_REQUESTS; i++)
        forget(&stats->kept[i]);
    free(stats);
}

void
stats_reset(struct stats *stats)
{
    for (size_t i = 0; i < STATS_KEPT_REQUESTS; i++)
        forget(&stats->kept[i]);
    for (int role = 0; role < ROLE_COUNT; role++) {
        const int64_t open = stats->roles[role].open;

        stats->roles[role] = (struct tally){ .open = open, .open_peak = open };
    }
    stats->connections = 0;
    stats->kept_count = 0;
    stats->generation++;
}

void
stats_connected(struct stats *stats)
{
    stats->connections++;
}

struct ticket
stats_open(struct stats *stats, enum role role, bool is_new_connection)
{
    struct tally *tally = &stats->roles[role];

    tally->requests++;
    tally->open++;
    if (tally->open > tally->open_peak)
        tally->open_peak = tally->open;
    if (is_new_connection)
        tally->connections++;
    return (struct ticket){ .role = role, .generation = stats->generation };
}

void
stats_close(struct stats *stats, const struct ticket *ticket,
            enum outcome outcome)
{
    struct tally *tally = &stats->roles[ticket->role];

    tally->open--;
    if (ticket->generation != stats->generation)
        return;
    switch (outcome) {
    case OUTCOME_COMPLETED:
        tally->completions++;
        break;
    case OUTCOME_ABORTED:
        tally->aborted++;
        tally->last_abort_unix_us = clock_unix_us();
        break;
    case OUTCOME_BROKEN:
        tally->broken++;
        break;
    }
}

void
stats_keep(struct stats *stats, const struct received *received)
{
    struct kept *kept = &stats->kept[stats->kept_count % STATS_KEPT_REQUESTS];
    const size_t len = received->body_len < STATS_BODY_BYTES
                           ? received->body_len
                           : STATS_BODY_BYTES;
    bool cleaned;

    forget(kept);
    kept->path = strdup(received->path);
    if (kept->path == NULL || utf8_append_clean(&kept->body, received->body,
                                                len, &cleaned) != BUF_OK) {
        forget(kept);
        return;
    }
    kept->role = received->role;
    kept->received_unix_us = clock_unix_us();
    kept->credential = received->credential;
    kept->body_bytes = received->body_len;
    stats->kept_count++;
}

static json_t *
tally_json(const struct tally *tally)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "requests",
                     (json_int_t)tally->requests, "completions",
                     (json_int_t)tally->completions, "aborted",
                     (json_int_t)tally->aborted, "broken",
                     (json_int_t)tally->broken, "open", (json_int_t)tally->open,
                     "open_peak", (json_int_t)tally->open_peak, "connections",
                     (json_int_t)tally->connections, "last_abort_unix_us",
                     (json_int_t)tally->last_abort_unix_us);
}

json_t *
stats_json(const struct stats *stats)
{
    json_t *all =
        json_pack("{s:I}", "connections", (json_int_t)stats->connections);

    for (int role = 0; role < ROLE_COUNT; role++)
        json_object_set_new(all, role_name((enum role)role),
                            tally_json(&stats->roles[role]));
    return all;
}

static json_t *
kept_json(const struct kept *kept)
{
    return json_pack("{s:s, s:I, s:s, s:s, s:I, s:s%}", "role",
                     role_name(kept->role), "received_unix_us",
                     (json_int_t)kept->received_unix_us, "path", kept->path,
                     "credential", kept->credential, "body_bytes",
                     (json_int_t)kept->body_bytes, "body",
                     buf_cstr(&kept->body), kept->body.len);
}

/* Oldest first. */
json_t *
stats_requests_json(const struct stats *stats)
{
    json_t *list = json_array();
    int64_t first = stats->kept_count - STATS_KEPT_REQUESTS;

    if (first < 0)
        first = 0;
    for (int64_t i = first; i < stats->kept_count; i++)
        json_array_append_new(list,
                              kept_json(&stats->kept[i % STATS_KEPT_REQUESTS]));
    return json_pack("{s:I, s:o}", "received", (json_int_t)stats->kept_count,
                     "requests", list);
}
