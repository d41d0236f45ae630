-- Fails unless 0009_idempotency is in: the table, the functions with their rights.
-- That key_claim is insert-only, and the trigger on every partition, is verified
-- with the others, by 0003_insert_only.
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
    PERFORM key_hash, request_hash, run_id, recorded_at
    FROM tandem.key_claim LIMIT 1;

    SELECT string_agg(signature, ', ') INTO wrong
    FROM unnest(ARRAY['claim_key()', 'scribe_find_key(text,timestamptz)'])
        AS signature
    LEFT JOIN pg_proc ON pg_proc.oid = to_regprocedure('tandem.' || signature)
    WHERE pg_proc.oid IS NULL OR NOT prosecdef
        OR proowner <> 'tandem_owner'::regrole
        OR NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig),
                        false)
        OR has_function_privilege('public', pg_proc.oid, 'EXECUTE');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: functions are missing or differ: %', wrong;
    END IF;
END
$verify$;

ROLLBACK;
