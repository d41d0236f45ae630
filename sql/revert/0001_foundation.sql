-- Takes back 0001_foundation: the schema goes.  Fails while anything is left in
-- it, such as a retired partition that nobody has dropped.
-- Locks: ACCESS EXCLUSIVE on schema_version, for milliseconds.

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
    IF newest < 1 THEN
        RAISE EXCEPTION 'tandem: step 0001_foundation is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 1 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0001_foundation (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

DROP TABLE tandem.schema_version;
DROP SCHEMA tandem;

COMMIT;
