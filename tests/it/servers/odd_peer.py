#!/usr/bin/env python3
"""A server that words things its own way, as hand-written servers in the field do. Standard library only.

    odd_peer.py stdio MODE      one mode, over stdin and stdout
    odd_peer.py http            all modes, at /MODE/mcp; prints its port. GET /MODE/count tells how often a
                                session was begun and a tool called.

Stdio: a key of `STDIO`, which names the methods that are answered oddly (`ID` stands for the id), or one of
    old-only        refuses `initialize` with every version but 2024-11-05, and names that
    no-list         knows no `tools/list`
    initialized     answers `notifications/initialized` with an error without an id
    pages           cursors 0, 7 and {"page": 2}, each of which has to come back as it was given; the last page
                    is no JSON that can be read
    empty-cursor    ends its list with an empty cursor, and answers that with the first page
HTTP: a key of `GONE`, each call of which is the last of its session, or of `REFUSED`, or one of
    refuses         refuses every request but `initialize` and `tools/list`
    no-ping         knows no `ping`, and refuses every call with 403
    gzip, zstd      compresses its answers
    bomb            answers a call with 100 KB of gzip that hold 100 MB
    notified        refuses every notification with 500
    202, empty, unended
                    takes the call without an answer; answers it with nothing; ends the event stream before it
"""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

INIT = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "odd", "version": "1"}}
TOOLS = [{"name": "t", "inputSchema": {"type": "object"}}]
DONE = {"content": [{"type": "text", "text": "ok"}]}
UNKNOWN = {"code": -32601, "message": "Method not found"}


def initialize(result):
    return {"initialize": '{"jsonrpc":"2.0","id":ID,"result":%s}' % result}


def listing(result):
    return {"tools/list": '{"jsonrpc":"2.0","id":ID,"result":%s}' % result}


def calling(text):
    return {"tools/call": text}


STDIO = {
    "error-code-text": calling('{"jsonrpc":"2.0","id":ID,"error":{"code":"E_FAIL","message":"boom"}}'),
    "error-message-null": calling('{"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":null}}'),
    "error-is-text": calling('{"jsonrpc":"2.0","id":ID,"error":"boom"}'),
    "error-id-null": calling('{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"boom"}}'),
    "result-null": calling('{"jsonrpc":"2.0","id":ID,"result":null}'),
    "neither": calling('{"jsonrpc":"2.0","id":ID}'),
    "nan": calling('{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"ok"}],"structuredContent":{"x":NaN}}}'),
    "cut": calling('{"jsonrpc":"2.0","id":ID,"result":{"content":['),
    "echo": calling('{"jsonrpc":"2.0","id":ID,"method":"tools/call","result":{"content":[{"type":"text","text":"ok"}]}}'),
    "batch": calling('[{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"ok"}]}}]'),
    "surrogate": calling('{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"cut \\ud83d"}]}}'),
    "range": calling('{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"ok"}],"structuredContent":{"x":1e999}}}'),
    "digits": calling('{"jsonrpc":"2.0","id":ID,"result":{"structuredContent":{"x":123456789012345678901234567890}}}'),
    "mark": calling('\ufeff{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"ok"}]}}'),
    "mark-initialize": {"initialize": "\ufeff" + '{"jsonrpc":"2.0","id":ID,"result":%s}' % json.dumps(INIT)},
    "no-version": initialize('{"capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}'),
    "no-info": initialize('{"protocolVersion":"2024-11-05","capabilities":{"tools":{}}}'),
    "info-is-text": initialize('{"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":"s"}'),
    "capabilities-null": initialize('{"protocolVersion":"2024-11-05","capabilities":null,"serverInfo":{"name":"s","version":"1"}}'),
    "tools-true": initialize('{"protocolVersion":"2024-11-05","capabilities":{"tools":true},"serverInfo":{"name":"s","version":1}}'),
    "instructions-list": initialize('{"protocolVersion":"2024-11-05","capabilities":{},"serverInfo":{},"instructions":["a"]}'),
    "tools-bare": listing(json.dumps(TOOLS)),
    "cursor-false": listing('{"tools":%s,"nextCursor":false}' % json.dumps(TOOLS)),
    "tools-null": listing('{"tools":null}'),
    "deep-tool": listing('{"tools":[{"name":"deep","inputSchema":%s1%s},%s]}' % ('{"a":' * 300, "}" * 300, json.dumps(TOOLS[0]))),
    "initialize-text": initialize('"welcome"'),
    "list-text": listing('"none"'),
}
# How an unknown session is refused: status, body, content type.
GONE = {
    "status400": (400, "Bad Request: No valid session ID provided", "text/plain"),
    "detail400": (400, '{"detail":"Invalid or expired session"}', "application/json"),
    "status401": (401, "Unauthorized: Session not found", "text/plain"),
    "status403": (403, "forbidden", "text/plain"),
    "status404": (404, "", "text/plain"),
    "status410": (410, "gone", "text/plain"),
    "status422": (422, '{"error":"unknown mcp session"}', "application/json"),
    "status500": (500, "KeyError: 's-1'", "text/plain"),
    "status503": (503, "unknown session", "text/plain"),
    "status200": (200, '{"jsonrpc":"2.0","id":ID,"error":{"code":-32001,"message":"Session not found"}}', "application/json"),
    "event200": (200, 'data: {"error":"Session not found"}\n\n', "text/event-stream"),
}
# How a call is refused: status, body, headers.
REFUSED = {
    "plan": (403, '{"jsonrpc":"2.0","id":ID,"error":{"code":-32003,"message":"your plan does not include this tool"}}', {}),
    "project": (401, '{"jsonrpc":"2.0","id":ID,"error":{"code":-32001,"message":"the token lacks the project X"}}',
                {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}),
    "sentence": (403, "ask the owner of the project for access", {}),
    "json": (400, '{"message":"the page is archived"}', {}),
}


