-- Who may do what.  Run after the steps, and again at any time: it takes every
-- right on the schema away and gives back exactly those below.
--
--     psql -X -v ON_ERROR_STOP=1 -f grants.sql
--
-- By a member of tandem_owner.  One transaction: nobody sees it half done.
-- Locks: ROW EXCLUSIVE on catalogs only; takes milliseconds.  Superuser: no.
-- Grants go to tables, never to partitions: what a role may do with a
-- partition, it does through its table.  verify/grants.sql compares.

\set ON_ERROR_STOP on

BEGIN;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $guard$
BEGIN
    IF to_regproc('tandem.scribe_settings') IS NULL THEN
        RAISE EXCEPTION 'tandem: grants.sql needs step 0015_settings '
            'first' USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- Everything off, whoever has it, columns included.
DO $revoke$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT 'PUBLIC'
        UNION
        SELECT DISTINCT held.grantee::regrole::text
        FROM (SELECT (aclexplode(nspacl)).grantee FROM pg_namespace
              WHERE nspname = 'tandem'
              UNION
              SELECT (aclexplode(relacl)).grantee FROM pg_class
              WHERE relnamespace = 'tandem'::regnamespace
              UNION
              SELECT (aclexplode(attacl)).grantee FROM pg_attribute
              JOIN pg_class ON pg_class.oid = attrelid
              WHERE relnamespace = 'tandem'::regnamespace
              UNION
              SELECT (aclexplode(proacl)).grantee FROM pg_proc
              WHERE pronamespace = 'tandem'::regnamespace) AS held
        WHERE held.grantee <> 0
            AND held.grantee <> 'tandem_owner'::regrole
    LOOP
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA tandem FROM %s',
                       grantee);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA tandem FROM %s',
                       grantee);
        EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tandem FROM %s',
                       grantee);
        EXECUTE format('REVOKE ALL ON SCHEMA tandem FROM %s', grantee);
    END LOOP;
END
$revoke$;

GRANT USAGE ON SCHEMA tandem TO tandem_writer, tandem_reader, tandem_auditor,
    tandem_retention, tandem_monitor, tandem_eraser;

-- Every program and every watcher compares the version.
GRANT SELECT ON tandem.schema_version TO tandem_writer, tandem_reader,
    tandem_auditor, tandem_retention, tandem_monitor;

-- writer: adds, and sees nothing of what it added but by questions that give
-- facts about its own runs and logs.
GRANT INSERT ON tandem.entry, tandem.content, tandem.checkpoint
    TO tandem_writer;
GRANT SELECT (log_id, ended_at) ON tandem.log_end TO tandem_writer;
GRANT EXECUTE ON FUNCTION tandem.scribe_find(uuid, text),
    tandem.scribe_body(uuid, text), tandem.scribe_last_log(text, uuid),
    tandem.scribe_leaves(uuid, bigint, integer), tandem.scribe_open_runs(text),
    tandem.scribe_find_key(text, timestamptz), tandem.scribe_write,
    tandem.is_entry, tandem.is_content, tandem.scribe_absent,
    tandem.scribe_end_log, tandem.scribe_settings
    TO tandem_writer;

-- reader: facts, and runs without their texts.
GRANT SELECT ON tandem.entry, tandem.run_claim, tandem.open_run,
    tandem.verification, tandem.retired_partition, tandem.checkpoint
    TO tandem_reader, tandem_auditor;
GRANT SELECT (id, flash_latency_ms, pro_latency_ms, created_at, user_id,
    status) ON tandem.experiment_runs TO tandem_reader;

-- auditor: the texts, too; records what the verifier saw, places holds.  Who
-- and when are filled in by the database.
GRANT SELECT ON tandem.content, tandem.experiment_runs, tandem.legal_hold,
    tandem.legal_hold_release TO tandem_auditor;
GRANT INSERT (partition_name, row_count, finding_count, head)
    ON tandem.verification TO tandem_auditor;
GRANT INSERT (run_id, covers_from, covers_until, reason)
    ON tandem.legal_hold TO tandem_auditor;
GRANT INSERT (hold_id, reason)
    ON tandem.legal_hold_release TO tandem_auditor;

-- retention: months ahead and old months, by function only.
GRANT EXECUTE ON FUNCTION tandem.ensure_partitions(integer),
    tandem.retirement_obstacles(text), tandem.retire_partition(text)
    TO tandem_retention;
GRANT SELECT ON tandem.active_hold, tandem.verification,
    tandem.retired_partition TO tandem_retention;
GRANT SELECT ON tandem.active_hold TO tandem_auditor;

-- monitor: is the calendar long enough, is every partition protected, how old is
-- the newest checkpoint?  A view
-- runs its functions as whoever looks at it.
GRANT SELECT ON tandem.partition_calendar TO tandem_monitor, tandem_reader,
    tandem_auditor, tandem_retention;
GRANT EXECUTE ON FUNCTION tandem.partition_month(text) TO tandem_monitor,
    tandem_reader, tandem_auditor, tandem_retention;
GRANT SELECT ON tandem.checkpoint TO tandem_monitor;

-- eraser: for the erasure to come; the trigger on content looks at holds.
GRANT SELECT (run_id, part, recorded_at), DELETE ON tandem.content
    TO tandem_eraser;
GRANT SELECT ON tandem.active_hold TO tandem_eraser;

COMMIT;
