-- 0007_scribe: what the writer may ask, without a right to read.
--
-- Locks: ACCESS EXCLUSIVE on run_claim, SHARE ROW EXCLUSIVE on entry while an
--   index is made over it.  Takes milliseconds: no program has written yet.
-- Reversible: yes, while there is no entry of the kind admin.
-- Downtime: none.  Superuser: no.
-- Program: any version; from this step on tandemd can write to this schema.
-- Size: a row of 60 bytes for each run that has no end yet.
--
-- A scribe looks up entries it has written, its host's last log, and the runs it
-- left open.  It gets facts only, never a text, through these functions.

\set ON_ERROR_STOP on
\if :{?sha256_0007}
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
    IF newest >= 7 THEN
        RAISE EXCEPTION 'tandem: step 0007_scribe is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 6 THEN
        RAISE EXCEPTION 'tandem: step 0007_scribe needs step 0006_experiment_runs first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- ---- runs without an end -----------------------------------------------------

-- Says nothing that run_claim does not say, but at once in a ledger of any size.
CREATE TABLE tandem.open_run (
    run_id uuid CONSTRAINT open_run_pkey PRIMARY KEY,
    log_id uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE tandem.open_run IS
    'Runs that were accepted and have no end yet; kept by claim_run()';

INSERT INTO tandem.open_run (run_id, log_id)
SELECT run_id, log_id FROM tandem.run_claim AS accepted
WHERE class = 'accepted'
    AND NOT EXISTS (SELECT FROM tandem.run_claim AS ended
                    WHERE ended.run_id = accepted.run_id
                        AND ended.class = 'ended');

-- A row goes when its run has ended, by whomever.
CREATE FUNCTION tandem.refuse_open_run_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (
           SELECT FROM tandem.run_claim
           WHERE run_id = OLD.run_id AND class = 'ended') THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'tandem: % on %.% is refused: the run has no end',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'TD001';
END
$body$;

DO $protect$
BEGIN
    PERFORM tandem.protect('tandem.open_run', 'refuse_open_run_change');
END
$protect$;

-- ---- claims ------------------------------------------------------------------

-- An admin entry has an id of its own in run_id and is there once, too.
ALTER TABLE tandem.run_claim DROP CONSTRAINT run_claim_class,
    ADD CONSTRAINT run_claim_class
        CHECK (class IN ('accepted', 'ended', 'left', 'admin'));

CREATE FUNCTION tandem.claim_class(kind text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $body$
SELECT CASE WHEN kind IN ('accepted', 'left', 'admin') THEN kind
    WHEN kind IN ('finished', 'orphaned') THEN 'ended' END
$body$;

CREATE OR REPLACE FUNCTION tandem.claim_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    claimed text := tandem.claim_class(NEW.kind);
BEGIN
    INSERT INTO tandem.run_claim (run_id, class, log_id, idx, recorded_at)
    VALUES (NEW.run_id, claimed, NEW.log_id, NEW.idx, NEW.recorded_at);
    IF claimed = 'accepted' THEN
        INSERT INTO tandem.open_run (run_id, log_id)
        SELECT NEW.run_id, NEW.log_id
        WHERE NOT EXISTS (SELECT FROM tandem.run_claim
                          WHERE run_id = NEW.run_id AND class = 'ended');
    ELSIF claimed = 'ended' THEN
        DELETE FROM tandem.open_run WHERE run_id = NEW.run_id;
    END IF;
    RETURN NULL;
END
$body$;

DROP TRIGGER claim_run ON tandem.entry;
CREATE TRIGGER claim_run AFTER INSERT ON tandem.entry
    FOR EACH ROW
    WHEN (NEW.kind IN ('accepted', 'finished', 'orphaned', 'left', 'admin'))
    EXECUTE FUNCTION tandem.claim_run();

-- ---- questions ---------------------------------------------------------------

CREATE INDEX entry_log_opened
    ON tandem.entry ((body::jsonb ->> 'host'), recorded_at DESC)
    WHERE kind = 'log_opened';

-- The entry of that kind about a run, where it is.
CREATE FUNCTION tandem.scribe_find(wanted_run uuid, wanted_kind text)
RETURNS TABLE (log_id uuid, idx bigint, recorded_at timestamptz,
    leaf_hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
SELECT entry.log_id, entry.idx, entry.recorded_at, entry.leaf_hash
FROM tandem.run_claim AS claim
JOIN tandem.entry ON entry.log_id = claim.log_id AND entry.idx = claim.idx
    AND entry.recorded_at = claim.recorded_at
WHERE claim.run_id = wanted_run
    AND claim.class = tandem.claim_class(wanted_kind)
    AND entry.kind = wanted_kind
$body$;

-- Its body; null when there is none.
CREATE FUNCTION tandem.scribe_body(wanted_run uuid, wanted_kind text)
RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
SELECT entry.body
FROM tandem.scribe_find(wanted_run, wanted_kind) AS found
JOIN tandem.entry ON entry.log_id = found.log_id AND entry.idx = found.idx
    AND entry.recorded_at = found.recorded_at
$body$;

-- The newest log that this host opened, but for the one named.
CREATE FUNCTION tandem.scribe_last_log(wanted_host text, other_than uuid)
RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
SELECT log_id FROM tandem.entry
WHERE kind = 'log_opened' AND body::jsonb ->> 'host' = wanted_host
    AND log_id IS DISTINCT FROM other_than
ORDER BY recorded_at DESC LIMIT 1
$body$;

-- The next leaf hashes of a log, one behind the other, and the last one's idx;
-- no row after the last.
CREATE FUNCTION tandem.scribe_leaves(wanted_log uuid, from_idx bigint,
    at_most integer)
RETURNS TABLE (last_idx bigint, leaves bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
SELECT max(idx), string_agg(leaf_hash, '' ORDER BY idx)
FROM (SELECT idx, leaf_hash FROM tandem.entry
      WHERE log_id = wanted_log AND idx >= from_idx
      ORDER BY idx LIMIT at_most) AS page
HAVING count(*) > 0
$body$;

-- Runs that were accepted in a log of this host and have no end.
CREATE FUNCTION tandem.scribe_open_runs(wanted_host text) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
SELECT run_id FROM tandem.open_run
WHERE log_id IN (SELECT log_id FROM tandem.entry
                 WHERE kind = 'log_opened'
                     AND body::jsonb ->> 'host' = wanted_host)
$body$;

REVOKE ALL ON FUNCTION tandem.refuse_open_run_change(),
    tandem.claim_class(text), tandem.scribe_find(uuid, text),
    tandem.scribe_body(uuid, text), tandem.scribe_last_log(text, uuid),
    tandem.scribe_leaves(uuid, bigint, integer), tandem.scribe_open_runs(text)
    FROM PUBLIC;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (7, '0007_scribe', :'sha256_0007');

COMMIT;
