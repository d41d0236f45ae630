-- Takes back 0002_tables: DESTROYS THE LEDGER.  With rows in it, it wants
-- their number: -v confirm_data_loss=COUNT.  Retired partitions are not
-- touched.  Locks: ACCESS EXCLUSIVE on the ledger while it counts its rows.

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
    IF newest < 2 THEN
        RAISE EXCEPTION 'tandem: step 0002_tables is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 2 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0002_tables (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- The number of rows has to be given by hand: a ledger is not dropped by slip.
\if :{?confirm_data_loss}
\else
\set confirm_data_loss 0
\endif
SELECT set_config('tandem.confirm_data_loss', :'confirm_data_loss', true)
    AS confirmed \gset

LOCK TABLE tandem.entry, tandem.content, tandem.run_claim, tandem.legal_hold,
    tandem.legal_hold_release, tandem.verification, tandem.retired_partition
    IN ACCESS EXCLUSIVE MODE;

DO $confirm$
DECLARE
    row_count bigint;
BEGIN
    SELECT (SELECT count(*) FROM tandem.entry)
        + (SELECT count(*) FROM tandem.content)
        + (SELECT count(*) FROM tandem.run_claim)
        + (SELECT count(*) FROM tandem.legal_hold)
        + (SELECT count(*) FROM tandem.legal_hold_release)
        + (SELECT count(*) FROM tandem.verification)
        + (SELECT count(*) FROM tandem.retired_partition)
    INTO row_count;
    IF row_count::text <> current_setting('tandem.confirm_data_loss') THEN
        RAISE EXCEPTION 'tandem: the ledger has % rows, confirmed were %',
            row_count, current_setting('tandem.confirm_data_loss')
            USING ERRCODE = 'TD004',
            HINT = 'To go on: -v confirm_data_loss=' || row_count
                || ' (sqitch: --set).';
    END IF;
END
$confirm$;

DROP VIEW tandem.active_hold;
DROP TABLE tandem.retired_partition;
DROP TABLE tandem.verification;
DROP TABLE tandem.legal_hold_release;
DROP TABLE tandem.legal_hold;
DROP TABLE tandem.run_claim;
DROP TABLE tandem.content;
DROP TABLE tandem.entry;

DELETE FROM tandem.schema_version WHERE version = 2;

COMMIT;
