"""An MCP server behind OAuth on the official Python SDK, with a consent page, whose answers can be bent.

    oauth_peer.py --port N [--access-ttl S] [--says-ttl S] [--no-refresh] [--no-dcr] [--client ID:SECRET:REDIRECT]
                  [--scopes a,b] [--transport sse]

Everything of OAuth and MCP is the SDK's: discovery, registration, PKCE, tokens. Around it:

    GET  /__stats    counters
    POST /__fault    {"path", "status", "body", "headers", "delay", "times"}: what a path answers instead
    POST /__faults   forgets them all
    POST /__revoke   every token counts no more
"""

import argparse
import asyncio
import html
import json
import secrets
import time

import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--access-ttl", type=int, default=3600)
parser.add_argument("--says-ttl", type=int, help="the lifetime that is told, if another")
parser.add_argument("--no-refresh", action="store_true")
parser.add_argument("--no-dcr", action="store_true")
parser.add_argument("--client")
parser.add_argument("--scopes", default="mcp:tools")
parser.add_argument("--transport", default="streamable-http", choices=["streamable-http", "sse"])
options = parser.parse_args()

base = f"http://127.0.0.1:{options.port}"
scopes = options.scopes.split(",")
stats = {"registrations": 0, "authorizations": 0, "tokens": 0, "refreshes": 0, "revocations": 0, "requests": 0}
faults = {}


class Provider:
    def __init__(self):
        self.clients, self.codes, self.access, self.refresh, self.pending = {}, {}, {}, {}, {}
        if options.client:
            name, secret, redirect = options.client.split(":", 2)
            self.clients[name] = OAuthClientInformationFull(
                client_id=name,
                client_secret=secret,
                redirect_uris=[redirect],
                scope=" ".join(scopes),
                token_endpoint_auth_method="client_secret_post",
            )

    async def get_client(self, name):
        return self.clients.get(name)

    async def register_client(self, client):
        stats["registrations"] += 1
        self.clients[client.client_id] = client

    async def authorize(self, client, params):
        stats["authorizations"] += 1
        key = secrets.token_urlsafe(16)
        self.pending[key] = (client.client_id, params)
        return f"{base}/consent?txn={key}"

    def grant(self, client_id, params, login):
        code = secrets.token_urlsafe(24)
        self.codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or scopes,
            expires_at=time.time() + 120,
            client_id=client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
            subject=login,
        )
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(self, client, code):
        found = self.codes.get(code)
        return found if found and found.client_id == client.client_id else None

    def issue(self, client_id, granted, resource, subject):
        stats["tokens"] += 1
        access = "at_" + secrets.token_urlsafe(32)
        refresh = None if options.no_refresh else "rt_" + secrets.token_urlsafe(32)
        self.access[access] = AccessToken(
            token=access,
            client_id=client_id,
            scopes=granted,
            expires_at=int(time.time()) + options.access_ttl,
            resource=resource,
            subject=subject,
        )
        if refresh:
            self.refresh[refresh] = RefreshToken(
                token=refresh, client_id=client_id, scopes=granted, resource=resource, subject=subject
            )
        return OAuthToken(
            access_token=access,
            token_type="Bearer",
            expires_in=options.says_ttl or options.access_ttl,
            scope=" ".join(granted),
            refresh_token=refresh,
        )

    async def exchange_authorization_code(self, client, code):
        del self.codes[code.code]
        return self.issue(client.client_id, code.scopes, code.resource, code.subject)

    async def load_refresh_token(self, client, token):
        found = self.refresh.get(token)
        return found if found and found.client_id == client.client_id else None

    async def exchange_refresh_token(self, client, token, granted):
        # A refresh token counts once: whoever comes second has lost.
        if self.refresh.pop(token.token, None) is None:
            raise TokenError(error="invalid_grant", error_description="used before")
        stats["refreshes"] += 1
        return self.issue(client.client_id, granted or token.scopes, token.resource, token.subject)

    async def load_access_token(self, token):
        found = self.access.get(token)
        return found if found and found.expires_at > time.time() else None

    async def revoke_token(self, token):
        stats["revocations"] += 1
        self.access.pop(token.token, None)
        self.refresh.pop(token.token, None)


