-- Fails unless 0013_checks is in: each table and every partition has its check,
-- which holds for all of its rows, and only that one.
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
    WITH wanted (parent, name, definition) AS (VALUES
        ('tandem.entry'::regclass, 'entry_is_entry',
         'CHECK (tandem.is_entry(idx, kind, run_id, status, started_at, '
         'leaf_hash))'),
        ('tandem.content', 'content_is_content',
         'CHECK (tandem.is_content(part, salt))')),
    found (relation, name, definition) AS (
        SELECT conrelid, conname::text, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE contype = 'c')
    SELECT string_agg(format('%s on %s', coalesce(wanted.name, found.name),
                             tree.relid::regclass), ', ')
    INTO wrong
    FROM wanted, pg_partition_tree(wanted.parent) AS tree
    LEFT JOIN found ON found.relation = tree.relid
    WHERE (found.name, found.definition)
        IS DISTINCT FROM (wanted.name, wanted.definition);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: checks are missing or differ: %', wrong;
    END IF;
END
$verify$;

ROLLBACK;
