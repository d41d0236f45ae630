#!/bin/sh
# Run the unit tests named on the command line, show what failed, count.
set -u
passed=0
failed=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

for test in "$@"; do
    if "$test" >"$output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $test"
        tail -n 60 "$output"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
