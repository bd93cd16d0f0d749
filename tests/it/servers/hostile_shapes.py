"""What the hostile servers send: floods, lists of tools, answers, schemas. Standard library only.

Each table maps the name of an attack to a function, so that both transports use the same shapes:

    FLOODS    number -> bytes     messages that no request asked for, one message a line
    JUNK      number -> bytes     bytes that are not messages
    LISTS     cursor -> bytes     the result of `tools/list`
    ANSWERS   () -> bytes         the result of `tools/call`
    SCHEMAS   () -> (schema, arguments)    an input schema, and arguments that are dear to validate against it
    HANDSHAKES request -> bytes   the answer to `initialize`, without the line end
"""

import json

MEGABYTE = 1_000_000


def line(message):
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def notification(method, **params):
    return line({"jsonrpc": "2.0", "method": method, "params": params})


def request(number, method, **params):
    return line({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def many(make, count=500):
    """A block of messages with numbers of its own."""
    return lambda number: b"".join(make(number * count + each) for each in range(count))


def same(data):
    """Always the same block, made once."""
    return lambda _number: data


ODD_IDS = [None, 1.5, -1, True, [], {}, {"id": 1}, "", "x" * 1000, 2**63, 2**80, 1e300, "\u0000", "\u202e"]

FLOODS = {
    "ping": many(lambda n: request(n, "ping")),
    "ping-texts": many(lambda n: request(f"ask-{n}", "ping")),
    "ping-same-id": same(request(1, "ping") * 500),
    "ping-long-ids": many(lambda n: request(f"{n}-" + "i" * 10_000, "ping"), 20),
    "ping-large": same(request(7, "ping", _meta={"x": "p" * 100_000}) * 5),
    "unknown-requests": many(lambda n: request(n, f"vendor/{n}")),
    "sampling": many(lambda n: request(n, "sampling/createMessage", maxTokens=9, messages=[
        {"role": "user", "content": {"type": "text", "text": "w" * 2_000}}]), 50),
    "roots": many(lambda n: request(n, "roots/list")),
    "elicitation": many(lambda n: request(n, "elicitation/create", message="Your password?", requestedSchema={
        "type": "object", "properties": {"password": {"type": "string"}}})),
    "tasks": many(lambda n: request(n, "tasks/get", taskId=str(n))),
    "requests-odd-ids": same(b"".join(line({"jsonrpc": "2.0", "id": odd, "method": "ping"}) for odd in ODD_IDS) * 20),
    "list-changed": same(notification("notifications/tools/list_changed") * 500),
    "list-changed-params": many(lambda n: notification("notifications/tools/list_changed", n=n, x="y" * 1000), 100),
    "prompts-changed": same(notification("notifications/prompts/list_changed") * 500),
    "resources-updated": many(lambda n: notification("notifications/resources/updated", uri=f"file:///{n}")),
    "cancelled": many(lambda n: notification("notifications/cancelled", requestId=n, reason="because")),
    "cancelled-odd-ids": same(b"".join(notification("notifications/cancelled", requestId=odd) for odd in ODD_IDS) * 20),
    "cancelled-long-reasons": many(lambda n: notification("notifications/cancelled", requestId=n, reason="r" * 50_000), 10),
    "unknown-notifications": many(lambda n: notification(f"vendor/{n}", n=n)),
    "log-small": many(lambda n: notification("notifications/message", level="info", data={"n": n})),
    "log-1mb": same(notification("notifications/message", level="error", data="l" * MEGABYTE)),
    "log-deep": same(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":'
                     + b"[" * 100_000 + b"]" * 100_000 + b"}}\n"),
    "progress": many(lambda n: notification("notifications/progress", progressToken=n, progress=n, total=10)),
    "progress-odd-tokens": same(b"".join(notification("notifications/progress", progressToken=odd, progress=1)
                                         for odd in ODD_IDS) * 20),
    "progress-long-words": many(lambda n: notification(
        "notifications/progress", progressToken=n % 50, progress=n, message="m" * 100_000), 5),
    "stray-answers": many(lambda n: line({"jsonrpc": "2.0", "id": n + 1_000_000, "result": {"content": []}})),
    "stray-large-answers": many(lambda n: line({"jsonrpc": "2.0", "id": n + 1_000_000, "result": {
        "content": [{"type": "text", "text": "s" * MEGABYTE}]}}), 1),
    "duplicate-answers": same(line({"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}) * 500),
    "stray-errors": many(lambda n: line({"jsonrpc": "2.0", "id": n, "error": {"code": -1, "message": "no"}})),
    "batches": many(lambda n: b"[" + b",".join([request(n, "ping")[:-1]] * 1000) + b"]\n", 1),
    "answer-and-request": many(lambda n: line({"jsonrpc": "2.0", "id": n, "method": "ping", "result": {}, "error": None})),
}

JUNK = {
    "lines": same(b"noise " * 20 + b"\n" + b"INFO: about to start\n" * 500),
    "newlines": same(b"\n" * 65_536),
    "crlf": same(b"\r\n" * 32_768),
    "nul": same(b"\0" * 65_536),
    "no-newline": same(b"z" * 65_536),
    "not-utf8": same(b"\xff\xfe\x80\n" * 16_384),
    "json-no-rpc": same(b'{"level":"info","msg":"json, but not a message"}\n' * 1000),
    "empty-objects": same(b"{}\n" * 20_000),
    "numbers": same(b"1\n" * 32_768),
    "brackets": same(b"[" * 1_000_000 + b"\n"),
    "half-messages": same(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"' + b"h" * 2_000 + b"\n"),
    "tiny-arrays": same(b"[" + b"[]," * 4_000_000 + b"[]]\n"),
    "long-line": same(b"L" * 40 * MEGABYTE + b"\n"),
    "long-method": same(b'{"jsonrpc":"2.0","method":"' + b"m" * 4 * MEGABYTE + b'"}\n'),
    "bom": same(b"\xef\xbb\xbf{}\n" * 10_000),
    "escapes": same(b"\x1b[2J\x1b]8;;http://evil.example\x07click\x1b]8;;\x07\rover\n" * 1000),
    "bidi": same("\u202euser\u2066 = admin\u2069\u200b\n".encode() * 2000),
}

STRING = {"type": "string"}


def result(**members):
    return json.dumps(members, separators=(",", ":")).encode()


def tool(name, **more):
    return {"name": name, "inputSchema": {"type": "object", "properties": {}}, **more}


ECHO = [
    {"name": "echo", "description": "Gives the message back", "inputSchema": {
        "type": "object", "properties": {"message": STRING}}},
    {"name": "slow", "description": "Answers after some seconds", "inputSchema": {
        "type": "object", "properties": {"seconds": {"type": "number"}}}},
    {"name": "attack", "description": "Answers as the attack wants", "inputSchema": {"type": "object"}},
    {"name": "large", "description": "A text of so many bytes", "inputSchema": {
        "type": "object", "properties": {"bytes": {"type": "integer"}}}},
]


def numbered(cursor):
    return int(cursor or 0)


def page(tools, after):
    return result(tools=tools, **({} if after is None else {"nextCursor": after}))


seen = {"lists": 0}


def changing(_cursor):
    seen["lists"] += 1
    n = seen["lists"]
    return page(ECHO + [tool(f"changed_{n}_{each}", description="d" * 2_000) for each in range(300)], None)


def raw_schema(text):
    return b'{"tools":[{"name":"attack","inputSchema":' + text + b"}]}"


LISTS = {
    "pages-8mb": lambda c: page([tool(f"t{numbered(c)}", description="d" * 8 * MEGABYTE)], str(numbered(c) + 1)),
    "pages-1mb-schemas": lambda c: page([tool(f"t{numbered(c)}_{n}", inputSchema={
        "type": "object", "description": "s" * 100_000}) for n in range(10)], str(numbered(c) + 1)),
    "pages-31mb": lambda c: page([tool(f"t{numbered(c)}", title="t" * 31 * MEGABYTE)], str(numbered(c) + 1)),
    "pages-small": lambda c: page([tool(f"t{numbered(c)}")], str(numbered(c) + 1)),
    "pages-empty": lambda c: page([], str(numbered(c) + 1)),
    "cursor-same": lambda c: page([tool("t")], "again"),
    "cursor-cycle": lambda c: page([tool(f"t{c}")], "b" if c == "a" else "a"),
    "cursor-large": lambda c: page([], ("c" * MEGABYTE) + str(len(c or "") % 7)),
    "cursor-odd": lambda c: page([], {"deep": [1]}),
    "tools-10k-100kb": lambda c: page([tool(f"t{numbered(c)}_{n}", description="d" * 100_000) for n in range(50)],
                                      str(numbered(c) + 1) if numbered(c) < 200 else None),
    "tools-200k": lambda c: page([tool(f"t{n}") for n in range(200_000)], None),
    "tools-one-name": lambda c: page([tool("same")] * 50_000, None),
    "tools-long-names": lambda c: page([tool(f"{n}" + "n" * 100_000) for n in range(100)], None),
    "tools-unknown-members": lambda c: page([tool(f"t{n}", **{f"m{m}": [[]] for m in range(300)})
                                             for n in range(1000)], None),
    "tools-null": lambda c: b'{"tools":[' + b"null," * 4_000_000 + b"null]}",
    "changing": changing,
    "schema-deep-10k": lambda c: raw_schema(b'{"properties":{"a":' * 10_000 + b"{}" + b"}}" * 10_000),
    "schema-not-10k": lambda c: raw_schema(b'{"not":' * 10_000 + b"{}" + b"}" * 10_000),
    "schema-enum-1m": lambda c: raw_schema(b'{"properties":{"a":{"enum":[' + b",".join(b"%d" % n for n in range(1_000_000)) + b"]}}}"),
    "schema-properties-200k": lambda c: raw_schema(
        b'{"properties":{' + b",".join(b'"p%d":{}' % n for n in range(200_000)) + b"}}"),
    "schema-defs-50k": lambda c: raw_schema(b'{"$ref":"#/$defs/d0","$defs":{' + b",".join(
        b'"d%d":{"properties":{"a":{"$ref":"#/$defs/d%d"}}}' % (n, n + 1) for n in range(50_000)) + b',"d50000":{}}}'),
    "schema-inlining": lambda c: raw_schema(json.dumps(doubling("properties", 40)[0]).encode()),
    "output-schema-large": lambda c: page([tool(f"t{n}", outputSchema={"type": "object", "description": "o" * 50_000})
                                           for n in range(500)], None),
}

TEXT = b'{"content":[{"type":"text","text":'

ANSWERS = {
    "31mb-text": lambda: TEXT + b'"' + b"x" * 31 * MEGABYTE + b'"}]}',
    "100mb-text": lambda: TEXT + b'"' + b"x" * 100 * MEGABYTE + b'"}]}',
    "30mb-brackets": lambda: b'{"content":[],"structuredContent":' + b"[" * 15 * MEGABYTE + b"]" * 15 * MEGABYTE + b"}",
    "30mb-tiny-arrays": lambda: b'{"content":[],"structuredContent":{"a":[' + b"[]," * 10 * MEGABYTE + b"[]]}}",
    "30mb-zeros": lambda: b'{"content":[],"structuredContent":{"a":[' + b"0," * 15 * MEGABYTE + b"0]}}",
    "30mb-keys": lambda: b'{"content":[],"structuredContent":{' + b",".join(
        b'"%d":0' % n for n in range(2_500_000)) + b"}}",
    "1m-blocks": lambda: b'{"content":[' + b",".join([b'{"type":"text","text":""}'] * 1_000_000) + b"]}",
    "1m-odd-blocks": lambda: b'{"content":[' + b",".join([b"{}"] * 8_000_000) + b"]}",
    "text-of-tiny-json": lambda: TEXT + json.dumps("[" + "[]," * 8 * MEGABYTE + "[]]").encode() + b"}]}",
    "text-of-escapes": lambda: TEXT + b'"' + b"\\u0000" * 5 * MEGABYTE + b'"}]}',
    "20mb-image": lambda: b'{"content":[{"type":"image","mimeType":"image/png","data":"' + b"A" * 20 * MEGABYTE + b'"}]}',
    "long-number": lambda: b'{"content":[],"structuredContent":{"a":' + b"9" * 10 * MEGABYTE + b"}}",
    "html-20mb": lambda: b'{"content":[{"type":"resource","resource":{"uri":"ui://a","mimeType":"text/html","text":"'
    + b"<p>" * 7 * MEGABYTE + b'"}}]}',
}


def doubling(keyword, levels):
    """Each level refers to the next one twice: 2^levels paths in a few kilobytes."""
    def level(n):
        there = {"$ref": f"#/$defs/d{n + 1}"}
        if keyword in ("allOf", "anyOf", "oneOf"):
            return {keyword: [there, dict(there)]}
        if keyword == "if":
            return {"if": there, "then": dict(there), "else": dict(there)}
        if keyword == "not":
            return {"not": {"anyOf": [{"not": there}, {"not": dict(there)}]}}
        if keyword == "dependentSchemas":
            return {"dependentSchemas": {"a": there, "b": dict(there)}}
        if keyword == "patternProperties":
            return {"patternProperties": {"^a": there, "a$": dict(there)}}
        if keyword == "properties":
            return {"properties": {"a": there, "b": dict(there)}}
        if keyword == "items":
            return {"allOf": [{"items": there}, {"items": dict(there)}]}
        if keyword == "contains":
            return {"allOf": [{"contains": there}, {"contains": dict(there)}]}
        if keyword == "unevaluatedProperties":
            return {"allOf": [there, dict(there)], "unevaluatedProperties": False}
        return {"allOf": [there, {"anyOf": [dict(there), {"oneOf": [dict(there)]}]}]}
    # Holds for the arguments, so that every path is walked to its end.
    leaf = {"type": "object", "minProperties": 1, "not": {"const": 7}}
    if keyword in ("anyOf", "oneOf", "not", "mixed"):
        leaf = {"type": "string"}
    if keyword in ("items", "contains"):
        leaf = {"type": ["array", "integer", "string"]}
    schema = {"$defs": {f"d{n}": level(n) for n in range(levels)}, "$ref": "#/$defs/d0"}
    schema["$defs"][f"d{levels}"] = leaf
    return schema, {"a": 6, "b": 8}


def nested(value, levels, wrap):
    for _ in range(levels):
        value = wrap(value)
    return value


def inside(keyword, levels, value):
    """Doubling below a property, so that arrays can be given."""
    schema, _ = doubling(keyword, levels)
    definitions = schema.pop("$defs")
    return {"type": "object", "properties": {"x": schema}, "$defs": definitions}, {"x": value}


SCHEMAS = {
    "allOf-28": lambda: doubling("allOf", 28),
    "allOf-property-28": lambda: inside("allOf", 28, {"a": 6}),
    "not-property-24": lambda: inside("not", 24, {"a": 6}),
    "if-property-20": lambda: inside("if", 20, {"a": 6}),
    "mixed-property-18": lambda: inside("mixed", 18, {"a": 6}),
    "anyOf-22": lambda: doubling("anyOf", 22),
    "oneOf-24": lambda: doubling("oneOf", 24),
    "if-then-else-20": lambda: doubling("if", 20),
    "not-26": lambda: doubling("not", 26),
    "dependentSchemas-26": lambda: doubling("dependentSchemas", 26),
    "unevaluatedProperties-24": lambda: doubling("unevaluatedProperties", 24),
    "mixed-18": lambda: doubling("mixed", 18),
    "patternProperties-26": lambda: (doubling("patternProperties", 26)[0], nested(1, 26, lambda v: {"aa": v})),
    "items-26": lambda: inside("items", 26, nested(1, 27, lambda v: [v])),
    "contains-24": lambda: inside("contains", 24, nested(1, 25, lambda v: [v])),
    "dynamicRef-26": lambda: ({"$id": "https://example.invalid/root", "$dynamicAnchor": "node", "$defs": {
        **{f"d{n}": {"$id": f"d{n}", "$dynamicAnchor": f"n{n}", "allOf": [
            {"$dynamicRef": f"d{n + 1}#n{n + 1}"}, {"$dynamicRef": f"d{n + 1}#n{n + 1}"}]} for n in range(26)},
        "d26": {"$id": "d26", "$dynamicAnchor": "n26", "not": {"const": 7}}}, "$ref": "d0#n0"}, {"a": 1}),
    "anchors-26": lambda: ({"$defs": {**{f"d{n}": {"$anchor": f"a{n}", "allOf": [{"$ref": f"#a{n + 1}"}, {"$ref": f"#a{n + 1}"}]}
                                         for n in range(26)}, "d26": {"$anchor": "a26", "minProperties": 1}}, "$ref": "#a0"}, {"a": 1}),
    "self-recursive": lambda: ({"$defs": {"n": {"type": "object", "properties": {"l": {"anyOf": [
        {"$ref": "#/$defs/n"}, {"allOf": [{"$ref": "#/$defs/n"}, {"required": ["never"]}]},
        {"allOf": [{"$ref": "#/$defs/n"}, {"required": ["nor"]}]}]}}, "required": ["end"]}}, "$ref": "#/$defs/n"},
        nested({"x": 1}, 24, lambda v: {"l": v})),
    "patterns-x-keys": lambda: ({"type": "object", "patternProperties": {
        f"^(a|b|ab)*{n}(x+x+)+y$": STRING for n in range(400)}}, {f"{'ab' * 30}{n}{'x' * 30}": "v" for n in range(2_000)}),
    "pattern-catastrophic": lambda: ({"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+(?=b)$"}}},
                                     {"a": "a" * 50_000}),
    "pattern-backreference": lambda: ({"type": "object", "additionalProperties": {
        "type": "string", "pattern": "(?=(a+))\\1b|(.*)*c\\1$"}}, {f"k{n}": "a" * 300 for n in range(300)}),
    "pattern-repeat": lambda: ({"type": "object", "properties": {"a": {"pattern": "(((a{1,100}){1,100}){1,50}){1,10}$"}}},
                               {"a": "a" * 100_000}),
    "unique-nested": lambda: ({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}},
                              {"a": [{"k": [{"v": [n % 7, "s" * 20, {"w": n}]}]} for n in range(20_000)]}),
    "unique-numbers": lambda: ({"type": "object", "properties": {"a": {"uniqueItems": True}}},
                               {"a": [n / 3 for n in range(200_000)]}),
    "enum-of-objects": lambda: ({"type": "object", "properties": {"a": {"items": {"enum": [
        {"k": [n, {"v": "s" * 20}]} for n in range(5_000)]}}}}, {"a": [{"k": [-n, {"v": "s" * 20}]} for n in range(2_000)]}),
    "oneOf-wide-x-items": lambda: ({"type": "object", "properties": {"a": {"items": {"oneOf": [
        {"properties": {"k": {"const": n}}, "required": ["k"]} for n in range(1_000)]}}}}, {"a": [{"k": n} for n in range(10_000)]}),
    "contains-x-items": lambda: ({"type": "object", "properties": {"a": {"allOf": [
        {"contains": {"const": -n}} for n in range(1, 300)]}}}, {"a": list(range(20_000))}),
    "deep-10k": lambda: ({"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"a": {"$ref": "#/$defs/n"}}}}},
                         nested(1, 100, lambda v: {"a": v})),
    "errors-many": lambda: ({"type": "object", "properties": {"a": {"items": {"anyOf": [
        {"type": "string", "description": "d" * 500}, {"type": "boolean"}, {"const": "c" * 500}]}}}}, {"a": list(range(100_000))}),
    "coercion-wide": lambda: ({"type": "object", "properties": {"a": {"items": {"anyOf": [
        {"type": "object", "properties": {"b": {"type": t}}} for t in ("integer", "boolean", "array", "object", "null") * 40]}}}},
        {"a": [{"b": "1"} for _ in range(20_000)]}),
    "multiple-of": lambda: ({"type": "object", "properties": {"a": {"items": {"multipleOf": 1e-300}}}},
                            {"a": [1e300 for _ in range(20_000)]}),
    "defaults-doubling": lambda: ({**doubling("properties", 24)[0], "default": {}}, {}),
    "property-names": lambda: ({"type": "object", "propertyNames": {"anyOf": [
        {"pattern": f"(x|xx)*{n}$"} for n in range(300)]}}, {f"{'x' * 40}{n}": 1 for n in range(3_000)}),
}


def initialized(req, **more):
    asked = (req.get("params") or {}).get("protocolVersion", "2025-06-18")
    members = {"protocolVersion": asked, "capabilities": {"tools": {"listChanged": True}},
               "serverInfo": {"name": "hostile", "version": "1"}, **more}
    return {"jsonrpc": "2.0", "id": req["id"], "result": members}


def dumped(message):
    return json.dumps(message, separators=(",", ":")).encode()


HANDSHAKES = {
    "instructions-30mb": lambda r: dumped(initialized(r, instructions="i" * 30 * MEGABYTE)),
    "name-5mb": lambda r: dumped(initialized(r, serverInfo={"name": "\u001b[2J\u202e" + "n" * 5 * MEGABYTE, "version": "v" * MEGABYTE})),
    "deep-capabilities": lambda r: dumped(initialized(r, capabilities="@")).replace(
        b'"@"', b'{"experimental":{"a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_002),
    "wide-capabilities": lambda r: dumped(initialized(r, capabilities="@")).replace(
        b'"@"', b'{"experimental":{' + b",".join(b'"k%d":{}' % n for n in range(1_000_000)) + b"}}"),
    "thousand-times": lambda r: b"\n".join([dumped(initialized(r))] * 20_000),
    "odd-version": lambda r: dumped(initialized(r, protocolVersion="2" * 5 * MEGABYTE)),
    "error-large": lambda r: dumped({"jsonrpc": "2.0", "id": r["id"], "error": {
        "code": -1, "message": "\u001b]0;x\u0007" + "e" * 10 * MEGABYTE, "data": [[]] * MEGABYTE}}),
}
