-- Fails unless 0001_foundation is in and the server keeps what it has committed.
-- Changes nothing.  Locks: ACCESS SHARE.  By a member of tandem_owner.

\set ON_ERROR_STOP on

BEGIN READ ONLY;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $verify$
BEGIN
    IF (SELECT nspowner FROM pg_namespace WHERE nspname = 'tandem')
       IS DISTINCT FROM 'tandem_owner'::regrole THEN
        RAISE EXCEPTION 'tandem: schema tandem is missing or not owned by '
            'tandem_owner';
    ELSIF NOT EXISTS (SELECT FROM tandem.schema_version
                      WHERE version = 1 AND step = '0001_foundation') THEN
        RAISE EXCEPTION 'tandem: schema_version does not name '
            '0001_foundation';
    ELSIF has_schema_privilege('public', 'tandem', 'CREATE')
          OR has_schema_privilege('public', 'tandem', 'USAGE') THEN
        RAISE EXCEPTION 'tandem: everybody may use the schema';
    ELSIF current_setting('fsync') <> 'on' THEN
        RAISE EXCEPTION 'tandem: fsync is off: commits are not durable';
    ELSIF current_setting('full_page_writes') <> 'on' THEN
        RAISE EXCEPTION 'tandem: full_page_writes is off: a crash may tear '
            'pages';
    END IF;
END
$verify$;

ROLLBACK;
