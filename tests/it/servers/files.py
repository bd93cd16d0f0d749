#!/usr/bin/env python3
"""A stdio MCP server whose tool makes files. Standard library only.

Tools:
    make {name, type, size, count, leak}   answers with files as embedded resources: `size` bytes (300 by default) of the
                                           letter x, or with `leak` of the variable LEAK, `count` of them (1)
    fail {}                                the same as an error of the tool
"""

import base64
import json
import os
import sys
from urllib.parse import quote

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("make", "fail")]


def made(arguments):
    text = os.environ["LEAK"] if arguments.get("leak") else "x"
    size = arguments.get("size", 300)
    content = (text * (size // len(text) + 1))[:size].encode()
    uri = f"made://{quote(arguments.get('name', 'made.bin'))}"
    kind = arguments.get("type", "application/x-made")
    blob = base64.b64encode(content).decode()
    block = {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "blob": blob}}
    return [{"type": "text", "text": "made"}, *[block] * arguments.get("count", 1)]


for line in sys.stdin:
    message = json.loads(line)
    method, params = message.get("method"), message.get("params", {})
    if "id" not in message:
        continue
    if method == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "files", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": TOOLS}
    elif method == "tools/call":
        result = {"content": made(params.get("arguments") or {}), "isError": params["name"] == "fail"}
    else:
        result = {}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
