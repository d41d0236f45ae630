-- 0012_plain: a batch that comes for the first time costs half as much.
--
-- Locks: ACCESS EXCLUSIVE on entry, content, their partitions and open_run while
--   triggers are replaced and checks added.  Takes milliseconds.
-- Reversible: yes; nothing is lost.  Downtime: none.  Superuser: no.
-- Program: any version; none notices.  Size: none.
--
-- Nearly every batch is new.  It is inserted without ON CONFLICT, which is told
-- of a place that is taken anyway; only a batch with one goes the long way, on
-- which each entry is compared with what is there.
--
-- The checks of a table are read anew for every statement, which costs more than
-- all of them do for a row: there will be one for each table, by a function, whose
-- plans are kept.  They come without a look at what is there; 0013_checks looks,
-- and takes away those they replace.

\set ON_ERROR_STOP on
\if :{?sha256_0012}
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
    IF newest >= 12 THEN
        RAISE EXCEPTION 'tandem: step 0012_plain is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 11 THEN
        RAISE EXCEPTION 'tandem: step 0012_plain needs step 0011_write first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- ---- triggers ----------------------------------------------------------------

-- An INSERT without ON CONFLICT swallows no entry, so there is nothing to look
-- for.  Whoever sets this and has an ON CONFLICT is not told that another entry
-- is in the place; it stays there all the same.
DROP TRIGGER same_place ON tandem.entry;
CREATE TRIGGER same_place BEFORE INSERT ON tandem.entry
    FOR EACH ROW
    WHEN (pg_catalog.current_setting('tandem.plain_insert', true)
        IS DISTINCT FROM 'on')
    EXECUTE FUNCTION tandem.refuse_other_entry();

-- claim_run() deletes the rows of runs to which it has just given their end;
-- whatever is not done by a trigger is still looked at.
DROP TRIGGER insert_only ON tandem.open_run;
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE ON tandem.open_run
    FOR EACH ROW WHEN (pg_catalog.pg_trigger_depth() = 0)
    EXECUTE FUNCTION tandem.refuse_open_run_change();
ALTER TABLE tandem.open_run ENABLE ALWAYS TRIGGER insert_only;

-- ---- writing -----------------------------------------------------------------

-- As before, an array for each column.  A block that may fail takes a second
-- transaction id.
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

-- ---- checks ------------------------------------------------------------------

-- The same as the checks of 0002_tables say.  A setting of their own would cost
-- these functions more than they do, so operators are named in full: whoever
-- inserts may have any search_path.
CREATE FUNCTION tandem.is_entry(idx bigint, kind text, run_id uuid,
    status text, started_at timestamptz, leaf_hash bytea)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $body$
BEGIN
    IF idx OPERATOR(pg_catalog.<) 0
        OR pg_catalog.octet_length(leaf_hash) OPERATOR(pg_catalog.<>) 32 THEN
        RETURN false;
    ELSIF kind OPERATOR(pg_catalog.=) 'accepted' THEN
        RETURN run_id IS NOT NULL AND started_at IS NOT NULL;
    ELSIF kind OPERATOR(pg_catalog.=) 'finished' THEN
        RETURN run_id IS NOT NULL AND started_at IS NOT NULL
            AND status IS NOT NULL;
    ELSIF kind OPERATOR(pg_catalog.=) 'orphaned' THEN
        RETURN run_id IS NOT NULL;
    ELSIF kind OPERATOR(pg_catalog.=) 'left' THEN
        RETURN run_id IS NOT NULL AND started_at IS NOT NULL
            AND status IS NOT NULL
            AND status OPERATOR(pg_catalog.=) 'cancelled';
    END IF;
    RETURN kind OPERATOR(pg_catalog.~) '^[a-z][a-z_]{0,31}$';
END
$body$;

-- The parts there are now need no look at their letters.
CREATE FUNCTION tandem.is_content(part text, salt bytea)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $body$
BEGIN
    IF pg_catalog.octet_length(salt) OPERATOR(pg_catalog.<>) 32 THEN
        RETURN false;
    ELSIF part OPERATOR(pg_catalog.=) ANY (ARRAY['query', 'context', 'flash',
              'pro', 'flash_partial', 'pro_partial']) THEN
        RETURN true;
    END IF;
    RETURN part OPERATOR(pg_catalog.~) '^[a-z][a-z_]{0,31}$';
END
$body$;

-- A check runs with the rights of whoever inserts.
REVOKE ALL ON FUNCTION
    tandem.is_entry(bigint, text, uuid, text, timestamptz, bytea),
    tandem.is_content(text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    tandem.is_entry(bigint, text, uuid, text, timestamptz, bytea),
    tandem.is_content(text, bytea) TO tandem_writer;

ALTER TABLE tandem.entry ADD CONSTRAINT entry_is_entry CHECK
    (tandem.is_entry(idx, kind, run_id, status, started_at, leaf_hash))
    NOT VALID;
ALTER TABLE tandem.content ADD CONSTRAINT content_is_content CHECK
    (tandem.is_content(part, salt)) NOT VALID;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (12, '0012_plain', :'sha256_0012');

COMMIT;
