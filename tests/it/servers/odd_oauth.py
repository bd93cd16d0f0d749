"""MCP servers behind OAuth as it stands in the field: each scenario is a shape that some vendor has, at a port of its own.

    odd_oauth.py SCENARIO ...

Prints one line of JSON: the port of each scenario. A scenario `re_X` gives a token that lives for four seconds, and has
the shape X in the answer to the refresh alone. Every scenario wants PKCE with S256, takes a code once and a refresh
token once, and tells what it was asked:

    GET /__log    [["GET", path], ["REGISTER", body], ["TOKEN", form, authorization], ["MCP", method, token], ...]
"""

import base64
import hashlib
import json
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FORM = "application/x-www-form-urlencoded"
SECRET = "sek+/="
BOM = b"\xef\xbb\xbf"
HTML = "<!doctype html><html>app</html>"

# Where the metadata of the server is named by a challenge alone, and that of its authorization server below a path:
# a client that does not see the pointer guesses, and finds nothing.
POINTED = {
    "ws": ['Bearer realm="x", resource_metadata = "{pointer}"'],
    "tabs": ['Bearer realm="x"\t,\tresource_metadata\t=\t"{pointer}"'],
    "lines": ['Basic realm="x"', 'Bearer resource_metadata="{pointer}", scope="s1 s2"'],
    "split": ['Bearer realm="x"', 'resource_metadata="{pointer}"'],
    "oneline": ['Basic realm="x", Bearer resource_metadata="{pointer}"'],
    "token68": ['Negotiate YIIabc==, Bearer resource_metadata="{pointer}"'],
    "quoted": ['Basic realm="a \\"b\\", Bearer c=\\"d\\"", Bearer resource_metadata="{pointer}"'],
    "escaped": ['Bearer resource_metadata="{escaped}"'],
    "upper": ['BEARER Resource_Metadata="{pointer}"'],
    "single": ["Bearer resource_metadata='{pointer}'"],
    "unquoted": ["Bearer resource_metadata={pointer}"],
    "relative": ['Bearer resource_metadata="/odd/prm"'],
    "two": ['Bearer resource_metadata="{base}/gone", error="invalid_token", resource_metadata="{pointer}"'],
    "dpop": ['DPoP algs="ES256", resource_metadata="{pointer}"'],
    "get": ['Bearer resource_metadata="{pointer}"'],
}


