#!/bin/sh
# For whoever changes a script before its release: writes hashes.psql, which the
# steps read their own hash from, and SHA256SUMS.  A released step never changes.
set -eu
cd "$(dirname "$0")"

{
    echo "-- What each step records in tandem.schema_version when nobody passes"
    echo "-- -v sha256_NNNN.  Made by make_hashes.sh; SHA256SUMS has the same."
    while read -r step; do
        hash=$(sha256sum "deploy/$step.sql" | cut -c1-64)
        echo "\\set sha256_${step%%_*} '$hash'"
    done <ORDER
} >hashes.psql

sha256sum ORDER sqitch.conf sqitch.plan roles.sql grants.sql hashes.psql \
    deploy/*.sql revert/*.sql verify/*.sql >SHA256SUMS
