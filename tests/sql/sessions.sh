# Several psql sessions at the same time, each fed through a pipe; for sourcing.
#
#     session_open A DATABASE     say A "BEGIN"     heard A
#     session_blocks B            sessions_stop
#
# heard prints what a session has answered since the last time; it waits for
# everything said before.  Needs $work.

sessions_open=
session_marks=0

session_open() {
    mkfifo "$work/$1.in"
    PGAPPNAME="session_$1" psql -X -q -At -U super -d "$2" \
        -v VERBOSITY=sqlstate <"$work/$1.in" >>"$work/$1.out" 2>&1 &
    eval "session_pid_$1=$!"
    case $1 in
    A) exec 7>"$work/A.in" ;;
    B) exec 8>"$work/B.in" ;;
    esac
    sessions_open="$sessions_open $1"
}

session_type() {
    case $1 in
    A) printf '%s\n' "$2" >&7 ;;
    B) printf '%s\n' "$2" >&8 ;;
    esac
}

say() {
    session_type "$1" "$2;"
}

# Polls COMMAND for at most ten seconds.
within_deadline() {
    tries=200
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

session_said() {
    grep -qx "$2" "$work/$1.out"
}

heard() {
    session_marks=$((session_marks + 1))
    session_type "$1" "\\warn mark $session_marks"
    within_deadline session_said "$1" "mark $session_marks" ||
        echo "nothing for ten seconds"
    grep -v '^mark ' "$work/$1.out"
    : >"$work/$1.out"
}

is_blocked() {
    [ "$(as_super -d postgres -c "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'session_$1'
            AND wait_event_type = 'Lock'")" = 1 ]
}

session_blocks() {
    within_deadline is_blocked "$1"
}

sessions_stop() {
    for session in $sessions_open; do
        case $session in
        A) exec 7>&- ;;
        B) exec 8>&- ;;
        esac
        eval "kill \$session_pid_$session 2>/dev/null"
        rm -f "$work/$session.in"
    done
    sessions_open=
}
