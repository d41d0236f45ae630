#!/bin/sh
# Run all of Tandem from a checkout until Ctrl-C: a web server, tandemd and,
# unless a real provider is configured, modelsim.
#
#     conf/dev/run.sh         after the programs have been built
#
#     PORT    where to listen on this machine (8080)
#     B       folder of the programs (build/gcc)
#     and every option of tandemd, such as GEMINI_API_KEY or LOG_LEVEL
set -u
cd "$(dirname "$0")/../.."

PORT=${PORT:-8080}
B=${B:-build/gcc}
START_S=20  # longest wait for a program to get ready
GONE_S=3    # longest wait for one that was told to go at once
lighttpd=$(PATH=$PATH:/usr/sbin:/sbin command -v lighttpd)

say() { printf '%s\n' "$*"; }

refuse() {
    say "$*" >&2
    exit 1
}

# ---- before anything is started ----------------------------------------------

check_port() {
    case $PORT in
    '' | *[!0-9]*) refuse "PORT=$PORT is not a number." ;;
    esac
    if [ "$PORT" -lt 1 ] || [ "$PORT" -gt 65535 ]; then
        refuse "PORT=$PORT is not between 1 and 65535."
    fi
    reason=$(python3 - "$PORT" 2>&1 <<'PYTHON'
import socket, sys
probe = socket.socket()
probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    probe.bind(("127.0.0.1", int(sys.argv[1])))
    probe.listen()
except OSError as error:
    sys.exit(error.strerror)
PYTHON
    ) && return
    case $reason in
    *"in use"*)
        refuse "Port $PORT is in use. Choose another one:" \
            "PORT=$((PORT % 65535 + 1)) make run" ;;
    *) refuse "Port $PORT cannot be used: $reason." ;;
    esac
}

check_programs() {
    for program in "$B/tandemd" "$B/tandemctl" "$B/modelsim" "$lighttpd"; do
        [ -x "$program" ] && continue
        refuse "${program:-lighttpd} is missing. Run \`make run\`," \
            "which builds and installs what is needed."
    done
}

# The same order as in tandemd, but a lone PROJECT_ID is no sign of Vertex AI.
choose_provider() {
    if [ -n "${GOOGLE_APPLICATION_CREDENTIALS:-}" ] &&
        [ -n "${PROJECT_ID:-}" ]; then
        provider=vertex
        name="Vertex AI (project $PROJECT_ID)"
    elif [ -n "${GEMINI_API_KEY:-}" ]; then
        provider=gemini
        name="the Gemini API"
    elif [ -n "${OPENAI_BASE_URL:-}" ]; then
        provider=openai
        name="the OpenAI-compatible server at $OPENAI_BASE_URL"
    else
        provider=gemini
        name="modelsim, a simulated provider. For real ones set\
 GEMINI_API_KEY, GOOGLE_APPLICATION_CREDENTIALS and PROJECT_ID,\
 or OPENAI_BASE_URL"
        simulated=yes
    fi
    say "Provider: $name."
}

# Paths are relative, so that a deep checkout does not exceed what fits into the
# name of a unix socket.  Whoever holds the lock owns the folder.
choose_folder() {
    folder=var
    mkdir -p "$folder" || exit 1
    exec 9>"$folder/lock"
    flock -n 9 && return
    folder=var/$PORT
    mkdir -p "$folder" || exit 1
    exec 9>"$folder/lock"
    flock -n 9 || refuse "Tandem already runs from this checkout, in $folder."
    say "Another run uses var/; this one keeps its state in $folder/."
}

make_folders() {
    mkdir -p "$folder/run" "$folder/log" "$folder/uploads" "$folder/empty" &&
        chmod 0700 "$folder" || exit 1
    for program in modelsim tandemd lighttpd; do
        if [ -f "$folder/log/$program.log" ]; then
            mv -f "$folder/log/$program.log" "$folder/log/$program.log.1"
        fi
    done
}

# ---- children ----------------------------------------------------------------

modelsim_pid= tandemd_pid= lighttpd_pid= pause_pid=
ending=

# A child that has ended stays a zombie until it is waited for.
is_alive() {
    [ -n "$1" ] || return 1
    { read -r _ _ state _ <"/proc/$1/stat"; } 2>/dev/null && [ "$state" != Z ]
}

# Sleeps, but a signal ends it at once.
pause() {
    sleep "$1" 9>&- &
    pause_pid=$!
    wait "$pause_pid" || kill "$pause_pid" 2>/dev/null
    pause_pid=
}

# Each gets a session of its own: Ctrl-C reaches this script, which then stops
# them in order.
start() {
    name=$1
    shift
    : >"$folder/log/$name.log"
    setsid "$@" >>"$folder/log/$name.log" 2>&1 </dev/null &
    eval "${name}_pid=$!"
}

died() {
    say "$1 has stopped; its log is $folder/log/$1.log and ends:" >&2
    tail -n 3 "$folder/log/$1.log" | cut -c 1-300 | sed 's/^/    /' >&2
    stop_all
    exit 1
}

