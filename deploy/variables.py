"""Compares the variables that the configurations, the compose file and the program read with docs/variables.md."""

import re
import tomllib

# `${NAME}`, `${NAME:-text}`; the default may begin with another reference.
REFERENCE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(:[-?])?([^{}]*)")
# Variables that only libraries read, so that no line of this repository names them.
LIBRARIES = {"RUST_BACKTRACE"}
# Names of secrets, as in src/config/read/lint.rs, and the names that Open WebUI and Snowflake use.
SECRET = re.compile(r"(TOKEN|SECRET|PASSWORD|KEY|PAT|HEADERS|SECRET_KEY_OLD)$")
# The section of .env.example with names of the Python proxy.
FORMER = re.compile(r"^# --- names of the Python proxy.*?(?=^# --- )", re.M | re.S)
# URLs that contain a password.
SECRET_URL = {
    "DATABASE_URL", "REDIS_URL", "OPEN_WEBUI_DATABASE_URL", "POSTGRES_MCP_URL", "MONGODB_URL", "MYSQL_URL",
    "CB_CONNECTION_STRING", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
}


def strings(value, path=()):
    """Yields every text of a table with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, path)


def references(text):
    """Returns the variables in a text as (name, default, older names). A default that is a reference counts as another name."""
    outer = []
    depth = []
    for part in re.finditer(r"\$\{([A-Z][A-Z0-9_]*)|\}", text):
        if part.group(1) is None:
            if depth:
                depth.pop()
            continue
        if depth:
            outer[-1][2].append(part.group(1))
        else:
            after = REFERENCE.match(text, part.start())
            outer.append([part.group(1), after.group(3) if after.group(2) else None, []])
        depth.append(part.group(1))
    for name, default, older in outer:
        if older:
            # The last name determines the default.
            inner = re.search(rf"\$\{{{older[-1]}(:-([^{{}}]*))?", text)
            default = inner.group(2) if inner.group(1) else None
        yield name, default, older


def need(bridge, path, default):
    """Returns whether a bridge is off without the variable."""
    if default is not None:
        return "no"
    if "oauth" not in bridge:
        return "yes"
    if path[0] == "oauth":
        return "for a login" if {"headers", "basic_auth", "with_key"} & bridge.keys() else "yes"
    is_proof = path[0] in {"basic_auth", "with_key"} or path[-1] == "Authorization"
    return "or a login" if is_proof else "yes"


def of_file(text):
    """Returns {name: {"default", "needs": {bridge: need}, "older"}} for a configuration. The key of a section is `[section]`."""
    found = {}
    document = tomllib.loads(text)
    bridges = document.pop("bridges", {})
    tables = [(name, bridge, bridge) for name, bridge in bridges.items()]
    tables += [(f"[{name}]", {}, table) for name, table in document.items()]
    for name, bridge, table in tables:
        for path, value in strings(table):
            for variable, default, older in references(value):
                entry = found.setdefault(variable, {"default": default or "", "needs": {}, "older": set()})
                entry["needs"].setdefault(name, need(bridge, path, default))
                entry["older"].update(older)
    return found


def split_compose(text):
    """Returns the compose file without comments and without its block of bridge variables, and the names in that block."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    block = re.search(r"^x-bridge-variables:.*\n((?:  .*\n)+)", code, re.M)
    passed = re.findall(r"^  ([A-Z][A-Z0-9_]*): \$\{\1:-\}$", block.group(1), re.M)
    assert len(passed) == block.group(1).count("\n"), "x-bridge-variables has a line of another form than NAME: ${NAME:-}"
    return code.replace(block.group(), ""), passed


def of_compose(text):
    """Returns the same for the compose file, without the variables of bridges.toml that it only passes to the bridge."""
    code, _passed = split_compose(text)
    found = {}
    for name, kind, default in REFERENCE.findall(code):
        found.setdefault(name, {"default": default if kind == ":-" else "", "needed": kind == ":?"})
    return found


def of_program(read):
    """Returns the variables that the program itself reads."""
    names = set(re.findall(r'env = "([A-Z_]+)"', read("src/cli/args.rs")))
    names |= set(re.findall(r'^(?:pub(?:\(super\))? )?const \w+: &str = "([A-Z_]+)";', read("src/config/sections/otlp.rs"), re.M))
    for path in ("src/cli/mcpo/command.rs", "src/config/identity/draft.rs"):
        names |= set(re.findall(r'environment\.get\("([A-Z_]+)"\)', read(path)))
    passed = re.search(r"PASSED_ON.*?\];", read("src/config/bridges/child_env.rs"), re.S).group()
    return names | set(re.findall(r'"(\w+)"', passed)) | LIBRARIES


