-- Fails unless 0014_late is in: log_end, and the functions with their rights.  That
-- log_end is insert-only is verified with the other tables, by 0003_insert_only.
-- Changes nothing.  Locks: ACCESS SHARE.  By a member of tandem_owner.

\set ON_ERROR_STOP on

BEGIN READ ONLY;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $verify$
DECLARE
    wrong text;
BEGIN
    PERFORM log_id, host, next_log_id, ended_at FROM tandem.log_end LIMIT 1;
    IF (SELECT relowner FROM pg_class WHERE oid = 'tandem.log_end'::regclass)
       <> 'tandem_owner'::regrole THEN
        RAISE EXCEPTION 'tandem: log_end is not owned by tandem_owner';
    END IF;

    WITH wanted (signature) AS (VALUES
        ('scribe_end_log(text,uuid,timestamptz)'),
        ('scribe_absent(uuid[],bigint[],timestamptz[],bytea[])'))
    SELECT string_agg(signature, ', ') INTO wrong
    FROM wanted
    LEFT JOIN pg_proc ON pg_proc.oid = to_regprocedure('tandem.' || signature)
    WHERE pg_proc.oid IS NULL OR NOT prosecdef
        OR proowner <> 'tandem_owner'::regrole
        OR NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig),
                        false)
        OR has_function_privilege('public', pg_proc.oid, 'EXECUTE')
        OR NOT has_function_privilege('tandem_writer', pg_proc.oid, 'EXECUTE');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: functions are missing or differ: %', wrong;
    ELSIF (SELECT prosrc FROM pg_proc
           WHERE oid = to_regproc('tandem.scribe_write'))
        NOT LIKE '%pg_advisory_xact_lock_shared%log_end%' THEN
        RAISE EXCEPTION 'tandem: scribe_write() takes what comes too late';
    END IF;
END
$verify$;

ROLLBACK;
