#!/usr/bin/env bash
# Tests whether a running stack works and survives failures. Prints a table. The exit code is 1 if a test failed.
#
#   deploy/smoke.sh                                  the stack of compose.hetzner.yml, from the folder it is in
#   deploy/smoke.sh --process PID --start 'COMMAND'  a bare process, which COMMAND starts again in its folder
#   deploy/smoke.sh --servers                        calls one read-only tool of every bridge that is on, and nothing else
#
# The first two restart the database and the bridge, and kill a child process. A row is `ok` only if the script observed the
# event, for example a new start of the container. Variables, in the environment or in `.env`:
#   MCP_API_KEY      the API key of an administrator (required)
#   BRIDGE_URL       http://127.0.0.1:8000
#   COMPOSE          docker compose -f compose.hetzner.yml
#   MCP_BRIDGE       the program with its options, for a bare process: mcp-bridge
#   SMOKE_CALL, SMOKE_BODY   a call that changes nothing: demo/roll_dice, {"count": 3}
#   SMOKE_CHILD      a part of the command line of its server: demo-server
#   SMOKE_PATIENCE   the time for services to recover, in seconds: 90
set -uo pipefail

COMPOSE=${COMPOSE:-docker compose -f compose.hetzner.yml}
MCP_BRIDGE=${MCP_BRIDGE:-mcp-bridge}
process=
start=
servers=
while [ $# -gt 0 ]; do
    case $1 in
    --process) process=${2:?a process id} && shift 2 ;;
    --start) start=${2:?a command} && shift 2 ;;
    --servers) servers=yes && shift ;;
    *) sed -n '2,17s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
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
patience=${SMOKE_PATIENCE:-90}
if [ -z "$key" ]; then echo "error: MCP_API_KEY is not set, neither in the environment nor in .env" >&2 && exit 2; fi

passed=0
failed=0
skipped=0
row() { printf '%-6s  %-34s  %s\n' "$1" "$2" "$3"; }
ok() { passed=$((passed + 1)) && row ok "$1" "$2"; }
bad() { failed=$((failed + 1)) && row FAILED "$1" "$2"; }
skip() { skipped=$((skipped + 1)) && row - "$1" "$2"; }

answer=$(mktemp)
problem=$(mktemp)
trap 'rm -f "$answer" "$problem"' EXIT
# ask KEY ARGUMENTS...: sets the status and the time in ms; the body is in the file $answer. `ps` does not show the key. A
# blank KEY sends no key.
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
# within SECONDS COMMAND...: repeats the command until it succeeds.
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
healthy() { ask "$key" "$url/health" && [ "$status" = 200 ]; }
connected() { healthy && grep -q '"database":"connected"' "$answer"; }
disconnected() { healthy && grep -q '"database":"disconnected"' "$answer"; }
number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$answer" | head -1; }
is_number() { [[ "$1" =~ ^[0-9]+$ ]]; }
# compose ARGUMENTS...: runs compose; an error is in the file $problem.
compose() { $COMPOSE "$@" 2>"$problem"; }
why() { head -c 160 "$problem" | tr '\n' ' '; }
# Run a shell command, or the command line of the bridge, where the bridge runs.
inside() { if [ -n "$process" ]; then sh -c "$1"; else compose exec -T bridge sh -c "$1"; fi; }
own() { if [ -n "$process" ]; then $MCP_BRIDGE "$@" 2>"$problem"; else compose exec -T bridge mcp-bridge "$@"; fi; }
# started SERVICE: prints the start time of the first process of its container, in ticks since this machine started
# (proc(5), field 22 of `stat`). Prints nothing if it cannot be read.
started() {
    local stat
    if [ -n "$process" ]; then
        stat=$(cat "/proc/$process/stat" 2>/dev/null) || return 1
    else
        stat=$(compose exec -T "$1" cat /proc/1/stat) || return 1
    fi
    stat=$(printf '%s' "${stat##*) }" | cut -d' ' -f20)
    is_number "$stat" && echo "$stat"
}
# The processes whose command line contains $child; zombies have no command line.
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
# Checks that the process is gone, where the bridge runs.
gone() { [ "$(inside "[ -d /proc/$1 ] && grep -q '^State:.[^Z]' /proc/$1/status 2>/dev/null || echo gone")" = gone ]; }
zombies() { inside 'grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null | wc -l'; }

