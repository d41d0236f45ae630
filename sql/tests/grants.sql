-- What each role can and cannot do, tried on every table and partition.

SET search_path = tandem_test, pg_catalog;

CREATE ROLE tandem_test_stranger NOLOGIN;

CREATE VIEW tried_role AS
SELECT unnest(ARRAY['tandem_writer', 'tandem_reader', 'tandem_auditor',
    'tandem_retention', 'tandem_monitor', 'tandem_eraser',
    'tandem_test_stranger']) AS role_name;

-- Rights on whole tables; whatever is not here is nothing.
CREATE TABLE table_right (role_name text, relname name, rights text);
INSERT INTO table_right VALUES
    ('tandem_writer', 'entry', 'INSERT'),
    ('tandem_writer', 'content', 'INSERT'),
    ('tandem_writer', 'checkpoint', 'INSERT'),
    ('tandem_writer', 'schema_version', 'SELECT'),
    ('tandem_reader', 'entry', 'SELECT'),
    ('tandem_reader', 'run_claim', 'SELECT'),
    ('tandem_reader', 'open_run', 'SELECT'),
    ('tandem_reader', 'verification', 'SELECT'),
    ('tandem_reader', 'retired_partition', 'SELECT'),
    ('tandem_reader', 'checkpoint', 'SELECT'),
    ('tandem_reader', 'partition_calendar', 'SELECT'),
    ('tandem_reader', 'schema_version', 'SELECT'),
    ('tandem_auditor', 'entry', 'SELECT'),
    ('tandem_auditor', 'content', 'SELECT'),
    ('tandem_auditor', 'run_claim', 'SELECT'),
    ('tandem_auditor', 'open_run', 'SELECT'),
    ('tandem_auditor', 'verification', 'SELECT'),
    ('tandem_auditor', 'retired_partition', 'SELECT'),
    ('tandem_auditor', 'checkpoint', 'SELECT'),
    ('tandem_auditor', 'partition_calendar', 'SELECT'),
    ('tandem_auditor', 'schema_version', 'SELECT'),
    ('tandem_auditor', 'legal_hold', 'SELECT'),
    ('tandem_auditor', 'legal_hold_release', 'SELECT'),
    ('tandem_auditor', 'active_hold', 'SELECT'),
    ('tandem_auditor', 'experiment_runs', 'SELECT'),
    ('tandem_retention', 'active_hold', 'SELECT'),
    ('tandem_retention', 'verification', 'SELECT'),
    ('tandem_retention', 'retired_partition', 'SELECT'),
    ('tandem_retention', 'partition_calendar', 'SELECT'),
    ('tandem_retention', 'schema_version', 'SELECT'),
    ('tandem_monitor', 'partition_calendar', 'SELECT'),
    ('tandem_monitor', 'checkpoint', 'SELECT'),
    ('tandem_monitor', 'schema_version', 'SELECT'),
    ('tandem_eraser', 'content', 'DELETE'),
    ('tandem_eraser', 'active_hold', 'SELECT');

SELECT same(format('rights of %s on %s', role_name, pg_class.relname),
            (SELECT string_agg(privilege, ' ' ORDER BY privilege)
             FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE',
                 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
             WHERE has_table_privilege(role_name, pg_class.oid, privilege)),
            (SELECT rights FROM table_right
             WHERE table_right.role_name = tried_role.role_name
                 AND table_right.relname = pg_class.relname))
FROM tried_role, pg_class
WHERE relnamespace = 'tandem'::regnamespace AND relkind IN ('r', 'p', 'v')
ORDER BY role_name, pg_class.relname;

-- And by trying.  The eraser's right to delete has a test of its own.
SELECT expect(role_name, format(attempt, relation), CASE
        WHEN right_needed IS NOT NULL AND EXISTS (
            SELECT FROM table_right
            WHERE table_right.role_name = tried_role.role_name
                AND table_right.relname = ledger_table.relname
                AND rights = right_needed)
        THEN 'done' ELSE '42501' END)
FROM tried_role, ledger_table, (VALUES
    ('SELECT * FROM %s', 'SELECT'),
    ('DELETE FROM %s', NULL),
    ('TRUNCATE %s', NULL),
    ('INSERT INTO %s DEFAULT VALUES', NULL),
    ('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', NULL),
    ('ALTER TABLE %s DISABLE TRIGGER ALL', NULL),
    ('ALTER TABLE %s ADD COLUMN more text', NULL),
    ('CREATE TRIGGER more BEFORE INSERT ON %s EXECUTE FUNCTION '
     'suppress_redundant_updates_trigger()', NULL),
    ('CREATE INDEX ON %s ((1))', NULL),
    ('DROP TABLE %s', NULL)) AS tried (attempt, right_needed)
WHERE (role_name, relname) <> ('tandem_eraser', 'content')
    AND NOT (attempt LIKE 'INSERT%' AND (role_name, relname) IN
        (('tandem_writer', 'entry'), ('tandem_writer', 'content'),
         ('tandem_writer', 'checkpoint'),
         ('tandem_auditor', 'verification'), ('tandem_auditor', 'legal_hold'),
         ('tandem_auditor', 'legal_hold_release')))
ORDER BY role_name, relname, attempt;

