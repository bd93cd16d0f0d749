#!/usr/bin/env bash
# Stands for `docker compose -f FILE ...` over a bridge on this machine and a database of a shared PostgreSQL, for
# deploy/smoke.sh. FAKE_MODE lets one thing go wrong:
#
#   fail:WHAT   exits with 1 and does nothing
#   lie:WHAT    exits with 0 and does nothing
#
# WHAT is all, ps, stop, start, restart, stat, kill, shell, access or audit. Further variables: FAKE_DIR, the folder of the
# bridge; FAKE_BRIDGE, the program; FAKE_POSTGRES and FAKE_DATABASE, where the database is and its name.
set -uo pipefail
cd "$FAKE_DIR" || exit 1
[ "${1:-} ${2:-}" = "compose -f" ] || { echo "fake docker: not understood: $*" >&2 && exit 2; }
shift 3
what=$1
case "$*" in
*"cat /proc/1/stat") what=stat ;;
*"mcp-bridge access"*) what=access ;;
*"mcp-bridge audit"*) what=audit ;;
*"kill -9"*) what=kill ;;
exec*"sh -c"*) what=shell ;;
esac
mode=${FAKE_MODE:-}
if [ "${mode#*:}" = all ] || [ "${mode#*:}" = "$what" ]; then
    case $mode in
    fail:*) echo "fake docker: $what fails" >&2 && exit 1 ;;
    lie:*) exit 0 ;;
    esac
fi
sql() { psql -X -q -v ON_ERROR_STOP=1 "$FAKE_POSTGRES" "$@"; }
up() {
    "$FAKE_BRIDGE" serve >>log 2>&1 </dev/null &
    echo $! >pid
}
case $* in
up) up ;;
"ps -q bridge") echo 0123456789ab ;;
"ps --services"*) printf 'bridge\npostgres\n' ;;
"stop postgres")
    sql -c "ALTER DATABASE $FAKE_DATABASE ALLOW_CONNECTIONS false" \
        -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$FAKE_DATABASE'" >/dev/null
    ;;
"start postgres")
    echo x >>starts
    sql -c "ALTER DATABASE $FAKE_DATABASE ALLOW_CONNECTIONS true"
    ;;
"restart bridge")
    kill "$(cat pid)"
    while kill -0 "$(cat pid)" 2>/dev/null; do sleep 0.1; done
    up
    ;;
"exec -T bridge cat /proc/1/stat") cat "/proc/$(cat pid)/stat" ;;
"exec -T postgres cat /proc/1/stat") echo "1 (postgres) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 $(wc -l <starts) 0" ;;
# The machine has zombies of others.
*'State:.Z" /proc/'*) echo 0 ;;
"exec -T bridge "*) shift 3 && if [ "$1" = mcp-bridge ]; then shift && exec "$FAKE_BRIDGE" "$@"; else exec "$@"; fi ;;
*) echo "fake docker: not understood: $*" >&2 && exit 2 ;;
esac
