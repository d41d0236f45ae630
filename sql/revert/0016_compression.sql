-- Takes back 0016_compression: new texts are compressed as the server does by
-- itself, what is there stays as it is.
-- Locks: ACCESS EXCLUSIVE on entry, content and their partitions.

\set ON_ERROR_STOP on

BEGIN;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $guard$
DECLARE
    newest integer := 0;
BEGIN
    IF to_regclass('tandem.schema_version') IS NOT NULL THEN
        SELECT coalesce(max(version), 0) INTO newest
        FROM tandem.schema_version;
    END IF;
    IF newest < 16 THEN
        RAISE EXCEPTION 'tandem: step 0016_compression is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 16 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0016_compression (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- Of the two tables with their partitions, and of each retired one.
DO $compress$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN
        SELECT attrelid
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'tandem'::regnamespace
            AND relkind IN ('r', 'p') AND attcompression <> ''
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN body '
                       'SET COMPRESSION default', relation);
    END LOOP;
END
$compress$;

DELETE FROM tandem.schema_version WHERE version = 16;

COMMIT;
