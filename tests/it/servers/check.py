#!/usr/bin/env python3
"""Checks the misbehaving and the hostile servers: each mode does what it says. Standard library only."""

import json
import os
import pathlib
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).parent
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "check", "version": "1"}}
done = 0


def check(what, right):
    global done
    done += 1
    if not right:
        sys.exit(f"FAILED: {what}")


class Stdio:
    """A client that collects every line."""

    def __init__(self, *arguments, program="bad_server.py"):
        self.process = subprocess.Popen(
            [sys.executable, HERE / program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True)
        self.lines, self.errors, self.number = queue.Queue(10_000), [], 0
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.read_errors, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def read_errors(self):
        for line in self.process.stderr:
            if len(self.errors) < 100:
                self.errors.append(line)

    def send(self, method, params=None, **more):
        message = {"jsonrpc": "2.0", "method": method, "params": params or {}, **more}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method, params=None, seconds=8.0):
        """The answer; None if none comes."""
        self.number += 1
        self.send(method, params, id=self.number)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                line = self.lines.get(timeout=left)
            except queue.Empty:
                return None
            if line is None:
                return None
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict) and message.get("id") == self.number and "method" not in message:
                return message
        return None

    def call(self, tool, within=8.0, **arguments):
        return self.ask("tools/call", {"name": tool, "arguments": arguments}, within)

    def said(self, tool, **arguments):
        return self.call(tool, **arguments)["result"]["content"][0]["text"]

    def names(self):
        return [tool.get("name") for tool in self.ask("tools/list")["result"]["tools"] if isinstance(tool, dict)]

    def ends(self, seconds=5.0):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def stdio():
    for arguments, code in [(["exit", "7"], 7), (["exit-stderr", "no token"], 3), (["exit-later", "0.2"], 4)]:
        server = Stdio(*arguments)
        check(f"{arguments} ends with {code}", server.ends() == code)
    server = Stdio("exit-stderr", "no token")
    server.ends()
    time.sleep(0.1)
    check("the last words are on stderr", server.errors == [b"no token\n"])

    for mode in ("good", "garbage", "wrong-ids", "flood-stdout", "flood-stderr", "flood-notifications", "deaf",
                 "bad-tools", "pages", "endless-pages", "same-cursor", "stubborn", "ends-slowly", "asks", "late", "long-line"):
        server = Stdio(mode)
        first = server.ask("initialize", INITIALIZE, 20)
        check(f"{mode} answers initialize", first and first["result"]["serverInfo"]["name"] == "bad-server")
        check(f"{mode} lists tools", "echo" in server.names())
        check(f"{mode} echoes", server.said("echo", message="hällo") == "hällo")
        server.kill()

    for mode in ("silent", "error-initialize"):
        server = Stdio(mode)
        first = server.ask("initialize", INITIALIZE, 0.5)
        check(f"{mode} has no result for initialize", first is None or "error" in first)
        server.kill()
    server = Stdio("dies-initialized")
    check("answers first", "result" in server.ask("initialize", INITIALIZE))
    check("then dies", server.ends() == 1)
    server = Stdio("error-list")
    check("error-list", "error" in server.ask("tools/list"))
    server.kill()
    server = Stdio("dies-on-discover")
    server.ask("server/discover", {}, 2)
    check("dies-on-discover", server.ends() == 1)
    server = Stdio("modern")
    check("modern", server.ask("server/discover")["result"]["supportedVersions"] == ["2026-07-28"])
    check("modern refuses initialize", "error" in server.ask("initialize", INITIALIZE))
    server.kill()
    server = Stdio("deaf")
    check("deaf", server.ask("nobody/knows", {}, 0.5) is None)
    server.kill()
    server = Stdio("pages", "3")
    check("pages go on", server.ask("tools/list", {"cursor": "1"})["result"]["nextCursor"] == "2")
    check("pages end", "nextCursor" not in server.ask("tools/list", {"cursor": "2"})["result"])
    server.kill()
    names = (server := Stdio("bad-tools")).names()
    check("odd names", "n" * 200 in names and names.count("duplicate") == 2 and "with.dots" in names)
    server.kill()
    tools_of_every_server()
    endings()


