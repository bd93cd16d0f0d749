#!/usr/bin/env python3
"""A stdio MCP server that misbehaves on demand. Standard library only.

    bad_server.py [MODE [ARGUMENT]] [--record FILE]

Every mode that gets as far as tools has these: echo env pid calls slow hang die big change grandchild fail
rpc_error notify content measure unknown_content. What a mode does besides:

    good                 nothing
    exit [CODE]          exits at once
    exit-stderr [TEXT]   says TEXT on stderr and exits with 3
    exit-later [SECONDS] works for a while, then exits with 4
    flaky [N]            exits with 5 at the first N starts (counted in the record), then works
    silent               reads, and never answers anything
    late [SECONDS]       answers nothing until then
    deaf                 does not answer methods it does not know, not even with an error
    dies-on-discover     ends on `server/discover`, as some servers do
    modern               knows `server/discover` (2026-07-28), refuses `initialize`
    error-initialize     answers `initialize` with an error
    dies-initialized     answers `initialize`, then exits with 1
    error-list           answers `tools/list` with an error
    garbage              lines on stdout that are no JSON, and JSON that is no JSON-RPC, before and between messages
    wrong-ids            each answer comes with others around it, for ids nobody used, and twice
    flood-stderr         lines on stderr without end
    flood-notifications  notifications without end
    flood KIND           answers, and sends one kind of message that nobody asked for, as fast as it can: see FLOODS
    flood-early KIND     the same from the start, before the handshake
    unread               sends pings, and stops to read
    chatty               a log line, a progress notification and junk, 100 of each a second, and ten pings
    drip                 answers one byte a second
    heavy-list           a page of tools with millions of tiny values
    heavy-pages          pages of tools of 1 MB, without end
    long-words           answers `initialize` and errors with words that are much too long
    long-line            a line of 64 MB on stdout without a message in it, before the first answer
    bad-tools            `tools/list` with every odd schema and name there is
    pages [N]            one tool a page, N pages
    endless-pages        a cursor that never ends
    same-cursor          the same page with the same cursor, for ever
    stubborn             ignores SIGTERM, SIGINT and the end of stdin
    ends-slowly [SECONDS] exits that long after stdin closed or SIGTERM came
    asks                 sends requests to the client: ping, roots/list, sampling, elicitation, one unknown

--record FILE: each start, call and cancellation is appended there as a line of JSON.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

MODE = sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("--") else "good"
ARGUMENT = sys.argv[2] if len(sys.argv) > 2 and not sys.argv[2].startswith("--") else None
RECORD = sys.argv[sys.argv.index("--record") + 1] if "--record" in sys.argv else None

writing = threading.Lock()
cancelled = {}
state = {"calls": 0, "changed": False}


def record(event, **details):
    """Appends a line to the record."""
    if RECORD:
        line = json.dumps({"event": event, "pid": os.getpid(), **details}) + "\n"
        with open(RECORD, "a", encoding="utf-8") as file:
            file.write(line)


def raw(data):
    """Writes bytes to stdout, unmixed."""
    with writing:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def send(message):
    """Writes a message, with what the mode adds to it."""
    if MODE == "drip":
        for byte in json.dumps(message).encode() + b"\n":
            raw(bytes([byte]))
            time.sleep(1)
        return
    if MODE == "garbage":
        raw(b"[INFO] about to answer\n\n" + b'{"level": "info", "msg": "json, but no message"}\n' + b"[1, 2\n\xff\xfe\n")
    if MODE == "wrong-ids" and "id" in message and "method" not in message:
        for odd in (999_999, "999999", None, -1, 1.5):
            raw(json.dumps({"jsonrpc": "2.0", "id": odd, "result": {"content": []}}).encode() + b"\n")
        raw(json.dumps(message).encode() + b"\n")
    raw(json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")


def answer(request, result):
    send({"jsonrpc": "2.0", "id": request["id"], "result": result})


def refuse(request, code, message, data=None):
    error = {"code": code, "message": message, **({} if data is None else {"data": data})}
    send({"jsonrpc": "2.0", "id": request["id"], "error": error})


def notify(method, **params):
    send({"jsonrpc": "2.0", "method": method, "params": params})


def text(*texts, error=False):
    return {"content": [{"type": "text", "text": each} for each in texts], **({"isError": True} if error else {})}


def schema(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required)}


STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}

TOOLS = [
    {"name": "echo", "description": "Gives the message back", "inputSchema": schema(["message"], message=STRING)},
    {"name": "env", "description": "The environment, as JSON", "inputSchema": schema()},
    {"name": "pid", "description": "The process id", "inputSchema": schema()},
    {"name": "calls", "description": "How many calls came before this one", "inputSchema": schema()},
    {"name": "slow", "description": "Answers after some seconds", "inputSchema": schema(["seconds"], seconds=NUMBER)},
    {"name": "hang", "description": "Never answers", "inputSchema": schema()},
    {"name": "die", "description": "Ends the process", "inputSchema": schema(code=INTEGER)},
    {"name": "big", "description": "A large text, 50 MB", "inputSchema": schema(bytes=INTEGER)},
    {"name": "change", "description": "Changes the list of tools", "inputSchema": schema()},
    {
        "name": "grandchild",
        "description": "Starts a process that ignores SIGTERM; its id",
        "inputSchema": schema(own_session={"type": "boolean"}, keep_output={"type": "boolean"}),
    },
    {"name": "fail", "description": "isError", "inputSchema": schema(message=STRING)},
    {"name": "rpc_error", "description": "A JSON-RPC error", "inputSchema": schema(code=INTEGER, message=STRING, data={})},
    {"name": "notify", "description": "Progress and log messages first", "inputSchema": schema(
        count=INTEGER, pause=NUMBER, words=STRING, log=STRING, then={"enum": ["answer", "hang", "fail"]})},
    {"name": "content", "description": "One of each kind of content, or those named", "inputSchema": schema(
        kinds={"type": "array", "items": STRING}, structured={"type": "object"})},
    {"name": "measure", "description": "Has an output schema", "inputSchema": schema(
        unit={"enum": ["C", "F"], "default": "C"}, exact={"type": "boolean"}, places=INTEGER,
        tags={"type": "array", "items": STRING}), "outputSchema": schema(["degrees"], degrees=NUMBER, unit=STRING)},
    {"name": "unknown_content", "description": "A kind of content nobody knows", "inputSchema": schema()},
]

TREE = {"type": "object", "properties": {"name": STRING, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}
BAD_TOOLS = [
    {"name": "no_schema"},
    {"name": "null_schema", "inputSchema": None},
    {"name": "boolean_schema", "inputSchema": True},
    {"name": "false_schema", "inputSchema": False},
    {"name": "text_schema", "inputSchema": "object"},
    {"name": "empty_schema", "inputSchema": {}},
    {"name": "array_schema", "inputSchema": {"type": "array", "items": STRING}},
    {"name": "no_type", "inputSchema": {"properties": {"a": STRING}}},
    {"name": "bad_required", "inputSchema": {"type": "object", "properties": {"a": STRING}, "required": "a"}},
    {"name": "required_unknown", "inputSchema": schema(["b"], a=STRING)},
    {"name": "null_properties", "inputSchema": {"type": "object", "properties": None, "required": None}},
    {"name": "recursive", "inputSchema": {**schema(root={"$ref": "#/$defs/node"}), "$defs": {"node": TREE}}},
    {"name": "recursive_root", "inputSchema": schema(child={"$ref": "#"})},
    {"name": "loop", "inputSchema": {**schema(a={"$ref": "#/$defs/a"}), "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}},
    {"name": "dangling", "inputSchema": schema(a={"$ref": "#/$defs/nowhere"}, b=STRING)},
    {"name": "external", "inputSchema": schema(a={"$ref": "https://example.invalid/schema.json"}, b=STRING)},
    {"name": "file_ref", "inputSchema": schema(a={"$ref": "file:///etc/passwd"}, b=STRING)},
    {"name": "property_ref", "inputSchema": schema(a=schema(x=INTEGER), b={"$ref": "#/properties/a"})},
    {"name": "definitions", "inputSchema": {**schema(a={"$ref": "#/definitions/A"}), "definitions": {"A": INTEGER}}},
    {"name": "booleans", "inputSchema": schema(any=True, none=False, list={"type": "array", "items": True},
                                               some={"anyOf": [True, STRING]})},
    {"name": "tuple_draft_07", "inputSchema": {"$schema": "http://json-schema.org/draft-07/schema#", **schema(
        pair={"type": "array", "items": [STRING, INTEGER], "additionalItems": False})}},
    {"name": "tuple_2020", "inputSchema": schema(pair={"type": "array", "prefixItems": [STRING, INTEGER], "items": False})},
    {"name": "top_any_of", "inputSchema": {"type": "object", "anyOf": [schema(["a"], a=STRING), schema(["b"], b=INTEGER)]}},
    {"name": "top_all_of", "inputSchema": {"allOf": [schema(["a"], a=STRING), schema(b=INTEGER)]}},
    {"name": "free_form", "inputSchema": {"type": "object", "additionalProperties": STRING}},
    {"name": "nullable", "inputSchema": schema(a={"type": ["string", "null"]}, b={"type": "string", "default": None})},
    {"name": "bad_pattern", "inputSchema": schema(a={"type": "string", "pattern": "(["})},
    {"name": "bad_type", "inputSchema": schema(a={"type": "date"}, b={"type": 7})},
    {"name": "odd_properties", "inputSchema": schema(**{
        "StartTime<": STRING, "auth-method": STRING, "$search": STRING, "required": STRING, "": STRING, "a/b~c": STRING,
        "arguments": {"type": "object"}})},
    {"name": "empty_enum", "inputSchema": schema(a={"enum": []}, b={"enum": ["", None, 1]})},
    {"name": "deep", "inputSchema": None},
    {"name": "duplicate", "description": "the first", "inputSchema": schema(first=STRING)},
    {"name": "duplicate", "description": "the second", "inputSchema": schema(second=STRING)},
    {"name": "Case", "inputSchema": schema()},
    {"name": "case", "inputSchema": schema()},
    {"name": "n" * 200, "inputSchema": schema()},
    {"name": "n" * 199 + "m", "inputSchema": schema()},
    {"name": "with.dots", "inputSchema": schema()},
    {"name": "with/slashes/in it", "inputSchema": schema()},
    {"name": "with?query#fragment%20", "inputSchema": schema()},
    {"name": "../up", "inputSchema": schema()},
    {"name": "größe_日本語_🙂", "inputSchema": schema()},
    {"name": "openapi.json", "inputSchema": schema()},
    {"name": "docs", "inputSchema": schema()},
    {"name": "", "inputSchema": schema()},
    {"name": None, "inputSchema": schema()},
    {"name": 7, "inputSchema": schema()},
    {"description": "without a name", "inputSchema": schema()},
    "not even an object",
    None,
    {"name": "null_description", "description": None, "title": None, "annotations": None, "outputSchema": None, "inputSchema": schema()},
    {"name": "bad_output", "inputSchema": schema(), "outputSchema": {"type": "array", "items": {"$ref": "#/nowhere"}}},
    {"name": "bad_hints", "inputSchema": schema(), "annotations": {"readOnlyHint": "yes", "title": 7}},
    {"name": "long_description", "description": "word " * 20_000, "inputSchema": schema()},
    {"name": "odd_text", "description": "\u0000\u001b[31mred\u202e \ufffd </script>", "inputSchema": schema()},
]


def deep_schema(levels):
    """Objects in objects."""
    inner = STRING
    for _ in range(levels):
        inner = {"type": "object", "properties": {"in": inner}}
    return inner


BAD_TOOLS[[tool.get("name") if isinstance(tool, dict) else None for tool in BAD_TOOLS].index("deep")]["inputSchema"] = deep_schema(40)


def list_tools(request):
    tools = list(TOOLS)
    if state["changed"]:
        tools.append({"name": "changed", "description": "was not there before", "inputSchema": schema()})
    page = int((request.get("params") or {}).get("cursor") or 0)
    if MODE == "error-list":
        return refuse(request, -32603, "the list is out of order")
    if MODE == "bad-tools":
        tools += BAD_TOOLS
    if MODE in ("pages", "endless-pages"):
        paged = [*tools, *({"name": f"page_{n}", "inputSchema": schema()} for n in range(1, int(ARGUMENT or 5)))]
        last = MODE == "pages" and page + 1 >= int(ARGUMENT or 5)
        if MODE == "endless-pages":
            paged += [{"name": f"endless_{page}", "inputSchema": schema()}]
        one = tools if page == 0 else [{"name": f"page_{page}", "inputSchema": schema()}]
        return answer(request, {"tools": one, **({} if last else {"nextCursor": str(page + 1)})})
    if MODE == "heavy-list":
        return answer(request, {"tools": [{**tools[0], "inputSchema": {"type": "object", "enum": [0] * 2_000_000}}]})
    if MODE == "heavy-pages":
        one = {"name": f"page_{page}", "description": "d" * 1_000_000, "inputSchema": schema()}
        return answer(request, {"tools": [one], "nextCursor": str(page + 1)})
    if MODE == "same-cursor":
        return answer(request, {"tools": tools, "nextCursor": "1"})
    return answer(request, {"tools": tools})


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CONTENT = {
    "text": {"type": "text", "text": "words"},
    "json": {"type": "text", "text": '{"a": [1, 2.50, null]}'},
    "image": {"type": "image", "data": PIXEL, "mimeType": "image/png"},
    "audio": {"type": "audio", "data": "UklGRg==", "mimeType": "audio/wav"},
    "resource": {"type": "resource", "resource": {"uri": "file:///a.txt", "mimeType": "text/plain", "text": "inside"}},
    "blob": {"type": "resource", "resource": {"uri": "file:///a.bin", "mimeType": "application/octet-stream", "blob": "AAEC"}},
    "html": {"type": "resource", "resource": {"uri": "ui://page", "mimeType": "text/html", "text": "<p>hi</p>"}},
    "link": {"type": "resource_link", "uri": "file:///b.txt", "name": "b"},
}


def call(request):
    params = request.get("params") or {}
    name, given = params.get("name"), params.get("arguments") or {}
    before, state["calls"] = state["calls"], state["calls"] + 1
    meta = {"meta": params["_meta"]} if "_meta" in params else {}
    record("call", tool=name, arguments=given, id=request["id"], **meta)
    if name == "echo":
        return answer(request, text(str(given.get("message"))))
    if name == "env":
        return answer(request, text(json.dumps(dict(os.environ))))
    if name == "pid":
        return answer(request, text(str(os.getpid())))
    if name == "calls":
        return answer(request, text(str(before)))
    if name in ("slow", "hang"):
        return threading.Thread(target=wait, args=(request, given.get("seconds")), daemon=True).start()
    if name == "die":
        sys.stderr.write("dying as asked\n")
        sys.stderr.flush()
        os._exit(int(given.get("code", 9)))
    if name == "big":
        return answer(request, text("x" * int(given.get("bytes", 50_000_000))))
    if name == "change":
        state["changed"] = not state["changed"]
        answer(request, text("changed"))
        return notify("notifications/tools/list_changed")
    if name == "grandchild":
        return answer(request, text(str(grandchild(given.get("own_session", False), given.get("keep_output", False)))))
    if name == "fail":
        return answer(request, text(with_token(given.get("message", "it went wrong")), error=True))
    if name == "rpc_error":
        return refuse(request, given.get("code", -32603), with_token(given.get("message", "it went wrong")),
                      json.loads(with_token(json.dumps(given.get("data")))))
    if name == "notify":
        if "pause" in given:
            return threading.Thread(target=chatter, args=(request, params), daemon=True).start()
        return chatter(request, params)
    if name == "content":
        content = [CONTENT.get(kind, {"type": "text", "text": kind}) for kind in given.get("kinds", list(CONTENT))]
        return answer(request, {"content": content, **({"structuredContent": given["structured"]} if "structured" in given else {})})
    if name == "measure":
        measured = {"degrees": 21.5, "unit": given.get("unit")}
        return answer(request, {**text(json.dumps(measured)), "structuredContent": measured})
    if name == "unknown_content":
        return answer(request, {"content": [{"type": "hologram", "data": {"depth": 3}}], "_meta": {"x": 1}, "extra": True})
    if name == "changed" and state["changed"]:
        return answer(request, text("new"))
    if MODE in ("bad-tools", "pages", "endless-pages", "same-cursor"):
        return answer(request, text(json.dumps({"name": name, "arguments": given})))
    return refuse(request, -32602, f"Unknown tool: {name}")


def wait(request, seconds):
    """Answers after some seconds, or never; stops when the call is cancelled."""
    event = cancelled.setdefault(request["id"], threading.Event())
    if event.wait(None if seconds is None else float(seconds)):
        return
    answer(request, text(f"waited {seconds} s"))


def with_token(words):
    """`$TOKEN` is the server's own token, `$SPLIT` the same with characters in it that cannot be seen."""
    own = os.environ.get("TOKEN", "")
    middle = len(own) // 2
    return words.replace("$TOKEN", own).replace("$SPLIT", f"{own[:middle]}\0\u202e{own[middle:]}")


