-- Takes back 0009_idempotency: tandemd cannot write any more; no entry is touched.
-- Locks: SHARE ROW EXCLUSIVE on entry, ACCESS EXCLUSIVE on key_claim.

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
    IF newest < 9 THEN
        RAISE EXCEPTION 'tandem: step 0009_idempotency is not in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest > 9 THEN
        RAISE EXCEPTION 'tandem: later steps must be taken back before '
            '0009_idempotency (the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

DROP FUNCTION tandem.scribe_find_key(text, timestamptz);
DROP TRIGGER claim_key ON tandem.entry;
DROP FUNCTION tandem.claim_key();
DROP TABLE tandem.key_claim;

DELETE FROM tandem.schema_version WHERE version = 9;

COMMIT;
