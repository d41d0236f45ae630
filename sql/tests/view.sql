-- experiment_runs, as docs/LEDGER.md describes it.

SET search_path = tandem_test, pg_catalog;

SELECT same('columns', (SELECT string_agg(attname, ' ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'tandem.experiment_runs'::regclass
        AND attnum > 0),
    'id query context flash_response pro_response flash_latency_ms '
    'pro_latency_ms created_at user_id status');

-- There is no DEFAULT partition to catch what is outside the calendar.
SELECT expect('tandem_writer', entry_insert('accepted', 700 + n, 700 + n,
    '2001-01-31 23:59:59Z'::timestamptz + n * interval '1 ms'), '23514')
FROM generate_series(0, 3) AS n;
-- 700 open, 701 finished in the next month, 702 finished and left, 703 lost.
SELECT tandem.make_partition(parent, month)
FROM unnest(ARRAY['entry', 'content']) AS parent,
     unnest(ARRAY['2001-01-01', '2001-02-01']::date[]) AS month \g /dev/null
SELECT expect('tandem_writer', entry_insert('accepted', 700 + n, 700 + n,
    '2001-01-31 23:59:59Z'::timestamptz + n * interval '1 ms'), 'done')
FROM generate_series(0, 3) AS n;
SELECT expect('tandem_writer', content_insert(701, part,
    '2001-01-31 23:59:59.001Z', 'the ' || part), 'done')
FROM unnest(ARRAY['query', 'context']) AS part;
SELECT expect('tandem_writer', format('INSERT INTO tandem.entry (log_id, idx, '
    'recorded_at, kind, run_id, status, started_at, flash_latency_ms, '
    'pro_latency_ms, user_id, leaf_hash, body) VALUES (%L, %s, '
    '''2001-02-01 00:00:01Z'', ''finished'', %L, ''ok'', '
    '''2001-01-31 23:59:59Z'', 11, 22, ''someone'', %L, ''{}'')',
    '00000000-0000-7000-8000-000000000001', 800 + n, run_of(700 + n),
    '\x' || repeat('c', 64)), 'done')
FROM generate_series(1, 2) AS n;
SELECT expect('tandem_writer', content_insert(701, part,
    '2001-02-01 00:00:01Z', 'the ' || part), 'done')
FROM unnest(ARRAY['flash', 'pro', 'flash_partial']) AS part;
SELECT expect('tandem_writer', entry_insert('left', 702, 810,
    '2001-02-01 00:00:02Z'), 'done');
SELECT expect('tandem_writer', entry_insert('orphaned', 703, 811,
    '2001-02-01 00:00:02Z'), 'done');

SET timezone = 'UTC';
SELECT same('newest first, with their states',
    (SELECT string_agg(right(id::text, 3) || ' ' || status, ', ')
     FROM tandem.experiment_runs
     WHERE created_at < '2002-01-01'),
    '703 orphaned, 702 cancelled, 701 ok, 700 open');
SELECT same('a run with everything',
    (SELECT format('%s|%s|%s|%s|%s|%s|%s|%s', query, context, flash_response,
         pro_response, flash_latency_ms, pro_latency_ms, created_at,
         coalesce(user_id, 'null'))
     FROM tandem.experiment_runs WHERE id = run_of(701)),
    'the query|the context|the flash|the pro|11|22|'
    '2001-01-31 23:59:59.001+00|null');
SELECT same('a run with nothing',
    (SELECT num_nulls(query, context, flash_response, pro_response,
         flash_latency_ms, pro_latency_ms, user_id)::text
     FROM tandem.experiment_runs WHERE id = run_of(700)), '7');
