#!/usr/bin/env bash
# Does a running stack work, and does it survive? Prints a table; exit code 1 if anything in it failed.
#
#   deploy/smoke.sh                                  the stack of compose.hetzner.yml, from the folder it is in
#   deploy/smoke.sh --process PID --start 'COMMAND'  a bare process, which COMMAND starts again in its folder
#
# It restarts the database and the bridge and kills a child of it. Variables, in the environment or in `.env`:
#   MCP_API_KEY      a key that administers (needed)
#   BRIDGE_URL       http://127.0.0.1:8000
#   COMPOSE          docker compose -f compose.hetzner.yml
#   MCP_BRIDGE       the program with its options, for a bare process: mcp-bridge
#   SMOKE_CALL, SMOKE_BODY   a call that changes nothing: demo/roll_dice, {"count": 3}
#   SMOKE_CHILD      what the command line of its server has in it: demo-server
set -uo pipefail

COMPOSE=${COMPOSE:-docker compose -f compose.hetzner.yml}
MCP_BRIDGE=${MCP_BRIDGE:-mcp-bridge}
process=
start=
while [ $# -gt 0 ]; do
    case $1 in
    --process) process=${2:?a process id} && shift 2 ;;
    --start) start=${2:?a command} && shift 2 ;;
    *) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
done
# One variable of `.env`, unless the environment has it.
setting() {
    local value=${!1:-}
    if [ -z "$value" ] && [ -f .env ]; then value=$(sed -n "s/^$1=//p" .env | tail -1); fi
    printf '%s' "${value:-${2:-}}"
}
key=$(setting MCP_API_KEY)
url=$(setting BRIDGE_URL "http://127.0.0.1:$(setting BRIDGE_PORT 8000)")
call=${SMOKE_CALL:-demo/roll_dice}
body=${SMOKE_BODY:-'{"count": 3}'}
child=${SMOKE_CHILD:-demo-server}
if [ -z "$key" ]; then echo "error: MCP_API_KEY is not set, neither in the environment nor in .env" >&2 && exit 2; fi

passed=0
failed=0
skipped=0
row() { printf '%-6s  %-34s  %s\n' "$1" "$2" "$3"; }
ok() { passed=$((passed + 1)) && row ok "$1" "$2"; }
bad() { failed=$((failed + 1)) && row FAILED "$1" "$2"; }
skip() { skipped=$((skipped + 1)) && row - "$1" "$2"; }

answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
# ask KEY ARGUMENTS...: the status and the milliseconds; the body is in $answer. Keys are not shown to `ps`. A blank KEY
# is none.
ask() {
    local with=$1 out
    shift
    : >"$answer"
    out=$({ [ -z "$with" ] || printf 'header = "Authorization: Bearer %s"\n' "$with"; } |
        curl --silent --max-time 40 --output "$answer" --write-out '%{http_code} %{time_total}' --config - "$@")
    status=${out%% *}
    ms=$(awk -v s="${out##* }" 'BEGIN { printf "%d", s * 1000 }')
}
said() { head -c 160 "$answer" | tr '\n' ' '; }
# expect NAME STATUS KEY ARGUMENTS...
expect() {
    local name=$1 wanted=$2
    shift 2
    ask "$@"
    if [ "$status" = "$wanted" ]; then ok "$name" "$status in $ms ms"; else bad "$name" "$status, not $wanted: $(said)"; fi
}
# within SECONDS COMMAND...: until it succeeds.
within() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.2
    done
}
ready() { ask "$key" "$url/ready" && [ "$status" = 200 ]; }
works() { ask "$key" "$url/$call" --data "$body" && [ "$status" = 200 ]; }
number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$answer" | head -1; }
# Where the bridge is: a shell there, and its own command line.
inside() { if [ -n "$process" ]; then sh -c "$1"; else $COMPOSE exec -T bridge sh -c "$1"; fi; }
own() { if [ -n "$process" ]; then $MCP_BRIDGE "$@"; else $COMPOSE exec -T bridge mcp-bridge "$@"; fi; }
# The processes whose command line has $child in it; zombies have none.
children() {
    inside "for p in /proc/[0-9]*; do if { tr '\\0' ' ' <\$p/cmdline; } 2>/dev/null | grep -q -e '$child'; then
        grep -q '^PPid:.[1-9]' \$p/status && echo \${p#/proc/}; fi; done" | while read -r found; do
        if [ "$found" != "$$" ] && { [ -z "$process" ] || descends "$found"; }; then echo "$found"; fi
    done
}
descends() {
    local at=$1
    while [ "${at:-0}" -gt 1 ]; do
        [ "$at" = "$process" ] && return 0
        at=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$at/status" 2>/dev/null)
    done
    return 1
}
zombies() { inside 'grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null | wc -l'; }

row '' CHECK RESULT
# --- as it stands
if within 120 ready; then ok ready "200"; else bad ready "$status: $(said)"; fi
expect "health" 200 "$key" "$url/health"
if [ "$ms" -lt 500 ]; then ok "health, in less than 500 ms" "$ms ms"; else bad "health, in less than 500 ms" "$ms ms"; fi
if grep -q '"database":"connected"' "$answer"; then ok database connected; else bad database "$(said)"; fi
down=$(($(number backing_off) + $(number failed)))
summary="$(number ready) ready, $(number idle) idle, $(number disabled) off, $down down"
expect servers 200 "$key" "$url/servers"
if [ "$down" = 0 ]; then ok "no server is down" "$summary"; else
    bad "no server is down" "$summary: $(tr '{' '\n' <"$answer" | sed -n 's/.*"id":"\([^"]*\)".*"status":"\(failed\|backing_off\)".*/\1/p' | tr '\n' ' ')"
fi
expect "document of all tools" 200 "" "$url/openapi.json"
if grep -q "\"/$call\"" "$answer"; then ok "the tool is in it" "/$call"; else bad "the tool is in it" "/$call is not"; fi

# --- who may
expect "an allowed call" 200 "$key" "$url/$call" --data "$body"
expect "refused: no identity" 401 "" "$url/$call" --data "$body"
expect "refused: an unknown key" 401 "no-such-key" "$url/$call" --data "$body"
guest=$(own access key add "smoke-$$" 2>/dev/null)
# Another process made it: over SQLite it takes some seconds until it is known.
known() { ask "$guest" "$url/$call" --data "$body" && [ "$status" != 401 ]; }
if [ -n "$guest" ]; then
    within 15 known
    expect "refused: a key without a grant" 403 "$guest" "$url/$call" --data "$body"
    expect "refused: it may not administer" 403 "$guest" -X POST "$url/refresh"
else
    bad "refused: a key without a grant" "\`access key add\` made none"
fi
expect "an unknown tool" 404 "$key" "$url/${call%/*}/no_such_tool" --data '{}'
expect "refresh" 200 "$key" -X POST "$url/refresh"
expect "a call after it" 200 "$key" "$url/$call" --data "$body"

# --- a child dies
before=$(children | head -1)
if [ -z "$before" ]; then
    bad "kill of a child" "no process has \`$child\` in its command line"
else
    inside "kill -9 $before"
    t=$SECONDS
    if within 30 works; then ok "kill of a child" "calls work again after $((SECONDS - t)) s"; else bad "kill of a child" "$status: $(said)"; fi
    after=$(children | head -1)
    if [ -n "$after" ] && [ "$after" != "$before" ]; then ok "another one took its place" "$before, now $after"; else bad "another one took its place" "$before, now ${after:-none}"; fi
    expect "health meanwhile" 200 "$key" "$url/health"
fi
left=$(zombies | tr -d ' ')
if [ "${left:-0}" = 0 ]; then ok "no zombie" "none"; elif [ -n "$process" ]; then skip "no zombie" "$left on this machine"; else bad "no zombie" "$left"; fi

# --- the database goes and comes
if [ -n "$process" ]; then
    skip "restart of the database" "only with compose"
else
    $COMPOSE stop postgres >/dev/null 2>&1
    ask "$key" "$url/health"
    if [ "$status" = 200 ] && [ "$ms" -lt 500 ]; then ok "health without the database" "200 in $ms ms"; else bad "health without the database" "$status in $ms ms"; fi
    # A key of the configuration that may do everything needs no database; this one does.
    if [ -n "$guest" ]; then expect "grants are not guessed" 503 "$guest" "$url/$call" --data "$body"; fi
    $COMPOSE start postgres >/dev/null 2>&1
    t=$SECONDS
    if within 60 works; then ok "restart of the database" "calls work again after $((SECONDS - t)) s"; else bad "restart of the database" "$status: $(said)"; fi
fi

# --- the bridge goes and comes
stop_and_start() {
    if [ -z "$process" ]; then
        $COMPOSE restart bridge >/dev/null 2>&1
        return
    fi
    kill "$process"
    within 40 sh -c "! kill -0 $process 2>/dev/null" || return 1
    sh -c "exec $start" >/dev/null 2>&1 &
    process=$!
}
if [ -n "$process" ] && [ -z "$start" ]; then
    skip "restart of the bridge" "no --start"
else
    stop_and_start
    t=$SECONDS
    if within 90 ready && within 30 works; then ok "restart of the bridge" "calls work again after $((SECONDS - t)) s"; else bad "restart of the bridge" "$status: $(said)"; fi
    if [ -n "$guest" ]; then expect "its keys and grants are kept" 403 "$guest" "$url/$call" --data "$body"; fi
fi
if [ -n "$guest" ]; then
    own access key revoke "smoke-$$" >/dev/null 2>&1
    gone() { ask "$guest" "$url/$call" --data "$body" && [ "$status" = 401 ]; }
    if within 15 gone; then ok "a revoked key" "401"; else bad "a revoked key" "$status: $(said)"; fi
fi

# --- the record
ask "$key" "$url/health"
if [ "$(number lost)" = 0 ] && grep -q '"failing":false' "$answer"; then ok "no record was lost" "$(own audit query --limit 1000 2>/dev/null | grep -c "$call") of these calls are in the trail"; else bad "no record was lost" "$(said)"; fi

# --- Open WebUI
if [ -z "$process" ] && $COMPOSE ps --services --filter status=running 2>/dev/null | grep -qx open-webui; then
    expect "Open WebUI" 200 "" "http://127.0.0.1:$(setting OPEN_WEBUI_PORT 3100)/health"
    if $COMPOSE exec -T open-webui curl -fsS -o /dev/null http://mcp-proxy:8000/openapi.json; then ok "it reaches the bridge" "as mcp-proxy"; else bad "it reaches the bridge" "as mcp-proxy"; fi
else
    skip "Open WebUI" "not running"
fi

printf '%s passed, %s failed, %s not here\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
