-- 0002_tables: the ledger's tables, still without partitions and triggers.
--
-- Locks: none on anything that exists.  Takes milliseconds.
-- Reversible: yes, and destroys the ledger: asks for the number of rows.
-- Downtime: none.  Superuser: no.
-- Program: any version; none uses this schema yet.
-- Size: some 3 kB a run, and its texts.
--
-- docs/LEDGER.md says what each column holds and how the hashes are computed.
-- Differences to the embedded ledger: identifiers are uuid, times are
-- timestamptz (both are exact to the microsecond), content has a time.

\set ON_ERROR_STOP on
\if :{?sha256_0002}
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
    IF newest >= 2 THEN
        RAISE EXCEPTION 'tandem: step 0002_tables is already in '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    ELSIF newest < 1 THEN
        RAISE EXCEPTION 'tandem: step 0002_tables needs step 0001_foundation first '
            '(the schema is at version %)', newest
            USING ERRCODE = 'TD004';
    END IF;
END
$guard$;

-- A fact without personal text.  There is no list of kinds here, so that a new
-- kind needs no step; verification knows which there are.
CREATE TABLE tandem.entry (
    log_id uuid NOT NULL,
    idx bigint NOT NULL CONSTRAINT entry_idx CHECK (idx >= 0),
    recorded_at timestamptz NOT NULL,
    kind text NOT NULL
        CONSTRAINT entry_kind CHECK (kind ~ '^[a-z][a-z_]{0,31}$'),
    run_id uuid,
    status text,
    salvage text,
    started_at timestamptz,
    total_ms bigint,
    flash_latency_ms bigint,
    pro_latency_ms bigint,
    flash_model text,
    pro_model text,
    flash_input_tokens bigint,
    flash_output_tokens bigint,
    pro_input_tokens bigint,
    pro_output_tokens bigint,
    principal text,
    user_id text,
    leaf_hash bytea NOT NULL
        CONSTRAINT entry_leaf_hash CHECK (octet_length(leaf_hash) = 32),
    body text NOT NULL,
    CONSTRAINT entry_of_a_run CHECK (run_id IS NOT NULL
        OR kind NOT IN ('accepted', 'finished', 'orphaned', 'left')),
    CONSTRAINT entry_started_at CHECK (started_at IS NOT NULL
        OR kind NOT IN ('accepted', 'finished', 'left')),
    CONSTRAINT entry_finished CHECK (kind <> 'finished' OR status IS NOT NULL),
    CONSTRAINT entry_left CHECK (kind <> 'left'
        OR status IS NOT DISTINCT FROM 'cancelled'),
    CONSTRAINT entry_pkey PRIMARY KEY (log_id, idx, recorded_at)
) PARTITION BY RANGE (recorded_at);

CREATE INDEX entry_run ON tandem.entry (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX entry_newest ON tandem.entry (started_at DESC, run_id DESC)
    WHERE kind = 'accepted';

COMMENT ON TABLE tandem.entry IS
    'Facts without personal text, insert-only, one partition a month';
COMMENT ON COLUMN tandem.entry.body IS
    'Canonical JSON; where a column and the body differ, the body is right';
COMMENT ON COLUMN tandem.entry.leaf_hash IS 'SHA-256(0x00 || body)';

-- Personal text.  recorded_at is that of the entry which commits to it.
CREATE TABLE tandem.content (
    run_id uuid NOT NULL,
    part text NOT NULL
        CONSTRAINT content_part CHECK (part ~ '^[a-z][a-z_]{0,31}$'),
    recorded_at timestamptz NOT NULL,
    salt bytea NOT NULL
        CONSTRAINT content_salt CHECK (octet_length(salt) = 32),
    body text NOT NULL,
    CONSTRAINT content_pkey PRIMARY KEY (run_id, part, recorded_at)
) PARTITION BY RANGE (recorded_at);

COMMENT ON TABLE tandem.content IS
    'Texts of runs: personal data, erasable, one partition a month';

-- A run begins once, ends once and is left once, in whatever partitions the
-- entries lie.  Written by a trigger on entry and by nobody else.
CREATE TABLE tandem.run_claim (
    run_id uuid NOT NULL,
    class text NOT NULL CONSTRAINT run_claim_class
        CHECK (class IN ('accepted', 'ended', 'left')),
    log_id uuid NOT NULL,
    idx bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT run_claim_pkey PRIMARY KEY (run_id, class)
);

COMMENT ON TABLE tandem.run_claim IS
    'Which entry accepted, ended or left a run: one of each at most';

-- What may neither be retired nor erased.  A hold ends by a release.
CREATE TABLE tandem.legal_hold (
    hold_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id uuid,
    covers_from timestamptz NOT NULL DEFAULT '-infinity',
    covers_until timestamptz NOT NULL DEFAULT 'infinity',
    reason text NOT NULL CHECK (reason <> ''),
    placed_at timestamptz NOT NULL DEFAULT now(),
    placed_by name NOT NULL DEFAULT session_user,
    CHECK (covers_from < covers_until)
);

COMMENT ON COLUMN tandem.legal_hold.run_id IS 'Null: every run of the period';

CREATE TABLE tandem.legal_hold_release (
    hold_id bigint PRIMARY KEY REFERENCES tandem.legal_hold,
    reason text NOT NULL CHECK (reason <> ''),
    released_at timestamptz NOT NULL DEFAULT now(),
    released_by name NOT NULL DEFAULT session_user
);

CREATE VIEW tandem.active_hold AS
SELECT hold_id, run_id, covers_from, covers_until, reason, placed_at, placed_by
FROM tandem.legal_hold AS hold
WHERE NOT EXISTS (SELECT FROM tandem.legal_hold_release AS release
                  WHERE release.hold_id = hold.hold_id);

-- What the verifier saw in a partition; the newest row of a partition counts.
CREATE TABLE tandem.verification (
    verification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition_name name NOT NULL,
    row_count bigint NOT NULL CHECK (row_count >= 0),
    finding_count bigint NOT NULL CHECK (finding_count >= 0),
    head text,
    verified_at timestamptz NOT NULL DEFAULT now(),
    verified_by name NOT NULL DEFAULT session_user
);

CREATE INDEX verification_newest
    ON tandem.verification (partition_name, verification_id DESC);

COMMENT ON COLUMN tandem.verification.head IS
    'The head verify printed: LOG:SIZE:ROOT';

CREATE TABLE tandem.retired_partition (
    partition_name name PRIMARY KEY,
    parent_name name NOT NULL,
    row_count bigint NOT NULL,
    verification_id bigint NOT NULL REFERENCES tandem.verification,
    retired_at timestamptz NOT NULL DEFAULT now(),
    retired_by name NOT NULL DEFAULT session_user
);

INSERT INTO tandem.schema_version (version, step, file_sha256)
VALUES (2, '0002_tables', :'sha256_0002');

COMMIT;
