-- Takes back 0012_plain: every batch goes the long way again; no entry is touched.
-- Locks: ACCESS EXCLUSIVE on entry, content, their partitions and open_run.

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
    IF newest < 12 THEN
        RAISE EXCEPTION 'tandem: step 0012_plain is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 12 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0012_plain (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- Of the two tables with their partitions, and of each retired one.
DO $checks$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT conrelid::regclass AS relation, conname AS name
        FROM pg_constraint
        WHERE connamespace = 'tandem'::regnamespace AND coninhcount = 0
            AND conname IN ('entry_is_entry', 'content_is_content')
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', held.relation,
                       held.name);
    END LOOP;
END
$checks$;
DROP FUNCTION tandem.is_entry, tandem.is_content;

-- As in 0011_write.
CREATE OR REPLACE FUNCTION tandem.scribe_write(
    log_id uuid[], idx bigint[], recorded_at timestamptz[], kind text[],
    run_id uuid[], status text[], salvage text[], started_at timestamptz[],
    total_ms bigint[], flash_latency_ms bigint[], pro_latency_ms bigint[],
    flash_model text[], pro_model text[], flash_input_tokens bigint[],
    flash_output_tokens bigint[], pro_input_tokens bigint[],
    pro_output_tokens bigint[], principal text[], user_id text[],
    leaf_hash bytea[], body text[], content_run_id uuid[], content_part text[],
    content_recorded_at timestamptz[], content_salt bytea[],
    content_body text[])
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO tandem.entry
        (log_id, idx, recorded_at, kind, run_id, status, salvage, started_at,
        total_ms, flash_latency_ms, pro_latency_ms, flash_model, pro_model,
        flash_input_tokens, flash_output_tokens, pro_input_tokens,
        pro_output_tokens, principal, user_id, leaf_hash, body)
    SELECT * FROM unnest(
        log_id, idx, recorded_at, kind, run_id, status, salvage, started_at,
        total_ms, flash_latency_ms, pro_latency_ms, flash_model, pro_model,
        flash_input_tokens, flash_output_tokens, pro_input_tokens,
        pro_output_tokens, principal, user_id, leaf_hash, body)
    ON CONFLICT DO NOTHING;
    IF cardinality(content_run_id) > 0 THEN
        INSERT INTO tandem.content (run_id, part, recorded_at, salt, body)
        SELECT * FROM unnest(
            content_run_id, content_part, content_recorded_at, content_salt,
            content_body)
        ON CONFLICT DO NOTHING;
    END IF;
END
$body$;

-- As protect() makes it.
DROP TRIGGER insert_only ON tandem.open_run;
DO $protect$
BEGIN
    PERFORM tandem.protect('tandem.open_run', 'refuse_open_run_change');
END
$protect$;

-- As in 0003_insert_only.
DROP TRIGGER same_place ON tandem.entry;
CREATE TRIGGER same_place BEFORE INSERT ON tandem.entry
    FOR EACH ROW EXECUTE FUNCTION tandem.refuse_other_entry();

DELETE FROM tandem.schema_version WHERE version = 12;

COMMIT;
