-- Neither the owner nor a superuser changes what is written, on any table or
-- partition, whatever session_replication_role says.

SET search_path = tandem_test, pg_catalog;
SET client_min_messages = warning; -- TRUNCATE CASCADE tells what it would do

SELECT same(format('%s has a row to try on', relation),
            (xpath('/row/n/text()', query_to_xml(
                format('SELECT count(*) > 0 AS n FROM %s', relation),
                false, true, '')))[1]::text, 'true')
FROM ledger_table ORDER BY relname;

SELECT expect(who, replica || format(attempt, relation, attname), 'TD001')
FROM ledger_table
JOIN pg_attribute ON attrelid = relation AND attnum = 2,
(VALUES ('tandem_owner', ''), ('super', ''),
    ('super', 'SET LOCAL session_replication_role = replica; '))
    AS tried (who, replica),
(VALUES ('UPDATE %1$s SET %2$I = %2$I'), ('DELETE FROM %1$s'),
    ('TRUNCATE %1$s CASCADE')) AS attempts (attempt)
WHERE relname <> 'schema_version'
ORDER BY relname, who, replica, attempt;

SELECT expect('tandem_owner', replace(entry_insert('erased', 1, 38),
    'DO NOTHING', '(log_id, idx, recorded_at) DO UPDATE SET body = ''x'''),
    'TD001');
SELECT expect('tandem_owner', 'MERGE INTO tandem.entry USING (SELECT 1) AS s '
    'ON true WHEN MATCHED THEN DELETE', 'TD001');
SELECT expect('tandem_owner', 'WITH gone AS (DELETE FROM tandem.run_claim '
    'RETURNING 1) SELECT * FROM gone', 'TD001');

-- To be a member of tandem_eraser is not enough, and a superuser is one.
SELECT expect('super', 'DELETE FROM tandem.content', 'TD001');
