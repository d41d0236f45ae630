-- Takes back 0014_late: what comes late is taken again, and when a log ended is
-- forgotten; no entry is touched.
-- Locks: ACCESS EXCLUSIVE on log_end.

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
    IF newest < 14 THEN
        RAISE EXCEPTION 'tandem: step 0014_late is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 14 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0014_late (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- As in 0012_plain.
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
DECLARE
    setting text;
BEGIN
    BEGIN
        setting := set_config('tandem.plain_insert', 'on', true);
        INSERT INTO tandem.entry
            (log_id, idx, recorded_at, kind, run_id, status, salvage, started_at,
            total_ms, flash_latency_ms, pro_latency_ms, flash_model, pro_model,
            flash_input_tokens, flash_output_tokens, pro_input_tokens,
            pro_output_tokens, principal, user_id, leaf_hash, body)
        SELECT log_id[i], idx[i], recorded_at[i], kind[i], run_id[i], status[i],
            salvage[i], started_at[i], total_ms[i], flash_latency_ms[i],
            pro_latency_ms[i], flash_model[i], pro_model[i],
            flash_input_tokens[i], flash_output_tokens[i],
            pro_input_tokens[i], pro_output_tokens[i], principal[i],
            user_id[i], leaf_hash[i], body[i]
        FROM generate_subscripts(idx, 1) AS i;
        IF cardinality(content_run_id) > 0 THEN
            INSERT INTO tandem.content (run_id, part, recorded_at, salt, body)
            SELECT content_run_id[i], content_part[i], content_recorded_at[i],
                content_salt[i], content_body[i]
            FROM generate_subscripts(content_run_id, 1) AS i;
        END IF;
        setting := set_config('tandem.plain_insert', 'off', true);
    EXCEPTION WHEN unique_violation THEN
        setting := set_config('tandem.plain_insert', 'off', true);
        INSERT INTO tandem.entry
            (log_id, idx, recorded_at, kind, run_id, status, salvage, started_at,
            total_ms, flash_latency_ms, pro_latency_ms, flash_model, pro_model,
            flash_input_tokens, flash_output_tokens, pro_input_tokens,
            pro_output_tokens, principal, user_id, leaf_hash, body)
        SELECT log_id[i], idx[i], recorded_at[i], kind[i], run_id[i], status[i],
            salvage[i], started_at[i], total_ms[i], flash_latency_ms[i],
            pro_latency_ms[i], flash_model[i], pro_model[i],
            flash_input_tokens[i], flash_output_tokens[i],
            pro_input_tokens[i], pro_output_tokens[i], principal[i],
            user_id[i], leaf_hash[i], body[i]
        FROM generate_subscripts(idx, 1) AS i
        ON CONFLICT DO NOTHING;
        IF cardinality(content_run_id) > 0 THEN
            INSERT INTO tandem.content (run_id, part, recorded_at, salt, body)
            SELECT content_run_id[i], content_part[i], content_recorded_at[i],
                content_salt[i], content_body[i]
            FROM generate_subscripts(content_run_id, 1) AS i
            ON CONFLICT DO NOTHING;
        END IF;
    END;
END
$body$;

DROP FUNCTION tandem.scribe_absent, tandem.scribe_end_log;
DROP TABLE tandem.log_end;

DELETE FROM tandem.schema_version WHERE version = 14;

COMMIT;