def chatter(request, params):
    """Says something again and again, and then answers, fails, or hangs."""
    token, given = (params.get("_meta") or {}).get("progressToken"), params.get("arguments") or {}
    count = int(given.get("count", 3))
    for number in range(count):
        if token is not None and "log" not in given:
            words = {"message": with_token(given["words"])} if "words" in given else {}
            notify("notifications/progress", progressToken=token, progress=number, total=count, **words)
        if "log" in given or "words" not in given:
            notify("notifications/message", level="info", data=given.get("log", {"n": number}))
        time.sleep(given.get("pause", 0))
    if given.get("then") == "hang":
        return wait(request, None)
    if given.get("then") == "fail":
        return answer(request, text("it went wrong", error=True))
    return answer(request, text(f"said {count}"))


def grandchild(own_session, keep_output):
    code = "import signal, time\nfor s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\ntime.sleep(600)"
    quiet = subprocess.DEVNULL
    output = None if keep_output else quiet
    child = subprocess.Popen([sys.executable, "-c", code], stdin=quiet, stdout=output, stderr=quiet, start_new_session=own_session)
    return child.pid


def handle(message):
    """Answers one message."""
    method = message.get("method")
    if method == "notifications/cancelled":
        cancelled_id = (message.get("params") or {}).get("requestId")
        record("cancelled", id=cancelled_id)
        return cancelled.setdefault(cancelled_id, threading.Event()).set()
    if "method" not in message:
        return record("answer", message=message)
    if "id" not in message:
        return record("notification", method=method)
    if method == "server/discover" and MODE == "dies-on-discover":
        os._exit(1)
    if method == "server/discover" and MODE == "modern":
        return answer(message, {
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "bad-server", "version": "1"}, "ttlMs": 0, "cacheScope": "private"})
    if method == "initialize":
        return initialize(message)
    if method == "tools/list":
        return list_tools(message)
    if method == "tools/call":
        return call(message)
    if method == "ping":
        return answer(message, {})
    if MODE == "deaf":
        return None
    return refuse(message, -32601, f"Method not found: {method}")