provider = Provider()
path = "sse" if options.transport == "sse" else "mcp"
server = MCPServer(
    "oauth-peer",
    auth_server_provider=provider,
    auth=AuthSettings(
        issuer_url=base,
        resource_server_url=f"{base}/{path}",
        required_scopes=scopes[:1],
        client_registration_options=ClientRegistrationOptions(
            enabled=not options.no_dcr, valid_scopes=[*scopes, "mcp:write"], default_scopes=scopes
        ),
        revocation_options=RevocationOptions(enabled=True),
        validate_token_resource=True,
    ),
)


@server.custom_route("/consent", methods=["GET", "POST"])
async def consent(request):
    if request.method == "GET":
        key = request.query_params.get("txn", "")
        client, params = provider.pending.get(key, (None, None))
        if client is None:
            return HTMLResponse("unknown transaction", 400)
        asked = html.escape(" ".join(params.scopes or []))
        return HTMLResponse(
            f"<h1>Allow?</h1><p id=scopes>{asked}</p><form method=post action=/consent>"
            f'<input type=hidden name=txn value="{html.escape(key)}"><input name=login value=somebody>'
            "<button name=action value=approve>Approve</button><button name=action value=deny>Deny</button></form>"
        )
    form = await request.form()
    client, params = provider.pending.pop(str(form.get("txn", "")), (None, None))
    if client is None:
        return HTMLResponse("unknown transaction", 400)
    if form.get("action") != "approve":
        denied = construct_redirect_uri(
            str(params.redirect_uri), error="access_denied", error_description="not today", state=params.state
        )
        return RedirectResponse(denied, 302)
    return RedirectResponse(provider.grant(client, params, str(form.get("login", "somebody"))), 302)


@server.custom_route("/__stats", methods=["GET"])
async def show_stats(_request):
    return JSONResponse(stats)


@server.custom_route("/__fault", methods=["POST"])
async def set_fault(request):
    fault = await request.json()
    faults[fault.pop("path")] = fault
    return JSONResponse({})


@server.custom_route("/__faults", methods=["POST"])
async def clear_faults(_request):
    faults.clear()
    return JSONResponse({})


@server.custom_route("/__revoke", methods=["POST"])
async def revoke_all(_request):
    provider.access.clear()
    provider.refresh.clear()
    return JSONResponse({})


@server.tool()
def whoami() -> str:
    """Whose account it is, and what it may."""
    token = get_access_token()
    return f"{token.subject} {' '.join(sorted(token.scopes))}"


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def leak() -> str:
    """Fails with the token of the call in its words."""
    raise ToolError(f"the token {get_access_token().token} is not good enough")


@server.tool()
async def slow(seconds: float) -> str:
    """Takes a while."""
    await asyncio.sleep(seconds)
    return "done"


def fault_for(path):
    for known, fault in faults.items():
        if path == known or (known.endswith("*") and path.startswith(known[:-1])):
            if fault.get("times", 1_000_000) <= 0:
                continue
            fault["times"] = fault.get("times", 1_000_000) - 1
            return fault
    return None


def bent(app):
    """Answers what a fault says, and everything else as the SDK does."""

    async def run(scope, receive, send):
        if scope["type"] == "http":
            if scope["path"] == f"/{path}":
                stats["requests"] += 1
            fault = fault_for(scope["path"])
            if fault is not None:
                await asyncio.sleep(fault.get("delay", 0))
                if "status" in fault:
                    body = fault.get("body", "")
                    text = body if isinstance(body, str) else json.dumps(body)
                    headers = {"content-type": "application/json", **fault.get("headers", {})}
                    response = Response(text.replace("{base}", base), fault["status"], headers)
                    await response(scope, receive, send)
                    return
        await app(scope, receive, send)

    return run


app = server.sse_app() if options.transport == "sse" else server.streamable_http_app()
uvicorn.run(bent(app), host="127.0.0.1", port=options.port, log_level="warning")