def tools_of_every_server():
    with tempfile.TemporaryDirectory() as folder:
        record = pathlib.Path(folder) / "record"
        server = Stdio("good", "--record", str(record))
        check("calls", server.said("calls") == "0" and server.said("calls") == "1")
        check("env", "PATH" in json.loads(server.said("env")))
        check("pid", server.said("pid") == str(server.process.pid))
        check("big", len(server.said("big", bytes=1_000_000)) == 1_000_000)
        check("fail", server.call("fail")["result"]["isError"])
        check("rpc_error", server.call("rpc_error", code=-32001)["error"]["code"] == -32001)
        check("notify", server.said("notify", count=5) == "said 5")
        check("content", len(server.call("content")["result"]["content"]) == 8)
        check("unknown content", server.call("unknown_content")["result"]["content"][0]["type"] == "hologram")
        check("slow", server.said("slow", seconds=0.1) == "waited 0.1 s")
        check("hang", server.call("hang", within=0.3) is None)
        server.send("notifications/cancelled", {"requestId": server.number})
        before = server.names()
        server.call("change")
        check("change", set(server.names()) - set(before) == {"changed"})
        check("cancelled is recorded", any('"cancelled"' in line for line in record.read_text().splitlines()))
        pid = int(server.said("grandchild"))
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.2)
        check("grandchild ignores SIGTERM", pathlib.Path(f"/proc/{pid}").exists() or sys.platform != "linux")
        os.kill(pid, signal.SIGKILL)
        check("die", server.call("die", code=6) is None and server.ends() == 6)

        flaky = pathlib.Path(folder) / "flaky"
        codes = [Stdio("flaky", "2", "--record", str(flaky)).ends() for _ in range(2)]
        server = Stdio("flaky", "2", "--record", str(flaky))
        check("flaky", codes == [5, 5] and "echo" in server.names())
        server.kill()


def endings():
    server = Stdio("good")
    server.process.stdin.close()
    check("good ends when stdin closes", server.ends() == 0)
    server = Stdio("stubborn")
    server.ask("ping")
    server.process.stdin.close()
    server.process.terminate()
    check("stubborn stays", server.ends(0.5) is None)
    server.kill()
    server = Stdio("ends-slowly", "0.5")
    server.ask("ping")
    server.process.stdin.close()
    check("ends-slowly stays a while", server.ends(0.2) is None and server.ends() == 0)


