#!/bin/sh
# Run every fuzz target named on the command line for FUZZ_S seconds, as many at
# once as there are processors, and say how far each came.  An input that breaks
# one is kept beside the program; put it into the corpus with the mend.
set -eu
cd "$(dirname "$0")/../.."

seconds=${FUZZ_S:-60}
outputs=$(mktemp -d)
trap 'rm -rf "$outputs"' EXIT

fuzz_one() {
    name=$(basename "$1")
    corpus=tests/fuzz/corpus/${name#fuzz_}
    mkdir "$outputs/$name.found"
    if "$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -max_len=4096 -print_final_stats=1 -artifact_prefix="$1-" \
        "$outputs/$name.found" "$corpus" >"$outputs/$name" 2>&1; then
        awk -v name="$name" '
            /stat::number_of_executed_units/ { runs = $2 }
            /stat::average_exec_per_sec/ { rate = $2 }
            END { printf "%-13s %10d executions, %6d a second\n",
                  name, runs, rate }' "$outputs/$name"
    else
        echo "$name: FAILED"
        tail -n 60 "$outputs/$name"
        touch "$outputs/failed"
    fi
}

running=0
for target in "$@"; do
    fuzz_one "$target" &
    running=$((running + 1))
    [ $((running % ${FUZZ_JOBS:-$(nproc)})) -ne 0 ] || wait
done
wait
[ ! -e "$outputs/failed" ]
