"""convert.py URL: what Open WebUI makes of the merged document loses no tool, no argument and no type.

Runs Open WebUI's own functions, cut out of its release by name; nothing else of it is loaded.
"""

import ast
import copy
import re

from document import ROOT, end, get, own_tools, ready

WANTED = {"resolve_schema", "convert_openapi_to_tool_payload", "clean_properties", "clean_openai_tool_schema"}
COMPOSED = ("anyOf", "oneOf", "allOf")


def open_webui():
    """Their functions, and the constants those use."""
    (path,) = (ROOT / ".peers/py/open-webui/lib").glob("python3*/site-packages/open_webui/utils/tools.py")
    tree = ast.parse(path.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in WANTED]
    names = {node.id for function in functions for node in ast.walk(function) if isinstance(node, ast.Name)}
    constants = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id in names for to in node.targets)
    ]
    assert {function.name for function in functions} == WANTED, "Open WebUI has moved these functions"
    space = {"copy": copy}
    exec(compile(ast.Module(constants + functions, type_ignores=[]), str(path), "exec"), space)
    return space


def is_plain_string(schema):
    """Nothing more than `{"type": "string"}`, words aside."""
    return isinstance(schema, dict) and set(schema) - {"description", "title", "default", "examples"} == {"type"} and (
        schema["type"] == "string"
    )


def may_be_string(schema, root, depth=0):
    """Whether a server's own schema allows strings, or says nothing else."""
    if schema is True or depth > 8:
        return True
    if not isinstance(schema, dict):
        return False
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].lstrip("#/").split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            target = target[int(part)] if isinstance(target, list) else target.get(part, {})
        return may_be_string(target, root, depth + 1)
    for keyword in COMPOSED:
        if keyword in schema:
            return any(may_be_string(inner, root, depth + 1) for inner in schema[keyword])
    if "const" in schema:
        return isinstance(schema["const"], str)
    if "enum" in schema:
        return any(isinstance(value, str) for value in schema["enum"])
    kind = schema.get("type")
    if kind is None:
        return "properties" not in schema and "items" not in schema
    return kind == "string" or (isinstance(kind, list) and "string" in kind)


# Names of arguments that all model providers accept.
ACCEPTED = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def compare(place, own, seen, root, faults, depth=0):
    """Whether a model sees (`seen`) of a schema what the server said (`own`)."""
    if depth > 12 or not isinstance(own, dict) or not isinstance(seen, dict):
        return
    if is_plain_string(seen) and not may_be_string(own, root):
        faults.append(f"{place}: became a plain string, was {str(own)[:160]}")
        return
    published = seen.get("properties") or {}
    faults.extend(f"{place}: no model provider accepts the name {name!r}" for name in published if not ACCEPTED.fullmatch(name))
    for name, inner in (own.get("properties") or {}).items():
        if name not in published and not ACCEPTED.fullmatch(name):
            # It is published as another, which says so.
            name = next((other for other, it in published.items() if f"`{name}`" in str(it.get("description"))), name)
        if name not in published:
            # A union is compared as a union only.
            if not any(keyword in seen for keyword in COMPOSED):
                faults.append(f"{place}.{name}: lost")
            continue
        compare(f"{place}.{name}", inner, seen["properties"][name], root, faults, depth + 1)
    if isinstance(own.get("items"), dict) and own["items"]:
        if "items" not in seen and seen.get("type") == "array":
            faults.append(f"{place}[]: lost")
        compare(f"{place}[]", own["items"], seen.get("items"), root, faults, depth + 1)
    if isinstance(own.get("enum"), list) and "$ref" not in own:
        kept = str(seen)
        gone = [value for value in own["enum"] if value is not None and str(value) not in kept]
        if gone:
            faults.append(f"{place}: these values are lost: {gone[:5]}")


def dangling(schema, place, faults):
    """References that a model cannot follow."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            faults.append(f"{place}: the reference {schema['$ref']} is left")
        for key, inner in schema.items():
            dangling(inner, f"{place}/{key}", faults)
    elif isinstance(schema, list):
        for inner in schema:
            dangling(inner, place, faults)


def main():
    theirs = open_webui()
    document = get("/openapi.json")
    payload = theirs["convert_openapi_to_tool_payload"](document)
    tools = {tool["name"]: theirs["clean_openai_tool_schema"](tool) for tool in payload}
    operations = {
        operation["operationId"]: (path, operation)
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if isinstance(operation, dict)
    }
    faults = []
    if len(payload) != len(tools):
        faults.append(f"{len(payload) - len(tools)} operation ids are not unique")
    if set(tools) != set(operations):
        faults.append(f"no tool became of {sorted(set(operations) - set(tools))[:10]}")
    by_path = {}
    for name, (path, operation) in operations.items():
        by_path[path] = name
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            faults.append(f"{path}: no model provider accepts the name {name!r}")
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        published = theirs["resolve_schema"](body, document.get("components", {})).get("properties") or {}
        seen = tools.get(name, {}).get("parameters", {})
        for argument in published:
            if argument not in (seen.get("properties") or {}):
                faults.append(f"{path}: the argument {argument} is published and lost")
        dangling(seen, path, faults)
    compared = 0
    own = own_tools()
    for bridge in ready():
        for tool, schema in own.get(bridge, {}).items():
            path = f"/{bridge}/{tool}"
            if path not in by_path:
                faults.append(f"{path}: not published")
                continue
            seen = tools[by_path[path]]["parameters"]
            compare(path, schema, seen, schema, faults)
            compared += 1
    if not compared:
        faults.append("no tool could be compared with what its server says")
    end(faults, f"Open WebUI sees {len(tools)} tools, {compared} compared with their servers, {len(faults)} faults")


main()
