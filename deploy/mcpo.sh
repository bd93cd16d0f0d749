#!/usr/bin/env bash
# Runs the image in the ways in which public repositories run the image of mcpo; only its name differs. Prints a table. The
# exit code is 1 if a test failed.
#
#   deploy/mcpo.sh [IMAGE]          the default is mcp-bridge:mcpo, as `docker build -t mcp-bridge:mcpo --target mcpo .` makes it
#
# Needs docker with compose (or COMPOSE=podman-compose), curl, and the internet for uvx and npx.
set -uo pipefail

image=${1:-mcp-bridge:mcpo}
compose=${COMPOSE:-docker compose}
port=${PORT:-18000}
key=top-secret
work=$(mktemp -d)
chmod 755 "$work"
here=http://127.0.0.1:$port
passed=0
failed=0

row() { printf '%-6s  %-64s  %s\n' "$1" "$2" "$3"; }
ok() { passed=$((passed + 1)) && row ok "$1" "$2"; }
bad() { failed=$((failed + 1)) && row FAILED "$1" "$2"; }
down() {
    docker rm --force mcpo-trial mcpo-trial-server >/dev/null 2>&1
    if [ -f "$work/compose.yml" ]; then $compose -p mcpo-trial -f "$work/compose.yml" down -v >/dev/null 2>&1 && rm -f "$work/compose.yml"; fi
    if [ -f "$work/pid" ]; then kill "$(cat "$work/pid")" 2>/dev/null && wait "$(cat "$work/pid")" 2>/dev/null; rm -f "$work/pid"; fi
}
trap 'down; docker network rm mcpo-trial >/dev/null 2>&1; rm -rf "$work"' EXIT

