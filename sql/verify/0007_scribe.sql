-- Fails unless 0007_scribe is in: the functions with their rights, the index on
-- every partition, and open_run says what run_claim says.
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
        ('refuse_open_run_change()', true), ('claim_class(text)', false),
        ('scribe_find(uuid,text)', true), ('scribe_body(uuid,text)', true),
        ('scribe_last_log(text,uuid)', true),
        ('scribe_leaves(uuid,bigint,integer)', true),
        ('scribe_open_runs(text)', true))
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
    END IF;

    SELECT string_agg(relid::regclass::text, ', ') INTO wrong
    FROM pg_partition_tree('tandem.entry')
    WHERE NOT EXISTS (SELECT FROM pg_index
                      WHERE indrelid = relid AND indisvalid
                          AND pg_get_expr(indpred, indrelid)
                              = '(kind = ''log_opened''::text)');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: the index entry_log_opened is missing on %',
            wrong;
    END IF;

    PERFORM FROM tandem.open_run
    WHERE EXISTS (SELECT FROM tandem.run_claim
                  WHERE run_claim.run_id = open_run.run_id
                      AND class = 'ended')
        OR NOT EXISTS (SELECT FROM tandem.run_claim
                       WHERE run_claim.run_id = open_run.run_id
                           AND run_claim.log_id = open_run.log_id
                           AND class = 'accepted');
    IF FOUND THEN
        RAISE EXCEPTION 'tandem: open_run has runs that are not open';
    END IF;
END
$verify$;

ROLLBACK;
