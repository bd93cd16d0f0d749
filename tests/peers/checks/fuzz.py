"""fuzz.py URL: schemathesis throws what it can think of at a few harmless bridges; nothing of it may break us.

A server may answer with its own error (`tool_error`, or a JSON-RPC error, whose `detail` is an object). Any other
5xx is ours, and a fault. So are an answer that is no JSON, and an error without our shape.
"""

import json
import os
import time

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import HypothesisException, NoSuchExample, Unsatisfiable

from schemathesis.core import NOT_SET

from document import URL, end, get, ready

HARMLESS = ["everything", "memory", "time", "thinking", "demo"]
# Tools that wait, or do more than answer.
SKIPPED = ("long-running", "toggle", "sampling", "simulate", "gzip", "trigger", "start-")
SECONDS = 75
EXAMPLES = 40

session = requests.Session()
session.trust_env = False
faults = []
seen = {"calls": 0}


def judge(path, body, answer):
    """Records what is wrong with an answer."""
    seen["calls"] += 1
    seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
    said = f"{path} {body[:200]!r}: {answer.status_code} {answer.text[:200]!r}"
    if answer.status_code == 200:
        return
    try:
        error = answer.json()
    except json.JSONDecodeError:
        faults.append(f"{said}: an error that is no JSON")
        return
    if not isinstance(error, dict) or not isinstance(error.get("code"), str) or "detail" not in error:
        faults.append(f"{said}: an error without our shape")
    elif answer.status_code >= 500 and not (
        answer.status_code == 500 and error["code"] == "server_error"
    ):
        faults.append(f"{said}: our own fault")


def send(path, body):
    try:
        answer = session.post(URL + path, data=body, headers={"content-type": "application/json"}, timeout=30)
    except requests.RequestException as error:
        faults.append(f"{path} {body[:200]!r}: no answer: {error}")
    else:
        judge(path, body, answer)


def as_bytes(body):
    """A body as it goes over the wire; raw ones are sent as they are."""
    if body is NOT_SET:
        return b""
    if isinstance(body, bytes):
        return body
    return json.dumps(body, default=lambda raw: str(getattr(raw, "data", raw))).encode()


def throw(path, strategy, until):
    """Draws examples until there are enough or the time is over."""
    def predicate(case):
        if time.monotonic() < until and len(faults) < 20:
            send(path, as_bytes(case.body))
        return False

    try:
        find(
            strategy,
            predicate,
            settings=settings(
                max_examples=EXAMPLES,
                database=None,
                derandomize=True,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    except (NoSuchExample, Unsatisfiable):
        # Nothing can be wrong with the arguments of a tool that takes none.
        pass
    except HypothesisException as error:
        faults.append(f"{path}: schemathesis cannot work with its schema: {error}")


BLUNT = [
    b"", b"{", b"null", b"[]", b'"text"', b"17", b'{"arguments": {}}', b'{"arguments": 3}', b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}",
    b'{"\xff": 1}', b"\xef\xbb\xbf{}", b'{"message": null}', b'{"message": {"deep": [1, 2, {"x": 1e400}]}}', b'{"message": "\\ud800"}',
    b'{"message": 123456789012345678901234567890}', b'{"__proto__": {}, "constructor": 1}', b'{"message": "' + b"x" * 100_000 + b'"}',
]


def main():
    up = set(ready())
    end_of_time = time.monotonic() + SECONDS
    work = []
    for bridge in (bridge for bridge in HARMLESS if bridge in up):
        document = get(f"/{bridge}/openapi.json")
        document["servers"] = [{"url": f"{URL}/{bridge}"}]
        schema = schemathesis.openapi.from_dict(document)
        for result in schema.get_all_operations():
            operation = result.ok()
            if operation is None:
                faults.append(f"{bridge}: schemathesis refuses an operation: {result.err()}")
                continue
            path = operation.path if operation.path.startswith(f"/{bridge}/") else f"/{bridge}{operation.path}"
            if not any(word in path for word in SKIPPED):
                work.append((path, operation))
    for path, _ in work:
        for body in BLUNT:
            send(path, body)
    for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
        for number, (path, operation) in enumerate(work):
            left = end_of_time - time.monotonic()
            share = left / max(1, len(work) - number) / (2 if mode is schemathesis.GenerationMode.POSITIVE else 1)
            try:
                strategy = operation.as_strategy(generation_mode=mode)
            except Exception as error:
                faults.append(f"{path}: schemathesis cannot work with its schema: {error}")
                continue
            throw(path, strategy, time.monotonic() + share)
    if not work or seen["calls"] < 100:
        faults.append(f"only {seen['calls']} calls to {len(work)} operations were made")
    end(faults, f"{len(work)} operations, answers by status {seen}, {len(faults)} faults")


if __name__ == "__main__":
    os.environ.pop("HTTP_PROXY", None)
    main()
