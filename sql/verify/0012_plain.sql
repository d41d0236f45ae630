-- Fails unless 0012_plain is in: the two triggers have their conditions, and the
-- functions of the checks are the owner's and the writer's.  The tables and modes
-- of triggers are verified by 0003_insert_only.
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
    WITH wanted (relation, name, condition) AS (
        SELECT relid, 'same_place',
               '(current_setting(''tandem.plain_insert''::text, true) '
               'IS DISTINCT FROM ''on''::text)'
        FROM pg_partition_tree('tandem.entry')
        UNION ALL
        SELECT 'tandem.open_run'::regclass, 'insert_only',
               '(pg_trigger_depth() = 0)')
    SELECT string_agg(format('%s on %s', name, relation::regclass), ', ')
    INTO wrong
    FROM wanted
    LEFT JOIN pg_trigger ON tgrelid = relation AND tgname = name
    WHERE pg_get_triggerdef(pg_trigger.oid)
        NOT LIKE '% WHEN (' || condition || ') EXECUTE %'
        OR pg_trigger.oid IS NULL;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: triggers fire when they should not, or do '
            'not: %', wrong;
    END IF;

    WITH wanted (signature) AS (VALUES
        ('is_entry(bigint,text,uuid,text,timestamptz,bytea)'),
        ('is_content(text,bytea)'))
    SELECT string_agg(signature, ', ') INTO wrong
    FROM wanted
    LEFT JOIN pg_proc ON pg_proc.oid = to_regprocedure('tandem.' || signature)
    WHERE pg_proc.oid IS NULL OR prosecdef
        OR proowner <> 'tandem_owner'::regrole
        OR has_function_privilege('public', pg_proc.oid, 'EXECUTE')
        OR NOT has_function_privilege('tandem_writer', pg_proc.oid, 'EXECUTE');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'tandem: functions are missing or differ: %', wrong;
    END IF;
END
$verify$;

ROLLBACK;
