-- Fails unless 0006_experiment_runs is in and can be read.
-- Changes nothing.  Locks: ACCESS SHARE.  By a member of tandem_owner.

\set ON_ERROR_STOP on

BEGIN READ ONLY;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $verify$
BEGIN
    PERFORM id, query, context, flash_response, pro_response,
        flash_latency_ms, pro_latency_ms, created_at, user_id, status
    FROM tandem.experiment_runs LIMIT 1;
    IF (SELECT relowner FROM pg_class
        WHERE oid = 'tandem.experiment_runs'::regclass)
       <> 'tandem_owner'::regrole THEN
        RAISE EXCEPTION 'tandem: experiment_runs is not owned by tandem_owner';
    END IF;
END
$verify$;

ROLLBACK;