def initialize(message):
    if MODE == "error-initialize":
        return refuse(message, -32603, "the vendor cannot be reached")
    if MODE == "modern":
        return refuse(message, -32601, "Method not found: initialize")
    asked = (message.get("params") or {}).get("protocolVersion", "2025-06-18")
    long = 100_000 if MODE == "long-words" else 1
    answer(message, {
        "protocolVersion": asked, "capabilities": {"tools": {"listChanged": True}},
        "serverInfo": {"name": "bad-server" * long, "version": "1" * long}, "instructions": "Be careful." + "!" * (long - 1)})
    if MODE == "flood":
        flood(ARGUMENT)
    if MODE == "unread":
        for number in range(1_000):
            send({"jsonrpc": "2.0", "id": "p" * 240 + str(number), "method": "ping"})
        time.sleep(600)
    if MODE == "chatty":
        for_ever(chat, 1 / 100)
    if MODE == "dies-initialized":
        time.sleep(0.2)
        sys.stderr.write("the database is away\n")
        sys.stderr.flush()
        os._exit(1)
    if MODE == "asks":
        for number, method in enumerate(["ping", "roots/list", "sampling/createMessage", "elicitation/create", "log"]):
            send({"jsonrpc": "2.0", "id": f"ask-{number}", "method": method, "params": {}})
    return None


