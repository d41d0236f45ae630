#!/bin/sh
# Fail when clang-format would change a source file.
set -eu
cd "$(dirname "$0")/.."
find app lib tests -name '*.[ch]' | sort |
    xargs clang-format --dry-run --Werror
