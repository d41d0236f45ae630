-- Fails unless 0016_compression is in: texts are compressed in one way in each table
-- and all of its partitions, by LZ4 or, on a server that had none, as the server
-- does.
-- Changes nothing.  Locks: ACCESS SHARE.  By a member of tandem_owner.

\set ON_ERROR_STOP on

BEGIN READ ONLY;
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE tandem_owner;

DO $verify$
DECLARE
    wrong text;
BEGIN
    IF coalesce((SELECT max(version) FROM tandem.schema_version), 0) < 16 THEN
        RAISE EXCEPTION 'tandem: step 0016_compression is not in';
    END IF;
    WITH found (root, relation, method) AS (
        SELECT root, relid::regclass, attcompression
        FROM unnest(ARRAY['tandem.entry', 'tandem.content']) AS root,
            pg_partition_tree(root::regclass)
        JOIN pg_attribute ON attrelid = relid AND attname = 'body')
    SELECT string_agg(format('%s (%L)', part.relation, part.method), ', ')
    INTO wrong
    FROM found AS part
    JOIN found AS whole ON whole.relation = part.root::regclass
    WHERE part.method <> whole.method OR part.method NOT IN ('l', '');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: texts are compressed in another way: %', wrong;
    END IF;
END
$verify$;

ROLLBACK;
