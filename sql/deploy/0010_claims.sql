-- 0010_claims: claims are made for all entries of a statement together.
--
-- Locks: ACCESS EXCLUSIVE on entry and its partitions while
--   triggers are replaced.  Takes milliseconds.
-- Reversible: yes; nothing is lost.  Downtime: none.  Superuser: no.
-- Program: any version; none notices.  Size: none.
--
-- A batch of entries is one statement, so the tables of claims are opened once
-- for it and no longer two times for each entry.

\set ON_ERROR_STOP on
\if :{?sha256_0010}
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
    IF newest >= 10 THEN
        RAISE EXCEPTION 'tandem: step 0010_claims is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 9 THEN
        RAISE EXCEPTION 'tandem: step 0010_claims needs step 0009_idempotency first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- As before, entries that ON CONFLICT DO NOTHING absorbed are not seen here, and
-- a second claim ends the transaction with 23505 on run_claim_pkey.
--
-- Plans are kept, and those made while the ledger was empty would read through
-- run_claim later: only look-ups by key are left to choose.
CREATE OR REPLACE FUNCTION tandem.claim_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $body$
BEGIN
    INSERT INTO tandem.run_claim (run_id, class, log_id, idx, recorded_at)
    SELECT run_id,
           CASE WHEN kind IN ('finished', 'orphaned') THEN 'ended'
               ELSE kind END,
           log_id, idx, recorded_at
    FROM added
    WHERE kind IN ('accepted', 'finished', 'orphaned', 'left', 'admin');
    INSERT INTO tandem.open_run (run_id, log_id)
    SELECT run_id, log_id FROM added
    WHERE kind = 'accepted'
        AND NOT EXISTS (SELECT FROM tandem.run_claim AS ending
                        WHERE ending.run_id = added.run_id
                            AND ending.class = 'ended');
    DELETE FROM tandem.open_run USING added
    WHERE added.kind IN ('finished', 'orphaned')
        AND open_run.run_id = added.run_id;
    RETURN NULL;
END
$body$;

-- Fires for statements on entry, the only way in that is granted: a statement
-- that names a partition makes no claims.
DROP TRIGGER claim_run ON tandem.entry;
CREATE TRIGGER claim_run AFTER INSERT ON tandem.entry
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION tandem.claim_run();

-- Most runs come without a key, and a body need not be parsed to see that: within
-- a text its quotation marks would be escaped.
DROP TRIGGER claim_key ON tandem.entry;
CREATE TRIGGER claim_key AFTER INSERT ON tandem.entry
    FOR EACH ROW
    WHEN (NEW.kind = 'accepted'
        AND NEW.body NOT LIKE '%"idempotency_key":null%')
    EXECUTE FUNCTION tandem.claim_key();

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (10, '0010_claims', :'sha256_0010');

COMMIT;
