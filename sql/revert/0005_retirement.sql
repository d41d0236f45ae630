-- Takes back 0005_retirement: two functions go, no row is touched.
-- Locks: none on tables.

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
    IF newest < 5 THEN
        RAISE EXCEPTION 'tandem: step 0005_retirement is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 5 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0005_retirement (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

DROP FUNCTION tandem.retire_partition(text);
DROP FUNCTION tandem.retirement_obstacles(text);

DELETE FROM tandem.schema_version WHERE version = 5;

COMMIT;
