-- Fails unless 0003_insert_only is in: the triggers are there, in their mode, on
-- every table, every partition and every retired partition.
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
    WITH protected (relation, guard) AS (
        SELECT oid, CASE relname WHEN 'open_run' THEN 'refuse_open_run_change'
                   ELSE 'refuse_change' END
        FROM pg_class
        WHERE relnamespace = 'tandem'::regnamespace AND relkind IN ('r', 'p')
            AND relname <> 'schema_version'
            AND oid <> ALL (SELECT relid
                            FROM pg_partition_tree('tandem.content'))
        UNION ALL
        SELECT relid, 'refuse_content_change'
        FROM pg_partition_tree('tandem.content')),
    -- tgtype: 1 row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate.
    wanted (relation, name, guard, mode, type) AS (
        SELECT relation, 'insert_only', guard, 'A', 1 + 2 + 8 + 16
        FROM protected
        UNION ALL
        SELECT relation, 'no_truncate', 'refuse_change', 'A', 2 + 32
        FROM protected
        UNION ALL
        SELECT relid, 'same_place', 'refuse_other_entry', 'O', 1 + 2 + 4
        FROM pg_partition_tree('tandem.entry')
        UNION ALL
        SELECT relid, 'claim_run', 'claim_run', 'O', 1 + 4
        FROM pg_partition_tree('tandem.entry')
        WHERE NOT EXISTS (SELECT FROM tandem.schema_version
                          WHERE version = 10)
        UNION ALL
        -- Since 0010_claims: for each statement, and not on partitions.
        SELECT 'tandem.entry'::regclass, 'claim_run', 'claim_run', 'O', 4
        FROM tandem.schema_version WHERE version = 10
        UNION ALL
        SELECT relid, 'claim_key', 'claim_key', 'O', 1 + 4
        FROM pg_partition_tree('tandem.entry')
        WHERE to_regclass('tandem.key_claim') IS NOT NULL),
    found (relation, name, guard, mode, type) AS (
        SELECT tgrelid, tgname::text, proname::text, tgenabled::text,
               tgtype::integer
        FROM pg_trigger
        JOIN pg_class ON pg_class.oid = tgrelid
        JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE relnamespace = 'tandem'::regnamespace
            AND pronamespace = 'tandem'::regnamespace AND NOT tgisinternal)
    SELECT string_agg(format('%s on %s (mode %s)', name, relation::regclass,
                             mode), ', ' ORDER BY relation::text, name)
    INTO wrong
    FROM ((TABLE wanted EXCEPT TABLE found)
          UNION (TABLE found EXCEPT TABLE wanted)) AS difference;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: triggers differ from what they should be: %',
            wrong;
    END IF;
END
$verify$;

-- The functions behind them: whose, with whose rights, for whom.
DO $verify$
DECLARE
    wrong text;
BEGIN
    WITH wanted (signature, secdef) AS (VALUES
        ('refuse_change()', false), ('refuse_content_change()', false),
        ('protect(regclass,text)', false), ('refuse_other_entry()', true),
        ('claim_run()', true))
    SELECT string_agg(signature, ', ') INTO wrong
    FROM wanted
    LEFT JOIN pg_proc ON pg_proc.oid = to_regprocedure('tandem.' || signature)
    WHERE pg_proc.oid IS NULL OR prosecdef <> secdef
        OR proowner <> 'tandem_owner'::regrole
        OR NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig),
                        false)
        OR has_function_privilege('public', pg_proc.oid, 'EXECUTE');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: functions are missing or differ: %', wrong;
    ELSIF EXISTS (SELECT FROM pg_rewrite
                  JOIN pg_class ON pg_class.oid = ev_class
                  WHERE relnamespace = 'tandem'::regnamespace
                      AND relkind IN ('r', 'p')) THEN
        RAISE EXCEPTION 'tandem: a table has a rewrite rule';
    END IF;
END
$verify$;

ROLLBACK;
