-- Takes back 0006_experiment_runs: the view goes, no row is touched.
-- Locks: ACCESS EXCLUSIVE on the view, for milliseconds.

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
    IF newest < 6 THEN
        RAISE EXCEPTION 'tandem: step 0006_experiment_runs is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 6 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0006_experiment_runs (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

DROP VIEW tandem.experiment_runs;

DELETE FROM tandem.schema_version WHERE version = 6;

COMMIT;
