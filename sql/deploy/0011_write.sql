-- 0011_write: a scribe's batch as one call.
--
-- Locks: none on anything that exists.  Takes milliseconds.
-- Reversible: yes; nothing is lost.  Downtime: none.  Superuser: no.
-- Program: any version; from this step on tandemd writes by this function.
-- Size: none.
--
-- Behind a pooler nothing can be prepared under a name, but a function's plans
-- are kept for a session, whoever uses it.

\set ON_ERROR_STOP on
\if :{?sha256_0011}
\else
\ir ../hashes.psql
\endif

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
    IF newest >= 11 THEN
        RAISE EXCEPTION 'tandem: step 0011_write is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 10 THEN
        RAISE EXCEPTION 'tandem: step 0011_write needs step 0010_claims first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- An array for each column of entry, then for each of content; those of one table
-- are of one length.  Runs with the rights of whoever calls it, so it allows
-- nothing that a statement of theirs would not be allowed.
CREATE FUNCTION tandem.scribe_write(
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

REVOKE ALL ON FUNCTION tandem.scribe_write FROM PUBLIC;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (11, '0011_write', :'sha256_0011');

COMMIT;
