-- 0009_idempotency: one idempotency key, one run, whichever host is asked.
--
-- Locks: SHARE ROW EXCLUSIVE on entry while a trigger is made.  Takes
--   milliseconds.
-- Reversible: yes; the keys that were used are forgotten then.
-- Downtime: none.  Superuser: no.
-- Program: any version; tandemd takes idempotency keys from this step on.
-- Size: a row of some 200 bytes for each run that came with a key.
--
-- A scribe asks before it writes, so it is told whose a key is; how long a key
-- is remembered is its affair.  Two hosts that ask at the same moment are both
-- told that it is free: the trigger below takes one of them.

\set ON_ERROR_STOP on
\if :{?sha256_0009}
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
    IF newest >= 9 THEN
        RAISE EXCEPTION 'tandem: step 0009_idempotency is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 8 THEN
        RAISE EXCEPTION 'tandem: step 0009_idempotency needs step 0008_checkpoint first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- Says nothing that entry does not say, but at once in a ledger of any size.
CREATE TABLE tandem.key_claim (
    key_hash text NOT NULL
        CONSTRAINT key_claim_key_hash CHECK (key_hash ~ '^[0-9a-f]{64}$'),
    request_hash text NOT NULL
        CONSTRAINT key_claim_request_hash
            CHECK (request_hash ~ '^[0-9a-f]{64}$'),
    run_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT key_claim_pkey PRIMARY KEY (key_hash, recorded_at, run_id)
);

COMMENT ON TABLE tandem.key_claim IS
    'Runs that came with an idempotency key; kept by claim_key()';

DO $protect$
BEGIN
    PERFORM tandem.protect('tandem.key_claim');
END
$protect$;

-- An entry that comes late, from the spool of a host that could not ask, was
-- accepted then and is never refused.
CREATE FUNCTION tandem.claim_key() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    claimed text := NEW.body::jsonb ->> 'idempotency_key';
    a_moment interval := interval '15 seconds';
BEGIN
    IF claimed IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('tandem ' || claimed, 0));
    IF NEW.recorded_at > clock_timestamp() - a_moment AND EXISTS (
           SELECT FROM tandem.key_claim
           WHERE key_hash = claimed
               AND recorded_at > NEW.recorded_at - a_moment) THEN
        RAISE EXCEPTION 'tandem: the idempotency key of run % is another '
            'run''s', NEW.run_id
            USING ERRCODE = '23505';
    END IF;
    INSERT INTO tandem.key_claim (key_hash, request_hash, run_id, recorded_at)
    VALUES (claimed, NEW.body::jsonb ->> 'request_hash', NEW.run_id,
            NEW.recorded_at);
    RETURN NULL;
END
$body$;

CREATE TRIGGER claim_key AFTER INSERT ON tandem.entry
    FOR EACH ROW WHEN (NEW.kind = 'accepted')
    EXECUTE FUNCTION tandem.claim_key();

-- The newest run with this key that was accepted since then.
CREATE FUNCTION tandem.scribe_find_key(wanted_key text, since timestamptz)
RETURNS TABLE (run_id uuid, request_hash text, ended boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
SELECT claim.run_id, claim.request_hash,
    EXISTS (SELECT FROM tandem.run_claim
            WHERE run_claim.run_id = claim.run_id AND class = 'ended')
FROM tandem.key_claim AS claim
WHERE key_hash = wanted_key AND recorded_at >= since
ORDER BY recorded_at DESC LIMIT 1
$body$;

REVOKE ALL ON FUNCTION tandem.claim_key(),
    tandem.scribe_find_key(text, timestamptz) FROM PUBLIC;

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (9, '0009_idempotency', :'sha256_0009');

COMMIT;
