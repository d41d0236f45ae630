#!/bin/sh
# Measure Tandem against the floor of the same machine in the same minutes.
#
#     tests/bench/run.sh [section ...]      see bench.py
#
# Builds the load generator and the floor, then bench.py starts modelsim,
# tandemd, web servers and databases in temporary folders, measures, and stops
# what it started.  Results are in build/bench/.
set -eu
cd "$(dirname "$0")/../.."

build=${TANDEM_BUILD:-build/gcc}
mkdir -p build/bench

compile() {
    program=$1
    shift
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Ilib -Itests \
        -isystem "$(pg_config --includedir)" -o "build/bench/$program" "$@"
}

bench=tests/bench
compile load $bench/load.c $bench/plan.c $bench/answer.c $bench/samples.c \
    "$build/lib.a"
compile floor $bench/floor.c $bench/calls.c $bench/store.c \
    $bench/store_lite.c $bench/store_pg.c "$build/lib.a" \
    -lfcgi -lcurl -ljansson -lsqlite3 -lpq

TANDEM_BUILD=$build PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/support \
    exec /usr/bin/python3 tests/bench/bench.py "$@"
