-- Fails unless 0008_checkpoint is in.  That it is insert-only is verified with the
-- other tables, by 0003_insert_only.
-- Changes nothing.  Locks: ACCESS SHARE.  By a member of tandem_owner.

\set ON_ERROR_STOP on

BEGIN READ ONLY;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $verify$
BEGIN
    PERFORM log_id, size, root, note, recorded_at
    FROM tandem.checkpoint LIMIT 1;
    IF (SELECT relowner FROM pg_class
        WHERE oid = 'tandem.checkpoint'::regclass)
       <> 'tandem_owner'::regrole THEN
        RAISE EXCEPTION 'tandem: checkpoint is not owned by tandem_owner';
    ELSIF (SELECT count(*) FROM pg_constraint
           WHERE conrelid = 'tandem.checkpoint'::regclass AND convalidated
               AND conname IN ('checkpoint_size', 'checkpoint_root',
                               'checkpoint_pkey')) <> 3 THEN
        RAISE EXCEPTION 'tandem: checkpoint lacks a key or a check';
    END IF;
END
$verify$;

ROLLBACK;
