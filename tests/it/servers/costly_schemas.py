#!/usr/bin/env python3
"""A stdio MCP server whose input schemas cost time without end to check. Standard library only."""

import json
import sys


def shared(levels, leaf, level):
    """Levels of definitions, each of which uses the one below twice."""
    definitions = {"l0": leaf}
    for number in range(1, levels + 1):
        definitions[f"l{number}"] = level({"$ref": f"#/$defs/l{number - 1}"})
    return {"type": "object", "properties": {"a": {"$ref": f"#/$defs/l{levels}"}}, "$defs": definitions}


SCHEMAS = {
    "all_of": shared(28, {}, lambda it: {"allOf": [it, it]}),
    "any_of": shared(26, False, lambda it: {"anyOf": [it, it]}),
    "one_of": shared(30, {"type": "string"}, lambda it: {"oneOf": [it, {"allOf": [it]}]}),
    "if": shared(40, {}, lambda it: {"if": it, "then": it, "else": it}),
    "unevaluated": shared(40, {}, lambda it: {"anyOf": [it, it], "unevaluatedProperties": False}),
    "pattern": {"type": "object", "properties": {"a": {"pattern": "(?:(?=a*b)|a)*c"}}},
    "plain": {"type": "object", "properties": {"a": {"type": "integer"}}},
}

for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if "id" not in message:
        continue
    if method == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "costly", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": schema} for name, schema in SCHEMAS.items()]}
    elif method == "tools/call":
        result = {"content": [{"type": "text", "text": "done"}]}
    else:
        result = {}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
