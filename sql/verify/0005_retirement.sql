-- Fails unless 0005_retirement is in.
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
    WITH wanted (signature, secdef) AS (VALUES
        ('retirement_obstacles(text)', true),
        ('retire_partition(text)', true))
    SELECT string_agg(signature, ', ') INTO wrong
    FROM wanted
    LEFT JOIN pg_proc ON pg_proc.oid = to_regprocedure('tandem.' || signature)
    WHERE pg_proc.oid IS NULL OR prosecdef <> secdef
        OR proowner <> 'tandem_owner'::regrole
        OR NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig),
                        false)
        OR has_function_privilege('public', pg_proc.oid, 'EXECUTE');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: functions are missing or differ: %', wrong;
    ELSIF NOT EXISTS (SELECT FROM tandem.retirement_obstacles('no_such')) THEN
        RAISE EXCEPTION 'tandem: what is no partition could be retired';
    END IF;
END
$verify$;

ROLLBACK;
