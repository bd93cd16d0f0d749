#!/usr/bin/env python3
"""An HTTP MCP server that misbehaves on demand. Standard library only.

    bad_http.py [MODE] [--port N] [--on METHOD] [--token TEXT] [--flood KIND] [--in PLACE]

Prints `PORT n` when it listens. The endpoint is /mcp, that of the old HTTP+SSE is /sse.

    json          Streamable HTTP with sessions, answers in JSON
    sse           the same, answers in event streams
    stateless     no session ids
    legacy        the old HTTP+SSE at /sse; /mcp is 404
    legacy-absolute  its `endpoint` event is an absolute URL of the same origin
    legacy-foreign   its `endpoint` event is on another origin
    legacy-mute   the stream opens, and no `endpoint` comes
    refuse        prints a port where nobody listens
    hang          takes the request and never answers
    hang-body     answers with a head, then nothing
    redirect      307 to the same path on another origin
    redirect-302  302 to the same path on another origin
    redirect-self 307 to the same path with a slash, which works
    html          200 and a web page
    401 403 404 429 500 502 503   that status (429 and 503 with Retry-After: 2; 401 with WWW-Authenticate)
    drop          begins to answer, then closes the connection
    drop-stream   an event stream that ends without the answer
    wrong-id      answers with another id
    empty         200 without a body
    big           answers with 50 MB
    bad-json      200, application/json, half an object
    storm         each stream that the client opens ends at once, with an id and `retry: 0`
    heavy-list    a tool list with millions of tiny values
    bad-sse       an event stream with comments, odd fields, CRLF, and data that is no JSON, around the answer

--on METHOD   the mode holds for this JSON-RPC method alone, `json` for all others (`--on tools/call`).
--flood KIND  sends one kind of event that nobody asked for, as fast as it can: see FLOODS
--in PLACE    where: `get` (the stream that the client opened, default), `call` (the answer to a call)
--token TEXT  401 without `Authorization: Bearer TEXT`.

For tests:  GET /__stats          {"GET": 1, "POST": 3, "initialize": 1, "tools/call": 1, …, "other_origin": 0}
            GET /__headers        the headers of the last request with a JSON-RPC method
            GET /__meta           its `_meta`
            POST /__mode MODE     changes the mode (and `MODE METHOD` what it holds for)
            POST /__expire        forgets every session: 404 from then on for their ids
            POST /__changed       sends tools/list_changed on every open stream
"""

import http.server
import json
import socket
import sys
import threading
import time
import urllib.parse
import uuid


def option(name, default=None):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


MODE = sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("--") else "json"
STATUSES = {"401", "403", "404", "429", "500", "502", "503"}
TOKEN = option("--token")

state = {"mode": MODE, "on": option("--on"), "sessions": set(), "changed": False, "headers": {}, "meta": {}}
stats = {"GET": 0, "POST": 0, "DELETE": 0, "other_origin": 0}
streams = {}
lock = threading.Lock()


FLOOD, PLACE = option("--flood"), option("--in", "get")


def event_of(**message):
    return b"data: " + json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n\n"


FLOODS = {
    "ping": event_of(id=7, method="ping"),
    "unknown": event_of(id="x-1", method="no/such", params={"a": [1, 2, 3]}),
    "list-changed": event_of(method="notifications/tools/list_changed"),
    "cancelled": event_of(method="notifications/cancelled", params={"requestId": 1}),
    "acknowledged": event_of(method="notifications/subscriptions/acknowledged", params={}),
    "progress": event_of(method="notifications/progress", params={"progressToken": 1, "progress": 1}),
    "stray": event_of(id=999_999, result={"content": []}),
    "stray-error": event_of(id=None, error={"code": 1, "message": "no"}),
    "huge-params": event_of(method="notifications/message", params={"level": "info", "data": [0] * 1_000_000}),
    "huge-stray": event_of(id=999_999, result={"content": [0] * 1_000_000}),
    "comments": b": still here\n",
    "blank": b"\n",
    "retry": b"retry: 0\n\n",
    "ids": b"id: " + b"i" * 100_000 + b"\ndata: x\n\n",
    "no-data": b"event: message\nid: 1\n\n",
    "lines": b"a\n" * 1_000,
    "endless-event": b"data: " + b"x" * 65_536,
}


def count(key):
    with lock:
        stats[key] = stats.get(key, 0) + 1


