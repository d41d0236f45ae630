-- Takes back 0007_scribe: tandemd cannot write any more; no entry is touched.
-- Refuses when there are admin entries: their claims would have no class.
-- Locks: ACCESS EXCLUSIVE on run_claim, SHARE ROW EXCLUSIVE on entry.

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
    IF newest < 7 THEN
        RAISE EXCEPTION 'tandem: step 0007_scribe is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 7 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0007_scribe (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

DO $refuse$
DECLARE
    admin_count bigint;
BEGIN
    SELECT count(*) INTO admin_count FROM tandem.run_claim
    WHERE class = 'admin';
    IF admin_count > 0 THEN
        RAISE EXCEPTION 'tandem: the ledger has % admin entries: '
            '0007_scribe stays', admin_count
            USING ERRCODE = 'TD004';
    END IF;
END
$refuse$;

DROP FUNCTION tandem.scribe_open_runs(text);
DROP FUNCTION tandem.scribe_leaves(uuid, bigint, integer);
DROP FUNCTION tandem.scribe_last_log(text, uuid);
DROP FUNCTION tandem.scribe_body(uuid, text);
DROP FUNCTION tandem.scribe_find(uuid, text);
DROP INDEX tandem.entry_log_opened;

-- As in 0003_insert_only.
CREATE OR REPLACE FUNCTION tandem.claim_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO tandem.run_claim (run_id, class, log_id, idx, recorded_at)
    VALUES (NEW.run_id,
            CASE NEW.kind WHEN 'accepted' THEN 'accepted'
                WHEN 'left' THEN 'left' ELSE 'ended' END,
            NEW.log_id, NEW.idx, NEW.recorded_at);
    RETURN NULL;
END
$body$;

DROP TRIGGER claim_run ON tandem.entry;
CREATE TRIGGER claim_run AFTER INSERT ON tandem.entry
    FOR EACH ROW
    WHEN (NEW.kind IN ('accepted', 'finished', 'orphaned', 'left'))
    EXECUTE FUNCTION tandem.claim_run();

DROP FUNCTION tandem.claim_class(text);
ALTER TABLE tandem.run_claim DROP CONSTRAINT run_claim_class,
    ADD CONSTRAINT run_claim_class
        CHECK (class IN ('accepted', 'ended', 'left'));

DROP TABLE tandem.open_run;
DROP FUNCTION tandem.refuse_open_run_change();

DELETE FROM tandem.schema_version WHERE version = 7;

COMMIT;