# --- --servers: a Python program selects the tool of each bridge, because a shell cannot parse JSON
chosen() {
    local program
    program=$(
        cat <<'PYTHON'
import json, re, sys

servers, document = (json.loads(line) for line in sys.stdin.read().split("\0")[:2])
# Read-only tools without a read-only annotation, or with required arguments.
KNOWN = {
    "demo": [("roll_dice", {"count": 3})],
    "filesystem": [("list_allowed_directories", {}), ("list_directory", {"path": "."})],
    "excel": [("list_workbooks", {})],
    "dashboard": [("create_simple_dashboard", {"title": "smoke", "labels": ["a"], "values": [1]})],
    "postgresql": [("all_table_names", {})],
    "sonarqube": [("projects", {}), ("search_my_sonarqube_projects", {})],
    "trello": [("list_boards", {})],
    "github": [("get_me", {})],
    "notion-token": [("API-get-self", {})],
    "atlassian": [("atlassianUserInfo", {}), ("getAccessibleAtlassianResources", {})],
}
READING = re.compile(r"(?:^|[_.-])(?:get|list|search|read|find|describe|show|whoami|status|version|self|me)(?:$|[_.-])", re.I)
WRITING = re.compile(r"create|update|delete|remove|write|set|add|move|send|post|put|patch|run|exec|install|close|reset", re.I)


def operations(name):
    for path, methods in document.get("paths", {}).items():
        operation = methods.get("post")
        if operation and path.startswith(f"/{name}/"):
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            while "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
            yield path, operation.get("x-mcp-annotations", {}), schema


def choice(name):
    found = {path: (hints, schema) for path, hints, schema in operations(name)}
    for tool, arguments in KNOWN.get(name, []):
        if f"/{name}/{tool}" in found:
            return f"{name}/{tool}", arguments
    free = [(path, hints) for path, (hints, schema) in found.items() if not schema.get("required")]
    for path, hints in free:
        if hints.get("readOnlyHint") is True:
            return path[1:], {}
    for path, hints in free:
        tool = path.rsplit("/", 1)[-1]
        plain = re.sub(r"([a-z])([A-Z])", r"\1_\2", tool)
        if "readOnlyHint" not in hints and READING.search(plain) and not WRITING.search(plain):
            return path[1:], {}
    return None


for server in servers["servers"]:
    picked = choice(server["id"]) if server["status"] in ("ready", "idle") else None
    call, arguments = picked or ("-", {})
    # Tabs separate the fields; the fields contain no tabs.
    print(server["id"], server["status"], call, json.dumps(arguments), " ".join(str(server.get("reason") or "").split()) or "-", sep="\t")
PYTHON
    )
    if command -v python3 >/dev/null; then python3 -c "$program"; else compose exec -T bridge python3 -c "$program"; fi
}
if [ -n "$servers" ]; then
    list=$(mktemp)
    trap 'rm -f "$answer" "$problem" "$list"' EXIT
    printf '%-6s  %-20s  %-34s  %-7s  %s\n' '' BRIDGE TOOL STATUS TIME
    line() { printf '%-6s  %-20s  %-34s  %-7s  %s\n' "$@"; }
    if ! within "$patience" ready; then line FAILED - - "$status" "the bridge is not ready: $(said)" && exit 1; fi
    ask "$key" "$url/servers"
    if [ "$status" != 200 ]; then line FAILED - /servers "$status" "$(said)" && exit 1; fi
    cat "$answer" >"$list"
    printf '\0' >>"$list"
    ask "$key" "$url/openapi.json"
    if [ "$status" != 200 ]; then line FAILED - /openapi.json "$status" "$(said)" && exit 1; fi
    cat "$answer" >>"$list"
    if ! chosen <"$list" >"$problem.chosen" 2>"$problem"; then
        rm -f "$problem.chosen"
        line FAILED - - - "which tools to call was not found out: $(why)" && exit 1
    fi
    while IFS=$'\t' read -r bridge phase tool arguments reason; do
        case $phase in
        disabled) skipped=$((skipped + 1)) && continue ;;
        needs_login) skipped=$((skipped + 1)) && line - "$bridge" - - "no user has logged in" && continue ;;
        ready | idle) ;;
        *) failed=$((failed + 1)) && line FAILED "$bridge" - - "$phase: $reason" && continue ;;
        esac
        if [ "$tool" = - ]; then
            skipped=$((skipped + 1)) && line - "$bridge" - - "no tool that only reads and needs no arguments"
            continue
        fi
        ask "$key" "$url/$tool" --data "$arguments"
        if [ "$status" = 200 ]; then
            passed=$((passed + 1)) && line ok "$bridge" "${tool#*/}" "$status" "$ms ms"
        else
            failed=$((failed + 1)) && line FAILED "$bridge" "${tool#*/}" "$status" "$ms ms: $(said)"
        fi
    done <"$problem.chosen"
    rm -f "$problem.chosen"
    printf '%s passed, %s failed, %s off or not called\n' "$passed" "$failed" "$skipped"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
