-- One idempotency key, one run.  After writing.sql.

SET search_path = tandem_test, pg_catalog;

-- An accepted run with a key, of some letter.
CREATE FUNCTION keyed_insert(letter text, run integer, idx bigint,
    recorded_at timestamptz DEFAULT now())
RETURNS text
LANGUAGE sql AS $body$
SELECT replace(entry_insert('accepted', run, idx, recorded_at), '{"v":1}',
               format('{"idempotency_key":"%s","request_hash":"%s","v":1}',
                      repeat(letter, 64), repeat('e', 64)))
$body$;

-- The run that has the key, as the writer is told.
CREATE FUNCTION holder(letter text, since timestamptz DEFAULT '-infinity')
RETURNS text
LANGUAGE plpgsql AS $body$
DECLARE
    value text;
BEGIN
    SET LOCAL ROLE tandem_writer;
    SELECT right(run_id::text, 3)
        || CASE WHEN ended THEN ' ended ' ELSE ' open ' END
        || left(request_hash, 2) INTO value
    FROM tandem.scribe_find_key(repeat(letter, 64), since);
    SET LOCAL ROLE NONE;
    RETURN value;
END
$body$;

SELECT same('a key that nobody used', holder('a'), NULL);
SELECT expect('tandem_writer', keyed_insert('a', 751, 70), 'done');
SELECT same('a key of an open run', holder('a'), '751 open ee');
SELECT expect('tandem_writer', keyed_insert('a', 752, 71), '23505');
SELECT expect('tandem_writer', keyed_insert('b', 753, 72), 'done');
SELECT expect('tandem_writer', entry_insert('finished', 751, 73), 'done');
SELECT same('a key of a run that has ended', holder('a'), '751 ended ee');
SELECT same('a key that was used too long ago',
            holder('a', now() + interval '1 second'), NULL);
SELECT same('a refused run has no key',
            (SELECT count(*)::text FROM tandem.key_claim
             WHERE run_id = run_of(752)), '0');

-- What comes late was accepted, and a key may come again when it is old.
SELECT expect('tandem_writer', keyed_insert('a', 754, 74,
    now() - interval '1 minute'), 'done');
SELECT same('the newest run has the key', holder('a'), '751 ended ee');
SELECT expect('tandem_writer', keyed_insert('c', 755, 75,
    now() - interval '1 minute'), 'done');
SELECT expect('tandem_writer', keyed_insert('c', 756, 76), 'done');
SELECT same('an old key is used again', holder('c'), '756 open ee');

SELECT expect('tandem_writer', replace(keyed_insert('d', 757, 77),
    repeat('e', 64), 'short'), '23514');
SELECT expect('tandem_owner', 'DELETE FROM tandem.key_claim', 'TD001');
SELECT expect('tandem_writer', 'SELECT 1 FROM tandem.key_claim', '42501');
SELECT expect('tandem_reader', format('SELECT FROM tandem.scribe_find_key('
    '%L, now())', repeat('a', 64)), '42501');

DROP FUNCTION holder(text, timestamptz);
DROP FUNCTION keyed_insert(text, integer, bigint, timestamptz);
