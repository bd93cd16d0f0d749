"""What the endurance runs stand on: a database, bridges, callers in threads, and what /proc says of a process."""

import contextlib
import http.client
import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = os.sysconf("SC_PAGESIZE")
BAD_SERVER = str(ROOT / "tests/it/servers/bad_server.py")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, seconds=60):
    """Waits for a condition; ends the run when it does not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    sys.exit(f"error: {what}: not within {seconds} s")


@contextlib.contextmanager
def databases(folder):
    """A PostgreSQL and a Redis of our own."""
    script = ROOT / "scripts/databases"
    # PostgreSQL runs as somebody else.
    folder.parent.chmod(0o755)
    try:
        printed = subprocess.run([script, "start", folder], check=True, stdout=subprocess.PIPE, text=True).stdout
        words = (word for line in printed.splitlines() for word in shlex.split(line)[1:])
        yield dict(word.split("=", 1) for word in words)
    finally:
        subprocess.run([script, "stop", folder], check=False)


class Caller:
    """Sends requests over a connection that it keeps, one at a time. `headers` are those of the last answer."""

    def __init__(self, port):
        self.port, self.connection, self.headers = port, None, None

    def send(self, method, path, body=None, key=None, timeout=60, request_id=None):
        """The status and the body; raises OSError or HTTPException when there is no answer."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        if request_id is not None:
            headers["x-request-id"] = request_id
        if body is not None:
            headers["content-type"] = "application/json"
            body = body if isinstance(body, str) else json.dumps(body)
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except BaseException:
            self.close()
            raise
        self.headers = answer.headers
        if answer.will_close:
            self.close()
        return answer.status, text

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def answers(port, path, key=None):
    """The status of a GET; None when nobody listens."""
    caller = Caller(port)
    try:
        return caller.send("GET", path, key=key, timeout=5)[0]
    except (OSError, http.client.HTTPException):
        return None
    finally:
        caller.close()


class Bridge:
    """A running mcp-bridge."""

    def __init__(self, program, config, log, port, environment):
        self.port = port
        self.log = open(log, "a", encoding="utf-8")
        base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.process = subprocess.Popen(
            [str(program), "--config", str(config)], env={**base, **environment},
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)

    def ready(self):
        def settled():
            if self.process.poll() is not None:
                sys.exit(f"error: the bridge ended with {self.process.returncode}; its log is {self.log.name}")
            return answers(self.port, "/ready") == 200
        until("the bridge is ready", settled)
        return self

    def stop(self, sign=signal.SIGTERM, seconds=60):
        """Ends it; its exit code."""
        self.process.send_signal(sign)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
        finally:
            self.log.close()


class Threads:
    """Runs functions over and over, each in a thread of its own, until told to stop."""

    def __init__(self):
        self.over, self.threads, self.faults = threading.Event(), [], []

    def start(self, function, *arguments):
        thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self.threads.append(thread)
        thread.start()

    def _run(self, function, arguments):
        try:
            function(self.over, *arguments)
        except Exception as fault:  # whatever it is, the run has failed, and says why
            self.faults.append(f"{function.__name__}: {fault!r}")
            self.over.set()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(90)
        if any(thread.is_alive() for thread in self.threads):
            self.faults.append("a thread of the run itself hangs: a request was never answered")


def stat(pid):
    """State and parent of a process; None once it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, parent = text.rsplit(")", 1)[1].split()[:2]
    return state, int(parent)


def processes():
    """pid: (state, parent) of all there are."""
    found = ((int(name), stat(name)) for name in os.listdir("/proc") if name.isdigit())
    return {pid: known for pid, known in found if known}


def descendants(pid):
    """pid: state of every process below one."""
    known, found, wanted = processes(), {}, {pid}
    while wanted:
        below = {child for child, (_, parent) in known.items() if parent in wanted and child not in found}
        found.update((child, known[child][0]) for child in below)
        wanted = below
    return found


def marked(marker):
    """Processes whose environment holds a text, zombies not counted: they have none."""
    found = []
    for pid in processes():
        with contextlib.suppress(OSError):
            if marker.encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
    return found


def sample(pid):
    """What a process takes at this moment."""
    below = descendants(pid)
    links = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    pages = pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]
    return {
        "rss_kib": int(pages) * PAGE // 1024,
        "threads": len(os.listdir(f"/proc/{pid}/task")),
        "fds": len(links),
        "sockets": sum(link.startswith("socket:") for link in links),
        "processes": len(below),
        "zombies": sum(state == "Z" for state in below.values()),
    }
