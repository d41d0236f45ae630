-- Making months ahead.

SET search_path = tandem_test, pg_catalog;

SELECT same('from last month to three months ahead, two tables',
            (SELECT count(*)::text FROM tandem.partition_calendar), '10');
SELECT same('the horizon', (SELECT max(ends_at)::text
                            FROM tandem.partition_calendar),
            ((date_trunc('month', now() AT TIME ZONE 'UTC')
              + interval '4 months') AT TIME ZONE 'UTC')::text);
SELECT same('a second call makes nothing',
            tandem.ensure_partitions()::text, '0');
SELECT same('a month further makes two',
            tandem.ensure_partitions(4)::text, '2');
SELECT same('fewer months take nothing away',
            tandem.ensure_partitions(1)::text, '0');
SELECT expect('tandem_retention', format('SELECT tandem.ensure_partitions(%s)',
    months), '22023')
FROM unnest(ARRAY['0', '-1', '25', 'NULL']) AS months;
SELECT expect('tandem_owner',
    'SELECT tandem.make_partition(''run_claim'', ''2001-01-01'')', '22023');

-- In whatever time zone and date style somebody calls it.
SET timezone = 'Pacific/Kiritimati';
SET datestyle = 'SQL, DMY';
SELECT same('another time zone makes the next month',
            tandem.ensure_partitions(5)::text, '2');
RESET timezone;
RESET datestyle;
SELECT same('bounds are in UTC',
            (SELECT count(*)::text FROM tandem.partition_calendar
             WHERE begins_at <> date_trunc('month', begins_at, 'UTC')
                 OR ends_at <> begins_at + interval '1 month'), '0');

SELECT same('a new partition compresses as the others: ' || partition_name,
            attcompression::text, 'l')
FROM tandem.partition_calendar
JOIN pg_attribute ON attrelid = ('tandem.' || partition_name)::regclass
    AND attname = 'body';

SELECT same('a new partition is protected: ' || partition_name,
            is_protected::text, 'true')
FROM tandem.partition_calendar;
SELECT same('a new partition belongs to the owner: ' || relname,
            relowner::regrole::text, 'tandem_owner')
FROM pg_class WHERE oid IN (SELECT relation FROM ledger_table
                            WHERE relispartition);
