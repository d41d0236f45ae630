-- Takes back 0015_settings: programs that need the function keep records in their
-- spools until it is there again; no entry is touched.
-- Locks: none.

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
    IF newest < 15 THEN
        RAISE EXCEPTION 'tandem: step 0015_settings is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 15 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0015_settings (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

DROP FUNCTION tandem.scribe_settings(bigint);

DELETE FROM tandem.schema_version WHERE version = 15;

COMMIT;