# until NAME COMMAND...: asks until COMMAND succeeds.
until_ready() {
    name=$1
    shift
    eval "pid=\$${name}_pid"
    tries=$((START_S * 20))
    until "$@"; do
        is_alive "$pid" || died "$name"
        [ -z "$ending" ] || interrupted
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ]; then
            say "$name was not ready within $START_S s." >&2
            died "$name"
        fi
        pause 0.05
    done
}

# stop_one PID SECONDS: waits for it; -9 comes after that many seconds, sooner
# after a second Ctrl-C.
stop_one() {
    left=$(($2 * 20))
    while is_alive "$1"; do
        if [ "$ending" = hurry ] && [ "$left" -gt $((GONE_S * 20)) ]; then
            kill -TERM "$1" 2>/dev/null
            left=$((GONE_S * 20))
        fi
        [ "$left" -gt 0 ] || kill -KILL "$1" 2>/dev/null
        left=$((left - 1))
        pause 0.05
    done
    wait "$1" 2>/dev/null
}

# lighttpd first and gracefully: it lets streams end, and nobody new comes in.
stop_all() {
    ending=${ending:-stop}
    if is_alive "$lighttpd_pid"; then
        kill -INT "$lighttpd_pid"
        stop_one "$lighttpd_pid" 70
    fi
    if is_alive "$tandemd_pid"; then
        kill -TERM "$tandemd_pid"
        stop_one "$tandemd_pid" 90
    fi
    if is_alive "$modelsim_pid"; then
        kill -TERM "$modelsim_pid"
        stop_one "$modelsim_pid" "$GONE_S"
    fi
}

interrupted() {
    say ""
    say "Stopping: running queries end first (again: cut them short)."
    stop_all
    if [ -n "${DATABASE_URL:-}" ]; then
        say "Stopped. The record is in PostgreSQL."
    else
        say "Stopped. The record is in $folder/ledger.db."
    fi
    exit 0
}

on_signal() {
    if [ -z "$ending" ]; then
        ending=stop
    else
        ending=hurry
    fi
}

# ---- start -------------------------------------------------------------------

answers() { curl -fsS -m 2 -o /dev/null "$1" 2>/dev/null; }

simulated_url() {
    sim_url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' \
        "$folder/log/modelsim.log")
    [ -n "$sim_url" ]
}

start_modelsim() {
    start modelsim "$B/modelsim" --port 0
    until_ready modelsim simulated_url
    export GEMINI_API_KEY=modelsim GEMINI_BASE_URL="$sim_url"
    unset FLASH_BASE_URL PRO_BASE_URL PROJECT_ID
    FLASH_PROVIDER=gemini
    PRO_PROVIDER=gemini
}

start_tandemd() {
    export FLASH_PROVIDER="${FLASH_PROVIDER:-$provider}"
    export PRO_PROVIDER="${PRO_PROVIDER:-$provider}"
    export STATE_DIR="$folder"
    export STREAM_SOCKET="$folder/run/stream.sock"
    export CONTROL_SOCKET="$folder/run/control.sock"
    export SCRIBE_SOCKET="$folder/run/scribe.sock"
    unset LOG_FILE
    start tandemd "$B/tandemd"
    until_ready tandemd test -S "$CONTROL_SOCKET"
}

start_lighttpd() {
    sed 's|^var.tandem_sockets = .*|var.tandem_sockets = env.TANDEM_SOCKETS|' \
        conf/lighttpd/tandem.conf >"$folder/run/lighttpd.conf"
    export TANDEM_PORT="$PORT" TANDEM_SOCKETS="$folder/run"
    export TANDEM_SNIPPET="$PWD/$folder/run/lighttpd.conf"
    export TANDEM_EMPTY="$folder/empty" TANDEM_UPLOADS="$folder/uploads"
    start lighttpd "$lighttpd" -D -f conf/dev/lighttpd.conf
    until_ready lighttpd answers "http://127.0.0.1:$PORT/readyz"
}

tell() {
    key=
    [ "${ENABLE_AUTH:-}" != true ] || key="-H \"X-API-Key: \$API_KEY\" "
    url=http://localhost:$PORT
    check="Verify:   STATE_DIR=$folder $B/tandemctl verify"
    [ -z "${DATABASE_URL:-}" ] ||
        check="Runs:     $B/tandemctl runs, with the same DATABASE_READER_URL"
    cat <<TELL
Tandem runs. Ask it something:

    curl -N $url/api/reasoning/query $key-d '{"query":"why is the sky blue?","context":{}}'

Health:   $url/health
Listing:  $url/api/experiments
$check
Logs:     $folder/log/*.log
Stop:     Ctrl-C, or kill $$
TELL
}

watch() {
    while [ -z "$ending" ]; do
        is_alive "$tandemd_pid" || died tandemd
        is_alive "$lighttpd_pid" || died lighttpd
        [ -z "${simulated:-}" ] || is_alive "$modelsim_pid" || died modelsim
        pause 0.5
    done
}

simulated=
check_port
check_programs
choose_provider
choose_folder
make_folders
trap on_signal INT TERM HUP
[ -z "$simulated" ] || start_modelsim
start_tandemd
start_lighttpd
tell
watch
interrupted
