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
trap 'rm -f "$log"' EXIT

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

stage "the whole service"
TANDEM_BUILD=build/gcc TANDEM_BUILD_ASAN=build/asan TANDEM_VALGRIND=1 \
    /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/process tests/e2e \
    tests/bench

stage "all tests passed"
