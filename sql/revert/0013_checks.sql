-- Takes back 0013_checks: the checks of 0002_tables are there again.
-- Locks: ACCESS EXCLUSIVE on entry and content while every row is read: nobody
-- can write meanwhile, a minute for some GB.

\set ON_ERROR_STOP on

BEGIN;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '2h';
SET LOCAL ROLE tandem_owner;

DO $guard$
DECLARE
    newest integer := 0;
BEGIN
    IF to_regclass('tandem.schema_version') IS NOT NULL THEN
        SELECT coalesce(max(version), 0) INTO newest
        FROM tandem.schema_version;
    END IF;
    IF newest < 13 THEN
        RAISE EXCEPTION 'tandem: step 0013_checks is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 13 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0013_checks (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- As in 0002_tables.
ALTER TABLE tandem.entry
    ADD CONSTRAINT entry_idx CHECK (idx >= 0),
    ADD CONSTRAINT entry_kind CHECK (kind ~ '^[a-z][a-z_]{0,31}$'),
    ADD CONSTRAINT entry_leaf_hash CHECK (octet_length(leaf_hash) = 32),
    ADD CONSTRAINT entry_of_a_run CHECK (run_id IS NOT NULL
        OR kind NOT IN ('accepted', 'finished', 'orphaned', 'left')),
    ADD CONSTRAINT entry_started_at CHECK (started_at IS NOT NULL
        OR kind NOT IN ('accepted', 'finished', 'left')),
    ADD CONSTRAINT entry_finished CHECK (kind <> 'finished'
        OR status IS NOT NULL),
    ADD CONSTRAINT entry_left CHECK (kind <> 'left'
        OR status IS NOT DISTINCT FROM 'cancelled');
ALTER TABLE tandem.content
    ADD CONSTRAINT content_part CHECK (part ~ '^[a-z][a-z_]{0,31}$'),
    ADD CONSTRAINT content_salt CHECK (octet_length(salt) = 32);

DELETE FROM tandem.schema_version WHERE version = 13;

COMMIT;
