-- Takes back 0008_checkpoint: DESTROYS THE CHECKPOINTS.  With rows in it, it wants
-- their number: -v confirm_data_loss=COUNT.
-- Locks: ACCESS EXCLUSIVE on checkpoint while it counts its rows.

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
    IF newest < 8 THEN
        RAISE EXCEPTION 'tandem: step 0008_checkpoint is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 8 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0008_checkpoint (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- The number of rows has to be given by hand: evidence is not dropped by slip.
\if :{?confirm_data_loss}
\else
\set confirm_data_loss 0
\endif
SELECT set_config('tandem.confirm_data_loss', :'confirm_data_loss', true)
    AS confirmed \gset

LOCK TABLE tandem.checkpoint IN ACCESS EXCLUSIVE MODE;

DO $confirm$
DECLARE
    row_count bigint;
BEGIN
    SELECT count(*) INTO row_count FROM tandem.checkpoint;
    IF row_count::text <> current_setting('tandem.confirm_data_loss') THEN
        RAISE EXCEPTION 'tandem: there are % checkpoints, confirmed were %',
            row_count, current_setting('tandem.confirm_data_loss')
            USING ERRCODE = 'TD004',
            HINT = 'To go on: -v confirm_data_loss=' || row_count
                || ' (sqitch: --set).';
    END IF;
END
$confirm$;

DROP TABLE tandem.checkpoint;

DELETE FROM tandem.schema_version WHERE version = 8;

COMMIT;