fi

row '' CHECK RESULT
if [ -z "$process" ]; then
    if [ -n "$(compose ps -q bridge)" ]; then ok "compose knows the bridge" "$COMPOSE"; else bad "compose knows the bridge" "$COMPOSE: $(why)"; fi
fi
# --- the running stack
if within "$patience" ready; then ok ready "200"; else bad ready "$status: $(said)"; fi
expect "health" 200 "$key" "$url/health"
if [ "$status" = 200 ] && [ "$ms" -lt 500 ]; then ok "health, in less than 500 ms" "$ms ms"; else bad "health, in less than 500 ms" "$status in $ms ms"; fi
if grep -q '"database":"connected"' "$answer"; then ok database connected; else bad database "$(said)"; fi
lost=$(number backing_off)
dead=$(number failed)
summary="$(number ready) ready, $(number idle) idle, $(number disabled) off, $lost and $dead down"
expect servers 200 "$key" "$url/servers"
if [ "$status" = 200 ] && [ "$lost" = 0 ] && [ "$dead" = 0 ]; then ok "no server is down" "$summary"; else
    bad "no server is down" "$summary: $(tr '{' '\n' <"$answer" | sed -n 's/.*"id":"\([^"]*\)".*"status":"\(failed\|backing_off\)".*/\1/p' | tr '\n' ' ')"
fi
expect "document of all tools" 200 "" "$url/openapi.json"
if grep -q "\"/$call\"" "$answer"; then ok "the tool is in it" "/$call"; else bad "the tool is in it" "/$call is not"; fi

# --- access
expect "an allowed call" 200 "$key" "$url/$call" --data "$body"
expect "refused: no identity" 401 "" "$url/$call" --data "$body"
expect "refused: an unknown key" 401 "no-such-key" "$url/$call" --data "$body"
guest=$(own access key add "smoke-$$")
# Another process created the key. With SQLite, the bridge sees it after some seconds.
known() { ask "$guest" "$url/$call" --data "$body" && [ "$status" != 401 ]; }
if [ -n "$guest" ]; then
    within 15 known
    expect "refused: a key without a grant" 403 "$guest" "$url/$call" --data "$body"
    expect "refused: it may not administer" 403 "$guest" -X POST "$url/refresh"
else
    bad "refused: a key without a grant" "\`access key add\` made none: $(why)"
fi
expect "an unknown tool" 404 "$key" "$url/${call%/*}/no_such_tool" --data '{}'
expect "refresh" 200 "$key" -X POST "$url/refresh"
expect "a call after it" 200 "$key" "$url/$call" --data "$body"

# --- a child process is killed
before=$(children | head -1)
if ! is_number "$before"; then
    bad "kill of a child" "no process has \`$child\` in its command line: $(why)"
elif ! inside "kill -9 $before" || ! within 10 gone "$before"; then
    bad "kill of a child" "$before was not killed: $(why)"
else
    t=$SECONDS
    if within 30 works; then ok "kill of a child" "$before is gone, calls work again after $((SECONDS - t)) s"; else bad "kill of a child" "$status: $(said)"; fi
    after=$(children | head -1)
    if is_number "$after" && [ "$after" != "$before" ]; then ok "another one took its place" "$before, now $after"; else bad "another one took its place" "$before, now ${after:-none}"; fi
    expect "health meanwhile" 200 "$key" "$url/health"
fi
left=$(zombies | tr -d '[:space:]')
if ! is_number "$left"; then bad "no zombie" "they cannot be counted: $(why)"; elif [ "$left" = 0 ]; then ok "no zombie" "none"; elif [ -n "$process" ]; then skip "no zombie" "$left on this machine"; else bad "no zombie" "$left"; fi

# --- restart of the database
if [ -n "$process" ]; then
    skip "restart of the database" "only with compose"
else
    before=$(started postgres) || before=
    if [ -z "$before" ]; then
        bad "the database is stopped" "when it was started cannot be read: $(why)"
    elif ! compose stop postgres >/dev/null; then
        bad "the database is stopped" "compose stop: $(why)"
        before=
    elif ! within 20 disconnected; then
        bad "the database is stopped" "the bridge is still connected to it: $(said)"
        before=
    else
        ok "the database is stopped" "the bridge says so"
        if [ "$ms" -lt 500 ]; then ok "health without the database" "200 in $ms ms"; else bad "health without the database" "$status in $ms ms"; fi
        # An administrator key of the configuration needs no database; this key does.
        if [ -n "$guest" ]; then expect "grants are not guessed" 503 "$guest" "$url/$call" --data "$body"; fi
    fi
    compose start postgres >/dev/null || bad "the database is started" "compose start: $(why)"
    t=$SECONDS
    if ! within "$patience" connected || ! within 30 works; then
        bad "restart of the database" "$status: $(said)"
    else
        after=$(started postgres) || after=
        if [ -n "$before" ] && [ -n "$after" ] && [ "$before" != "$after" ]; then
            ok "restart of the database" "calls work again after $((SECONDS - t)) s"
        else
            bad "restart of the database" "it was not restarted${after:+: the same process as before}"
        fi
    fi
fi

# --- restart of the bridge
stop_and_start() {
    if [ -z "$process" ]; then
        compose restart bridge >/dev/null
        return
    fi
    kill "$process" 2>"$problem" || return 1
    within 40 sh -c "! kill -0 $process 2>/dev/null" || return 1
    sh -c "exec $start" >/dev/null 2>&1 &
    process=$!
}
restarted=
if [ -n "$process" ] && [ -z "$start" ]; then
    skip "restart of the bridge" "no --start"
else
    before=$(started bridge) || before=
    if [ -z "$before" ]; then
        bad "restart of the bridge" "when it was started cannot be read: $(why)"
    elif ! stop_and_start; then
        bad "restart of the bridge" "$(why)"
    else
        t=$SECONDS
        if ! within "$patience" ready || ! within 30 works; then
            bad "restart of the bridge" "$status: $(said)"
        else
            after=$(started bridge) || after=
            if [ -n "$after" ] && [ "$after" != "$before" ]; then
                restarted=yes
                ok "restart of the bridge" "calls work again after $((SECONDS - t)) s"
            else
                bad "restart of the bridge" "it was not restarted${after:+: the same process as before}"
            fi
        fi
    fi
    if [ -n "$guest" ] && [ -n "$restarted" ]; then expect "its keys and grants are kept" 403 "$guest" "$url/$call" --data "$body"; fi
fi
if [ -n "$guest" ]; then
    # Shortly after the database has restarted, the bridge may not have read it yet.
    counts() { ask "$guest" "$url/$call" --data "$body" && [ "$status" = 403 ]; }
    within 15 counts
    counted=$status
    refused() { ask "$guest" "$url/$call" --data "$body" && [ "$status" = 401 ]; }
    if ! own access key revoke "smoke-$$" >/dev/null; then
        bad "a revoked key" "\`access key revoke\`: $(why)"
    elif [ "$counted" = 403 ] && within 15 refused; then
        ok "a revoked key" "403 before, then 401"
    else
        bad "a revoked key" "$counted before, then $status: $(said)"
    fi
fi

# --- the audit trail
recorded() {
    trail=$(own audit query --limit 1000) || return 1
    these=$(grep -c -F "$call" <<<"$trail")
    guests=$(grep -F "$call" <<<"$trail" | grep -c -F "smoke-$$")
    [ "$these" -gt 0 ] && { [ -z "$guest" ] || [ "$guests" -gt 0 ]; }
}
these=0
if ! within 15 recorded; then
    bad "the calls are in the trail" "$these of these calls are: $(why)"
else
    ok "the calls are in the trail" "$these of these calls, by the key of this run ${guests:-0}"
fi
ask "$key" "$url/health"
if [ "$(number lost)" = 0 ] && [ "$these" -gt 0 ] && grep -q '"failing":false' "$answer"; then ok "no record was lost" "0 lost"; else bad "no record was lost" "$(said)"; fi

# --- Open WebUI
if [ -n "$process" ]; then
    skip "Open WebUI" "only with compose"
elif ! running=$(compose ps --services --filter status=running); then
    bad "Open WebUI" "compose ps: $(why)"
elif grep -qx open-webui <<<"$running"; then
    expect "Open WebUI" 200 "" "http://127.0.0.1:$(setting OPEN_WEBUI_PORT 3100)/health"
    reached=$(compose exec -T open-webui curl -sS -o /dev/null -w '%{http_code}' http://mcp-proxy:8000/openapi.json)
    if [ "$reached" = 200 ]; then ok "it reaches the bridge" "as mcp-proxy"; else bad "it reaches the bridge" "as mcp-proxy: ${reached:-$(why)}"; fi
else
    skip "Open WebUI" "not running"
fi

printf '%s passed, %s failed, %s not here\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
