-- 0006_experiment_runs: runs as people look at them.
--
-- Locks: none on anything that exists.  Takes milliseconds.
-- Reversible: yes; nothing is lost.  Downtime: none.  Superuser: no.
-- Program: any version; none uses this schema yet.  Size: none.
--
-- The texts are subqueries, so that whoever does not ask for them does not pay
-- for them; readers are granted the other columns only.

\set ON_ERROR_STOP on
\if :{?sha256_0006}
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
    IF newest >= 6 THEN
        RAISE EXCEPTION 'tandem: step 0006_experiment_runs is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 5 THEN
        RAISE EXCEPTION 'tandem: step 0006_experiment_runs needs step 0005_retirement first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

CREATE VIEW tandem.experiment_runs AS
SELECT accepted.run_id AS id,
       (SELECT body FROM tandem.content
        WHERE run_id = accepted.run_id AND part = 'query'
            AND recorded_at = accepted.recorded_at) AS query,
       (SELECT body FROM tandem.content
        WHERE run_id = accepted.run_id AND part = 'context'
            AND recorded_at = accepted.recorded_at) AS context,
       (SELECT body FROM tandem.content
        WHERE run_id = accepted.run_id AND part = 'flash'
            AND recorded_at = ended.recorded_at) AS flash_response,
       (SELECT body FROM tandem.content
        WHERE run_id = accepted.run_id AND part = 'pro'
            AND recorded_at = ended.recorded_at) AS pro_response,
       ended.flash_latency_ms,
       ended.pro_latency_ms,
       accepted.started_at AS created_at,
       accepted.user_id,
       CASE WHEN gone.run_id IS NOT NULL THEN 'cancelled'
           ELSE coalesce(ended.status, 'open') END AS status
FROM tandem.entry AS accepted
LEFT JOIN tandem.run_claim AS ending
    ON ending.run_id = accepted.run_id AND ending.class = 'ended'
LEFT JOIN tandem.entry AS ended
    ON ended.log_id = ending.log_id AND ended.idx = ending.idx
    AND ended.recorded_at = ending.recorded_at
LEFT JOIN tandem.run_claim AS gone
    ON gone.run_id = accepted.run_id AND gone.class = 'left'
WHERE accepted.kind = 'accepted'
ORDER BY accepted.started_at DESC, accepted.run_id DESC;

COMMENT ON VIEW tandem.experiment_runs IS
    'Accepted runs, newest first; a run without an end has the status open';

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (6, '0006_experiment_runs', :'sha256_0006');

COMMIT;