class Odd:
    """One scenario: what is answered where."""

    def __init__(self, scenario):
        self.is_renewal = scenario.startswith("re_")
        self.name = scenario.removeprefix("re_")
        self.log, self.tokens, self.refreshes, self.codes, self.given = [], set(), set(), {}, 0

    # --- the server's own metadata

    def challenge(self):
        pointed = POINTED.get(self.name)
        if pointed:
            pointer = self.base + "/odd/prm"
            escaped = pointer.replace("/", "\\/")
            return [line.format(base=self.base, pointer=pointer, escaped=escaped) for line in pointed]
        if self.name == "prmforeign":
            return [f'Bearer resource_metadata="{self.base}/foreign"']
        if self.name in ("noprm", "prmhtml", "asappended"):
            return []
        return [f'Bearer resource_metadata="{self.base}/.well-known/oauth-protected-resource/mcp"']

    def resource(self):
        base, name = self.base, self.name
        servers = {
            "prmdeadfirst": ["http://127.0.0.1:9", base],
            "prmotherfirst": [base + "/other", base],
            "prmprivatefirst": ["http://10.1.2.3", base],
            "prmplainfirst": [base + "/plain", base],
            "prmasstr": base,
            "prmasobj": [{"issuer": base}],
            "issslash": [base + "/realm/"],
            "issnoslash": [base + "/realm"],
            "issdrop": [base + "/realm"],
            "isskey": [base + "/nowhere"],
        }.get(name, [base + "/realm"] if name in POINTED else [base])
        own = {
            "prmslash": base + "/mcp/",
            "prmroot": base,
            "prmuri": "api://my-app-id",
            "prmother": "http://127.0.0.1:1/mcp",
        }.get(name, base + "/mcp")
        document = {"resource": own, "authorization_servers": servers, "scopes_supported": ["read", "write"]}
        if name == "prmnoas":
            del document["authorization_servers"]
        if name == "prmscopestr":
            document["scopes_supported"] = "read write"
        return document

    def at_resource(self, path):
        name, own = self.name, path == "/.well-known/oauth-protected-resource/mcp"
        if path == "/odd/prm":
            return 200, self.resource()
        if path == "/foreign":
            return 200, {"resource": "https://other.example/mcp", "authorization_servers": ["https://evil.example"]}
        if not path.startswith("/.well-known/oauth-protected-resource"):
            return None
        if name in POINTED or name in ("noprm", "asappended"):
            return 404, "no"
        if name == "prm500" and own:
            return 500, "no"
        if name == "prmhtml" and own:
            return 200, HTML
        if name == "prmbroken" and own:
            return 200, '{"resource": '
        if name == "prmlist" and own:
            return 200, [self.resource()]
        if name == "prmbom":
            return 200, BOM + json.dumps(self.resource()).encode()
        if name == "prmmoved" and own:
            return 302, "/.well-known/oauth-protected-resource"
        if name == "prmaway" and own:
            return 302, "http://10.1.2.3/"
        return 200, self.resource()

    # --- the authorization server's

    def server(self, issuer):
        name, base = self.name, self.base
        document = {
            "issuer": issuer,
            "authorization_endpoint": base + "/authorize",
            "token_endpoint": base + "/token",
            "registration_endpoint": base + "/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        }
        methods = {
            "regpost": ["client_secret_post"],
            "regbasic": ["client_secret_basic", "private_key_jwt"],
            "regboth": ["client_secret_basic", "client_secret_post"],
            "regnone": ["client_secret_basic", "none"],
            "regstr": "client_secret_post",
            "liespost": ["client_secret_basic"],
            "methodkey": ["client_secret_post"],
        }.get(name)
        if methods:
            document["token_endpoint_auth_methods_supported"] = methods
        if name in ("issparam", "issparamslash"):
            document["authorization_response_iss_parameter_supported"] = True
        if name == "relendp":
            for key in ("authorization", "token", "registration"):
                document[key + "_endpoint"] = document[key + "_endpoint"].removeprefix(base)
        if name == "nopkce":
            document["code_challenge_methods_supported"] = ["plain"]
        return document

    def at_server(self, path):
        name, base = self.name, self.base
        if path == "/__metadata":
            return 200, self.server("https://cf.mcp.example.com" if name == "issother" else base)
        if "/.well-known/" not in path:
            return None
        oauth = "oauth-authorization-server" in path
        realm = path == "/.well-known/oauth-authorization-server/realm"
        if name in POINTED or name in ("issslash", "issnoslash", "issdrop"):
            issuer = {"issnoslash": base + "/realm/", "issdrop": base}.get(name, base + "/realm")
            return (200, self.server(issuer)) if realm else (404, "no")
        if name == "asappended":
            own = path == "/mcp/.well-known/oauth-authorization-server"
            return (200, self.server(base + "/mcp")) if own else (404, "no")
        if name == "as500" and oauth:
            return 500, "no"
        if name == "as429" and oauth:
            return 429, "no"
        if name == "as403" and oauth:
            return 403, "no"
        if name == "ashtml" and oauth:
            return 200, HTML
        if name == "asbroken" and oauth:
            return 200, '{"issuer": "'
        if name == "asbig" and oauth:
            return 200, {**self.server(base), "padding": "x" * (300 << 10)}
        if name == "asforeign" and oauth:
            return 200, self.server("https://evil.example")
        if name == "asbom":
            return 200, BOM + json.dumps(self.server(base)).encode()
        if name == "issother":
            return 200, self.server("https://cf.mcp.example.com")
        if name == "issroot":
            return 200, self.server(base + "/")
        if name == "isscase":
            return 200, self.server(base.replace("http", "HTTP"))
        if name == "prmotherfirst" and path.endswith("/other"):
            return 200, self.server("https://evil.example")
        if name == "prmplainfirst" and path.endswith("/plain"):
            return 200, {**self.server(base + "/plain"), "code_challenge_methods_supported": ["plain"]}
        if name == "isskey" and "nowhere" in path:
            return 404, "no"
        return 200, self.server(base)

    # --- registration

    def register(self, wish):
        name, method = self.name, wish.get("token_endpoint_auth_method")
        answer = {**wish, "client_id": "cid"}
        refused = {"error": "invalid_client_metadata"}
        if name in ("regpost", "regbasic", "regquiet", "regboth", "regstr") and method == "none":
            return 400, {**refused, "error_description": "token_endpoint_auth_method none is not supported"}
        if name == "regscope" and "scope" in wish:
            return 400, {**refused, "error_description": "unknown scope"}
        if name == "regscopeshort" and "scope" in wish:
            return 400, {"error": "invalid_scope"}
        if name == "reg200err":
            return 200, {"error": "access_denied", "error_description": "ask us first"}
        if name in ("regpost", "regbasic", "regquiet", "regboth", "regstr", "liespost"):
            answer["client_secret"] = SECRET
        if name == "liespost":
            answer["token_endpoint_auth_method"] = "client_secret_basic"
        if name == "regother":
            answer |= {"client_secret": SECRET, "token_endpoint_auth_method": "client_secret_post"}
        if name == "regsilent":
            answer = {"client_id": "cid", "client_secret": SECRET, "client_secret_expires_at": "0"}
        if name == "regnonesecret":
            answer |= {"client_secret": SECRET, "token_endpoint_auth_method": "none"}
        if name == "regover":
            answer |= {"client_secret": SECRET, "client_secret_expires_at": "1"}
        if name == "regbare":
            answer = {"client_id": "cid"}
        if name == "regint":
            answer = {"client_id": 12345, "client_secret": None}
        if name == "regbom":
            return 200, BOM + json.dumps(answer).encode()
        return 201, answer

    def knows(self, form, header):
        """Whether the token endpoint knows who asks, in the one way that it takes."""
        wanted = {
            "regpost": "post",
            "regboth": "post",
            "regquiet": "post",
            "regstr": "post",
            "regother": "post",
            "liespost": "post",
            "regbasic": "basic",
            "regsilent": "basic",
            "methodkey": "basic",
            "regnonesecret": "none",
            "regnone": "none",
        }.get(self.name)
        pair = urllib.parse.quote("cid") + ":" + urllib.parse.quote_plus(SECRET)
        shown = "none"
        if header:
            shown = "basic" if header == "Basic " + base64.b64encode(pair.encode()).decode() else "bad"
        elif "client_secret" in form:
            shown = "post" if form["client_secret"] == SECRET else "bad"
        return wanted is None or shown == wanted

    # --- logins and tokens

    def authorize(self, query):
        name = self.name
        if name == "authres" and "resource" in query:
            words = "AADSTS901002: The 'resource' request parameter is not supported."
            return {"error": "invalid_request", "error_description": words, "state": query["state"]}
        if name == "authtarget" and "resource" in query:
            return {"error": "invalid_target", "state": query["state"]}
        if name == "authuri" and query.get("resource") != "api://my-app-id":
            return {"error": "invalid_target", "state": query["state"]}
        code = "code-%d-of-%s" % (len(self.codes), name)
        self.codes[code] = query
        answer = {"code": code, "state": query["state"]}
        issuers = {"issparam": self.base, "issparamslash": self.base + "/", "issunasked": self.base + "/"}
        if name in issuers:
            answer["iss"] = issuers[name]
        return answer

    def token(self, form, header):
        if not self.knows(form, header):
            return 401, {"error": "invalid_client"}
        if form["grant_type"] == "client_credentials":
            if self.name == "machinetarget" and "resource" in form:
                return 400, {"error": "invalid_target"}
            return self.bent(self.tokens_of(self.name, is_first=False), self.name)
        if form["grant_type"] == "refresh_token":
            return self.refresh(form)
        code = form["code"]
        name = self.name
        if self.is_renewal or name.startswith("ref"):
            name = "plain"
        if name in ("tokres", "tokrestarget", "tokresspent") and "resource" in form:
            if name == "tokresspent":
                self.codes.pop(code)
            error = "invalid_target" if name == "tokrestarget" else "invalid_request"
            return 400, {"error": error, "error_description": f"resource is not supported with {code}"}
        query = self.codes.pop(code, None)
        if query is None:
            return 400, {"error": "invalid_grant", "error_description": "used before"}
        proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        if query.get("code_challenge_method") != "S256" or query.get("code_challenge") != proof:
            return 400, {"error": "invalid_grant", "error_description": "PKCE"}
        if name == "authuri" and form.get("resource") != "api://my-app-id":
            return 400, {"error": "invalid_target"}
        if name == "tok200err":
            return 200, {"error": "bad_verification_code", "error_description": f"The code {code} is incorrect."}
        if name == "tokform200err":
            return 200, urllib.parse.urlencode({"error": "bad_verification_code"}), FORM
        if name == "tokhtml":
            return 200, HTML
        return self.bent(self.tokens_of(name, is_first=True), name)

    def refresh(self, form):
        name = self.name
        if name == "refres" and "resource" in form:
            return 400, {"error": "invalid_target", "error_description": "resource not supported"}
        if name == "refresrequest" and "resource" in form:
            return 400, {"error": "invalid_request"}
        if name == "refscope" and "scope" in form:
            return 400, {"error": "invalid_scope"}
        over = {
            "ref200err": (200, {"error": "bad_refresh_token", "error_description": "It is incorrect or expired."}),
            "ref200form": (200, urllib.parse.urlencode({"error": "bad_refresh_token"}), FORM),
            "refslack": (200, {"ok": False, "error": "token_revoked"}),
            "refslack2": (200, {"ok": False, "error": "invalid_refresh_token"}),
            "refexpired": (400, {"error": "token_expired"}),
            "refnested": (401, {"error": {"code": "invalid_grant", "message": "over"}}),
            "ref500": (500, {"error": "invalid_grant"}),
            "refbom": (400, BOM + b'{"error":"invalid_grant"}'),
            "refrequest": (400, {"error": "invalid_request", "error_description": "refresh_token is invalid"}),
            "refbusy": (200, {"error": "temporarily_unavailable"}),
        }
        if name in over:
            return over[name]
        if form["refresh_token"] not in self.refreshes:
            return 400, {"error": "invalid_grant", "error_description": "used before"}
        self.refreshes.remove(form["refresh_token"])
        return self.bent(self.tokens_of(name, is_first=False), name)

    def tokens_of(self, name, is_first):
        self.given += 1
        token, refresh = "at-%d-of-%s" % (self.given, self.name), "rt-%d-of-%s" % (self.given, self.name)
        self.tokens.add(token)
        self.refreshes.add(refresh)
        tokens = {"access_token": token, "token_type": "Bearer", "expires_in": 3600, "refresh_token": refresh,
                  "scope": "read write"}
        if is_first and (self.is_renewal or self.name.startswith("ref")):
            tokens["expires_in"] = 4
            return tokens
        tokens |= {
            "tokstrexp": {"expires_in": "3600"},
            "tokstrfloatexp": {"expires_in": "3600.0"},
            "tokfloatexp": {"expires_in": 3599.87},
            "toknegexp": {"expires_in": -1},
            "tokzeroexp": {"expires_in": 0},
            "tokwordexp": {"expires_in": "soon"},
            "tokbigexp": {"expires_in": 99999999999999},
            "toknulls": {"expires_in": None, "scope": None, "token_type": None},
            "tokempty": {"refresh_token": "", "scope": ""},
            "tokscopearr": {"scope": ["read", "write"]},
            "tokscopecomma": {"scope": "read,write"},
            "tokuser": {"token_type": "user"},
            "toktypearr": {"token_type": ["Bearer"]},
            "tokerrnull": {"error": None, "error_description": ""},
            "tokslack": {"ok": True, "token_type": "bot", "authed_user": {"id": "U"}},
        }.get(name, {})
        if name in ("toknotype", "tokbare"):
            del tokens["token_type"]
        if name == "tokbare":
            del tokens["expires_in"], tokens["scope"]
        return tokens

    def bent(self, tokens, name):
        text = json.dumps(tokens)
        form = urllib.parse.urlencode(tokens)
        return {
            "tokbom": (200, BOM + text.encode()),
            "tokct": (200, text, "text/plain; charset=utf-8"),
            "tokhtmlct": (200, text, "text/html"),
            "toknoct": (200, text, None),
            "tokform": (200, form, FORM),
            "tokformct": (200, form, "text/plain"),
            "tok201": (201, text),
        }.get(name, (200, text))

    # --- MCP

    def mcp(self, message):
        kind, base = message.get("method"), {"jsonrpc": "2.0", "id": message.get("id")}
        if kind == "initialize":
            version = message["params"]["protocolVersion"]
            return base | {"result": {"protocolVersion": version, "capabilities": {"tools": {}},
                                      "serverInfo": {"name": self.name, "version": "1"}}}
        if kind == "tools/list":
            return base | {"result": {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}}
        if kind == "tools/call":
            return base | {"result": {"content": [{"type": "text", "text": f"ok, token {self.given}"}]}}
        return base | {"result": {}} if "id" in message else None


def handler(odd):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_words):
            pass

        def out(self, status, body=b"", kind="application/json", headers=()):
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            body = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            if kind:
                self.send_header("Content-Type", kind)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def unauthorized(self):
            lines = [("WWW-Authenticate", line) for line in odd.challenge()]
            self.out(401, {"error": "invalid_token"}, headers=lines)

        def do_GET(self):
            url = urllib.parse.urlsplit(self.path)
            if url.path == "/__log":
                return self.out(200, odd.log)
            odd.log.append(["GET", self.path])
            if url.path == "/authorize":
                query = dict(urllib.parse.parse_qsl(url.query))
                answer = urllib.parse.urlencode(odd.authorize(query))
                return self.out(302, headers=[("Location", query["redirect_uri"] + "?" + answer)])
            if url.path == "/mcp" and odd.name == "get":
                return self.unauthorized()
            found = odd.at_resource(url.path) or odd.at_server(url.path)
            if not found:
                return self.out(405)
            status, body = found
            if status == 302:
                return self.out(302, headers=[("Location", body)])
            return self.out(status, body)

        def do_DELETE(self):
            self.out(200)

        def do_POST(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            path = urllib.parse.urlsplit(self.path).path
            header = self.headers.get("Authorization")
            if path == "/register":
                odd.log.append(["REGISTER", raw])
                return self.out(*odd.register(json.loads(raw)))
            if path == "/token":
                odd.log.append(["TOKEN", raw, header])
                return self.out(*odd.token(dict(urllib.parse.parse_qsl(raw)), header))
            message = json.loads(raw) if raw else {}
            token = (header or "").removeprefix("Bearer ")
            odd.log.append(["MCP", message.get("method"), token])
            if token not in odd.tokens:
                return self.out(401) if odd.name == "get" else self.unauthorized()
            answer = odd.mcp(message)
            return self.out(200, answer) if answer else self.out(202)

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True


ports = {}
for scenario in sys.argv[1:]:
    odd = Odd(scenario)
    server = Server(("127.0.0.1", 0), handler(odd))
    odd.base = f"http://127.0.0.1:{server.server_port}"
    ports[scenario] = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps(ports), flush=True)
threading.Event().wait()
