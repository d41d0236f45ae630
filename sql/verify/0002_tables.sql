-- Fails unless 0002_tables is in: columns, keys, checks, owners; nobody but the
-- owner may change rows, and nobody may write around a partitioned table.
-- Changes nothing.  Locks: ACCESS SHARE.  By a member of tandem_owner.

\set ON_ERROR_STOP on

BEGIN READ ONLY;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

-- Each column, by name and type.
DO $verify$
DECLARE
    difference text;
BEGIN
    WITH wanted (relation, columns) AS (VALUES
        ('entry', 'log_id uuid, idx bigint, recorded_at timestamptz, '
            'kind text, run_id uuid, status text, salvage text, '
            'started_at timestamptz, total_ms bigint, '
            'flash_latency_ms bigint, pro_latency_ms bigint, '
            'flash_model text, pro_model text, flash_input_tokens bigint, '
            'flash_output_tokens bigint, pro_input_tokens bigint, '
            'pro_output_tokens bigint, principal text, user_id text, '
            'leaf_hash bytea, body text'),
        ('content', 'run_id uuid, part text, recorded_at timestamptz, '
            'salt bytea, body text'),
        ('run_claim', 'run_id uuid, class text, log_id uuid, idx bigint, '
            'recorded_at timestamptz'),
        ('legal_hold', 'hold_id bigint, run_id uuid, '
            'covers_from timestamptz, covers_until timestamptz, reason text, '
            'placed_at timestamptz, placed_by name'),
        ('legal_hold_release', 'hold_id bigint, reason text, '
            'released_at timestamptz, released_by name'),
        ('verification', 'verification_id bigint, partition_name name, '
            'row_count bigint, finding_count bigint, head text, '
            'verified_at timestamptz, verified_by name'),
        ('retired_partition', 'partition_name name, parent_name name, '
            'row_count bigint, verification_id bigint, '
            'retired_at timestamptz, retired_by name'),
        ('active_hold', 'hold_id bigint, run_id uuid, '
            'covers_from timestamptz, covers_until timestamptz, reason text, '
            'placed_at timestamptz, placed_by name')),
    found (relation, columns) AS (
        SELECT relname,
               string_agg(attname || ' ' || replace(
                   format_type(atttypid, atttypmod),
                   'timestamp with time zone', 'timestamptz'), ', '
                   ORDER BY attnum)
        FROM pg_class
        JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = 'tandem'::regnamespace AND attnum > 0
            AND NOT attisdropped AND relowner = 'tandem_owner'::regrole
            AND relkind IN ('r', 'p', 'v')
        GROUP BY relname)
    SELECT string_agg(format('%s: wanted (%s), found (%s)', wanted.relation,
                             wanted.columns, found.columns), E'\n')
    INTO difference
    FROM wanted LEFT JOIN found USING (relation)
    WHERE wanted.columns IS DISTINCT FROM found.columns;
    IF difference IS NOT NULL THEN
        RAISE EXCEPTION E'tandem: columns or owners differ:\n%', difference;
    END IF;
END
$verify$;

-- Each key and check, on the table and on every partition of it.  Since
-- 0013_checks there are others instead, which are verified with it.
DO $verify$
DECLARE
    missing text;
BEGIN
    WITH wanted (relation, name) AS (
        SELECT 'tandem.entry'::regclass,
               unnest(ARRAY['entry_idx', 'entry_kind', 'entry_leaf_hash',
                   'entry_of_a_run', 'entry_started_at', 'entry_finished',
                   'entry_left'])
        UNION ALL
        SELECT 'tandem.content'::regclass,
               unnest(ARRAY['content_part', 'content_salt'])),
    places (relation, name) AS (
        SELECT tree.relid, wanted.name
        FROM wanted, pg_partition_tree(wanted.relation) AS tree
        UNION ALL
        SELECT 'tandem.run_claim'::regclass, 'run_claim_class')
    SELECT string_agg(format('%s on %s', name, relation::regclass), ', ')
    INTO missing
    FROM places
    WHERE NOT EXISTS (SELECT FROM pg_constraint
                      WHERE conrelid = places.relation
                          AND conname = places.name AND contype = 'c'
                          AND convalidated)
        AND NOT (name <> 'run_claim_class'
                 AND EXISTS (SELECT FROM tandem.schema_version
                             WHERE version = 13));
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: checks are missing: %', missing;
    END IF;

    WITH wanted (relation, definition) AS (VALUES
        ('entry', 'PRIMARY KEY (log_id, idx, recorded_at)'),
        ('content', 'PRIMARY KEY (run_id, part, recorded_at)'),
        ('run_claim', 'PRIMARY KEY (run_id, class)'))
    SELECT string_agg(relation || ': ' || definition, ', ') INTO missing
    FROM wanted
    WHERE NOT EXISTS (SELECT FROM pg_constraint
                      WHERE conrelid = to_regclass('tandem.' || relation)
                          AND pg_get_constraintdef(oid) = definition);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: keys are missing: %', missing;
    ELSIF EXISTS (SELECT FROM pg_partitioned_table
                  WHERE partrelid IN ('tandem.entry'::regclass,
                                      'tandem.content'::regclass)
                      AND (pg_get_partkeydef(partrelid)
                               <> 'RANGE (recorded_at)'
                           OR partdefid <> 0)) THEN
        RAISE EXCEPTION 'tandem: partitioning differs, or there is a DEFAULT '
            'partition';
    ELSIF EXISTS (SELECT FROM pg_index
                  JOIN pg_class ON pg_class.oid = indrelid
                  WHERE relnamespace = 'tandem'::regnamespace
                      AND NOT (indisvalid AND indisready)) THEN
        RAISE EXCEPTION 'tandem: an index is not valid';
    ELSIF EXISTS (SELECT FROM pg_class
                  WHERE relnamespace = 'tandem'::regnamespace
                      AND relowner <> 'tandem_owner'::regrole) THEN
        RAISE EXCEPTION 'tandem: something is not owned by tandem_owner';
    END IF;
END
$verify$;

-- Rights that nobody has, whether grants.sql was run or not.
DO $verify$
DECLARE
    excess text;
BEGIN
    SELECT string_agg(format('%s has %s on %s', CASE acl.grantee
               WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END,
               acl.privilege_type, held.oid::regclass), ', ')
    INTO excess
    FROM pg_class AS held, aclexplode(held.relacl) AS acl
    WHERE held.relnamespace = 'tandem'::regnamespace
        AND acl.grantee <> 'tandem_owner'::regrole
        AND (acl.grantee = 0 OR acl.is_grantable OR held.relispartition
             OR acl.privilege_type NOT IN ('SELECT', 'INSERT', 'DELETE')
             OR (acl.privilege_type = 'DELETE'
                 AND (held.oid <> 'tandem.content'::regclass
                      OR acl.grantee <> 'tandem_eraser'::regrole)));
    IF excess IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: somebody may do too much: %', excess
            USING HINT = 'Run grants.sql again.';
    END IF;
END
$verify$;

ROLLBACK;
