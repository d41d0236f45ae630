-- Fails unless 0010_claims is in.  That its trigger is on entry, and in its mode,
-- is verified with the other triggers, by 0003_insert_only.
-- Changes nothing.  Locks: ACCESS SHARE.  By a member of tandem_owner.

\set ON_ERROR_STOP on

BEGIN READ ONLY;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $verify$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = 'tandem.entry'::regclass
                       AND tgname = 'claim_run' AND tgnewtable = 'added'
                       AND tgqual IS NULL) THEN
        RAISE EXCEPTION 'tandem: claim_run is not for whole statements';
    ELSIF NOT EXISTS (SELECT FROM pg_proc
                      WHERE oid = 'tandem.claim_run()'::regprocedure
                          AND proconfig @> ARRAY['enable_seqscan=off',
                              'enable_hashjoin=off',
                              'enable_mergejoin=off']) THEN
        RAISE EXCEPTION 'tandem: claim_run() may read through a whole table';
    END IF;
END
$verify$;

ROLLBACK;
