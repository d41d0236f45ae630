#!/bin/sh
# Measure Tandem against the floor of the same machine in the same minute.
#
#     make bench
#
# Builds the load generator, then bench.py starts modelsim, tandemd and two
# lighttpd in a temporary folder, measures for less than 90 s, prints a table,
# writes build/bench/result.json and stops what it started.
set -eu
cd "$(dirname "$0")/../.."

build=${TANDEM_BUILD:-build/gcc}
mkdir -p build/bench

${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Ilib \
    -o build/bench/load tests/bench/load.c "$build/lib.a"

TANDEM_BUILD=$build PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/support \
    exec /usr/bin/python3 tests/bench/bench.py
