# A private PostgreSQL 15 in a temporary folder, for sourcing.
#
#     cluster_start        sets PGHOST and, for the superuser, PGUSER=super
#     cluster_down MODE    stops the server as pg_ctl does: fast, immediate
#     cluster_up           starts it again
#     cluster_stop         ends it and removes the folder; call it from a trap
#     cluster_deploy NAME FOLDER    makes a database with the ledger's schema,
#                          by the scripts in FOLDER that DBAs run, and logins
#
# Reached through a socket in the folder and no port, by CLUSTER_CONNECTIONS at
# once (30).  Durable as a real one: fsync stays on, because the verify scripts
# look.

cluster_folder=
cluster_user=

# PostgreSQL does not run as root.
as_cluster_user() {
    if [ -n "$cluster_user" ]; then
        setpriv --reuid="$cluster_user" --regid="$(id -g "$cluster_user")" \
            --clear-groups -- "$@"
    else
        "$@"
    fi
}

cluster_find_programs() {
    for cluster_bin in /usr/lib/postgresql/15/bin "$(pg_config --bindir \
        2>/dev/null || true)"; do
        [ -x "$cluster_bin/initdb" ] && return 0
    done
    echo "PostgreSQL 15 is not installed (Debian: postgresql)" >&2
    return 1
}

cluster_ctl() {
    (
        cd "$cluster_folder" &&
            as_cluster_user "$cluster_bin/pg_ctl" --pgdata=data --wait \
                --timeout=30 --silent "$@"
    )
}

cluster_up() {
    cluster_ctl --log=log --options="-k $cluster_folder -c listen_addresses= \
        -c max_connections=${CLUSTER_CONNECTIONS:-30} \
        -c shared_buffers=32MB" start
}

cluster_down() {
    cluster_ctl --mode="$1" stop
}

# In a new folder in CLUSTER_PARENT when that is set.
cluster_start() {
    cluster_find_programs || return 1
    cluster_folder=$(mktemp -d \
        "${CLUSTER_PARENT:-${TMPDIR:-/tmp}}/tandem-pg.XXXXXX") || return 1
    if [ "$(id -u)" -eq 0 ]; then
        cluster_user=nobody
        ! id -u postgres >/dev/null 2>&1 || cluster_user=postgres
        chown "$cluster_user" "$cluster_folder"
    fi
    {
        (
            cd "$cluster_folder"
            as_cluster_user "$cluster_bin/initdb" --pgdata=data \
                --username=super --auth=trust --encoding=UTF8 \
                --locale=C.UTF-8 --no-sync --no-instructions
        ) && cluster_up
    } >"$cluster_folder.out" 2>&1 || {
        cat "$cluster_folder.out" "$cluster_folder/log" >&2
        return 1
    }
    PGHOST=$cluster_folder PGUSER=super PGDATABASE=postgres
    PGOPTIONS= PGCONNECT_TIMEOUT=10
    export PGHOST PGUSER PGDATABASE PGOPTIONS PGCONNECT_TIMEOUT
    unset PGPORT PGSERVICE PGPASSWORD
}

cluster_stop() {
    [ -n "$cluster_folder" ] || return 0
    [ ! -e "$cluster_folder/data/postmaster.pid" ] ||
        cluster_down immediate || true
    rm -rf "$cluster_folder" "$cluster_folder.out"
    cluster_folder=
}

# Passwords are not asked for on a socket in a private folder.
cluster_deploy() {
    createdb "$1" || return 1
    for cluster_file in roles $(sed 's|^|deploy/|' "$2/ORDER") grants; do
        psql -X -q -v ON_ERROR_STOP=1 -d "$1" -f "$2/$cluster_file.sql" ||
            return 1
    done
    psql -X -q -v ON_ERROR_STOP=1 -d "$1" <<'SQL'
CREATE ROLE scribe LOGIN IN ROLE tandem_writer;
CREATE ROLE reader LOGIN IN ROLE tandem_reader;
CREATE ROLE auditor LOGIN IN ROLE tandem_auditor;
SQL
}