class Http:
    """A server process and requests to it."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([sys.executable, HERE / "bad_http.py", *arguments], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline().split()[1])
        self.session = None

    def request(self, path="/mcp", body=None, seconds=1.0, method=None):
        headers = {"content-type": "application/json", **({"mcp-session-id": self.session} if self.session else {})}
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)

        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_):
                return None

        try:
            opener = urllib.request.build_opener(Stay, urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=seconds) as answer:
                self.session = answer.headers.get("mcp-session-id") or self.session
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def rpc(self, method, params=None, **more):
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        return self.request(body=message, **more)

    def stats(self):
        return json.loads(self.request("/__stats")[1])

    def fails(self, method="initialize"):
        try:
            return self.rpc(method, INITIALIZE if method == "initialize" else None)
        except (OSError, ValueError, EOFError) as error:
            return error
        except Exception as error:  # http.client's IncompleteRead and friends
            return error

    def close(self):
        self.process.kill()
        self.process.wait()


def http():
    for mode in ("json", "sse", "stateless", "bad-sse"):
        server = Http(mode)
        check(f"{mode} initialize", server.rpc("initialize", INITIALIZE)[0] == 200)
        status, body, _ = server.rpc("tools/call", {"name": "echo", "arguments": {"message": "hi"}})
        check(f"{mode} calls", status == 200 and b'"text": "hi"' in body)
        check(f"{mode} counts", server.stats()["tools/call"] == 1)
        server.request("/__expire", b"")
        check(f"{mode} forgets", (server.rpc("tools/list")[0] == 404) == (mode in ("json", "sse", "bad-sse")))
        server.close()
    for mode in ("401", "403", "404", "429", "500", "502", "503"):
        server = Http(mode)
        status, _, headers = server.fails()
        check(mode, status == int(mode) and (mode not in ("429", "503") or headers["retry-after"] == "2"))
        server.close()
    for mode, status in [("redirect", 307), ("redirect-302", 302), ("redirect-self", 307)]:
        server = Http(mode)
        check(mode, server.fails()[0] == status and server.stats()["other_origin"] == 0)
        server.close()
    for mode in ("hang", "hang-body", "drop"):
        server = Http(mode)
        check(mode, isinstance(server.fails(), Exception))
        server.close()
    for mode, said in [("html", b"<!doctype"), ("empty", b""), ("bad-json", b'{"jsonrpc"'), ("wrong-id", b"nobody asked"), ("drop-stream", b"soon")]:
        server = Http(mode)
        status, body, _ = server.fails()
        check(mode, status == 200 and said in body and (body or mode == "empty"))
        server.close()
    server = Http("refuse")
    with socket.socket() as probe:
        check("refuse", probe.connect_ex(("127.0.0.1", server.port)) != 0)
    server.close()
    server = Http("500", "--on", "tools/call", "--token", "t")
    check("token", server.fails()[0] == 401)
    server.close()
    server = Http("500", "--on", "tools/call")
    check("--on lets others through", server.fails()[0] == 200 and server.rpc("tools/call")[0] == 500)
    server.request("/__mode", b"json")
    check("the mode changes", server.rpc("tools/list")[0] == 200)
    port = server.port
    server.close()
    server = Http("json", "--port", str(port))
    check("restarts on its port", server.port == port and server.fails()[0] == 200)
    server.close()
    for mode in ("legacy", "legacy-absolute", "legacy-foreign"):
        legacy(mode)


def legacy(mode):
    server = Http(mode)
    check(f"{mode}: no /mcp", server.fails()[0] == 404)
    stream = urllib.request.urlopen(f"http://127.0.0.1:{server.port}/sse", timeout=5)
    check(f"{mode}: endpoint", stream.readline() == b"event: endpoint\n")
    endpoint = stream.readline().decode().removeprefix("data: ").strip()
    check(f"{mode}: {endpoint}", endpoint.startswith("/" if mode == "legacy" else "http://127.0.0.1:"))
    own = endpoint.startswith(("/", f"http://127.0.0.1:{server.port}/"))
    check(f"{mode}: origin", own == (mode != "legacy-foreign"))
    if own:
        path = endpoint[endpoint.index("/messages"):]
        check(f"{mode}: accepted", server.request(path, {"jsonrpc": "2.0", "id": 5, "method": "ping"})[0] == 202)
        lines = [stream.readline() for _ in range(6)]
        check(f"{mode}: answers on the stream", any(b'"id": 5' in line for line in lines))
    server.close()


def hostile():
    """They behave well until the switch says `go`, and again when it says `over`."""
    sys.dont_write_bytecode = True
    import hostile_shapes as shapes
    for name, make in {**shapes.FLOODS, **shapes.JUNK}.items():
        check(f"{name} is bytes", isinstance(make(0), bytes) and len(make(1)) > 500)
    with tempfile.TemporaryDirectory() as folder:
        switch = pathlib.Path(folder) / "switch"
        server = Stdio("flood:list-changed", str(switch), program="hostile_stdio.py")
        check("hostile: initialize", "result" in server.ask("initialize", INITIALIZE))
        check("hostile: tools", len(server.ask("tools/list")["result"]["tools"]) == 4)
        check("hostile: well-behaved before", server.said("echo", message="hi") == "hi" and server.lines.empty())
        switch.write_text("go")
        time.sleep(1)
        check("hostile: floods", server.lines.qsize() > 5_000)
        switch.write_text("over")
        server.process.kill()
        server = Stdio("schema:allOf-28", str(switch), program="hostile_stdio.py")
        server.ask("initialize", INITIALIZE)
        check("hostile: schema", "$defs" in server.ask("tools/list")["result"]["tools"][-1]["inputSchema"])
        check("hostile: arguments", json.loads(switch.with_suffix(".arguments").read_text()) == {"a": 6, "b": 8})
        server.process.kill()


stdio()
http()
hostile()
print(f"misbehaving servers: {done} checks passed")
