#!/bin/sh
# Run the unit tests named on the command line, a few at a time (they mostly
# wait), show what failed, count.
set -u
outputs=$(mktemp -d)
trap 'rm -rf "$outputs"' EXIT

printf '%s\n' "$@" | OUTPUTS=$outputs xargs -P 6 -I{} sh -c '
    name=$(basename "{}")
    if timeout 300 "{}" >"$OUTPUTS/$name" 2>&1; then
        mv "$OUTPUTS/$name" "$OUTPUTS/$name.passed"
    fi'

passed=0
failed=0
for output in "$outputs"/*; do
    case $output in
    *.passed) passed=$((passed + 1)) ;;
    *)
        failed=$((failed + 1))
        echo "FAILED: $(basename "$output")"
        grep -v 'RUN  \|   OK ]' "$output" | tail -n 40
        ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq "$#" ]