# ask PATH BODY: prints the answer; retries until the server responds.
ask() {
    local until=$((SECONDS + ${WAIT:-60}))
    while :; do
        out=$(curl -s --max-time 20 -w '\n%{http_code}' -H "Authorization: Bearer $key" -H 'Content-Type: application/json' "$here$1" --data "$2")
        status=${out##*$'\n'}
        out=${out%$'\n'*}
        if [ "$status" = 200 ] || [ $SECONDS -ge $until ]; then return; fi
        sleep 0.5
    done
}
# expect NAME PATH BODY PATTERN: checks the answer of a call, then stops all containers.
expect() {
    ask "$2" "$3"
    if [ "$status" = 200 ] && [[ $out == *$4* ]]; then ok "$1" "POST $2: ${out:0:60}"; else
        bad "$1" "POST $2: $status ${out:0:120}"
        docker logs mcpo-trial 2>&1 | tail -3
    fi
    if [ -z "${KEEP:-}" ]; then down; fi
}
run() { docker run -d --name mcpo-trial -p "127.0.0.1:$port:8000" "$@" >/dev/null; }
service() {
    printf 'services:\n  mcpo:\n    image: %s\n    container_name: mcpo-trial\n    ports: ["127.0.0.1:%s:8000"]\n' "$image" "$port" >"$work/compose.yml"
    cat >>"$work/compose.yml"
    $compose -p mcpo-trial -f "$work/compose.yml" up -d >/dev/null 2>&1
}
derived() {
    { echo "FROM $image"; cat; } | docker build -q -t mcpo-trial-image - >/dev/null 2>"$work/build" || tail -3 "$work/build"
}

cat >"$work/server.py" <<'P'
import os
from mcp.server.fastmcp import FastMCP
server = FastMCP("trial", host="0.0.0.0", port=5000)
@server.tool()
def say(text: str) -> str:
    return f"{text}, {os.environ.get('WHO', 'unknown')}"
server.run(os.environ.get("TRANSPORT", "stdio"))
P
cat >"$work/config.json" <<'J'
{"mcpServers": {
  "trial": {"command": "python3", "args": ["/srv/server.py"]},
  "files": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem@2026.8.31", "/srv"]}
}}
J
chmod 644 "$work"/*
srv="$work:/srv:ro"
say='{"text": "hello"}'

row '' INVOCATION RESULT
run "$image" --api-key "$key" -- uvx mcp-server-time --local-timezone=America/New_York
KEEP=1 expect "1 docker run IMAGE --api-key K -- uvx mcp-server-time" /get_current_time '{"timezone": "Europe/Berlin"}' Berlin
code=$(curl -s -o /dev/null -w '%{http_code}' "$here/get_current_time" --data '{}')
if [ "$code" = 401 ]; then ok "1 without the key" 401; else bad "1 without the key" "$code"; fi
down

service <<Y
    command: ["--host", "0.0.0.0", "--port", "8000", "--api-key", "$key", "--config", "/app/config.json"]
    volumes: ["$work/config.json:/app/config.json", "$srv"]
Y
expect "2 compose, command as a list" /files/list_directory '{"path": "/srv"}' server.py

service <<Y
    command: --port 8000 --api-key "$key" --config /config/config.json --hot-reload
    volumes: ["$work/config.json:/config/config.json:ro", "$srv"]
Y
expect "3 compose, command as a string, --hot-reload" /trial/say "$say" "hello, unknown"

service <<Y
    command: mcpo --config /app/config/config.json --api-key "$key"
    volumes: ["$work/config.json:/app/config/config.json:ro", "$srv"]
Y
expect "4 compose, command begins with mcpo" /trial/say "$say" "hello, unknown"
service <<Y
    command: >
      mcpo --host 0.0.0.0 --port 8000
      --config /app/config/config.json
      --api-key "$key"
    volumes: ["$work/config.json:/app/config/config.json:ro", "$srv"]
Y
expect "4 the same, folded" /trial/say "$say" "hello, unknown"

run -v "$work/config.json:/config.json" -v "$srv" "$image" --port=8000 --config=/config.json
expect "5 --port=8000 --config=/config.json" /trial/say "$say" "hello, unknown"

docker network create mcpo-trial >/dev/null 2>&1
docker run -d --name mcpo-trial-server --network mcpo-trial --network-alias gmail-mcp-server -e TRANSPORT=streamable-http \
    -v "$srv" --entrypoint python3 "$image" /srv/server.py >/dev/null
run --network mcpo-trial "$image" --host 0.0.0.0 --port 8000 --server-type "streamable-http" -- http://gmail-mcp-server:5000/mcp/
expect "6 --server-type streamable-http -- URL" /say "$say" "hello, unknown"

derived <<'D'
RUN apt-get update && apt-get install -y openssl tzdata && rm -rf /var/lib/apt/lists/*
RUN npm install -g @modelcontextprotocol/server-memory@2026.8.31
RUN uv pip install --system mcp-server-time
ENTRYPOINT ["mcpo"]
D
run mcpo-trial-image --port 8000 --api-key "$key" -- mcp-server-memory
expect "7 FROM IMAGE: apt-get, npm -g, ENTRYPOINT [mcpo]" /read_graph '{}' entities
run mcpo-trial-image --port 8000 --api-key "$key" -- mcp-server-time
expect "7 the same: uv pip install --system" /get_current_time '{"timezone": "UTC"}' UTC
derived <<'D'
ENTRYPOINT ["mcpo","--config","/root/.mcpo/config.json"]
D
run -v "$work/config.json:/root/.mcpo/config.json" -v "$srv" mcpo-trial-image
expect "7 ENTRYPOINT [mcpo, --config, /root/.mcpo/config.json]" /trial/say "$say" "hello, unknown"
derived <<'D'
ENTRYPOINT ["sh","-c","exec mcpo --host 0.0.0.0 --port 8000 --api-key \"$MCPO_API_KEY\" --config /etc/mcpo/config.json"]
D
run -e MCPO_API_KEY="$key" -v "$work/config.json:/etc/mcpo/config.json:ro" -v "$srv" mcpo-trial-image
expect "7 ENTRYPOINT [sh, -c, exec mcpo ...]" /trial/say "$say" "hello, unknown"

run "$image" --api-key "$key" -- python3 -c "from mcp.server.fastmcp import FastMCP
s = FastMCP('inline')
@s.tool()
def twice(n: int) -> int: return 2 * n
s.run()"
expect "8 -- python3 -c 'from mcp.server.fastmcp ...'" /twice '{"n": 21}' 42
run -v "$srv" "$image" --api-key "$key" -- /app/.venv/bin/python3 /srv/server.py
expect "8 -- /app/.venv/bin/python3 server.py" /say "$say" "hello, unknown"

service <<Y
    read_only: true
    user: "1000:1000"
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    tmpfs: [/tmp]
    environment: { HOME: /tmp }
    command: --port 8000 --api-key "$key" --config /config/config.json
    volumes: ["$work/config.json:/config/config.json:ro", "$srv"]
Y
expect "9 read_only, user 1000, cap_drop ALL, tmpfs /tmp" /files/list_directory '{"path": "/srv"}' server.py

for path in docs openapi.json; do
    service <<Y
    command: --port 8000 --api-key "$key" --config /config/config.json
    volumes: ["$work/config.json:/config/config.json:ro", "$srv"]
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:8000/$path"]
      interval: 1s
      retries: 30
Y
    health=
    for _ in $(seq 60); do
        health=$(docker inspect --format '{{.State.Health.Status}}' mcpo-trial 2>/dev/null)
        if [ "$health" = healthy ]; then break; fi
        sleep 0.5
    done
    if [ "$health" = healthy ]; then ok "10 healthcheck curl -f /$path" healthy; else bad "10 healthcheck curl -f /$path" "$health"; fi
    down
done

# Imitates a ConfigMap, whose mounted file is a link into a folder that Kubernetes replaces.
mkdir -p "$work/map/..one"
cp "$work/config.json" "$work/map/..one/"
ln -s ..one "$work/map/..data"
ln -s ..data/config.json "$work/map/config.json"
run -v "$work/map:/etc/mcpo:ro" -v "$srv" "$image" --api-key "$key" --config /etc/mcpo/config.json --hot-reload
KEEP=1 expect "11 config in a ConfigMap" /trial/say "$say" "hello, unknown"
mkdir "$work/map/..two"
sed 's/"trial"/"renamed"/' "$work/config.json" >"$work/map/..two/config.json"
ln -s ..two "$work/map/..new" && mv -T "$work/map/..new" "$work/map/..data"
WAIT=20 expect "11 the ConfigMap changes" /renamed/say "$say" "hello, unknown"

echo "WHO=env file" >"$work/env"
service <<Y
    command: --port 8000 --api-key "$key" --config /config/config.json
    env_file: ["$work/env"]
    volumes: ["$work/config.json:/config/config.json:ro", "$srv"]
Y
expect "12 env_file reaches the servers" /trial/say "$say" "hello, env file"
run -e WHO=environment -v "$srv" "$image" --api-key "$key" -- python3 /srv/server.py
expect "12 environment reaches the server" /say "$say" "hello, environment"

# Runs the program of the image directly on this machine.
docker create --name mcpo-trial "$image" >/dev/null && docker cp mcpo-trial:/usr/local/bin/mcp-bridge "$work/mcpo" >/dev/null
down
cat >"$work/plain.py" <<'P'
import json, os, sys
TOOL = {"name": "who", "description": "Who", "inputSchema": {"type": "object", "properties": {}}}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    answer = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "plain", "version": "1"}},
        "tools/list": {"tools": [TOOL]},
        "tools/call": {"content": [{"type": "text", "text": os.environ.get("KEY", "unknown")}]},
    }.get(asked["method"])
    reply = {"result": answer} if answer is not None else {"error": {"code": -32601, "message": "no"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **reply}), flush=True)
P
host() { "$work/mcpo" "$@" >"$work/log" 2>&1 & echo $! >"$work/pid"; }
host --port "$port" --api-key "$key" -- env KEY=v python3 "$work/plain.py"
expect "13 on the host: mcpo ... -- env KEY=v python3 server.py" /who '{}' v
printf '{"mcpServers": {"plain": {"command": "python3", "args": ["%s"]}}}' "$work/plain.py" >"$work/host.json"
host --port "$port" --config "$work/host.json" --hot-reload
expect "13 on the host: mcpo --config config.json --hot-reload" /plain/who '{}' unknown

run -v "$work/config.json:/app/config.json" -v "$srv" "$image" --api-key "$key" --config /app/config.json
KEEP=1 expect "14 a connection for each server: http://mcpo:8000/NAME" /trial/say "$say" "hello, unknown"
for name in trial files; do
    document=$(curl -s -H "Authorization: Bearer $key" "$here/$name/openapi.json")
    if [[ $document == *'"openapi":"3.1'* && $document == *_post* ]]; then ok "14 /$name/openapi.json" "$(wc -c <<<"$document") bytes"; else bad "14 /$name/openapi.json" "${document:0:100}"; fi
done
down

printf '%s passed, %s failed\n' "$passed" "$failed"
docker image rm -f mcpo-trial-image >/dev/null 2>&1
[ "$failed" = 0 ]
