#!/usr/bin/env python3
"""A stdio MCP server that tries to read other processes, and to outlive the bridge. Standard library only.

    nosy.py [deaf]

deaf: ignores the end of stdin, SIGTERM, SIGINT and SIGHUP.

Tools:
    peek {pid, deep}   tries to look into a process, the bridge by default; what was read, by attempt; with `deep`
                       a child of this server tries
    me {}              who this process is: users, groups, signals, limits, open files, working folder
    family {}          starts processes that ignore signals, in the same group, in an own group, in an own session,
                       and as a daemon that was forked twice; their ids
    read {path}        reads a file: its length, or the error
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time

PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 16, 17, 0x4206
SLEEPER = """
import os, signal, sys, time
for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(each, signal.SIG_IGN)
if "daemon" in sys.argv:
    os.setsid()
    if os.fork():
        os._exit(0)
if "group" in sys.argv:
    os.setpgid(0, 0)
print(os.getpid(), flush=True)
os.close(1)
time.sleep(600)
"""
libc = ctypes.CDLL(None, use_errno=True)


def seen(attempt):
    """What an attempt gives: a text that begins with `refused` or `read`."""
    try:
        return f"read {attempt()!r}"[:80]
    except OSError as error:
        return f"refused: {os.strerror(error.errno)}"


def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def memory(pid):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        return file.fileno()


def files(pid):
    return [os.open(f"/proc/{pid}/fd/{name}", os.O_RDONLY) for name in os.listdir(f"/proc/{pid}/fd")]


def guessed_files(pid):
    """Without the list of them."""
    error = None
    for number in range(64):
        try:
            return os.open(f"/proc/{pid}/fd/{number}", os.O_RDONLY)
        except OSError as caught:
            error = caught
    raise error


def text(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read(4096)


def vector(pid):
    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    buffer = ctypes.create_string_buffer(16)
    here = Vector(ctypes.cast(buffer, ctypes.c_void_p), 16)
    there = Vector(id(buffer), 16)
    return called(libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))


def traced(pid, how):
    result = called(libc.ptrace(how, pid, 0, 0))
    libc.ptrace(PTRACE_DETACH, pid, 0, 0)
    return result


def stolen_file(pid):
    """pidfd_getfd(2)"""
    found = os.pidfd_open(pid)
    return called(libc.syscall(438, found, 0, 0))


def peek(pid):
    links = {name: seen(lambda name=name: os.readlink(f"/proc/{pid}/{name}")) for name in ("cwd", "root", "exe")}
    texts = ("environ", "auxv", "maps", "smaps", "pagemap", "stack", "syscall", "io", "timers")
    return {
        **links,
        **{name: seen(lambda name=name: text(pid, name)) for name in texts},
        "mem": seen(lambda: memory(pid)),
        "fd": seen(lambda: files(pid)),
        "guessed fd": seen(lambda: guessed_files(pid)),
        "fdinfo": seen(lambda: os.listdir(f"/proc/{pid}/fdinfo")),
        "map_files": seen(lambda: os.listdir(f"/proc/{pid}/map_files")),
        "task environ": seen(lambda: text(pid, f"task/{pid}/environ")),
        "file under root": seen(lambda: text(pid, "root/etc/hostname")),
        "file under cwd": seen(lambda: os.listdir(f"/proc/{pid}/cwd/")),
        "ptrace attach": seen(lambda: traced(pid, PTRACE_ATTACH)),
        "ptrace seize": seen(lambda: traced(pid, PTRACE_SEIZE)),
        "process_vm_readv": seen(lambda: vector(pid)),
        "pidfd_getfd": seen(lambda: stolen_file(pid)),
    }


def me():
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
    umask = os.umask(0)
    os.umask(umask)
    opened = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            opened[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # The listing itself.
    return {
        "uid": status["Uid"].split(), "gid": status["Gid"].split(), "groups": status["Groups"].split(),
        "ignored": sorted(s.name for s in signal.Signals if signal.getsignal(s) == signal.SIG_IGN),
        "SigIgn": status["SigIgn"], "SigBlk": status["SigBlk"],
        "files": list(resource.getrlimit(resource.RLIMIT_NOFILE)), "core": list(resource.getrlimit(resource.RLIMIT_CORE)),
        "opened": opened, "umask": umask, "nice": os.nice(0), "cwd": os.getcwd(), "env": dict(os.environ),
        "argv0": open("/proc/self/cmdline").read().split("\0")[0], "ppid": os.getppid(), "pid": os.getpid(),
    }


def family():
    def start(*words):
        quiet = subprocess.DEVNULL
        command = [sys.executable, "-c", SLEEPER, *words]
        child = subprocess.Popen(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, start_new_session="session" in words)
        return int(child.stdout.readline())

    return {kind: start(kind) for kind in ("plain", "group", "session", "daemon")}


def read(path):
    with open(path, "rb") as file:
        return len(file.read())


def deep(pid):
    """The same by a child and by its child."""
    code = f"import subprocess, sys; print(subprocess.run([sys.executable, {__file__!r}, 'peek', '{pid}'], capture_output=True, text=True, check=True).stdout)"
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def call(name, given):
    pid = int(given.get("pid", os.getppid()))
    if name == "peek":
        return deep(pid) if given.get("deep") else peek(pid)
    if name == "read":
        return seen(lambda: read(given["path"]))
    return {"me": me, "family": family}[name]()


def serve():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        method, result = message["method"], {}
        if method == "initialize":
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "nosy", "version": "1"}}
        if method == "tools/list":
            free = {"type": "object", "properties": {"pid": {"type": "integer"}, "deep": {"type": "boolean"}, "path": {"type": "string"}}}
            result = {"tools": [{"name": name, "inputSchema": free} for name in ("peek", "me", "family", "read")]}
        if method == "tools/call":
            answer = call(message["params"]["name"], message["params"].get("arguments") or {})
            result = {"content": [{"type": "text", "text": json.dumps(answer)}]}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


if sys.argv[1:2] == ["peek"]:
    print(json.dumps(peek(int(sys.argv[2]))))
elif sys.argv[1:2] == ["deaf"]:
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    serve()
    time.sleep(600)
else:
    serve()
