#!/bin/sh
# A private PostgreSQL for one test, which tells it what to do on standard input:
#
#     deploy NAME    a database with the ledger's schema and its logins
#     down MODE      stop the server: fast, immediate
#     up             start it again
#
# Says "ready FOLDER" at the start (the folder of its socket; the superuser is
# "super"), then a line for each command: "done", or "failed" and why on standard
# error.  Ends with its standard input.
set -u
here=$(cd "$(dirname "$0")" && pwd)

. "$here/../sql/cluster.sh"

trap cluster_stop EXIT
trap 'exit 130' INT TERM HUP

cluster_start || exit 1
echo "ready $cluster_folder"
while read -r command argument; do
    case $command in
    deploy) cluster_deploy "$argument" "$here/../../sql" ;;
    down) cluster_down "$argument" ;;
    up) cluster_up ;;
    *) false ;;
    esac >&2 </dev/null && echo "done" || echo "failed"
done
