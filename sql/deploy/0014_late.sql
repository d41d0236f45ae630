-- 0014_late: what comes late or again changes neither a log that another one has
-- named nor what was erased.
--
-- Locks: none on anything that exists.  Takes milliseconds.
-- Reversible: yes; it is forgotten how long logs were written to.
-- Downtime: none.  Superuser: no.
-- Program: any version; from this step on tandemd ends the log before its own.
-- Size: a row of 100 bytes for each start of a scribe.
--
-- A scribe that dies may leave a transaction behind which commits seconds later,
-- or begins only then: a pooler or the server's socket may still hold all of it.
-- The next scribe names the size and root of the log before, for ever.  So every
-- batch holds a lock on its log, shared, until its transaction ends; whoever is
-- about to name a log takes that lock for itself, and so waits for what is under
-- way, and leaves a row in log_end: what was recorded before and comes after it is
-- refused.  What was recorded later is not: then two services have one name, which
-- they are told (ledger_name_taken), and neither stops the other while their clocks
-- agree.  On two hosts whose clocks differ the moment may be yet to come for the
-- older one: what it records until then is refused, as long as the clocks differ by.
--
-- The lock is an advisory one, for it is taken in every transaction and a row's
-- would be written to disk.  Its key is 64 bits of a hash of 'tandem log ' and the
-- log's id, as 'tandem ' and an idempotency key are for claim_key().

\set ON_ERROR_STOP on
\if :{?sha256_0014}
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
    IF newest >= 14 THEN
        RAISE EXCEPTION 'tandem: step 0014_late is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 13 THEN
        RAISE EXCEPTION 'tandem: step 0014_late needs step 0013_checks first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- ---- logs that end -----------------------------------------------------------

CREATE TABLE tandem.log_end (
    log_id uuid NOT NULL,
    host text NOT NULL,
    next_log_id uuid NOT NULL,
    ended_at timestamptz NOT NULL,
    CONSTRAINT log_end_pkey PRIMARY KEY (log_id, host)
);

COMMENT ON TABLE tandem.log_end IS
    'Logs that were about to be named by the next one; kept by scribe_end_log()';
COMMENT ON COLUMN tandem.log_end.log_id IS
    'All zeros: the host had none yet';
COMMENT ON COLUMN tandem.log_end.ended_at IS
    'By the clock of the host, as recorded_at is';

DO $protect$
BEGIN
    PERFORM tandem.protect('tandem.log_end');
END
$protect$;

-- The newest log that this host opened, for the log that will name it: nothing
-- that was recorded by now comes to it any more.  Whoever asked before us may have
-- been about to open one that is not seen yet: that one ends, too.  Two services of
-- one name may have ended each other's log: each log is looked at once.
CREATE FUNCTION tandem.scribe_end_log(wanted_host text, following uuid,
    ending_at timestamptz)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    ending uuid := coalesce(tandem.scribe_last_log(wanted_host, following),
        '00000000-0000-0000-0000-000000000000');
    seen uuid[] := ARRAY[following];
BEGIN
    WHILE ending <> ALL (seen) LOOP
        seen := seen || ending;
        PERFORM pg_advisory_xact_lock(
            hashtextextended('tandem log ' || ending, 0));
        INSERT INTO tandem.log_end (log_id, host, next_log_id, ended_at)
        VALUES (ending, wanted_host, following, ending_at)
        ON CONFLICT DO NOTHING;
        SELECT next_log_id INTO STRICT ending FROM tandem.log_end
        WHERE log_id = ending AND host = wanted_host;
    END LOOP;
    RETURN tandem.scribe_last_log(wanted_host, following);
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'tandem: a transaction that an earlier scribe left behind '
        'still writes to log %', ending
        USING ERRCODE = '55P03';
END
$body$;

-- ---- writing -----------------------------------------------------------------

-- Which of these entries are not there, by their subscripts.
CREATE FUNCTION tandem.scribe_absent(log_id uuid[], idx bigint[],
    recorded_at timestamptz[], leaf_hash bytea[])
RETURNS integer[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $body$
SELECT coalesce(array_agg(i), '{}')
FROM generate_subscripts($2, 1) AS i
WHERE NOT EXISTS (SELECT FROM tandem.entry
                  WHERE entry.log_id = ($1)[i] AND entry.idx = ($2)[i]
                      AND entry.recorded_at = ($3)[i]
                      AND entry.leaf_hash = ($4)[i])
$body$;

-- As before, an array for each column; a batch is of one log and one moment.
-- Texts of an entry that is there already may have been erased since.
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
    is_late boolean;
    absent integer[];
BEGIN
    setting := pg_advisory_xact_lock_shared(
        hashtextextended('tandem log ' || log_id[1], 0))::text;
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
        FROM generate_subscripts(idx, 1) AS i
        WHERE NOT EXISTS (SELECT FROM tandem.log_end
                          WHERE log_end.log_id = scribe_write.log_id[1]
                              AND ended_at >= scribe_write.recorded_at[1]);
        is_late := NOT FOUND;
        IF NOT is_late AND cardinality(content_run_id) > 0 THEN
            INSERT INTO tandem.content (run_id, part, recorded_at, salt, body)
            SELECT content_run_id[i], content_part[i], content_recorded_at[i],
                content_salt[i], content_body[i]
            FROM generate_subscripts(content_run_id, 1) AS i;
        END IF;
        setting := set_config('tandem.plain_insert', 'off', true);
    EXCEPTION WHEN unique_violation THEN
        setting := set_config('tandem.plain_insert', 'off', true);
        absent := tandem.scribe_absent(log_id, idx, recorded_at, leaf_hash);
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
        INSERT INTO tandem.content (run_id, part, recorded_at, salt, body)
        SELECT content_run_id[i], content_part[i], content_recorded_at[i],
            content_salt[i], content_body[i]
        FROM generate_subscripts(content_run_id, 1) AS i
        WHERE content_run_id[i] IN (SELECT run_id[at]
                                    FROM unnest(absent) AS at)
        ON CONFLICT DO NOTHING;
    END;
    IF is_late
        AND tandem.scribe_absent(log_id, idx, recorded_at, leaf_hash) <> '{}'
    THEN
        RAISE EXCEPTION 'tandem: log % has ended, and the next one says how: '
            'what was recorded before that comes too late', log_id[1]
            USING ERRCODE = 'TD005';
    END IF;
END
$body$;

REVOKE ALL ON FUNCTION tandem.scribe_end_log(text, uuid, timestamptz),
    tandem.scribe_absent(uuid[], bigint[], timestamptz[], bytea[])
    FROM PUBLIC;

-- A program that is running does not wait for grants.sql; scribe_write() has the
-- rights of its caller.
GRANT SELECT (log_id, ended_at) ON tandem.log_end TO tandem_writer;
GRANT EXECUTE ON FUNCTION tandem.scribe_end_log(text, uuid, timestamptz),
    tandem.scribe_absent(uuid[], bigint[], timestamptz[], bytea[])
    TO tandem_writer;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (14, '0014_late', :'sha256_0014');

COMMIT;