-- UPDATE needs a column of the table.
SELECT expect(role_name, format('UPDATE %s SET %I = %2$I', relation, attname),
              '42501')
FROM tried_role, ledger_table
JOIN pg_attribute ON attrelid = relation AND attnum = 2
ORDER BY role_name, relname;

-- Nobody makes anything in the schema, and the writer reads nothing back.
SELECT expect(role_name, 'CREATE TABLE tandem.mine (a integer)', '42501')
FROM tried_role;
SELECT expect('tandem_writer', entry_insert('erased', 1, 60)
    || ' RETURNING idx', '42501');
SELECT expect('tandem_writer', replace(entry_insert('erased', 1, 60),
    'ON CONFLICT', 'ON CONFLICT (log_id, idx, recorded_at)'), '42501');
SELECT expect('tandem_writer', replace(entry_insert('erased', 1, 60),
    'DO NOTHING', '(log_id, idx, recorded_at) DO UPDATE SET body = ''x'''),
    '42501');

-- Runs without and with their texts.
SELECT expect('tandem_reader', 'SELECT id, flash_latency_ms, pro_latency_ms, '
    'created_at, user_id, status FROM tandem.experiment_runs', 'done');
SELECT expect('tandem_reader', format('SELECT %I FROM tandem.experiment_runs',
    text_column), '42501')
FROM unnest(ARRAY['query', 'context', 'flash_response', 'pro_response'])
    AS text_column;
SELECT expect('tandem_auditor', 'SELECT * FROM tandem.experiment_runs',
              'done');
SELECT expect(role_name, 'SELECT id FROM tandem.experiment_runs', '42501')
FROM tried_role WHERE role_name NOT IN ('tandem_reader', 'tandem_auditor');
SELECT expect(role_name, 'SELECT * FROM tandem.partition_calendar',
    CASE WHEN role_name IN ('tandem_reader', 'tandem_auditor',
        'tandem_retention', 'tandem_monitor') THEN 'done' ELSE '42501' END)
FROM tried_role;

-- Functions.
SELECT expect(role_name, 'SELECT ' || call, CASE
        WHEN role_name = 'tandem_retention' THEN wanted ELSE '42501' END)
FROM tried_role, (VALUES
    ('tandem.ensure_partitions()', 'done'),
    ('tandem.retirement_obstacles(''none'')', 'done'),
    ('tandem.retire_partition(''none'')', 'TD003'),
    ('tandem.make_partition(''entry'', ''2001-01-01'')', '42501'),
    ('tandem.protect(''tandem.entry'')', '42501')) AS tried (call, wanted);

SELECT expect(role_name, 'SELECT ' || call, CASE
        WHEN role_name = 'tandem_writer' THEN 'done' ELSE '42501' END)
FROM tried_role, (VALUES
    ('tandem.scribe_find(NULL, ''accepted'')'),
    ('tandem.scribe_body(NULL, ''accepted'')'),
    ('tandem.scribe_last_log(''a'', NULL)'),
    ('tandem.scribe_leaves(NULL, 0, 1)'),
    ('tandem.scribe_open_runs(''a'')'),
    ('tandem.is_entry(0, ''a'', NULL, NULL, NULL, NULL)'),
    ('tandem.is_content(''a'', NULL)'),
    ('tandem.scribe_absent(''{}'', ''{}'', ''{}'', ''{}'')'),
    ('tandem.scribe_end_log(''nobody'', NULL, now())'),
    ('tandem.scribe_settings(2000)'),
    ('tandem.scribe_write(' || repeat('''{}'', ', 25) || '''{}'')'))
    AS tried (call);

-- The eraser deletes texts, one run or all, and nothing else; not on hold.
BEGIN;
SELECT expect('tandem_auditor', format('INSERT INTO tandem.legal_hold '
    '(run_id, reason) VALUES (%L, ''test'')', run_of(1)), 'done');
SELECT expect('tandem_eraser', format('DELETE FROM tandem.content '
    'WHERE run_id = %L', run_of(1)), 'TD003');
SELECT expect('tandem_auditor', 'INSERT INTO tandem.legal_hold_release '
    '(hold_id, reason) SELECT hold_id, ''test'' FROM tandem.active_hold',
    'done');
SELECT expect('tandem_eraser', format('DELETE FROM tandem.content '
    'WHERE run_id = %L', run_of(1)), 'done');
SELECT same('the text is gone', (SELECT count(*)::text FROM tandem.content
    WHERE run_id = run_of(1)), '0');
SELECT expect('tandem_eraser', format('UPDATE tandem.content SET body = '''' '
    'WHERE run_id = %L', run_of(1)), '42501');
SELECT expect('tandem_eraser', 'SELECT body FROM tandem.content', '42501');
SELECT expect('tandem_eraser', 'SELECT salt FROM tandem.content', '42501');
SELECT expect('tandem_eraser', 'TRUNCATE tandem.content', '42501');
SELECT expect('tandem_eraser', format('DELETE FROM %s', relation), '42501')
FROM ledger_table WHERE relname LIKE 'content\_%';
ROLLBACK;

DROP VIEW tried_role;
DROP TABLE table_right;
DROP ROLE tandem_test_stranger;
