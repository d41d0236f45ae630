-- Fails unless 0015_settings is in: the function makes the settings, and is the
-- owner's and the writer's.
-- Changes nothing.  Locks: ACCESS SHARE.  By a member of tandem_owner.

\set ON_ERROR_STOP on

BEGIN READ ONLY;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $verify$
DECLARE
    held pg_proc;
BEGIN
    SELECT * INTO held FROM pg_proc
    WHERE oid = to_regprocedure('tandem.scribe_settings(bigint)');
    IF held.oid IS NULL OR held.prosecdef
        OR held.proowner <> 'tandem_owner'::regrole
        OR has_function_privilege('public', held.oid, 'EXECUTE')
        OR NOT has_function_privilege('tandem_writer', held.oid, 'EXECUTE') THEN
        RAISE EXCEPTION 'tandem: scribe_settings() is missing or differs';
    END IF;
    SET LOCAL synchronous_commit = off;
    PERFORM tandem.scribe_settings(1234);
    IF current_setting('synchronous_commit') <> 'on'
        OR current_setting('lock_timeout') <> '1234ms' THEN
        RAISE EXCEPTION 'tandem: after scribe_settings() a COMMIT does not wait '
            'for the disk, or waits for locks too long';
    END IF;
END
$verify$;

ROLLBACK;
