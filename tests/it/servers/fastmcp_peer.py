"""An MCP server behind OAuth on FastMCP and its provider for tests, which lets everybody in without a question.

    fastmcp_peer.py --port N [--access-ttl S]

Everything of OAuth and MCP is FastMCP's. An expired token that is shown takes its refresh token with it; a refused
refresh is answered with 401. Around it:

    GET  /__stats    counters
    POST /__revoke   every token counts no more
"""

import argparse

import fastmcp.server.auth.providers.in_memory as provided
from fastmcp import FastMCP
from fastmcp.server.auth.auth import ClientRegistrationOptions, RevocationOptions
from fastmcp.server.dependencies import get_access_token
from starlette.responses import JSONResponse

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--access-ttl", type=int, default=3600)
options = parser.parse_args()

provided.DEFAULT_ACCESS_TOKEN_EXPIRY_SECONDS = options.access_ttl
scopes = ["mcp:tools"]
stats = {"registrations": 0, "tokens": 0, "refreshes": 0, "revocations": 0}


class Provider(provided.InMemoryOAuthProvider):
    """Counts what it is asked, and which login a token goes back to."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.logins = {}

    async def register_client(self, client_info):
        stats["registrations"] += 1
        await super().register_client(client_info)

    async def exchange_authorization_code(self, client, authorization_code):
        token = await super().exchange_authorization_code(client, authorization_code)
        stats["tokens"] += 1
        login = stats["tokens"]
        self.logins |= {token.access_token: login, token.refresh_token: login}
        return token

    async def exchange_refresh_token(self, client, refresh_token, scopes):
        token = await super().exchange_refresh_token(client, refresh_token, scopes)
        stats["refreshes"] += 1
        login = self.logins[refresh_token.token]
        self.logins |= {token.access_token: login, token.refresh_token: login}
        return token

    async def revoke_token(self, token):
        stats["revocations"] += 1
        await super().revoke_token(token)


provider = Provider(
    base_url=f"http://127.0.0.1:{options.port}",
    client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=scopes, default_scopes=scopes),
    revocation_options=RevocationOptions(enabled=True),
    required_scopes=scopes,
)
server = FastMCP("fastmcp-peer", auth=provider)


@server.custom_route("/__stats", methods=["GET"])
async def show_stats(_request):
    return JSONResponse(stats)


@server.custom_route("/__revoke", methods=["POST"])
async def revoke_all(_request):
    provider.access_tokens.clear()
    provider.refresh_tokens.clear()
    return JSONResponse({})


@server.tool
def whoami() -> str:
    """Which login it is, and what it may."""
    token = get_access_token()
    return f"login {provider.logins[token.token]} {' '.join(token.scopes)}"


server.run(transport="http", host="127.0.0.1", port=options.port, show_banner=False)
