#!/usr/bin/env python3
"""A stdio MCP server with tools like those of well-known servers: files, git, memory, time, fetch.

Each answers with the arguments that it got; `fail` fails. Standard library only.
"""

import json
import sys

text, number, integer, flag = ({"type": kind} for kind in ("string", "number", "integer", "boolean"))
texts = {"type": "array", "items": text}


def tool(name, required, **properties):
    schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required.split()
    return {"name": name, "inputSchema": schema, "annotations": {"readOnlyHint": name != "edit_file"}}


edit = {"type": "object", "properties": {"oldText": text, "newText": text}, "required": ["oldText", "newText"]}
entity = {
    "type": "object",
    "properties": {"name": text, "entityType": text, "observations": texts},
    "required": ["name", "entityType", "observations"],
}
maybe = {"anyOf": [text, {"type": "null"}], "default": None}
TOOLS = [
    tool("read_text_file", "path", path=text, head=number, tail=number),
    tool("edit_file", "path edits", path=text, edits={"type": "array", "items": edit}, dryRun={**flag, "default": False}),
    tool("list_allowed_directories", ""),
    tool("git_log", "repo_path", repo_path=text, max_count={**integer, "default": 10}, start_timestamp=maybe),
    tool("create_entities", "entities", entities={"type": "array", "items": entity}),
    tool("open_nodes", "names", names=texts),
    tool("get_current_time", "timezone", timezone=text),
    tool("convert_time", "source_timezone time target_timezone", source_timezone=text, time=text, target_timezone=text),
    tool("fetch", "url", url=text, max_length={**integer, "minimum": 1, "maximum": 1000000, "default": 5000}, raw=flag),
    tool("get_page", "id", id=text, format={**text, "enum": ["html", "markdown"]}),
    tool("list_calls", "", **{"StartTime<": text, "uids[]": texts, "$filter": text}),
    tool("fail", "", message=text),
]
INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "common", "version": "1"},
    "instructions": "Read before you write.",
}


def call(params):
    arguments = params.get("arguments")
    if params["name"] == "fail":
        return {"isError": True, "content": [{"type": "text", "text": arguments.get("message", "no such row")}]}
    return {"content": [{"type": "text", "text": json.dumps(arguments)}]}


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    method, params = message["method"], message.get("params")
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    if method == "initialize":
        answer["result"] = INITIALIZE
    elif method == "tools/list":
        answer["result"] = {"tools": TOOLS}
    elif method == "tools/call":
        answer["result"] = call(params)
    else:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
