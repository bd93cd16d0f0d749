#!/usr/bin/env python3
"""End-to-end check: a real Open WebUI drives an OpenAPI tool server.

The script boots `open-webui serve` on loopback, puts a small recording
reverse proxy in front of the tool server under test, registers that proxy as a
tool-server connection, and has every test user hold one chat in which a fake
OpenAI-compatible model asks for a tool call. Open WebUI itself then fetches
the spec, calls the tool and hands the result back to the model.

Only the Python standard library is used here. Open WebUI lives in the virtual
environment that scripts/peers builds.

Examples
  end_to_end.py --bridge-url http://127.0.0.1:8000 --bridge-openapi-path /openapi.json \
         --auth-type session --tool get_current_time --tool-args '{"timezone":"UTC"}' \
         --expect '"timezone": *"UTC"'
  end_to_end.py --bridge-cmd './mcp-bridge --config bridge.toml' --bridge-url http://127.0.0.1:8000 \
         --auth-type session --scenario scenario.json
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import pwd
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOOPBACK = '127.0.0.1'
MODEL_ID = 'e2e-model'
SECRET_HEADERS = {'authorization', 'cookie', 'x-openwebui-user-jwt'}


# --------------------------------------------------------------------------
# reporting
# --------------------------------------------------------------------------


class Report:
    def __init__(self, verbose: bool):
        self.verbose = verbose
        self.passed = 0
        self.failed = 0
        self.rows: list[dict] = []
        self._lock = threading.Lock()

    def check(self, name: str, ok: bool, detail: str = '') -> bool:
        with self._lock:
            if ok:
                self.passed += 1
            else:
                self.failed += 1
            self.rows.append({'name': name, 'ok': bool(ok), 'detail': detail})
            line = f'{"PASS" if ok else "FAIL"}  {name}'
            if detail and (self.verbose or not ok):
                line += f'\n        {detail}'
            print(line, flush=True)
        return bool(ok)

    def info(self, text: str) -> None:
        with self._lock:
            print(f'info  {text}', flush=True)

    def summary(self) -> int:
        print(f'{self.passed} passed, {self.failed} failed', flush=True)
        return 1 if self.failed else 0


class Fatal(Exception):
    pass


# --------------------------------------------------------------------------
# small helpers
# --------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as s:
        s.bind((LOOPBACK, 0))
        return s.getsockname()[1]


def clip(text, limit: int = 400) -> str:
    text = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    text = ' '.join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + '…'


def http_json(method: str, url: str, body=None, headers: dict | None = None, timeout: float = 60):
    """Return (status, parsed-or-text body). Never raises for HTTP error statuses."""
    data = None
    headers = dict(headers or {})
    if body is not None:
        data = json.dumps(body).encode()
        headers.setdefault('Content-Type', 'application/json')
    req = urllib.request.Request(url, data=data, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(req, timeout=timeout) as resp:
            raw, status = resp.read(), resp.status
    except urllib.error.HTTPError as err:
        raw, status = err.read(), err.code
    text = raw.decode('utf-8', 'replace')
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def b64url(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + '=' * (-len(part) % 4))


def read_jwt(token: str, secret: str | None = None) -> tuple[dict | None, bool | None]:
    """(claims, signature valid?) for an HS256 token; (None, None) when it is not a JWT."""
    parts = token.split('.')
    if len(parts) != 3:
        return None, None
    try:
        header, claims = json.loads(b64url(parts[0])), json.loads(b64url(parts[1]))
    except Exception:
        return None, None
    if secret is None:
        return claims, None
    mac = hmac.new(secret.encode(), f'{parts[0]}.{parts[1]}'.encode(), hashlib.sha256).digest()
    return claims, header.get('alg') == 'HS256' and hmac.compare_digest(mac, b64url(parts[2]))


def dir_size_mb(path: pathlib.Path) -> float:
    total = 0
    for root, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_size
    return total / 1e6


# --------------------------------------------------------------------------
# recording reverse proxy
# --------------------------------------------------------------------------


class Recorder:
    """Loopback reverse proxy that remembers every exchange with the tool server."""

    HOP = {'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'te', 'trailer', 'upgrade'}

    def __init__(self, upstream: str):
        parts = urllib.parse.urlsplit(upstream)
        self.scheme, self.netloc = parts.scheme, parts.netloc
        self.base_path = parts.path.rstrip('/')
        self.log: list[dict] = []
        self.lock = threading.Lock()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *args):
                pass

            def relay(self):
                started = time.time()
                if self.headers.get('Transfer-Encoding', '').lower() == 'chunked':
                    body = self.read_chunked()
                else:
                    body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
                entry = {
                    't': started,
                    'method': self.command,
                    'path': self.path,
                    'headers': [list(item) for item in self.headers.items()],
                    'body': body.decode('utf-8', 'replace'),
                }
                with recorder.lock:
                    entry['n'] = len(recorder.log)
                    recorder.log.append(entry)
                try:
                    status, reason, headers, payload = recorder.forward(self.command, self.path, self.headers, body)
                except Exception as err:
                    status, reason, headers = 502, 'Bad Gateway', [('Content-Type', 'text/plain')]
                    payload = f'recording proxy: {type(err).__name__}: {err}'.encode()
                entry.update(
                    status=status,
                    response_headers=[list(h) for h in headers],
                    response=payload[:20000].decode('utf-8', 'replace'),
                    ms=round((time.time() - started) * 1000, 1),
                )
                self.send_response_only(status, reason)
                for key, value in headers:
                    if key.lower() not in Recorder.HOP | {'content-length'}:
                        self.send_header(key, value)
                self.send_header('Content-Length', str(len(payload)))
                self.send_header('Connection', 'close')
                self.end_headers()
                if self.command != 'HEAD':
                    with contextlib.suppress(ConnectionError):  # the client gave up waiting
                        self.wfile.write(payload)
                self.close_connection = True

            def read_chunked(self) -> bytes:
                out = b''
                while True:
                    size = int(self.rfile.readline().split(b';')[0].strip() or b'0', 16)
                    if size == 0:
                        while self.rfile.readline().strip():
                            pass
                        return out
                    out += self.rfile.read(size)
                    self.rfile.readline()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = relay

        self.server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f'http://{LOOPBACK}:{self.port}{self.base_path}'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def forward(self, method, path, headers, body):
        cls = http.client.HTTPSConnection if self.scheme == 'https' else http.client.HTTPConnection
        conn = cls(self.netloc, timeout=600)
        try:
            conn.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            conn.putheader('Host', self.netloc)
            for key, value in headers.items():
                if key.lower() not in self.HOP | {'host', 'content-length'}:
                    conn.putheader(key, value)
            if body or method in ('POST', 'PUT', 'PATCH'):
                conn.putheader('Content-Length', str(len(body)))
            conn.putheader('Connection', 'close')
            conn.endheaders(body or None)
            resp = conn.getresponse()
            return resp.status, resp.reason, resp.getheaders(), resp.read()
        finally:
            conn.close()

    def mark(self) -> int:
        with self.lock:
            return len(self.log)

    def since(self, mark: int) -> list[dict]:
        with self.lock:
            return list(self.log[mark:])

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def header(entry: dict, name: str) -> str | None:
    for key, value in entry['headers']:
        if key.lower() == name.lower():
            return value
    return None


def show_headers(entry: dict, show_secrets: bool) -> str:
    shown = []
    for key, value in entry['headers']:
        if key.lower() in SECRET_HEADERS and not show_secrets:
            token = value.split(' ')[-1]
            claims, _ = read_jwt(token)
            if claims is not None:
                value = f'{value[:14]}… <jwt {json.dumps(claims)}>'
            elif len(value) > 24:
                value = f'{value[:16]}…'
        shown.append(f'{key}: {value}')
    return '\n          '.join(shown)


# --------------------------------------------------------------------------
# fake OpenAI-compatible model
# --------------------------------------------------------------------------

DIRECTIVE = re.compile(r'CALL\s+(\S+)\s+(\{.*?\})\s+END', re.DOTALL)


class FakeLLM:
    """Stateless: the user message says which tool to call, e.g. `CALL name {"a":1} END [nonce]`."""

    def __init__(self):
        self.log: list[dict] = []
        self.lock = threading.Lock()
        llm = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *args):
                pass

            def reply(self, payload: dict):
                raw = json.dumps(payload).encode()
                self.send_response(200)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def do_GET(self):
                self.reply({'object': 'list', 'data': [{'id': MODEL_ID, 'object': 'model', 'owned_by': 'e2e'}]})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get('Content-Length') or 0)) or b'{}')
                with llm.lock:
                    llm.log.append({'path': self.path, 'headers': [list(h) for h in self.headers.items()], 'body': body})
                message, finish = llm.answer(body)
                base = {'id': f'chatcmpl-{uuid.uuid4().hex}', 'created': int(time.time()), 'model': MODEL_ID}
                usage = {'prompt_tokens': 1, 'completion_tokens': 1, 'total_tokens': 2}
                if not body.get('stream'):
                    self.reply(
                        {
                            **base,
                            'object': 'chat.completion',
                            'choices': [{'index': 0, 'message': message, 'finish_reason': finish}],
                            'usage': usage,
                        }
                    )
                    return
                delta = dict(message)
                if delta.get('tool_calls'):
                    delta['tool_calls'] = [{'index': i, **c} for i, c in enumerate(delta['tool_calls'])]
                self.send_response(200)
                self.send_header('Content-Type', 'text/event-stream')
                self.send_header('Connection', 'close')
                self.end_headers()
                for choice in (
                    {'index': 0, 'delta': delta, 'finish_reason': None},
                    {'index': 0, 'delta': {}, 'finish_reason': finish},
                ):
                    chunk = {**base, 'object': 'chat.completion.chunk', 'choices': [choice]}
                    self.wfile.write(f'data: {json.dumps(chunk)}\n\n'.encode())
                self.wfile.write(b'data: [DONE]\n\n')
                self.close_connection = True

        self.server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.server.daemon_threads = True
        self.url = f'http://{LOOPBACK}:{self.server.server_address[1]}/v1'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def text(message: dict) -> str:
        content = message.get('content') or ''
        if isinstance(content, list):
            return ''.join(part.get('text', '') for part in content if isinstance(part, dict))
        return content

    def answer(self, body: dict) -> tuple[dict, str]:
        messages = body.get('messages') or []
        users = [m for m in messages if m.get('role') == 'user']
        prompt = self.text(users[-1]) if users else ''
        last_user = max((i for i, m in enumerate(messages) if m.get('role') == 'user'), default=-1)
        results = [m for m in messages if m.get('role') == 'tool']
        directive = DIRECTIVE.search(prompt)

        if results:
            joined = '\n'.join(self.text(m) for m in results)
            return {'role': 'assistant', 'content': f'TOOL-RESULT: «{joined}»'}, 'stop'
        if not directive:
            return {'role': 'assistant', 'content': 'NO-DIRECTIVE'}, 'stop'

        name, arguments = directive.group(1), directive.group(2)
        system = '\n'.join(self.text(m) for m in messages if m.get('role') == 'system')

        # Legacy (prompt based) function calling: Open WebUI asks for JSON in a separate, non-streamed call.
        if 'Query:' in prompt and not body.get('stream') and not body.get('tools'):
            if f'"name": "{name}"' in system or f'"name":"{name}"' in system:
                call = {'tool_calls': [{'name': name, 'parameters': json.loads(arguments)}]}
                return {'role': 'assistant', 'content': json.dumps(call)}, 'stop'
            return {'role': 'assistant', 'content': '{"tool_calls": []}'}, 'stop'

        offered = [((t.get('function') or t).get('name')) for t in body.get('tools') or []]
        if name in offered:
            call = {
                'id': f'call_{uuid.uuid4().hex[:20]}',
                'type': 'function',
                'function': {'name': name, 'arguments': arguments},
            }
            return {'role': 'assistant', 'content': None, 'tool_calls': [call]}, 'tool_calls'
        if not offered:
            # legacy mode's final turn carries the result as <source> context
            context = '\n'.join(self.text(m) for m in messages[: last_user + 1])
            if '<source' in context:
                return {'role': 'assistant', 'content': f'TOOL-RESULT: «{context}»'}, 'stop'
        return {'role': 'assistant', 'content': f'TOOL-NOT-OFFERED: {name}; offered={json.dumps(offered)}'}, 'stop'

    def offered_to(self, nonce: str) -> list[dict] | None:
        with self.lock:
            for entry in self.log:
                text = json.dumps(entry['body'].get('messages') or [])
                if nonce in text and 'tools' in entry['body']:
                    return entry['body']['tools']
        return None

    def close(self):
        self.server.shutdown()
        self.server.server_close()


# --------------------------------------------------------------------------
# child processes
# --------------------------------------------------------------------------


class Children:
    def __init__(self, report: Report):
        self.report = report
        self.items: list[tuple[str, subprocess.Popen]] = []

    def start(self, name: str, cmd: list[str], env: dict, cwd: pathlib.Path, log: pathlib.Path, **kw) -> subprocess.Popen:
        handle = open(log, 'wb')
        proc = subprocess.Popen(
            cmd, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=handle, stderr=handle, start_new_session=True, **kw
        )
        handle.close()
        self.items.append((name, proc))
        return proc

    def stop_all(self):
        for name, proc in reversed(self.items):
            self.stop(name, proc)
        self.items.clear()

    def stop(self, name: str, proc: subprocess.Popen, sig=signal.SIGTERM):
        if proc.poll() is not None:
            return
        if name == 'postgres':
            sig = signal.SIGINT  # fast shutdown
        with contextlib.suppress(ProcessLookupError):
            os.killpg(proc.pid, sig)
        try:
            proc.wait(20)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(proc.pid, signal.SIGKILL)
            proc.wait(10)


def wait_http(url: str, proc: subprocess.Popen | None, deadline_s: float, ok=lambda status: status < 500) -> float:
    started = time.time()
    while time.time() - started < deadline_s:
        if proc is not None and proc.poll() is not None:
            raise Fatal(f'process exited with code {proc.returncode} before {url} answered')
        try:
            status, _ = http_json('GET', url, timeout=5)
            if ok(status):
                return time.time() - started
        except OSError:
            pass
        time.sleep(0.2)
    raise Fatal(f'no answer from {url} within {deadline_s:.0f}s')


def start_postgres(children: Children, workdir: pathlib.Path) -> str:
    binary = shutil.which('postgres')
    initdb = shutil.which('initdb') or (binary and shutil.which('initdb', path=os.path.dirname(os.path.realpath(binary))))
    if not binary or not initdb:
        raise Fatal('--db postgres needs `postgres` and `initdb` on PATH')
    pgdata = workdir / 'pg'
    pgdata.mkdir(parents=True)
    kw = {}
    if os.geteuid() == 0:  # postgres refuses to run as root
        names = [u.pw_name for u in pwd.getpwall()]
        account = 'postgres' if 'postgres' in names else 'nobody'
        entry = pwd.getpwnam(account)
        os.chmod(workdir, 0o755)
        os.chown(pgdata, entry.pw_uid, entry.pw_gid)
        kw = {'user': entry.pw_uid, 'group': entry.pw_gid, 'extra_groups': []}
    os.chmod(pgdata, 0o700)
    data = pgdata / 'data'
    subprocess.run(
        [initdb, '-D', str(data), '-U', 'owui', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C'],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=pgdata,
        **kw,
    )
    port = free_port()
    children.start(
        'postgres',
        [binary, '-D', str(data), '-p', str(port), '-h', LOOPBACK, '-k', str(pgdata), '-c', 'fsync=off'],
        os.environ.copy(),
        pgdata,
        workdir / 'postgres.log',
        **kw,
    )
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
            time.sleep(0.5)
            return f'postgresql://owui@{LOOPBACK}:{port}/postgres'
        time.sleep(0.2)
    raise Fatal('postgres did not start listening')


# --------------------------------------------------------------------------
# Open WebUI client
# --------------------------------------------------------------------------


class OpenWebUI:
    def __init__(self, base: str):
        self.base = base

    def call(self, method: str, path: str, token: str | None = None, body=None, timeout: float = 90):
        headers = {'Authorization': f'Bearer {token}'} if token else {}
        return http_json(method, f'{self.base}{path}', body, headers, timeout)

    def must(self, method: str, path: str, token: str | None = None, body=None):
        status, data = self.call(method, path, token, body)
        if status >= 300:
            raise Fatal(f'{method} {path} -> {status}: {clip(data)}')
        return data

    def chat(self, token: str, prompt: str, tool_ids: list[str], mode: str, timeout: float) -> dict:
        """One UI-style turn: returns the finished assistant message (with `output` items)."""
        user_id, assistant_id = str(uuid.uuid4()), str(uuid.uuid4())
        payload = {
            'model': MODEL_ID,
            'stream': True,
            'messages': [{'role': 'user', 'content': prompt}],
            'params': {'function_calling': mode},
            'tool_ids': tool_ids,
            'features': {},
            'session_id': f'e2e-{uuid.uuid4().hex}',
            'id': assistant_id,
            'parent_id': None,
            'user_message': {
                'id': user_id,
                'parentId': None,
                'role': 'user',
                'content': prompt,
                'timestamp': int(time.time()),
                'models': [MODEL_ID],
            },
            'background_tasks': {},
        }
        status, data = self.call('POST', '/api/chat/completions', token, payload)
        if status != 200 or not isinstance(data, dict) or not data.get('chat_id'):
            return {'failed': f'/api/chat/completions -> {status}: {clip(data)}'}
        chat_id = data['chat_id']
        deadline = time.time() + timeout
        while time.time() < deadline:
            status, chat = self.call('GET', f'/api/v1/chats/{chat_id}', token)
            if status == 200:
                message = ((chat.get('chat') or {}).get('history') or {}).get('messages', {}).get(assistant_id) or {}
                if message.get('done'):
                    return {**message, 'chat_id': chat_id, 'message_id': assistant_id}
            time.sleep(0.25)
        return {'failed': f'chat {chat_id} not done after {timeout:.0f}s'}


def message_text(message: dict) -> str:
    if message.get('content'):
        return message['content']
    out = []
    for item in message.get('output') or []:
        if item.get('type') == 'message':
            out.extend(part.get('text', '') for part in item.get('content') or [])
    return ''.join(out)


def tool_outputs(message: dict) -> list[dict]:
    found = []
    for item in message.get('output') or []:
        if item.get('type') == 'function_call_output':
            found.append(
                {
                    'status': item.get('status'),
                    'text': ''.join(p.get('text', '') for p in item.get('output') or [] if p.get('type') == 'input_text'),
                    'images': sum(1 for p in item.get('output') or [] if p.get('type') == 'input_image'),
                    'files': len(item.get('files') or []),
                    'embeds': len(item.get('embeds') or []),
                }
            )
    return found


# --------------------------------------------------------------------------
# arguments
# --------------------------------------------------------------------------


def parse_args(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    env = os.environ.get
    g = p.add_argument_group('tool server under test')
    g.add_argument('--bridge-url', help='base URL of the OpenAPI tool server (may carry a path)')
    g.add_argument('--bridge-openapi-path', default='openapi.json', help='as in the connection form (default openapi.json)')
    g.add_argument('--bridge-cmd', help='start the server with this command after users and groups exist; '
                   'see --print-env for the environment it gets')
    g.add_argument('--after', default='', metavar='CMD', help='run this at the end, while everything is up, with the same environment')
    g.add_argument('--after-expect', action='append', default=[], metavar='REGEX', help='what a line it prints must match, within ten seconds')
    g.add_argument('--bridge-ready', default='', metavar='PATH', help='answers 200 once every tool is there')
    g.add_argument('--bridge-wait', type=float, default=60, help='seconds to wait for the spec URL')
    g.add_argument('--auth-type', default='session', help='comma list of session,bearer,none (one pass each)')
    g.add_argument('--bearer-key', default=env('E2E_BEARER_KEY', ''), help='key for auth_type bearer')
    g.add_argument('--connection-id', default='', help='connection info.id (default: list index, as Open WebUI does)')
    g.add_argument('--connection-headers', default='', help='JSON object for the connection "headers" (templates allowed)')
    g.add_argument('--function-filter', default='', help='connection config.function_name_filter_list')
    g.add_argument('--spec-file', help='register with spec_type=json and this spec instead of fetching it')

    g = p.add_argument_group('users and expectations')
    g.add_argument('--user', action='append', default=[], metavar='NAME[:GROUP,...]',
                   help='test user and groups (default alice:eng and bob:sales)')
    g.add_argument('--group-parent', action='append', default=[], metavar='CHILD:PARENT',
                   help='put one group into another (Open WebUI 0.12 and newer)')
    g.add_argument('--grant', action='append', default=[], metavar='group:NAME|user:NAME|all',
                   help='access_grants on the connection (default: all)')
    g.add_argument('--deny-user', action='append', default=[], metavar='NAME',
                   help='user that must not see the connection nor reach its tools')
    g.add_argument('--tool', help='operationId to call (default: first one in the spec)')
    g.add_argument('--tool-args', default=None, help='JSON arguments (default: built from the schema)')
    g.add_argument('--expect', action='append', default=[], metavar='[USER@AUTH=|USER=|@AUTH=]REGEX',
                   help='tool result must match')
    g.add_argument('--expect-not', action='append', default=[], metavar='[..=]REGEX', help='tool result must not match')
    g.add_argument('--expect-calls', type=int, default=1, help='calls that must reach the server per chat (default 1)')
    g.add_argument('--scenario', help='JSON list of {user,tool,args,expect,expect_not,offered,not_offered,calls,auth}')
    g.add_argument('--function-calling', choices=['native', 'legacy'], default='native')
    g.add_argument('--parallel', type=int, default=0, metavar='N', help='extra pass: N simultaneous chats per user')
    g.add_argument('--slow', action='append', default=[], metavar='TOOL[:N]',
                   help='extra pass: N chats with this tool, all at once; it is given a label, and says it while it works')
    g.add_argument('--status', action='store_true', help='those chats are told of it, each of its own label (else none is)')

    g = p.add_argument_group('Open WebUI')
    g.add_argument('--owui-bin', default=env('OWUI_BIN', 'open-webui'), help='open-webui executable')
    g.add_argument('--owui-port', type=int, default=int(env('OWUI_PORT', '0')), help='0 = any free port')
    g.add_argument('--owui-env', action='append', default=[], metavar='K=V', help='extra environment for Open WebUI')
    g.add_argument('--secret-key', default=env('E2E_WEBUI_SECRET_KEY', ''), help='WEBUI_SECRET_KEY (default random)')
    g.add_argument('--db', choices=['sqlite', 'postgres'], default='sqlite')
    g.add_argument('--database-url', default='', help='use this DATABASE_URL instead')
    g.add_argument('--forward-user-info', action='store_true', help='ENABLE_FORWARD_USER_INFO_HEADERS=true')
    g.add_argument('--forward-jwt-secret', default='', help='FORWARD_USER_INFO_HEADER_JWT_SECRET (implies the above)')
    g.add_argument('--full', action='store_true', help='do not set USE_SLIM_DOCKER (needs the full dependency set)')
    g.add_argument('--boot-timeout', type=float, default=300)
    g.add_argument('--chat-timeout', type=float, default=90)

    g = p.add_argument_group('output')
    g.add_argument('--work-dir', help='keep logs and data here (default: a temporary folder, removed on success)')
    g.add_argument('--keep', action='store_true', help='keep the temporary folder')
    g.add_argument('--json-report', help='write every check and recorded exchange to this file')
    g.add_argument('--show-secrets', action='store_true', help='print tokens in full')
    g.add_argument('--quiet', action='store_true', help='details only for failures')
    g.add_argument('--print-env', action='store_true', help='list the environment --bridge-cmd gets, then exit')
    a = p.parse_args(argv)
    if a.print_env:
        print(BRIDGE_ENV_DOC)
        sys.exit(0)
    if not a.bridge_url:
        p.error('give --bridge-url')
    return a


BRIDGE_ENV_DOC = """environment of --bridge-cmd (also written to WORK_DIR/state.json):
  E2E_OWUI_URL            base URL of the running Open WebUI
  E2E_WEBUI_SECRET_KEY    its WEBUI_SECRET_KEY (HS256 key of the session JWTs)
  E2E_DATABASE_URL        its DATABASE_URL (sqlite:////path/webui.db or postgresql://...)
  E2E_BEARER_KEY          key that auth_type bearer will send
  E2E_FORWARD_JWT_SECRET  FORWARD_USER_INFO_HEADER_JWT_SECRET, when set
  E2E_ADMIN_TOKEN         an admin session token
  E2E_USERS               JSON {name: {id, email, role, groups: [names]}}
  E2E_GROUPS              JSON {name: id}
  E2E_BRIDGE_URL, E2E_BRIDGE_HOST, E2E_BRIDGE_PORT  where --bridge-url points
  {bridge_port} and {state} in the command line are replaced"""


def scoped(specs: list[str], user: str, auth: str, known_users: list[str]) -> list[str]:
    """Regexes that apply to this user and auth type."""
    out = []
    for spec in specs:
        m = re.match(r'^([A-Za-z0-9_.-]*)(?:@([a-z0-9_.]+))?=(.*)$', spec, re.DOTALL)
        if m and (m.group(1) in known_users or (m.group(1) == '' and m.group(2))):
            if m.group(1) not in ('', user) or (m.group(2) and m.group(2) != auth):
                continue
            out.append(m.group(3))
        else:
            out.append(spec)
    return out


def sample_args(tool: dict) -> dict:
    """Plausible arguments from an operation's resolved body/parameters."""
    out = {}
    for name in tool['required']:
        schema = tool['properties'].get(name, {})
        if 'default' in schema and schema['default'] is not None:
            out[name] = schema['default']
        elif schema.get('enum'):
            out[name] = schema['enum'][0]
        elif 'timezone' in name:
            out[name] = 'UTC'
        elif name == 'time':
            out[name] = '12:30'
        else:
            out[name] = {'integer': 1, 'number': 1.5, 'boolean': True, 'array': [], 'object': {}}.get(
                schema.get('type'), 'e2e'
            )
    return out


def list_operations(spec: dict) -> dict[str, dict]:
    ops = {}
    for path, item in (spec.get('paths') or {}).items():
        if not isinstance(item, dict):
            continue
        for method, op in item.items():
            if method not in ('get', 'put', 'post', 'delete', 'patch') or not isinstance(op, dict):
                continue
            if not op.get('operationId'):
                continue
            schema = (((op.get('requestBody') or {}).get('content') or {}).get('application/json') or {}).get('schema') or {}
            if '$ref' in schema:
                node = spec
                for part in schema['$ref'].lstrip('#/').split('/'):
                    node = node.get(part, {})
                schema = node
            props, required = dict(schema.get('properties') or {}), list(schema.get('required') or [])
            for param in op.get('parameters') or []:
                props[param.get('name')] = param.get('schema') or {}
                if param.get('required'):
                    required.append(param.get('name'))
            ops[op['operationId']] = {'path': path, 'method': method, 'properties': props, 'required': required}
    return ops


# --------------------------------------------------------------------------
# main flow
# --------------------------------------------------------------------------


class Run:
    def __init__(self, args):
        self.a = args
        self.report = Report(verbose=not args.quiet)
        self.children = Children(self.report)
        self.temp = None
        if args.work_dir:
            self.work = pathlib.Path(args.work_dir).resolve()
            self.work.mkdir(parents=True, exist_ok=True)
        else:
            self.temp = self.work = pathlib.Path(tempfile.mkdtemp(prefix='owui-e2e-'))
        self.secret = args.secret_key or secrets.token_hex(24)
        self.bearer = args.bearer_key or ('e2e-' + secrets.token_hex(12))
        self.users: dict[str, dict] = {}
        self.groups: dict[str, str] = {}
        self.llm = self.recorder = None
        self.spec = None

    # ---- setup -----------------------------------------------------------

    def boot_owui(self):
        a = self.a
        binary = shutil.which(a.owui_bin) or a.owui_bin
        if not os.access(binary, os.X_OK):
            raise Fatal(f'no open-webui at {binary}; run scripts/peers or give --owui-bin')
        port = a.owui_port or free_port()
        data = self.work / 'data'
        data.mkdir(exist_ok=True)
        if a.database_url:
            db_url = a.database_url
        elif a.db == 'postgres':
            db_url = start_postgres(self.children, self.work)
        else:
            db_url = f'sqlite:///{data}/webui.db'
        self.db_url = db_url

        env = {k: v for k, v in os.environ.items() if not k.startswith('E2E_') and k.lower() not in ('http_proxy', 'https_proxy')}
        env.update(
            {
                'DATA_DIR': str(data),
                'DATABASE_URL': db_url,
                'WEBUI_SECRET_KEY': self.secret,
                'OFFLINE_MODE': 'true',
                'HF_HUB_OFFLINE': '1',
                'ENABLE_OLLAMA_API': 'false',
                'ENABLE_OPENAI_API': 'true',
                'OPENAI_API_BASE_URL': self.llm.url,
                'OPENAI_API_KEY': 'e2e',
                'BYPASS_MODEL_ACCESS_CONTROL': 'true',
                'ENABLE_TITLE_GENERATION': 'false',
                'ENABLE_TAGS_GENERATION': 'false',
                'ENABLE_FOLLOW_UP_GENERATION': 'false',
                'ENABLE_VERSION_UPDATE_CHECK': 'false',
                'CORS_ALLOW_ORIGIN': f'http://{LOOPBACK}:{port}',
                'SCARF_NO_ANALYTICS': 'true',
                'DO_NOT_TRACK': 'true',
                'ANONYMIZED_TELEMETRY': 'false',
                'NO_PROXY': '127.0.0.1,localhost',
            }
        )
        if not a.full:
            env['USE_SLIM_DOCKER'] = 'true'
        if a.forward_user_info or a.forward_jwt_secret:
            env['ENABLE_FORWARD_USER_INFO_HEADERS'] = 'true'
        if a.forward_jwt_secret:
            env['FORWARD_USER_INFO_HEADER_JWT_SECRET'] = a.forward_jwt_secret
        for item in a.owui_env:
            key, _, value = item.partition('=')
            env[key] = value
        self.owui_env = env

        proc = self.children.start(
            'open-webui',
            [binary, 'serve', '--host', LOOPBACK, '--port', str(port)],
            env,
            self.work,
            self.work / 'open-webui.log',
        )
        base = f'http://{LOOPBACK}:{port}'
        try:
            boot = wait_http(f'{base}/health', proc, a.boot_timeout, ok=lambda s: s == 200)
        except Fatal as err:
            tail = (self.work / 'open-webui.log').read_text(errors='replace')[-3000:]
            raise Fatal(f'{err}\n--- open-webui.log ---\n{tail}')
        self.ui = OpenWebUI(base)
        _, version = self.ui.call('GET', '/api/version')
        self.version = (version or {}).get('version') if isinstance(version, dict) else None
        self.report.check('open-webui boots', True, f'version {self.version}, {boot:.1f}s, db {a.db if not a.database_url else "given"}')

    def make_people(self):
        rep, ui = self.report, self.ui
        password = 'E2e-Passw0rd!'
        admin = ui.must('POST', '/api/v1/auths/signup', None, {'name': 'Admin', 'email': 'admin@e2e.test', 'password': password})
        rep.check('first signup is the admin', admin.get('role') == 'admin', f'id {admin.get("id")}')
        self.admin = admin
        self.admin_token = admin['token']

        wanted = self.a.user or ['alice:eng', 'bob:sales']
        for name in self.a.deny_user:
            if not any(w.split(':')[0] == name for w in wanted):
                wanted.append(name)
        for item in wanted:
            name, _, group_list = item.partition(':')
            groups = [g for g in group_list.split(',') if g]
            user = ui.must(
                'POST',
                '/api/v1/auths/add',
                self.admin_token,
                {'name': name.capitalize(), 'email': f'{name}@e2e.test', 'password': password, 'role': 'user'},
            )
            signin = ui.must('POST', '/api/v1/auths/signin', None, {'email': f'{name}@e2e.test', 'password': password})
            for group in groups:
                if group not in self.groups:
                    made = ui.must('POST', '/api/v1/groups/create', self.admin_token, {'name': group, 'description': 'e2e'})
                    self.groups[group] = made['id']
                ui.must('POST', f'/api/v1/groups/id/{self.groups[group]}/users/add', self.admin_token, {'user_ids': [user['id']]})
            self.users[name] = {
                'id': user['id'],
                'email': user['email'],
                'name': user['name'],
                'role': 'user',
                'groups': groups,
                'token': signin['token'],
            }
            claims, valid = read_jwt(signin['token'], self.secret)
            rep.check(
                f'{name}: signed in; session JWT verifies with WEBUI_SECRET_KEY',
                bool(valid) and claims.get('id') == user['id'],
                f'groups {groups}, claims {json.dumps(claims)}',
            )
            mine = ui.must('GET', '/api/v1/users/groups?include_inherited=true', signin['token'])
            rep.check(
                f'{name}: Open WebUI reports the groups',
                sorted(g['name'] for g in mine) == sorted(groups),
                ', '.join(sorted(g['name'] for g in mine)),
            )

        for item in self.a.group_parent:
            child, _, parent = item.partition(':')
            if parent not in self.groups:
                made = ui.must('POST', '/api/v1/groups/create', self.admin_token, {'name': parent, 'description': 'e2e'})
                self.groups[parent] = made['id']
            ui.must('POST', f'/api/v1/groups/id/{self.groups[child]}/update', self.admin_token,
                    {'name': child, 'description': 'e2e', 'parent_group_id': self.groups[parent]})

        self.users_public = {n: {k: u[k] for k in ('id', 'email', 'role', 'groups')} for n, u in self.users.items()}
        state = {
            'owui_url': ui.base,
            'webui_secret_key': self.secret,
            'database_url': self.db_url,
            'bearer_key': self.bearer,
            'forward_jwt_secret': self.a.forward_jwt_secret,
            'admin_token': self.admin_token,
            'users': self.users_public,
            'groups': self.groups,
            'bridge_url': self.a.bridge_url,
        }
        self.state_file = self.work / 'state.json'
        self.state_file.write_text(json.dumps(state, indent=1))

    def start_server(self):
        a = self.a
        cmd, cwd = None, pathlib.Path.cwd()
        parts = urllib.parse.urlsplit(a.bridge_url)
        env = os.environ.copy()
        env.update(
            {
                'E2E_OWUI_URL': self.ui.base,
                'E2E_WEBUI_SECRET_KEY': self.secret,
                'E2E_DATABASE_URL': self.db_url,
                'E2E_BEARER_KEY': self.bearer,
                'E2E_FORWARD_JWT_SECRET': a.forward_jwt_secret,
                'E2E_ADMIN_TOKEN': self.admin_token,
                'E2E_USERS': json.dumps(self.users_public),
                'E2E_GROUPS': json.dumps(self.groups),
                'E2E_BRIDGE_URL': a.bridge_url,
                'E2E_BRIDGE_HOST': parts.hostname or '',
                'E2E_BRIDGE_PORT': str(parts.port or ''),
            }
        )
        if a.bridge_cmd:
            text = a.bridge_cmd.replace('{bridge_port}', str(parts.port or '')).replace('{state}', str(self.state_file))
            cmd = shlex.split(text)
        self.bridge_env = env
        spec_url = self.spec_url(a.bridge_url)
        proc = None
        if cmd:
            proc = self.children.start('tool-server', cmd, env, cwd, self.work / 'tool-server.log')
        try:
            took = wait_http(spec_url, proc, a.bridge_wait)
            if a.bridge_ready:
                took += wait_http(f'{a.bridge_url}{a.bridge_ready}', proc, a.bridge_wait, ok=lambda status: status == 200)
        except Fatal as err:
            log = self.work / 'tool-server.log'
            tail = log.read_text(errors='replace')[-3000:] if log.exists() else ''
            raise Fatal(f'{err}\n{tail}')
        self.report.check('tool server answers', True, f'{spec_url} after {took:.1f}s')

    def spec_url(self, base: str) -> str:
        path = self.a.bridge_openapi_path
        if '://' in path:
            return path
        return f'{base.rstrip("/")}/{path.lstrip("/")}'

    # ---- one pass per auth type -------------------------------------------

    def grants(self) -> list[dict]:
        out = []
        for item in self.a.grant or ['all']:
            kind, _, name = item.partition(':')
            if kind == 'all':
                out.append({'principal_type': 'user', 'principal_id': '*', 'permission': 'read'})
            elif kind == 'group':
                out.append({'principal_type': 'group', 'principal_id': self.groups[name], 'permission': 'read'})
            elif kind == 'user':
                out.append({'principal_type': 'user', 'principal_id': self.users[name]['id'], 'permission': 'read'})
        return out

    def connection(self, auth: str) -> dict:
        a = self.a
        path = a.bridge_openapi_path
        conn = {
            'type': 'openapi',
            'url': self.recorder.url,
            'path': path,
            'spec_type': 'url',
            'spec': '',
            'auth_type': auth,
            'key': self.bearer if auth == 'bearer' else '',
            'config': {'enable': True, 'function_name_filter_list': a.function_filter, 'access_grants': self.grants()},
            'info': {'id': a.connection_id, 'name': 'e2e tools', 'description': ''},
        }
        if a.connection_headers:
            conn['headers'] = json.loads(a.connection_headers)
        if a.spec_file:
            conn['spec_type'] = 'json'
            conn['spec'] = pathlib.Path(a.spec_file).read_text()
        return conn

    def check_identity(self, who: str, user: dict | None, auth: str, entry: dict):
        """Headers of one tool call, as they reached the tool server."""
        rep, a = self.report, self.a
        sent = header(entry, 'Authorization')
        if auth == 'session':
            claims, valid = read_jwt((sent or '').removeprefix('Bearer '), self.secret)
            ok = bool(valid) and claims.get('id') == user['id']
            rep.check(f'{who}: Authorization is the caller\'s own session JWT', ok, clip(str(claims)))
        elif auth == 'bearer':
            rep.check(f'{who}: Authorization is the connection key', sent == f'Bearer {self.bearer}', clip(str(sent), 60))
        elif auth == 'none':
            rep.check(f'{who}: no Authorization header', sent is None, clip(str(sent), 60))
        own = {k.lower() for k in json.loads(a.connection_headers or '{}')}
        forwarded = {k.lower(): v for k, v in entry['headers'] if k.lower().startswith('x-openwebui-') and k.lower() not in own}
        if a.forward_jwt_secret:
            claims, valid = read_jwt(forwarded.get('x-openwebui-user-jwt', ''), a.forward_jwt_secret)
            ok = bool(valid) and claims.get('sub') == user['id'] and 'x-openwebui-user-id' not in forwarded
            rep.check(f'{who}: X-OpenWebUI-User-Jwt names the caller', ok, clip(str(claims)))
        elif a.forward_user_info:
            ok = forwarded.get('x-openwebui-user-id') == user['id'] and forwarded.get('x-openwebui-user-email') == user['email']
            rep.check(f'{who}: X-OpenWebUI-User-* names the caller', ok, clip(str(forwarded)))
        else:
            rep.check(f'{who}: no X-OpenWebUI-* headers by default', not forwarded, clip(str(forwarded)))

    def run_case(self, case: dict, auth: str, tool_id: str, tag: str, identity=True) -> None:
        rep, a = self.report, self.a
        user = self.users[case['user']]
        nonce = f'nonce-{uuid.uuid4().hex}'
        tool, arguments = case['tool'], case['args']
        prompt = f'CALL {tool} {json.dumps(arguments)} END [{nonce}]'
        who = f'{auth}/{case["user"]}{tag}'
        mark = self.recorder.mark()
        message = self.ui.chat(user['token'], prompt, [tool_id], a.function_calling, a.chat_timeout)
        if not rep.check(f'{who}: chat finishes', 'failed' not in message and not message.get('error'),
                         clip(message.get('failed') or message.get('error') or f'chat {message.get("chat_id")}')):
            return
        path = self.ops.get(tool, {}).get('path')
        seen = self.recorder.since(mark)
        calls = [e for e in seen if path and self.is_call(e, path)]
        if identity:
            fetches = [e for e in seen if e not in calls and e['method'] == 'GET']
            rep.info(f'{who}: {len(fetches)} spec fetch(es) during this chat')
        if tag:  # parallel: keep only this user's calls
            calls = [e for e in calls if nonce in e['body'] or self.caller_of(e) == user['id']]
        answer = message_text(message)
        outputs = tool_outputs(message)

        offered = self.llm.offered_to(nonce)
        names = [((t.get('function') or t).get('name')) for t in offered or []]
        ours = [n for n in names if n in self.ops or any(n.endswith(f'_{op}') for op in self.ops)]
        if a.function_calling == 'native':
            for name in case.get('offered') or ([tool] if case.get('calls', 1) else []):
                rep.check(f'{who}: {name} is offered to the model', name in names, f'from this server: {ours}')
            for name in case.get('not_offered') or []:
                rep.check(f'{who}: {name} is not offered to the model', name not in names, f'from this server: {ours}')

        wanted = case.get('calls', 1)
        if not tag or identity:
            rep.check(f'{who}: {wanted} call(s) reached the tool server', len(calls) == wanted,
                      '; '.join(f'{e["method"]} {e["path"]} -> {e.get("status")}' for e in calls) or 'none')
        if identity and calls:
            self.check_identity(who, user, auth, calls[0])
            rep.info(f'{who}: headers Open WebUI sent with {calls[0]["method"]} {calls[0]["path"]} '
                     f'(body {clip(calls[0]["body"], 160)})\n          ' + show_headers(calls[0], a.show_secrets))
        if wanted:
            ok = answer.startswith('TOOL-RESULT: ')
            rep.check(f'{who}: the tool result came back to the model', ok, clip(answer))
            if a.function_calling == 'native':
                rep.check(f'{who}: chat keeps a function_call_output', bool(outputs), clip(outputs))
        for regex in case.get('expect') or []:
            rep.check(f'{who}: result matches /{regex}/', re.search(regex, answer, re.DOTALL) is not None, clip(answer))
        for regex in case.get('expect_not') or []:
            rep.check(f'{who}: result does not match /{regex}/', re.search(regex, answer, re.DOTALL) is None, clip(answer))

    def caller_of(self, entry: dict) -> str | None:
        claims, _ = read_jwt((header(entry, 'Authorization') or '').removeprefix('Bearer '))
        if claims:
            return claims.get('id')
        if header(entry, 'X-OpenWebUI-User-Id'):
            return header(entry, 'X-OpenWebUI-User-Id')
        claims, _ = read_jwt(header(entry, 'X-OpenWebUI-User-Jwt') or '')
        return (claims or {}).get('sub')

    def is_call(self, entry: dict, op_path: str) -> bool:
        pattern = re.escape(self.recorder.base_path + op_path)
        pattern = re.sub(r'\\\{[^}]*\\\}', '[^/]+', pattern)
        return re.fullmatch(pattern, entry['path'].split('?')[0]) is not None

    def cases(self, auth: str) -> list[dict]:
        a = self.a
        known = list(self.users)
        if a.scenario:
            out = []
            for row in json.loads(pathlib.Path(a.scenario).read_text()):
                if row.get('auth') and auth not in ([row['auth']] if isinstance(row['auth'], str) else row['auth']):
                    continue
                as_list = lambda v: [v] if isinstance(v, str) else list(v or [])
                out.append({**row, 'args': row.get('args') or {}, 'expect': as_list(row.get('expect')),
                            'expect_not': as_list(row.get('expect_not')), 'offered': as_list(row.get('offered')),
                            'not_offered': as_list(row.get('not_offered'))})
            return out
        tool = a.tool or next(iter(self.ops), None)
        if tool is None:
            raise Fatal('the spec has no operation with an operationId')
        arguments = json.loads(a.tool_args) if a.tool_args else sample_args(self.ops.get(tool, {'required': [], 'properties': {}}))
        out = []
        for name in known:
            if name in a.deny_user:
                out.append({'user': name, 'tool': tool, 'args': arguments, 'calls': 0, 'not_offered': [tool]})
            else:
                out.append({'user': name, 'tool': tool, 'args': arguments, 'calls': a.expect_calls,
                            'expect': scoped(a.expect, name, auth, known),
                            'expect_not': scoped(a.expect_not, name, auth, known)})
        return out

    def one_pass(self, auth: str):
        rep, a, ui = self.report, self.a, self.ui
        conn = self.connection(auth)

        # 1. the admin's "verify connection" button
        mark = self.recorder.mark()
        status, spec = ui.call('POST', '/api/v1/configs/tool_servers/verify', self.admin_token, conn)
        seen = self.recorder.since(mark)
        rep.check(f'{auth}: admin verify returns the spec', status == 200 and isinstance(spec, dict) and 'paths' in spec,
                  f'{status}; {len((spec or {}).get("paths", {})) if isinstance(spec, dict) else 0} paths; '
                  f'GET Authorization {"yes" if seen and header(seen[0], "Authorization") else "no"}')
        if seen:
            rep.info(f'{auth}: headers of the verify request {seen[0]["method"]} {seen[0]["path"]} -> {seen[0].get("status")}\n          '
                     + show_headers(seen[0], a.show_secrets))

        # 2. save the connection: Open WebUI fetches the spec with no user attached
        mark = self.recorder.mark()
        status, saved = ui.call('POST', '/api/v1/configs/tool_servers', self.admin_token, {'TOOL_SERVER_CONNECTIONS': [conn]})
        seen = self.recorder.since(mark)
        rep.check(f'{auth}: connection saved', status == 200, clip(saved) if status != 200 else '')
        fetched = [e for e in seen if e['method'] == 'GET']
        if conn['spec_type'] == 'url':
            rep.check(f'{auth}: Open WebUI fetched the spec on save', bool(fetched) and fetched[0].get('status') == 200,
                      '; '.join(f'{e["path"]} -> {e.get("status")}' for e in fetched))
        if fetched:
            rep.info(f'{auth}: headers of the shared spec fetch {fetched[0]["path"]}\n          ' + show_headers(fetched[0], a.show_secrets))
            with contextlib.suppress(ValueError):
                self.spec = json.loads(fetched[0].get('response') or '')
        # What the admin was shown may be less: the admin's own tools.
        if not self.spec and isinstance(spec, dict) and 'paths' in spec:
            self.spec = spec
        self.ops = list_operations(self.spec or (json.loads(conn['spec']) if conn['spec'] else {}))
        rep.check(f'{auth}: spec has callable operations', bool(self.ops), ', '.join(self.ops))
        if not self.ops:
            return

        # 3. what each user sees in the tool picker
        tool_id = f'server:{a.connection_id or 0}'
        for name, user in self.users.items():
            status, tools = ui.call('GET', '/api/v1/tools/', user['token'])
            ids = [t.get('id') for t in tools] if isinstance(tools, list) else []
            if name in a.deny_user:
                rep.check(f'{auth}/{name}: connection is hidden', tool_id not in ids, str(ids))
            else:
                rep.check(f'{auth}/{name}: connection is listed', tool_id in ids, str(ids))

        # 4. chats
        cases = self.cases(auth)
        for case in cases:
            self.run_case(case, auth, tool_id, '')

        # 5. tools that tell how far they are
        if a.slow:
            self.slow_chats(auth, tool_id)

        # 6. simultaneous chats
        if a.parallel:
            mark = self.recorder.mark()
            active = [c for c in cases if c.get('calls', 1)]
            with ThreadPoolExecutor(max_workers=max(1, len(active) * a.parallel)) as pool:
                futures = [pool.submit(self.run_case, c, auth, tool_id, f' parallel {i + 1}', False)
                           for i in range(a.parallel) for c in active]
                for future in futures:
                    future.result()
            calls = [e for e in self.recorder.since(mark) for c in active[:1] if self.is_call(e, self.ops[c['tool']]['path'])]
            if auth == 'session':
                got = sorted(filter(None, (self.caller_of(e) for e in calls)))
                want = sorted(self.users[c['user']]['id'] for c in active for _ in range(a.parallel))
                same_tool = len({c['tool'] for c in active}) == 1
                if same_tool:
                    rep.check(f'{auth}: parallel calls carry each caller\'s identity', got == want,
                              f'{len(got)} of {len(want)} calls')

    def slow_chats(self, auth: str, tool_id: str) -> None:
        """Tools that take their time, all at once: what each says is stored with the message of its own chat."""
        name, user = next((n, u) for n, u in self.users.items() if n not in self.a.deny_user)
        jobs = []
        for item in self.a.slow:
            tool, _, times = item.partition(':')
            jobs += [(tool, f'label-{uuid.uuid4().hex[:12]}') for _ in range(int(times or 1))]
        with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
            list(pool.map(lambda job: self.slow_chat(f'{auth}/{name}', user, tool_id, *job), jobs))

    def slow_chat(self, who: str, user: dict, tool_id: str, tool: str, label: str) -> None:
        rep, a = self.report, self.a
        who = f'{who} {tool} {label}'
        arguments = json.dumps({'label': label, 'count': 4, 'pause': 0.7})
        prompt = f'CALL {tool} {arguments} END [nonce-{uuid.uuid4().hex}]'
        message = self.ui.chat(user['token'], prompt, [tool_id], 'native', a.chat_timeout)
        if not rep.check(f'{who}: chat finishes', not message.get('failed') and not message.get('error'), clip(message)):
            return
        rep.check(f'{who}: the result came back', label in message_text(message), clip(message_text(message)))
        short, told = tool.rsplit('_', 1)[-1], []
        until = time.time() + (5 if a.status else 0)
        while True:
            _, chat = self.ui.call('GET', f'/api/v1/chats/{message["chat_id"]}', user['token'])
            stored = chat['chat']['history']['messages'][message['message_id']]
            # Open WebUI tells of its own work there too.
            told = [line for line in stored.get('statusHistory') or [] if (line.get('description') or '').startswith(f'{short}: ')]
            if (told and told[-1].get('done')) or time.time() > until:
                break
            time.sleep(0.2)
        shown = [line['description'] for line in told]
        if not a.status:
            rep.check(f'{who}: nothing is told of it', not shown, str(shown))
            return
        ends = [line['description'] for line in told if line.get('done')]
        rep.check(f'{who}: its lines are in its chat', len(shown) >= 3 and all(label in line for line in shown[:-1]), str(shown))
        end = f'{short}: failed' if short == 'trip' else f'{short}: done'
        rep.check(f'{who}: the last of them ends it', ends == [end] and shown[-1] == end, str(told))
        rep.check(f'{who}: none of them comes twice, and they are few', len(set(shown)) == len(shown) <= 5, str(shown))

    def after(self):
        """What the tool server wrote down, asked of it by a command."""
        until = time.time() + 10
        while True:
            done = subprocess.run(shlex.split(self.a.after), env=self.bridge_env, capture_output=True, text=True)
            missing = [regex for regex in self.a.after_expect if not re.search(regex, done.stdout)]
            if (done.returncode == 0 and not missing) or time.time() > until:
                break
            time.sleep(0.5)
        self.report.check('the command afterwards succeeds', done.returncode == 0, clip(done.stderr))
        for regex in self.a.after_expect:
            self.report.check(f'afterwards: /{regex}/', regex not in missing, clip(done.stdout, 2000))

    # ---- everything --------------------------------------------------------

    def main(self) -> int:
        a, rep = self.a, self.report
        started = time.time()
        self.auth_types = [t.strip() for t in a.auth_type.split(',') if t.strip()]
        bad = [t for t in self.auth_types if t not in ('session', 'bearer', 'none')]
        if bad:
            raise Fatal(f'unknown --auth-type {bad}')
        try:
            self.llm = FakeLLM()
            self.boot_owui()
            self.make_people()
            self.start_server()
            self.recorder = Recorder(a.bridge_url)
            for auth in self.auth_types:
                self.one_pass(auth)
            if a.after:
                self.after()
        except Fatal as err:
            rep.check('run completes', False, str(err))
        except Exception:
            rep.check('run completes', False, traceback.format_exc())
        finally:
            if a.json_report:
                pathlib.Path(a.json_report).write_text(
                    json.dumps(
                        {
                            'version': getattr(self, 'version', None),
                            'checks': rep.rows,
                            'tool_server': self.recorder.log if self.recorder else [],
                            'model': self.llm.log if self.llm else [],
                        },
                        indent=1,
                    )
                )
            self.children.stop_all()
            for part in (self.recorder, self.llm):
                if part:
                    part.close()
        rep.info(f'took {time.time() - started:.1f}s; data folder {dir_size_mb(self.work):.1f} MB'
                 + (f'; kept {self.work}' if not self.temp or a.keep or rep.failed else ''))
        if self.temp and not a.keep and not rep.failed:
            shutil.rmtree(self.temp, ignore_errors=True)
        return rep.summary()


if __name__ == '__main__':
    sys.exit(Run(parse_args()).main())
