# Two sessions at the same time; sourced by run.sh.

insert_of() {
    as_super -d by_psql -c "SELECT tandem_test.entry_insert('$1', $2, \
        $3 + ascii('$1') * 100, \
        tandem_test.moment() + interval '$4 months')"
}

# race FIRST SECOND RUN HOW_THE_FIRST_ENDS WHAT_THE_SECOND_IS_TOLD
race() {
    say A "BEGIN; SET LOCAL ROLE tandem_writer; $(insert_of "$1" "$3" 9000 0)"
    heard A >/dev/null
    say B "BEGIN; SET LOCAL ROLE tandem_writer; $(insert_of "$2" "$3" 9001 1)"
    succeeds "$2 waits for $1 of the same run" session_blocks B
    say A "$4"
    heard A >/dev/null
    same "$1 ended in $4: $2 is told" "$(heard B)" "$5"
    say B "ROLLBACK"
    heard B >/dev/null
}

session_open A by_psql
session_open B by_psql

taken="ERROR:  23505"
race accepted accepted 901 ROLLBACK ""
race accepted accepted 901 COMMIT "$taken"
race finished orphaned 901 ROLLBACK ""
race finished orphaned 901 COMMIT "$taken"
race left left 901 COMMIT "$taken"
same "the run has one beginning, one end, one leaving" \
    "$(as_super -d by_psql -c "SELECT string_agg(kind, ' ' ORDER BY kind) \
        FROM tandem.entry WHERE run_id = tandem_test.run_of(901)")" \
    "accepted finished left"

# A connection was lost during COMMIT; the retry comes while that goes on.
again=$(insert_of accepted 902 9900 0)
say A "BEGIN; SET LOCAL ROLE tandem_writer; $again"
heard A >/dev/null
say B "SET ROLE tandem_writer; $again"
succeeds "a retry waits for the first try" session_blocks B
say A "COMMIT"
heard A >/dev/null
same "a retry is absorbed" "$(heard B)" ""
say B "RESET ROLE"
same "and there is one entry" "$(as_super -d by_psql -c "SELECT count(*) FROM \
    tandem.entry WHERE run_id = tandem_test.run_of(902)")" 1

# The same with a batch, and with another entry for a place.
batch_of() {
    as_super -d by_psql -c "SELECT tandem_test.batch('text', '$1')"
}
say A "BEGIN; SET LOCAL ROLE tandem_writer; $(batch_of "accepted 903 9910 a")"
heard A >/dev/null
say B "SET ROLE tandem_writer; $(batch_of "accepted 903 9910 a")"
succeeds "a batch waits for its first try" session_blocks B
say A "COMMIT"
heard A >/dev/null
same "a batch that was written is absorbed" "$(heard B)" ""
say A "BEGIN; SET LOCAL ROLE tandem_writer; $(batch_of "accepted 904 9911 a")"
heard A >/dev/null
say B "$(batch_of "accepted 904 9911 b")"
succeeds "a batch waits for another in its place" session_blocks B
say A "COMMIT"
heard A >/dev/null
same "it is told of the other" "$(heard B)" "ERROR:  TD002"
say B "RESET ROLE"
heard B >/dev/null

# A log is not named while somebody writes to it, nor written to meanwhile.
end_log() {
    echo "SELECT tandem.scribe_end_log('f', tandem_test.run_of(1), \
        tandem_test.moment())"
}
as_super -d by_psql -c "$(as_super -d by_psql -c "SELECT replace(
    tandem_test.entry_insert('log_opened', NULL, 9799), '{\"v\":1}',
    '{\"host\":\"f\"}')")"
say A "BEGIN; SET LOCAL ROLE tandem_writer; $(batch_of "log_linked - 9800 a")"
heard A >/dev/null
say B "BEGIN; SET LOCAL lock_timeout = '2s'; $(end_log)"
succeeds "the next log waits for what is under way" session_blocks B
same "but not for ever" "$(heard B)" "ERROR:  55P03"
say B "ROLLBACK; BEGIN; $(end_log)"
succeeds "it waits again" session_blocks B
say A "COMMIT"
heard A >/dev/null
same "until that is there" "$(heard B)" 00000000-0000-7000-8000-000000000001
say A "SET ROLE tandem_writer; $(batch_of "log_linked - 9801 a")"
succeeds "what comes now waits for the next log" session_blocks A
say B "COMMIT"
heard B >/dev/null
same "and is too late" "$(heard A)" "ERROR:  TD005"
say A "RESET ROLE"

# Writers and months.
say A "BEGIN; SET LOCAL ROLE tandem_writer; $(insert_of erased 902 9901 0)"
heard A >/dev/null
say B "SELECT tandem.ensure_partitions(6)"
same "months are made while somebody writes" "$(heard B)" 2
say A "ROLLBACK; BEGIN; SELECT tandem.ensure_partitions(7)"
same "one makes the next month" "$(heard A)" 2
say B "SET ROLE tandem_writer; $(insert_of erased 902 9902 0); RESET ROLE"
same "somebody writes while months are made" "$(heard B)" ""
say B "SELECT tandem.ensure_partitions(7)"
succeeds "another waits for it" session_blocks B
say A "COMMIT"
heard A >/dev/null
same "and has nothing left to do" "$(heard B)" 0

# A long transaction in the way is not waited for.
say A "BEGIN; LOCK TABLE tandem.entry IN SHARE UPDATE EXCLUSIVE MODE"
heard A >/dev/null
say B "SELECT tandem.ensure_partitions(8)"
same "months give up after two seconds" "$(heard B)" "ERROR:  55P03"
say A "ROLLBACK"
heard A >/dev/null

sessions_stop
