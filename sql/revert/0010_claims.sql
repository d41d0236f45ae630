-- Takes back 0010_claims: claims are made entry by entry again.
-- Locks: ACCESS EXCLUSIVE on entry and its partitions.

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
    IF newest < 10 THEN
        RAISE EXCEPTION 'tandem: step 0010_claims is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 10 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0010_claims (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- As in 0007_scribe.
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

-- As in 0009_idempotency.
DROP TRIGGER claim_key ON tandem.entry;
CREATE TRIGGER claim_key AFTER INSERT ON tandem.entry
    FOR EACH ROW WHEN (NEW.kind = 'accepted')
    EXECUTE FUNCTION tandem.claim_key();

DELETE FROM tandem.schema_version WHERE version = 10;

COMMIT;