def line_of(**message):
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


FLOODS = {
    "ping": line_of(id=7, method="ping"),
    "unknown": line_of(id="x-1", method="no/such", params={"a": [1, 2, 3]}),
    "sampling": line_of(id=8, method="sampling/createMessage", params={"messages": [], "maxTokens": 1}),
    "list-changed": line_of(method="notifications/tools/list_changed"),
    "cancelled": line_of(method="notifications/cancelled", params={"requestId": 1, "reason": "so"}),
    "acknowledged": line_of(method="notifications/subscriptions/acknowledged", params={"_meta": {"a": 1}}),
    "progress": line_of(method="notifications/progress", params={"progressToken": {"odd": []}, "progress": "x"}),
    "message": line_of(method="notifications/message", params={"level": "info", "data": "words"}),
    "stray": line_of(id=999_999, result={"content": []}),
    "stray-error": line_of(id=999_999, error={"code": 1, "message": "no"}),
    "idless-error": line_of(id=None, error={"code": 1, "message": "no"}),
    "batch": b"[" + b",".join([line_of(id=7, method="ping").strip()] * 100) + b"]\n",
    "huge-params": line_of(method="notifications/message", params={"level": "info", "data": [0] * 1_000_000}),
    "huge-id": line_of(id="i" * 1_000_000, method="ping"),
    "list-id": b'{"jsonrpc": "2.0", "id": [' + b"0," * 1_500_000 + b'0], "method": "ping"}\n',
    "junk": b"noise " * 100 + b"\n",
    "json": b'{"level": "info", "msg": "json, but no message"}\n',
    "newlines": b"\n",
    "spaces": b" " * 100_000 + b"\n",
    "nul": b"\0" * 1_000 + b"\n",
    "endless-line": b"x" * 65_536,
}


