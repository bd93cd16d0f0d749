"""Compares the series that the alerts and the dashboard use with the series that the program prints."""

import contextlib
import json
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import promql_parser

# Values for the variables of Grafana.
VARIABLES = {"$__rate_interval": "5m", "$__all": ".*"}
# The labels that Prometheus adds to every series, and its own series.
FOREIGN_LABELS = {"job", "instance"}
FOREIGN_SERIES = {"up"}
# The suffixes of the series of a histogram.
PARTS = ("_bucket", "_sum", "_count")

# A configuration that makes every series appear: a program, sessions of callers, an unreachable collector, a database.
CONFIGURATION = """
[telemetry]
metrics = "open"
otlp_endpoint = "http://127.0.0.1:9"
[bridges.demo]
command = "mcp-bridge"
args = ["demo-server"]
[bridges.mine]
url = "http://127.0.0.1:9/mcp"
credential = "caller"
oauth = {}
"""


def selectors(expression):
    """Returns the series of an expression with the labels that it uses. Raises an error for invalid PromQL."""
    found = []

    def visit(node):
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name, {matcher.name for matcher in node.matchers.matchers}))
        elif isinstance(node, promql_parser.MatrixSelector):
            visit(node.vector_selector)
        for name in ("expr", "lhs", "rhs", "param"):
            inner = getattr(node, name, None)
            if isinstance(inner, promql_parser.Expr):
                visit(inner)
        for inner in getattr(node, "args", None) or []:
            visit(inner)

    visit(promql_parser.parse(expression))
    return found


def filled(expression, variables):
    """Replaces the variables in an expression of the dashboard by values."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    for name in variables:
        expression = re.sub(rf"\$\{{?{name}\b\}}?", "x", expression)
    return expression


def dashboard(path):
    """Returns the errors of the dashboard, and its expressions."""
    wrong, expressions, ids, taken = [], [], set(), {}
    board = json.loads(Path(path).read_text())
    for key in ("uid", "title", "schemaVersion", "templating", "panels", "time"):
        if key not in board:
            wrong.append(f"no {key}")
    variables = [variable["name"] for variable in board["templating"]["list"]]
    for variable in board["templating"]["list"]:
        if variable["type"] != "query":
            continue
        query = variable["query"]["query"]
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        if asked:
            expressions.append((f"variable {variable['name']}", f'{filled(asked[1], variables)}', asked[2]))
        else:
            wrong.append(f"variable {variable['name']}: {query}")
    for panel in board["panels"]:
        name, place = panel["title"], panel["gridPos"]
        if panel["id"] in ids:
            wrong.append(f"{name}: the id {panel['id']} is taken")
        ids.add(panel["id"])
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        if place["x"] + place["w"] > 24 or any(cell in taken for cell in cells):
            wrong.append(f"{name}: lies outside, or over {taken.get(next(iter(cells & taken.keys()), None))}")
        taken.update(dict.fromkeys(cells, name))
        if panel["type"] == "row":
            continue
        if panel["type"] not in ("stat", "timeseries", "table"):
            wrong.append(f"{name}: a panel of type {panel['type']}")
        letters = [target["refId"] for target in panel["targets"]]
        if len(set(letters)) != len(letters) or not letters:
            wrong.append(f"{name}: targets {letters}")
        for target in panel["targets"]:
            if target["datasource"]["uid"] != "${datasource}":
                wrong.append(f"{name}: another datasource")
            expression = filled(target["expr"], variables)
            if "$" in expression:
                wrong.append(f"{name}: an unknown variable in {target['expr']}")
            expressions.append((name, expression, None))
    return wrong, expressions


def labels_of(text):
    """Returns the names of the scraped series with their labels."""
    found, kinds = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            kinds[name] = kind
        elif line and not line.startswith("#"):
            name = re.match(r"[a-z_]+", line).group()
            labels = set(re.findall(r'([a-z_]+)="', line.split("{", 1)[1])) if "{" in line else set()
            found.setdefault(name, set()).update(labels)
    return found, kinds


def scrape(program):
    """Returns the output of /metrics after a call."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as place:
        Path(folder, "bridges.toml").write_text(CONFIGURATION)
        place.bind(("127.0.0.1", 0))
        address = "127.0.0.1:{}".format(place.getsockname()[1])
        place.close()
        command = [Path(program).resolve(), "--config", "bridges.toml", "--listen", address]
        with open(Path(folder, "log"), "w") as log, subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": "/usr/bin:/bin"}) as running:
            try:
                read(f"http://{address}/ready")
                read(f"http://{address}/demo/roll_dice", b'{"count": 1}')
                return read(f"http://{address}/metrics")
            finally:
                running.terminate()


def read(url, body=None):
    """Repeats a request until it is answered or times out."""
    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            with urllib.request.urlopen(url, data=body, timeout=5) as answer:
                return answer.read().decode()
        if time.monotonic() > end:
            raise TimeoutError(url)
        time.sleep(0.1)


def family(name):
    """Returns the metric family of a series."""
    for part in PARTS:
        name = name.removesuffix(part)
    return name


def documented(text):
    """Returns the metric families in the tables of docs/metrics.md with their types and labels."""
    rows = re.findall(r"^\| `((?:mcp_bridge|process)_[a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\|", text, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`([a-z_]+)`", labels))) for name, kind, labels in rows}
