-- Takes back 0003_insert_only: from then on the owner can change what is
-- written.  With rows in the ledger it wants their number:
-- -v confirm_data_loss=COUNT, as in the next step back.
-- Locks: ACCESS EXCLUSIVE on the ledger while it counts its rows.

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
    IF newest < 3 THEN
        RAISE EXCEPTION 'tandem: step 0003_insert_only is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 3 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0003_insert_only (the schema is at version %)', newest
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

-- Row triggers of partitions go with those of their table.
DO $drop$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT tgrelid::regclass AS relation, tgname AS name
        FROM pg_trigger
        JOIN pg_class ON pg_class.oid = tgrelid
        WHERE relnamespace = 'tandem'::regnamespace
            AND NOT tgisinternal AND tgparentid = 0
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', held.name, held.relation);
    END LOOP;
END
$drop$;

DROP FUNCTION tandem.protect(regclass, text);
DROP FUNCTION tandem.claim_run();
DROP FUNCTION tandem.refuse_other_entry();
DROP FUNCTION tandem.refuse_content_change();
DROP FUNCTION tandem.refuse_change();

DELETE FROM tandem.schema_version WHERE version = 3;

COMMIT;
