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
other=
trap 'rm -f "$log"; [ -z "$other" ] || kill "$other" 2>/dev/null || :' EXIT

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

export TANDEM_BUILD=build/gcc TANDEM_BUILD_ASAN=build/asan TANDEM_VALGRIND=1
service="/usr/bin/python3 -m pytest -q -p no:cacheprovider"

# Two lists of tests at once: most of them mostly wait, and those that measure
# promises in time know how late the machine is.
both() {
    $service $1 >"$log" 2>&1 &
    other=$!
    failed=0
    $service $2 || failed=1
    wait "$other" || failed=1
    other=
    cat "$log"
    [ "$failed" -eq 0 ]
}

# Two minutes of rude clients, with those beside them that wait the most.
fire=tests/process/test_fire.py
beside="tests/process/test_audit_policy.py tests/process/test_postgres_keys.py
    tests/process/test_slow_clients.py tests/process/test_faults_by_phase.py
    tests/process/test_one_name.py tests/e2e/test_doctor.py
    tests/e2e/test_proof.py"
ignored=$(printf -- '--ignore=%s ' "$fire" $beside)

stage "the whole service, under fire"
both "$fire" "$beside"

stage "the whole service"
both "$ignored tests/e2e" "$ignored tests/process"

stage "all tests passed"