def flood(kind):
    """Writes one kind of message as fast as the pipe takes it, past the lock: answers go between."""
    chunk = FLOODS[kind] * max(1, 65_536 // len(FLOODS[kind]))
    for_ever(lambda: raw(chunk))


def chat():
    """What an honest server with a lot to say sends."""
    raw(b"DEBUG handled a request in 3 ms " + b"x" * 200 + b"\n")
    notify("notifications/message", level="debug", data={"msg": "handled a request", "took": 3})
    notify("notifications/progress", progressToken=1, progress=1)
    state["said"] = state.get("said", 0) + 1
    if state["said"] % 10 == 0:
        send({"jsonrpc": "2.0", "id": state["said"], "method": "ping"})


def for_ever(what, pause=0.0):
    def run():
        while True:
            what()
            time.sleep(pause)
    threading.Thread(target=run, daemon=True).start()


def begin():
    """What a mode does before the first message."""
    record("start", mode=MODE)
    if MODE == "exit":
        sys.exit(int(ARGUMENT or 1))
    if MODE == "exit-stderr":
        sys.stderr.write((ARGUMENT or "fatal: TOKEN is wrong") + "\n")
        sys.exit(3)
    if MODE == "exit-later":
        threading.Timer(float(ARGUMENT or 1), lambda: os._exit(4)).start()
    if MODE == "flaky":
        with open(RECORD, encoding="utf-8") as file:
            starts = sum('"start"' in line for line in file)
        if starts <= int(ARGUMENT or 2):
            sys.stderr.write(f"not yet, this is start {starts}\n")
            sys.exit(5)
    if MODE == "late":
        time.sleep(float(ARGUMENT or 2))
    if MODE == "garbage":
        raw(b"Starting up...\n{\"otel\": {\"resource\": []}}\n\x1b[32mready\x1b[0m\nnull\n[]\n{}\n\"text\"\n")
    if MODE == "flood-early":
        flood(ARGUMENT)
    if MODE == "long-line":
        raw(b"z" * 64_000_000 + b"\n")
    if MODE == "flood-stderr":
        for_ever(lambda: (sys.stderr.write("noise " * 100 + "\n"), sys.stderr.flush()))
    if MODE == "flood-notifications":
        for_ever(lambda: notify("notifications/message", level="info", data="noise"), 0.002)
    if MODE == "stubborn":
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
    if MODE == "ends-slowly":
        signal.signal(signal.SIGTERM, lambda *_: (time.sleep(float(ARGUMENT or 3)), os._exit(0)))


def main():
    begin()
    for line in sys.stdin.buffer:
        if MODE == "silent":
            continue
        try:
            message = json.loads(line)
        except ValueError:
            send({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "Parse error"}})
            continue
        handle(message)
    record("end of stdin")
    if MODE == "stubborn":
        while True:
            time.sleep(60)
    if MODE == "ends-slowly":
        time.sleep(float(ARGUMENT or 3))
    os._exit(0)


main()
