#!/bin/sh
# Everything that `make test` checks, in the order in which a mistake shows
# soonest.  Stops at the first stage that fails.
set -eu
cd "$(dirname "$0")/.."

jobs=$(nproc)
began=$(date +%s)

stage() {
    echo "== $* ($(($(date +%s) - began)) s)"
}

build() {
    make --no-print-directory -j"$jobs" VARIANT="$1" programs unit >"$2" 2>&1 || {
        cat "$2"
        exit 1
    }
}

log=$(mktemp)
fire_pid=
trap 'rm -f "$log"; [ -z "$fire_pid" ] || kill "$fire_pid" 2>/dev/null || :' EXIT

stage "sources: layers, format, manual pages"
tests/check_layers.sh
tests/check_format.sh
mandoc -Tlint -W warning docs/*.[158]

for variant in gcc clang asan; do
    stage "build with $variant"
    build "$variant" "$log"
    stage "unit tests, $variant"
    make --no-print-directory VARIANT="$variant" test-unit
done

stage "the schema for PostgreSQL"
tests/sql/run.sh

# Two minutes of rude clients, beside tests that mostly wait; the rest by itself,
# because it measures promises in time.
beside="tests/process/test_audit_policy.py tests/process/test_postgres_keys.py
    tests/process/test_slow_clients.py tests/process/test_faults_by_phase.py
    tests/process/test_one_name.py tests/e2e/test_doctor.py
    tests/e2e/test_proof.py"
fire=tests/process/test_fire.py
ignored=$(printf -- '--ignore=%s ' "$fire" $beside)

service() {
    TANDEM_BUILD=build/gcc TANDEM_BUILD_ASAN=build/asan TANDEM_VALGRIND=1 \
        /usr/bin/python3 -m pytest -q -p no:cacheprovider "$@"
}

stage "the whole service, under fire"
service "$fire" >"$log" 2>&1 &
fire_pid=$!
failed=0
service $beside || failed=1
wait "$fire_pid" || failed=1
fire_pid=
cat "$log"
[ "$failed" -eq 0 ]

stage "the whole service"
service $ignored tests/process tests/e2e

stage "all tests passed"
