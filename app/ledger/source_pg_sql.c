/*
 * source_pg_sql.c - what is asked of the ledger in PostgreSQL; see
 * source_pg.h.
 *
 * Rows in the order of a log's numbers come from the primary keys of the
 * partitions, merged: a sort of the whole ledger would fill a disk.  So the
 * planner is kept from sorting while those are read.
 */
#include "ledger/source_pg.h"

#define NO_END \
    "NOT EXISTS (SELECT FROM tandem.entry AS ended " \
    "WHERE ended.run_id = accepted.run_id " \
    "AND ended.kind IN ('finished', 'orphaned'))"

/* Groups hold an id and nothing else, until there is something to tell. */
#define TWICE(kinds) \
    "SELECT run_id::text, " \
    "(array_agg(log_id::text ORDER BY recorded_at DESC, idx DESC))[1], " \
    "(array_agg(idx ORDER BY recorded_at DESC, idx DESC))[1] " \
    "FROM tandem.entry WHERE kind " kinds " AND run_id IN " \
    "(SELECT run_id FROM tandem.entry WHERE kind " kinds \
    " GROUP BY run_id HAVING count(*) > 1) GROUP BY run_id"

#define CLASS \
    "CASE WHEN entry.kind IN ('finished', 'orphaned') THEN 'ended' " \
    "ELSE entry.kind END"

#define CLAIMED \
    "claim.run_id = entry.run_id AND claim.class = " CLASS \
    " AND claim.log_id = entry.log_id AND claim.idx = entry.idx " \
    "AND claim.recorded_at = entry.recorded_at"

const struct source_pg_sql source_pg_sql[SOURCE_QUERY_COUNT] = {
    [SOURCE_CHECKPOINTS] = { "SELECT log_id::text, size, root, note "
                             "FROM tandem.checkpoint ORDER BY log_id, size",
                             "tibt" },
    [SOURCE_COUNT] = { "SELECT coalesce(sum(greatest(part.reltuples, 0)), "
                       "0)::bigint FROM pg_catalog.pg_inherits "
                       "JOIN pg_catalog.pg_class AS part ON part.oid = "
                       "inhrelid "
                       "WHERE inhparent = 'tandem.entry'::regclass",
                       "i" },
    [SOURCE_ENTRIES] = { NULL, "tiTttttTiiittiiiittbt" },
    [SOURCE_OPEN] = { "SELECT run_id::text, log_id::text, idx, "
                      "EXISTS (SELECT FROM tandem.open_run AS listed "
                      "WHERE listed.run_id = accepted.run_id) "
                      "FROM tandem.entry AS accepted "
                      "WHERE kind = 'accepted' AND " NO_END,
                      "ttii" },
    [SOURCE_LISTED] = { "SELECT run_id::text, log_id::text, idx FROM "
                        "tandem.run_claim AS "
                        "claim WHERE recorded_at >= (SELECT min(recorded_at) "
                        "FROM tandem.entry) AND NOT EXISTS (SELECT FROM "
                        "tandem.entry "
                        "WHERE " CLAIMED ") "
                        "UNION ALL SELECT run_id::text, log_id::text, -1 "
                        "FROM tandem.open_run AS listed WHERE NOT EXISTS "
                        "(SELECT FROM tandem.entry AS accepted "
                        "WHERE accepted.run_id = listed.run_id "
                        "AND accepted.kind = 'accepted' AND " NO_END ")",
                        "tti" },
    [SOURCE_UNLISTED] = { "SELECT run_id::text, log_id::text, idx "
                          "FROM tandem.entry WHERE kind IN ('accepted', "
                          "'finished', 'orphaned', 'left', 'admin') "
                          "AND NOT EXISTS (SELECT FROM tandem.run_claim AS "
                          "claim WHERE " CLAIMED ")",
                          "tti" },
    [SOURCE_RUNS] = { "SELECT count(*) FROM tandem.entry "
                      "WHERE kind = 'accepted'",
                      "i" },
    [SOURCE_ACCEPTED_TWICE] = { TWICE("= 'accepted'"), "tti" },
    [SOURCE_UNACCEPTED] = { "SELECT run_id::text, log_id::text, idx "
                            "FROM tandem.entry AS ended "
                            "WHERE kind IN ('finished', 'orphaned') "
                            "AND NOT EXISTS (SELECT FROM tandem.entry AS "
                            "accepted WHERE accepted.run_id = ended.run_id "
                            "AND accepted.kind = 'accepted')",
                            "tti" },
    [SOURCE_ENDED_TWICE] = { TWICE("IN ('finished', 'orphaned')"), "tti" },
    [SOURCE_LEFT] = { "SELECT gone.run_id::text, gone.log_id::text, gone.idx, "
                      "ended.log_id::text, ended.idx FROM tandem.entry AS gone "
                      "LEFT JOIN tandem.entry AS ended "
                      "ON ended.run_id = gone.run_id "
                      "AND ended.kind = 'finished' WHERE gone.kind = 'left'",
                      "ttiti" },
    [SOURCE_LEFT_TWICE] = { TWICE("= 'left'"), "tti" },
    [SOURCE_CONTENT] = { "SELECT run_id::text, part FROM tandem.content",
                         "tt" },
    [SOURCE_UNSPOKEN] = { "SELECT run_id::text, part, mentions FROM (SELECT "
                          "run_id, part, "
                          "(SELECT count(*) FROM tandem.entry "
                          "WHERE entry.run_id = content.run_id "
                          "AND position('\"part\":\"' || part || '\"' IN "
                          "entry.body) > 0) "
                          "AS mentions FROM tandem.content) AS spoken WHERE "
                          "mentions <> 1",
                          "tti" },
    [SOURCE_HASHES] = { "SELECT log_id::text, leaf_hash FROM tandem.entry "
                        "ORDER BY log_id, idx, recorded_at",
                        "tb" },
    [SOURCE_RUN] = { "SELECT log_id::text, idx, leaf_hash, body "
                     "FROM tandem.entry WHERE run_id = $1 "
                     "ORDER BY recorded_at, idx",
                     "tibt" },
    [SOURCE_LAST_CHECKPOINT] = { "SELECT size, root, note "
                                 "FROM tandem.checkpoint WHERE log_id = $1 "
                                 "ORDER BY size DESC LIMIT 1",
                                 "ibt" },
    [SOURCE_LEAVES] = { "SELECT leaf_hash FROM tandem.entry "
                        "WHERE log_id = $1 AND idx < $2 "
                        "ORDER BY log_id, idx, recorded_at",
                        "b" },
};