TOOLS = [
    {"name": "echo", "description": "Gives the message back", "inputSchema": {
        "type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}},
    {"name": "slow", "description": "Answers after some seconds", "inputSchema": {
        "type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]}},
    {"name": "fail", "description": "isError", "inputSchema": {"type": "object", "properties": {}}},
    {"name": "headers", "description": "The headers of this request", "inputSchema": {"type": "object", "properties": {}}},
]


def result_of(message, headers):
    """The result, or None for what has none."""
    method, params = message.get("method"), message.get("params") or {}
    if method == "initialize":
        return {"protocolVersion": params.get("protocolVersion", "2025-06-18"), "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "bad-http", "version": "1"}}
    if method == "tools/list":
        added = [{"name": "changed", "inputSchema": {"type": "object", "properties": {}}}] if state["changed"] else []
        return {"tools": TOOLS + added}
    if method == "tools/call":
        given = params.get("arguments") or {}
        if params.get("name") == "slow":
            time.sleep(float(given.get("seconds", 1)))
        if params.get("name") == "fail":
            return {"content": [{"type": "text", "text": "it went wrong"}], "isError": True}
        said = json.dumps(headers) if params.get("name") == "headers" else str(given.get("message"))
        return {"content": [{"type": "text", "text": said}]}
    return {} if method == "ping" else None


def reply_to(message, headers):
    result = result_of(message, headers)
    if result is None:
        return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": f"Method not found: {message['method']}"}}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


class Bad(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Quiet."""

    def reply(self, status, body=b"", kind="application/json", **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self, **headers):
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, data, event="message"):
        self.wfile.write(f"event: {event}\ndata: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def cut(self):
        """Ends the connection as a crash does."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path)
        if path.path == "/__stats":
            return self.reply(200, stats)
        if path.path == "/__headers":
            return self.reply(200, state["headers"])
        if path.path == "/__meta":
            return self.reply(200, state["meta"])
        count("GET")
        mode = state["mode"]
        if path.path == "/sse" and mode.startswith("legacy"):
            return self.legacy_stream(mode)
        if state["on"] is None and (mode in STATUSES or mode in ("html", "hang", "redirect", "redirect-302", "empty")):
            return self.misbehave(mode, None)
        session = self.headers.get("mcp-session-id")
        if path.path.rstrip("/") == "/mcp" and session in state["sessions"]:
            return self.listen(session)
        return self.reply(405 if path.path.startswith("/mcp") else 404, b"")

    def legacy_stream(self, mode):
        self.begin_stream()
        session = uuid.uuid4().hex
        streams[session] = self
        origin = {"legacy-absolute": f"http://127.0.0.1:{PORT}", "legacy-foreign": f"http://127.0.0.1:{OTHER_PORT}"}.get(mode, "")
        if mode != "legacy-mute":
            self.event(f"{origin}/messages?session={session}", "endpoint")
        if FLOOD and PLACE == "get":
            return self.flood()
        return self.stay_open(session)

    def listen(self, session):
        self.begin_stream()
        if state["mode"] == "storm":
            self.wfile.write(b"id: 1\nretry: 0\ndata: x\n\n")
            return self.wfile.flush()
        streams[session] = self
        if FLOOD and PLACE == "get":
            return self.flood()
        return self.stay_open(session)

    def flood(self):
        chunk = FLOODS[FLOOD] * max(1, 65_536 // len(FLOODS[FLOOD]))
        try:
            while True:
                self.wfile.write(chunk)
        except OSError:
            count("flood_ended")

    def stay_open(self, session):
        try:
            while streams.get(session) is self:
                time.sleep(0.5)
                self.wfile.write(b": still here\n\n")
                self.wfile.flush()
        except OSError:
            pass
        if streams.get(session) is self:
            streams.pop(session, None)

    def do_DELETE(self):
        count("DELETE")
        state["sessions"].discard(self.headers.get("mcp-session-id"))
        self.reply(200, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urllib.parse.urlsplit(self.path)
        if path.path.startswith("/__"):
            return self.control(path.path, body.decode())
        count("POST")
        try:
            message = json.loads(body)
        except ValueError:
            return self.reply(400, {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "Parse error"}})
        method = message.get("method", "answer")
        count(method)
        state["headers"] = {name.lower(): value for name, value in self.headers.items()}
        state["meta"] = (message.get("params") or {}).get("_meta") or {}
        if TOKEN and self.headers.get("authorization") != f"Bearer {TOKEN}":
            return self.reply(401, {"error": "invalid_token"}, www_authenticate='Bearer error="invalid_token"')
        mode = state["mode"] if state["on"] in (None, method) else "json"
        if path.path == "/messages":
            return self.legacy_message(path, message)
        if mode.startswith("legacy") or path.path.rstrip("/") != "/mcp":
            return self.reply(404, b"")
        return self.misbehave(mode, message)

    def control(self, path, body):
        if path == "/__mode":
            mode, _, method = body.strip().partition(" ")
            state["mode"], state["on"] = mode, method or None
        elif path == "/__expire":
            state["sessions"].clear()
            streams.clear()
        elif path == "/__changed":
            state["changed"] = not state["changed"]
            for stream in list(streams.values()):
                stream.event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        self.reply(200, {})

    def legacy_message(self, path, message):
        stream = streams.get(urllib.parse.parse_qs(path.query).get("session", [""])[0])
        if stream is None:
            return self.reply(404, b"")
        if "id" not in message or "method" not in message:
            return self.reply(202, b"")
        mode = state["mode"] if state["on"] in (None, message["method"]) else "legacy"
        if mode in STATUSES or mode in ("hang", "html"):
            return self.misbehave(mode, message)
        self.reply(202, b"Accepted", "text/plain")
        reply = reply_to(message, dict(self.headers))
        if mode == "drop-stream":
            return stream.cut()
        return stream.event(reply)

    def misbehave(self, mode, message):
        """What the mode does instead of answering, or the answer."""
        other = f"http://127.0.0.1:{OTHER_PORT}{self.path}"
        if mode in STATUSES:
            extra = {"429": {"Retry_After": "2"}, "503": {"Retry_After": "2"}, "401": {"WWW_Authenticate": "Bearer"}}.get(mode, {})
            return self.reply(int(mode), {"error": f"status {mode}"}, **extra)
        if mode == "hang":
            return time.sleep(600)
        if mode == "hang-body":
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b"{")
            return time.sleep(600)
        if mode in ("redirect", "redirect-302"):
            return self.reply(307 if mode == "redirect" else 302, b"", Location=other)
        if mode == "redirect-self" and not self.path.endswith("/"):
            return self.reply(307, b"", Location=self.path + "/")
        if mode == "html":
            return self.reply(200, b"<!doctype html><title>Sign in</title>", "text/html; charset=utf-8")
        if mode == "empty":
            return self.reply(200, b"")
        return self.answer(mode, message)

    def answer(self, mode, message):
        """Streamable HTTP, with what the mode adds."""
        session = self.headers.get("mcp-session-id")
        stateless = mode == "stateless"
        headers = {}
        if message.get("method") == "initialize" and not stateless:
            headers["Mcp_Session_Id"] = uuid.uuid4().hex
            state["sessions"].add(headers["Mcp_Session_Id"])
        elif not stateless and session is None:
            return self.reply(400, {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "No session"}})
        elif not stateless and session not in state["sessions"]:
            return self.reply(404, {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "Session not found"}})
        if "id" not in message or "method" not in message:
            return self.reply(202, b"", **headers)
        if mode == "drop":
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b'{"jsonrpc": "2.0",')
            return self.cut()
        if mode == "drop-stream":
            self.begin_stream(**headers)
            self.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "soon"}})
            return self.cut()
        reply = reply_to(message, dict(self.headers))
        if FLOOD and PLACE == "call" and message["method"] == "tools/call":
            self.begin_stream(**headers)
            return self.flood()
        if mode == "heavy-list" and "tools" in reply.get("result", {}):
            reply["result"]["tools"][0]["inputSchema"]["enum"] = [0] * 2_000_000
        if mode == "wrong-id":
            reply["id"] = "nobody asked"
        if mode == "big" and "result" in reply and "content" in reply["result"]:
            reply["result"]["content"] = [{"type": "text", "text": "x" * 50_000_000}]
        if mode == "bad-json":
            return self.reply(200, json.dumps(reply).encode()[:-9], **headers)
        if mode == "bad-sse":
            self.begin_stream(**headers)
            self.wfile.write(b":comment\r\n\r\nretry: soon\r\nid\r\nodd: field\r\n\r\ndata\r\n\r\ndata: not json\r\n\r\n")
            self.wfile.write(b"event: ping\r\ndata: {}\r\n\r\nid: 7\r\ndata: " + json.dumps(reply).encode() + b"\r\n\r\n")
            return self.wfile.flush()
        if mode == "sse":
            self.begin_stream(**headers)
            return self.event(reply)
        return self.reply(200, reply, **headers)


class Other(Bad):
    """Another origin: whoever comes here followed something that should not be followed."""

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        count("other_origin")
        if self.headers.get("authorization"):
            count("other_origin_authorization")
        self.reply(200, {"jsonrpc": "2.0", "id": 0, "result": {}})


class Server(http.server.ThreadingHTTPServer):
    """A port."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        """Clients leave."""


if MODE == "refuse":
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        print("PORT", probe.getsockname()[1], flush=True)
    while True:
        time.sleep(60)
other = Server(("127.0.0.1", 0), Other)
OTHER_PORT = other.server_port
threading.Thread(target=other.serve_forever, daemon=True).start()
server = Server(("127.0.0.1", int(option("--port", "0"))), Bad)
PORT = server.server_port
print("PORT", PORT, flush=True)
server.serve_forever()
