#!/bin/sh
# conf/dev/run.sh on a PostgreSQL of its own: a private cluster with the schema of
# sql/, made for this run and gone afterwards.
#
#     conf/dev/run_pg.sh      after the programs have been built
set -u
cd "$(dirname "$0")/../.."

. tests/sql/cluster.sh

# PostgreSQL does not run as root, and its own user may not come into var/; a
# socket's name has to be short.
choose_place() {
    parent=$PWD/var
    [ "$(id -u)" -ne 0 ] && [ ${#parent} -lt 60 ] || return 0
    mkdir -p "$parent" && CLUSTER_PARENT=$parent
}

run_pid=
ending=

# A child in the background does not hear Ctrl-C; each signal is passed on.
pass_on() {
    ending=yes
    [ -z "$run_pid" ] || kill -TERM "$run_pid" 2>/dev/null
}

trap cluster_stop EXIT
trap pass_on INT TERM HUP

choose_place
echo "Starting a private PostgreSQL; its ledger is gone when this ends."
cluster_start || exit 1
cluster_deploy ledger "$PWD/sql" || exit 1
[ -z "$ending" ] || exit 130

export DATABASE_URL="postgresql:///ledger?host=$cluster_folder&user=scribe"
export DATABASE_READER_URL="postgresql:///ledger?host=$cluster_folder&user=auditor"
echo "Database: psql -h $cluster_folder -U super ledger"
unset PGHOST PGUSER PGDATABASE PGOPTIONS PGCONNECT_TIMEOUT
conf/dev/run.sh &
run_pid=$!

# Each signal ends a wait before its time.
code=0
wait "$run_pid" || code=$?
while kill -0 "$run_pid" 2>/dev/null; do
    code=0
    wait "$run_pid" || code=$?
done
exit "$code"