/* EXISTS with an offset stays a lookup for each row and does not become a
 * join. */
static const char selected_sql[] =
    "WHERE EXISTS (SELECT FROM tandem.entry AS accepted "
    "WHERE accepted.run_id = entry.run_id AND accepted.kind = 'accepted' "
    "AND accepted.started_at >= $1 AND accepted.started_at < $2 "
    "AND ($3::text IS NULL OR accepted.user_id = $3) "
    "AND ($4::text IS NULL OR $4 = coalesce("
    "(SELECT status FROM tandem.entry AS gone WHERE kind = 'left' "
    "AND gone.run_id = accepted.run_id), "
    "(SELECT status FROM tandem.entry AS ended "
    "WHERE kind IN ('finished', 'orphaned') "
    "AND ended.run_id = accepted.run_id), 'open')) OFFSET 0) ";

/* The texts of an entry have its time. */
static const char texts_sql[] =
    ", ARRAY(SELECT ROW (content.part, content.salt, content.body) "
    "FROM tandem.content WHERE content.run_id = entry.run_id "
    "AND content.recorded_at = entry.recorded_at)";

enum buf_status
source_pg_append_entries(struct buf *sql, bool texts, bool selected)
{
    enum buf_status status = buf_append_str(sql, "SELECT ");

    for (int i = 0; i < COLUMN_COUNT && status == BUF_OK; i++) {
        const bool is_uuid = i == COLUMN_LOG_ID || i == COLUMN_RUN_ID;

        status = buf_printf(sql, "entry.%s%s, ", column_name((enum column)i),
                            is_uuid ? "::text" : "");
    }
    if (status == BUF_OK)
        status =
            buf_printf(sql,
                       "entry.leaf_hash, entry.body%s FROM tandem.entry %s"
                       "ORDER BY entry.log_id, entry.idx, entry.recorded_at",
                       texts ? texts_sql : "", selected ? selected_sql : "");
    return status;
}
