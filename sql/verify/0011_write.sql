-- Fails unless 0011_write is in: the function, and that it has no rights of its own.
-- Changes nothing.  Locks: ACCESS SHARE.  By a member of tandem_owner.

\set ON_ERROR_STOP on

BEGIN READ ONLY;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $verify$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_proc
                   WHERE oid = to_regproc('tandem.scribe_write')
                       AND NOT prosecdef
                       AND proowner = 'tandem_owner'::regrole
                       AND 'search_path=pg_catalog, pg_temp' = ANY (proconfig)
                       AND NOT has_function_privilege('public', pg_proc.oid,
                                                      'EXECUTE')) THEN
        RAISE EXCEPTION 'tandem: scribe_write() is missing or differs';
    END IF;
END
$verify$;

ROLLBACK;