def tables(text):
    """Returns the tables of the page by their headings, as {variable: cells}, without backticks."""
    found = {}
    rows = None
    for line in text.splitlines():
        if line.startswith("## "):
            rows = found.setdefault(line[3:], {})
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("| `") else []
        if rows is None or not cells:
            continue
        for name in re.findall(r"`(\w+)`", cells[0]):
            assert name not in rows, f"{name} stands twice in a table"
            rows[name] = [cell.replace("`", "") for cell in cells]
    return found


def example(text):
    """Returns the variables of .env.example, without the names of the Python proxy."""
    return set(re.findall(r"^([A-Z][A-Z0-9_]*)=", FORMER.sub("", text), re.M))


def former(text):
    """Returns the names of the Python proxy in .env.example: older names, and names that are not read."""
    return set(re.findall(r"^([A-Z][A-Z0-9_]*)=", FORMER.search(text).group(), re.M))


def needs(entry):
    """Returns the table cell for the needs of a variable, each need once."""
    return ", ".join(dict.fromkeys(entry["needs"].values()))


def problems(read):
    """Yields the differences between docs/variables.md or .env.example and the variables that are read."""
    page = read("docs/variables.md")
    found = tables(page)
    shipped, more = of_file(read("bridges.toml")), of_file(read("examples/catalogue.toml"))
    own = {name: entry for name, entry in shipped.items() if any(it.startswith("[") for it in entry["needs"])}
    servers = {name: entry for name, entry in shipped.items() if name not in own}
    accounts = {name for name in {**servers, **more} if name.endswith("_CREDENTIAL")}
    expected = {
        "The bridge itself": own,
        "Servers of bridges.toml": {name: it for name, it in servers.items() if name not in accounts},
        "Servers of examples/catalogue.toml": {name: it for name, it in more.items() if name not in accounts},
        "Whose account": {name: {**more, **servers}[name] for name in accounts},
    }
    for heading, entries in expected.items():
        rows = found.get(heading, {})
        yield from differences(heading, set(entries), set(rows))
        for name in entries.keys() & rows.keys():
            yield from row(heading, name, entries[name], rows[name])
            for older in entries[name]["older"]:
                if f"`{older}`" not in page:
                    yield f"docs/variables.md does not tell the older name {older} of {name}"

    compose = of_compose(read("compose.hetzner.yml"))
    rows = found.get("The compose file", {})
    yield from differences("The compose file", set(compose), set(rows))
    for name in compose.keys() & rows.keys():
        _, needed, secret, default, *_ = rows[name]
        yield from cell(name, "needed", "yes" if compose[name]["needed"] else "no", needed)
        yield from cell(name, "default", compose[name]["default"], default)
        yield from cell(name, "secret", secrecy(name), secret)

    yield from differences("Read without a reference", of_program(read), set(found.get("Read without a reference", {})))
    known = set(shipped) | set(more) | set(compose)
    told = example(read(".env.example"))
    yield from (f".env.example lacks {name}" for name in sorted(known - told))
    yield from (f".env.example has {name}, which nothing reads" for name in sorted(told - known))
    old = former(read(".env.example"))
    yield from (f".env.example has {name} among the names of the Python proxy, and it is read" for name in sorted(old & known))
    mapped = read("docs/from-the-python-proxy.md")
    yield from (f"docs/from-the-python-proxy.md does not tell what became of {name}" for name in sorted(old) if f"`{name}`" not in mapped)


def differences(heading, read, told):
    yield from (f"docs/variables.md, {heading}: {name} is missing" for name in sorted(read - told))
    yield from (f"docs/variables.md, {heading}: nothing reads {name}" for name in sorted(told - read))


def row(heading, name, entry, cells):
    """Checks the row of a variable that a configuration uses."""
    if heading == "Whose account":
        _, bridges, default, *_ = cells
    elif heading == "The bridge itself":
        _, secret, default, *_ = cells
        bridges = None
        yield from cell(name, "secret", secrecy(name), secret)
    else:
        _, bridges, needed, secret, default, *_ = cells
        yield from cell(name, "needed", needs(entry), needed)
        yield from cell(name, "secret", secrecy(name), secret)
    if bridges is not None:
        yield from cell(name, "bridges", ", ".join(entry["needs"]), bridges)
    yield from cell(name, "default", entry["default"], default)


def cell(name, column, expected, told):
    if expected != told:
        yield f"docs/variables.md: {name}, {column}: it is `{expected}`, not `{told}`"


def secrecy(name):
    return "yes" if SECRET.search(name) or name in SECRET_URL else "no"
