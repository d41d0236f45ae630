-- Takes back 0004_partitions: functions and a view go, the partitions stay with
-- what is in them.  Locks: none on tables.

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
    IF newest < 4 THEN
        RAISE EXCEPTION 'tandem: step 0004_partitions is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 4 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0004_partitions (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

DROP VIEW tandem.partition_calendar;
DROP FUNCTION tandem.ensure_partitions(integer);
DROP FUNCTION tandem.make_partition(text, date);
DROP FUNCTION tandem.partition_month(text);

DELETE FROM tandem.schema_version WHERE version = 4;

COMMIT;