def answer(mode, method, message):
    """The answer of a server that is well-behaved but for its mode, as text; None for none."""
    odd = STDIO.get(mode, {}).get(method)
    identity = json.dumps(message.get("id"))
    if odd:
        return odd.replace("ID", identity)
    params = message.get("params") or {}
    error, result = None, None
    if mode == "initialized" and method == "notifications/initialized":
        return '{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"Method not found"}}'
    if "id" not in message:
        return None
    if mode == "old-only" and method == "initialize" and params["protocolVersion"] != "2024-11-05":
        error = {"code": -32602, "message": "Unsupported protocol version",
                 "data": {"supported": ["2024-11-05"], "requested": params["protocolVersion"]}}
    elif mode == "no-list" and method == "tools/list":
        error = UNKNOWN
    elif mode == "pages" and method == "tools/list":
        pages = [None, 0, 7, {"page": 2}]
        number = pages.index(params.get("cursor"))
        if number == 3:
            return '{"jsonrpc":"2.0","id":%s,"result":"the end"}' % identity
        result = {"tools": [{"name": f"t{number}", "inputSchema": {}}], "nextCursor": pages[number + 1]}
    elif mode == "empty-cursor" and method == "tools/list":
        result = {"tools": TOOLS, "nextCursor": ""}
    elif method == "initialize":
        result = {**INIT, "protocolVersion": params["protocolVersion"]}
    elif method in ("tools/list", "tools/call"):
        result = {"tools": TOOLS} if method == "tools/list" else DONE
    else:
        error = UNKNOWN
    outcome = {"error": error} if error else {"result": result}
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome})


def stdio(mode):
    for line in sys.stdin.buffer:
        message = json.loads(line)
        text = answer(mode, message.get("method"), message)
        if text:
            sys.stdout.buffer.write(text.encode() + b"\n")
            sys.stdout.buffer.flush()


def zstd(data):
    """A Zstandard frame with one raw block (RFC 8878, section 3)."""
    size = len(data)
    assert size < 65_536 + 256
    header = b"\x60" + (size - 256).to_bytes(2, "little") if size >= 256 else b"\x20" + bytes([size])
    return b"\x28\xb5\x2f\xfd" + header + (size << 3 | 1).to_bytes(3, "little") + data


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lives, begun, calls = {}, {}, {}

    def log_message(self, *_):
        pass

    def reply(self, status, body="", kind="application/json", **headers):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        if body:
            self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        mode, what = self.path.strip("/").split("/")
        if what != "count":
            return self.reply(405)
        return self.reply(200, json.dumps({"begun": self.begun.get(mode, 0), "calls": self.calls.get(mode, 0)}))

    def do_DELETE(self):
        self.reply(200)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mode, method = self.path.strip("/").split("/")[0], message.get("method")
        identity = json.dumps(message.get("id"))
        if method == "initialize":
            self.lives[mode], self.begun[mode] = True, self.begun.get(mode, 0) + 1
            return self.reply(200, answer(mode, method, message), Mcp_Session_Id=f"s-{self.begun[mode]}")
        if "id" not in message:
            return self.reply(500 if mode == "notified" else 202)
        if mode in GONE and not self.lives.get(mode):
            status, body, kind = GONE[mode]
            return self.reply(status, body.replace("ID", identity), kind)
        if mode == "refuses" and method != "tools/list":
            return self.reply(401, "the account is suspended", "text/plain")
        if mode == "no-ping" and method == "ping":
            return self.reply(400, json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": UNKNOWN}))
        if method == "tools/call":
            self.calls[mode], self.lives[mode] = self.calls.get(mode, 0) + 1, False
            if mode in REFUSED:
                status, body, headers = REFUSED[mode]
                return self.reply(status, body.replace("ID", identity), **headers)
            if mode == "no-ping":
                return self.reply(403, "not today", "text/plain")
            if mode in ("202", "empty", "unended"):
                kind = "text/event-stream" if mode == "unended" else "application/json"
                return self.reply(202 if mode == "202" else 200, ": hold on\n\n" if mode == "unended" else "", kind)
        text = answer(mode, method, message).encode()
        if mode == "bomb" and method == "tools/call":
            text = text.replace(b'"ok"', b'"' + b"o" * 100_000_000 + b'"')
            return self.reply(200, gzip.compress(text), Content_Encoding="gzip")
        if mode in ("gzip", "zstd"):
            compress = gzip.compress if mode == "gzip" else zstd
            return self.reply(200, compress(text), Content_Encoding=mode)
        return self.reply(200, text)


if sys.argv[1] == "stdio":
    stdio(sys.argv[2])
else:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
