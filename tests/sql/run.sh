#!/bin/sh
# The PostgreSQL schema, from nothing to nothing, on a private cluster: deployed
# by psql and by sqitch, verified, taken back, deployed again, and tried by every
# role.  Usage: tests/sql/run.sh [-v].  Ends with "N passed, N failed".
#
# Everything but the making of logins and databases is done by the login dba,
# which is no superuser.
set -u
here=$(cd "$(dirname "$0")" && pwd)
sql=$(cd "$here/../../sql" && pwd)
verbose=${1:-}

. "$here/cluster.sh"
. "$here/sessions.sh"

passed=0
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/tandem-sql.XXXXXX") || exit 1

finish() {
    sessions_stop
    cluster_stop
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# ---- checks ----------------------------------------------------------------

ok() {
    passed=$((passed + 1))
    [ -z "$verbose" ] || echo "ok - $1"
}

# fail LABEL [FILE with what was said]
fail() {
    failed=$((failed + 1))
    echo "FAILED - $1"
    [ $# -lt 2 ] || sed 's/^/    /' "$2"
}

# succeeds LABEL COMMAND...
succeeds() {
    label=$1
    shift
    if "$@" >"$work/said" 2>&1; then ok "$label"; else fail "$label" "$work/said"; fi
}

# refuses LABEL PATTERN COMMAND...: fails, and says why.
refuses() {
    label=$1 pattern=$2
    shift 2
    if "$@" >"$work/said" 2>&1; then
        fail "$label: it was not refused" "$work/said"
    elif grep -q -e "$pattern" "$work/said"; then
        ok "$label"
    else
        fail "$label: it does not say $pattern" "$work/said"
    fi
}

# same LABEL FOUND WANTED
same() {
    if [ "$2" = "$3" ]; then ok "$1"; else fail "$1: found $2, wanted $3"; fi
}

# ---- the scripts -----------------------------------------------------------

steps=$(cat "$sql/ORDER")
steps_back=$(echo "$steps" | tac)

as_super() {
    psql -X -q -At -v ON_ERROR_STOP=1 -U super "$@"
}

# script DATABASE FILE [OPTION...], as a DBA runs it
script() {
    database=$1 file=$2
    shift 2
    psql -X -q -v ON_ERROR_STOP=1 "$@" -U dba -d "$database" -f "$sql/$file"
}

# each DATABASE FOLDER STEPS [OPTION...]
each() {
    database=$1 folder=$2 which=$3
    shift 3
    for step in $which; do
        script "$database" "$folder/$step.sql" "$@" || return 1
    done
}

schema_of() {
    pg_dump -s -N sqitch -U super "$1" | grep -v '^\\\(un\)\{0,1\}restrict '
}

make_database() {
    as_super -c "CREATE DATABASE $1 OWNER dba"
}

# ---- the parts -------------------------------------------------------------

check_hashes() {
    cd "$sql"
    succeeds "SHA256SUMS agrees with the files" sha256sum -c --quiet SHA256SUMS
    same "SHA256SUMS names every script" \
        "$(sed 's/^[0-9a-f]*  //' SHA256SUMS | sort)" \
        "$(find . -path ./sqlite -prune -o -path ./tests -prune -o \
            -name SHA256SUMS -prune -o -type f ! -name '*.md' \
            ! -name make_hashes.sh -print | sed 's|^\./||' | sort)"
    for step in $steps; do
        same "hashes.psql has the hash of $step" \
            "$(sed -n "s/^.set sha256_${step%%_*} '\(.*\)'/\1/p" hashes.psql)" \
            "$(sha256sum "deploy/$step.sql" | cut -c1-64)"
    done
    same "sqitch.plan has the steps of ORDER" \
        "$(sed -n 's/^\([0-9]\{4\}_[a-z_]*\) .*/\1/p' sqitch.plan)" "$steps"
    for file in roles.sql grants.sql deploy/*.sql revert/*.sql verify/*.sql; do
        succeeds "$file has time-outs" sh -c "grep -q 'SET LOCAL lock_timeout' \
            $file && grep -q 'SET LOCAL statement_timeout' $file"
    done
    cd "$here"
}

check_steps_by_psql() {
    make_database by_psql
    schema_of by_psql >"$work/empty"
    refuses "a step without roles is refused" "Run roles.sql first" \
        script by_psql deploy/0001_foundation.sql
    succeeds "roles.sql" script by_psql roles.sql
    succeeds "roles.sql again" script by_psql roles.sql
    refuses "a login outside tandem_owner is refused" "not a member" \
        psql -X -U outsider -d by_psql -f "$sql/deploy/0001_foundation.sql"
    refuses "the second step first is refused" \
        "needs step 0001_foundation first" \
        script by_psql deploy/0002_tables.sql
    succeeds "deploy by psql" each by_psql deploy "$steps"
    schema_of by_psql >"$work/before_grants"
    refuses "without grants.sql verification fails" "missing: INSERT on entry" \
        script by_psql verify/grants.sql
    succeeds "grants.sql" script by_psql grants.sql
    succeeds "grants.sql again" script by_psql grants.sql
    succeeds "verify by psql" each by_psql verify "$steps grants"
    schema_of by_psql >"$work/by_psql"
    for step in $steps; do
        refuses "$step twice is refused" "$step is already in" \
            script by_psql "deploy/$step.sql"
    done
    same "the recorded hashes are those of SHA256SUMS" \
        "$(as_super -d by_psql -F ' ' -c "SELECT file_sha256 || '  deploy/' \
            || step || '.sql' FROM tandem.schema_version ORDER BY version")" \
        "$(grep ' deploy/' "$sql/SHA256SUMS")"
    same "the login is recorded" "$(as_super -d by_psql -c \
        'SELECT DISTINCT deployed_by FROM tandem.schema_version')" dba
    refuses "a step in the middle is not taken back" "later steps" \
        script by_psql revert/0003_insert_only.sql
}

check_way_back() {
    succeeds "revert by psql" each by_psql revert "$steps_back"
    schema_of by_psql >"$work/reverted"
    succeeds "revert leaves nothing" diff "$work/empty" "$work/reverted"
    refuses "what is not in is not taken back" "not in" \
        script by_psql revert/0008_checkpoint.sql
    refuses "what is not in does not verify" ERROR \
        script by_psql verify/0001_foundation.sql
    each by_psql deploy "$(echo "$steps" | head -n 3)" >/dev/null 2>&1
    refuses "grants.sql needs the last step" "needs step" \
        script by_psql grants.sql
    succeeds "deploy by psql again, with a hash from outside" \
        each by_psql deploy "$(echo "$steps" | tail -n +4)" \
        -v sha256_0004="$(printf '%064d' 4)"
    same "the hash from outside is recorded" "$(as_super -d by_psql -c \
        'SELECT file_sha256 FROM tandem.schema_version WHERE version = 4')" \
        "$(printf '%064d' 4)"
    schema_of by_psql >"$work/again"
    succeeds "deploying again gives the same" \
        diff "$work/before_grants" "$work/again"
    script by_psql grants.sql
}

by_sqitch() {
    (cd "$sql" && SQITCH_USER_CONFIG=/dev/null SQITCH_SYSTEM_CONFIG=/dev/null \
        SQITCH_FULLNAME=DBA SQITCH_EMAIL=dba@example.org PGUSER=dba \
        sqitch "$@" db:pg:by_sqitch)
}

check_sqitch() {
    if ! command -v sqitch >/dev/null || ! perl -MDBD::Pg -e 1 2>/dev/null; then
        echo "SKIPPED: sqitch (Debian: sqitch libdbd-pg-perl) is not installed"
        return
    fi
    make_database by_sqitch
    succeeds "sqitch deploy --verify" by_sqitch deploy --verify
    script by_sqitch grants.sql
    succeeds "sqitch verify" by_sqitch verify
    succeeds "sqitch check" by_sqitch check
    schema_of by_sqitch >"$work/by_sqitch"
    succeeds "psql and sqitch give the same" \
        diff "$work/by_psql" "$work/by_sqitch"
    same "and record the same" \
        "$(as_super -d by_sqitch -c "SELECT version, step, file_sha256, \
            deployed_by FROM tandem.schema_version ORDER BY version" |
            sha256sum)" \
        "$(as_super -d by_psql -c "SELECT version, step, file_sha256, \
            deployed_by FROM tandem.schema_version ORDER BY version" |
            sed "s/0\{63\}4/$(sed -n "s/^.set sha256_0004 '\(.*\)'/\1/p" \
                "$sql/hashes.psql")/" | sha256sum)"
    succeeds "sqitch revert" by_sqitch revert -y
    schema_of by_sqitch >"$work/reverted"
    succeeds "sqitch revert leaves nothing" diff "$work/empty" "$work/reverted"
    succeeds "sqitch deploy again" by_sqitch deploy
    script by_sqitch grants.sql
    schema_of by_sqitch >"$work/again"
    succeeds "which gives the same" diff "$work/by_psql" "$work/again"
}

# A file of sql/tests: each line of it is a check.
check_file() {
    if ! as_super -d by_psql -f "$sql/tests/$1.sql" >"$work/said" 2>&1; then
        fail "sql/tests/$1.sql ended early" "$work/said"
        return
    fi
    passed=$((passed + $(grep -c '^ok - ' "$work/said")))
    failed=$((failed + $(grep -vc '^ok - ' "$work/said")))
    if [ -n "$verbose" ]; then cat "$work/said"; else
        grep -v '^ok - ' "$work/said"
    fi
}

# As a program would connect, with a login that a DBA made.
check_login() {
    succeeds "a DBA makes the login of a writer" psql -X -q -U dba -d by_psql \
        -c "CREATE ROLE scribe LOGIN" -c "GRANT tandem_writer TO scribe"
    insert=$(as_super -d by_psql -c \
        "SELECT tandem_test.entry_insert('accepted', 950, 950)")
    for what in "a writer adds" "and may try again"; do
        succeeds "$what" psql -X -q -U scribe -d by_psql \
            -v ON_ERROR_STOP=1 -c "$insert"
    done
    for what in "SELECT FROM tandem.entry" "SELECT FROM tandem.content" \
        "SET ROLE tandem_owner" "SET session_replication_role = replica" \
        "CREATE SCHEMA mine"; do
        refuses "a writer is refused: $what" "permission denied" \
            psql -X -q -U scribe -d by_psql -v ON_ERROR_STOP=1 -c "$what"
    done
}

# spoiled FILE LABEL PATTERN SPOIL MEND: verification notices.
spoiled() {
    as_super -d by_psql -c "$4" >"$work/said" 2>&1 ||
        fail "$2: could not be done" "$work/said"
    refuses "verify notices: $2" "$3" script by_psql "verify/$1.sql"
    as_super -d by_psql -c "$5" >"$work/said" 2>&1 ||
        fail "$2: could not be mended" "$work/said"
}

check_verify_notices() {
    month=$(date -u +%Y_%m)
    mend="SET ROLE tandem_owner; SELECT tandem.protect('tandem.entry_$month')"
    spoiled 0003_insert_only "a trigger that is off" "insert_only on tandem.entry_$month" \
        "ALTER TABLE tandem.entry_$month DISABLE TRIGGER insert_only" "$mend"
    spoiled 0003_insert_only "a trigger that replication skips" "(mode O)" \
        "ALTER TABLE tandem.entry_$month ENABLE TRIGGER insert_only" "$mend"
    spoiled 0004_partitions "a partition that may be truncated" \
        "not protected: entry_$month" \
        "DROP TRIGGER no_truncate ON tandem.entry_$month" "$mend"
    spoiled 0003_insert_only "claims that are not made" "claim_run" \
        "ALTER TABLE tandem.entry DISABLE TRIGGER claim_run" \
        "ALTER TABLE tandem.entry ENABLE TRIGGER claim_run"
    spoiled 0003_insert_only "a trigger too many" "more on tandem.content" \
        "CREATE TRIGGER more BEFORE INSERT ON tandem.content FOR EACH ROW \
         EXECUTE FUNCTION tandem.refuse_change()" \
        "DROP TRIGGER more ON tandem.content"
    spoiled 0003_insert_only "a rule" "rewrite rule" \
        "CREATE RULE more AS ON INSERT TO tandem.run_claim DO INSTEAD NOTHING" \
        "DROP RULE more ON tandem.run_claim"
    spoiled 0003_insert_only "a function of somebody else" "claim_run()" \
        "ALTER FUNCTION tandem.claim_run() OWNER TO dba" \
        "ALTER FUNCTION tandem.claim_run() OWNER TO tandem_owner"
    spoiled 0013_checks "a check that is gone" "is_entry on tandem.entry" \
        "ALTER TABLE tandem.entry DROP CONSTRAINT entry_is_entry" \
        "ALTER TABLE tandem.entry ADD CONSTRAINT entry_is_entry CHECK \
         (tandem.is_entry(idx, kind, run_id, status, started_at, leaf_hash))"
    spoiled 0013_checks "a check that was not made of all rows" \
        "is_content on tandem.content" \
        "BEGIN; ALTER TABLE tandem.content DROP CONSTRAINT content_is_content; \
         ALTER TABLE tandem.content ADD CONSTRAINT content_is_content CHECK \
         (tandem.is_content(part, salt)) NOT VALID; COMMIT" \
        "ALTER TABLE tandem.content VALIDATE CONSTRAINT content_is_content"
    spoiled 0012_plain "a trigger that never looks" "same_place on" \
        "BEGIN; DROP TRIGGER same_place ON tandem.entry; \
         CREATE TRIGGER same_place BEFORE INSERT ON tandem.entry FOR EACH ROW \
         WHEN (false) EXECUTE FUNCTION tandem.refuse_other_entry(); COMMIT" \
        "BEGIN; DROP TRIGGER same_place ON tandem.entry; \
         CREATE TRIGGER same_place BEFORE INSERT ON tandem.entry FOR EACH ROW \
         WHEN (current_setting('tandem.plain_insert', true) IS DISTINCT FROM \
         'on') EXECUTE FUNCTION tandem.refuse_other_entry(); COMMIT"
    spoiled 0015_settings "a batch that does not wait for the disk" "COMMIT" \
        "ALTER FUNCTION tandem.scribe_settings(bigint) \
         SET synchronous_commit = off" \
        "ALTER FUNCTION tandem.scribe_settings(bigint) \
         RESET synchronous_commit"
    spoiled 0016_compression "a month that is compressed in another way" \
        "entry_$month" \
        "ALTER TABLE tandem.entry_$month ALTER COLUMN body \
         SET COMPRESSION pglz" \
        "ALTER TABLE tandem.entry_$month ALTER COLUMN body SET COMPRESSION lz4"
    spoiled 0002_tables "a DEFAULT partition" "DEFAULT" \
        "CREATE TABLE tandem.entry_rest PARTITION OF tandem.entry DEFAULT; \
         ALTER TABLE tandem.entry_rest OWNER TO tandem_owner" \
        "DROP TABLE tandem.entry_rest"
    spoiled 0004_partitions "a partition that spans two months" "span" \
        "CREATE TABLE tandem.entry_2999_01 PARTITION OF tandem.entry \
         FOR VALUES FROM ('2999-01-01Z') TO ('2999-03-01Z')" \
        "DROP TABLE tandem.entry_2999_01"
    spoiled 0002_tables "a writer who may change" "UPDATE" \
        "GRANT UPDATE ON tandem.entry TO tandem_writer" \
        "REVOKE UPDATE ON tandem.entry FROM tandem_writer"
    spoiled 0002_tables "a right on a partition" "entry_$month" \
        "GRANT INSERT ON tandem.entry_$month TO tandem_writer" \
        "REVOKE INSERT ON tandem.entry_$month FROM tandem_writer"
    spoiled grants "a writer who reads" "too much: SELECT on content" \
        "GRANT SELECT ON tandem.content TO tandem_writer" \
        "REVOKE SELECT ON tandem.content FROM tandem_writer"
    spoiled grants "a reader who reads texts" "experiment_runs.query" \
        "GRANT SELECT (query) ON tandem.experiment_runs TO tandem_reader" \
        "REVOKE SELECT (query) ON tandem.experiment_runs FROM tandem_reader"
    spoiled grants "a right that is missing" "missing: INSERT on content" \
        "REVOKE INSERT ON tandem.content FROM tandem_writer" \
        "SET ROLE tandem_owner; GRANT INSERT ON tandem.content TO tandem_writer"
    spoiled 0005_retirement "a function for everybody" "retire_partition" \
        "GRANT EXECUTE ON FUNCTION tandem.retire_partition TO PUBLIC" \
        "REVOKE EXECUTE ON FUNCTION tandem.retire_partition FROM PUBLIC"
    spoiled 0001_foundation "a schema for everybody" "everybody" \
        "GRANT USAGE ON SCHEMA tandem TO PUBLIC" \
        "REVOKE USAGE ON SCHEMA tandem FROM PUBLIC"
    as_super -c "ALTER SYSTEM SET full_page_writes = off"
    spoiled 0001_foundation "torn pages" "full_page_writes" \
        "SELECT pg_reload_conf(), pg_sleep(0.2)" "SELECT 1"
    as_super -c "ALTER SYSTEM RESET full_page_writes" \
        -c "SELECT pg_reload_conf()" >/dev/null
    as_super -d by_psql -c "GRANT ALL ON tandem.content, tandem.entry_$month \
        TO outsider, PUBLIC; GRANT SELECT (body) ON tandem.content TO outsider"
    succeeds "grants.sql takes away what is too much" script by_psql grants.sql
    succeeds "and everything verifies" each by_psql verify "$steps grants"
}

check_revert_with_rows() {
    succeeds "the steps after the checkpoints keep the rows" each by_psql \
        revert "$(echo "$steps" | sed '1,/^0008/d' | tac)"
    count=$(as_super -d by_psql -c "SELECT count(*) FROM tandem.checkpoint")
    refuses "checkpoints are not dropped by slip" "confirm_data_loss=$count" \
        script by_psql revert/0008_checkpoint.sql
    succeeds "with the right count they are" script by_psql \
        revert/0008_checkpoint.sql -v confirm_data_loss="$count"
    refuses "admin entries keep their step" "admin entries" \
        script by_psql revert/0007_scribe.sql
    as_super -d by_psql -c "BEGIN" \
        -c "ALTER TABLE tandem.run_claim DISABLE TRIGGER insert_only" \
        -c "DELETE FROM tandem.run_claim WHERE class = 'admin'" \
        -c "ALTER TABLE tandem.run_claim ENABLE ALWAYS TRIGGER insert_only" \
        -c "COMMIT"
    for step in 0007_scribe 0006_experiment_runs 0005_retirement \
        0004_partitions; do
        succeeds "revert of $step keeps the rows" \
            script by_psql "revert/$step.sql"
    done
    rows=$(as_super -d by_psql -c "SELECT sum(n) FROM (
        SELECT count(*) AS n FROM tandem.entry
        UNION ALL SELECT count(*) FROM tandem.content
        UNION ALL SELECT count(*) FROM tandem.run_claim
        UNION ALL SELECT count(*) FROM tandem.legal_hold
        UNION ALL SELECT count(*) FROM tandem.legal_hold_release
        UNION ALL SELECT count(*) FROM tandem.verification
        UNION ALL SELECT count(*) FROM tandem.retired_partition) AS counts")
    refuses "a ledger with rows is not unprotected" "has $rows rows" \
        script by_psql revert/0003_insert_only.sql
    succeeds "the steps go back in over rows" \
        each by_psql deploy "$(echo "$steps" | tail -n +4)"
    succeeds "and the ledger verifies" each by_psql verify "$steps"
    each by_psql revert "$(echo "$steps" | tail -n +4 | tac)"
    refuses "nor with a wrong count" "confirm_data_loss=$rows" script by_psql \
        revert/0003_insert_only.sql -v confirm_data_loss=$((rows - 1))
    succeeds "with the right count it is" script by_psql \
        revert/0003_insert_only.sql -v confirm_data_loss="$rows"
    succeeds "protected again over rows" \
        script by_psql deploy/0003_insert_only.sql
    succeeds "which verifies" script by_psql verify/0003_insert_only.sql
    script by_psql revert/0003_insert_only.sql -v confirm_data_loss="$rows"
    refuses "a ledger with rows is not dropped" "has $rows rows" \
        script by_psql revert/0002_tables.sql
    succeeds "with the right count it is dropped" script by_psql \
        revert/0002_tables.sql -v confirm_data_loss="$rows"
    refuses "a retired partition is not dropped along" "cannot drop schema" \
        script by_psql revert/0001_foundation.sql
}

# ---- all of it -------------------------------------------------------------

check_hashes
if ! cluster_start; then
    fail "a private cluster starts"
else
    as_super -c "CREATE ROLE dba LOGIN CREATEROLE" \
        -c "CREATE ROLE outsider LOGIN CREATEROLE"
    check_steps_by_psql
    check_way_back
    check_sqitch
    succeeds "the helpers" as_super -d by_psql -f "$sql/tests/helpers.sql"
    for file in writing scribe keys grants insert_only partitions view; do
        check_file "$file"
    done
    check_login
    . "$here/check_sessions.sh"
    check_file retirement
    check_verify_notices
    as_super -d by_psql -c "DROP SCHEMA tandem_test CASCADE" 2>/dev/null
    check_revert_with_rows
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
