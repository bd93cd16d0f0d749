//! Tests of `[identity]`.

use crate::config::{
    AnonymousAccess, ApiKeyValue, Config, DisabledPart, IdentitySettings, IssuerSettings,
    LoadedConfig,
    tests::{load_named, refused, taken},
};

/// Long enough to cause no warning.
const SECRET: &str = "a-secret-of-thirty-two-characters";

fn load(text: &str, pairs: &[(&str, &str)]) -> (LoadedConfig, String) {
    let (result, shown) = load_named("bridges.toml", text, pairs);
    (result.unwrap_or_else(|_| panic!("{text}\n{shown}")), shown)
}

fn identity(text: &str) -> IdentitySettings {
    let (loaded, shown) = load(text, &[("SECRET", SECRET)]);
    assert_eq!(shown, "", "{text}");
    loaded.config.identity
}

fn off(loaded: &LoadedConfig) -> Vec<String> {
    let line = |off: &DisabledPart| format!("{}: {}", off.what, off.why);
    loaded.off.iter().map(line).collect()
}

#[test]
fn every_proof_of_the_shipped_file_is_off_while_its_variables_are() {
    let text = std::fs::read_to_string("bridges.toml").unwrap();
    let (loaded, _) = load(&text, &[("WEBUI_SECRET_KEY", " ")]);
    let identity = &loaded.config.identity;
    assert_eq!(identity.anonymous, AnonymousAccess::Loopback);
    assert_eq!(
        *identity,
        IdentitySettings {
            anonymous: AnonymousAccess::Loopback,
            ..IdentitySettings::default()
        }
    );
    assert_eq!(
        off(&loaded),
        [
            "Open WebUI's sessions: WEBUI_SECRET_KEY is blank",
            "Open WebUI's signed headers: FORWARD_USER_INFO_HEADER_JWT_SECRET is not set",
            "a gateway's headers: `enabled` is false",
            "OpenID issuer `default`: OIDC_ISSUER is not set",
            "key `default`: MCP_API_KEY is not set",
            "key `forwarder`: MCP_FORWARDER_KEY is not set",
        ]
    );
}

#[test]
fn the_shipped_file_needs_an_environment_and_nothing_else() {
    let text = std::fs::read_to_string("bridges.toml").unwrap();
    let text = text.replace("#listen = \"127.0.0.1:8000\"", "listen = \"0.0.0.0:8000\"");
    let all = [
        ("WEBUI_SECRET_KEY", SECRET),
        ("OPEN_WEBUI_URL", "http://open-webui:8080"),
        ("FORWARD_USER_INFO_HEADER_JWT_SECRET", SECRET),
        ("DATABASE_URL", "postgresql://u:p@db/openwebui"),
        ("REDIS_URL", "redis://redis:6379/0"),
        ("API_GATEWAY_MODE", "true"),
        ("TRUSTED_PROXIES", "10.0.0.1, 172.16.0.0/12"),
        ("GATEWAY_SECRET", SECRET),
        ("MCP_API_KEY", "key-of-the-administrators"),
        ("MCP_FORWARDER_KEY", "key-of-the-connection"),
        ("OIDC_ISSUER", "https://login.example.org/realm"),
        ("OIDC_AUDIENCE", "mcp-bridge, api://mcp-bridge"),
        ("ADMIN_EMAILS", "Ada@Example.org,bob@example.org"),
    ];
    let (loaded, shown) = load(&text, &all);
    assert_eq!((shown.as_str(), loaded.off.len()), ("", 0));
    let identity = &loaded.config.identity;
    assert_eq!(identity.anonymous, AnonymousAccess::Refused);
    let keys: Vec<_> = identity
        .keys
        .iter()
        .map(|key| {
            (
                key.name.as_str(),
                key.groups.join(" "),
                key.forwards,
                key.workspace.as_str(),
            )
        })
        .collect();
    assert_eq!(
        keys,
        [
            ("default", "MCP-Admin".to_owned(), false, "default"),
            ("forwarder", String::new(), true, "default"),
        ]
    );
    let gateway = identity.gateway.as_ref().unwrap();
    let peers: Vec<_> = gateway
        .trusted_peers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(peers, ["10.0.0.1/32", "172.16.0.0/12"]);
    assert_eq!(
        identity.oidc[0].audiences,
        ["mcp-bridge", "api://mcp-bridge"]
    );
    let access = &loaded.config.access;
    assert_eq!(access.admins, ["ada@example.org", "bob@example.org"]);
    assert!(loaded.config.is_access_enforced());
    // Each of them is enough if other machines can reach the bridge, or reports what else it needs.
    for (name, value) in all {
        let is_proof = matches!(name, "MCP_API_KEY" | "MCP_FORWARDER_KEY" | "OPEN_WEBUI_URL")
            || name.starts_with("FORWARD");
        let (result, shown) = load_named("bridges.toml", &text, &[(name, value)]);
        assert_eq!(result.is_ok(), is_proof, "{name}: {shown}");
    }
}

#[test]
fn secrets_are_all_known() {
    let config: Config = load(
        "[database]\nurl = '${DB}'\nredis_url = '${REDIS}'\n[identity.keys.a]\nkey = '${A}'\n\
         [identity.open_webui]\nsecret_key = '${B}'\njwt_secret = '${C}'\n\
         [identity.gateway]\nenabled = true\nsecret = '${D}'\n\
         [bridges.x]\nurl = 'https://x'\nheaders = { A = '${E}' }",
        &[
            ("DB", "postgres://u:pass-of-db@h/n"),
            ("REDIS", "redis://:pass-of-redis@h"),
            ("A", "secret-aaaaaaaaaaaaaaa"),
            ("B", "secret-bbbbbbbbbbbbbbb"),
            ("C", "secret-ccccccccccccccc"),
            ("D", "secret-ddddddddddddddd"),
            ("E", "secret-e"),
        ],
    )
    .0
    .config;
    let secrets: Vec<_> = config
        .secrets()
        .iter()
        .map(|it| it.expose().to_owned())
        .collect();
    for secret in [
        "pass-of-db",
        "pass-of-redis",
        "secret-aaaaaaaaaaaaaaa",
        "secret-bbbbbbbbbbbbbbb",
        "secret-ccccccccccccccc",
        "secret-ddddddddddddddd",
        "secret-e",
    ] {
        assert!(secrets.iter().any(|it| it == secret), "{secret}");
    }
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("secret-") && !shown.contains("pass-of"),
        "{shown}"
    );
}

#[test]
fn keys_are_text_or_hash() {
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let identity = identity(&format!(
        "[identity.keys.a]\nkey = '${{SECRET}}'\ngroups = 'x, y'\nworkspace = 'w'\n\
         [identity.keys.b]\nkey_sha256 = '{}'\ngroups = ['x', 'x', 'y z']\nforwards = false",
        hash.to_uppercase()
    ));
    let [a, b] = &identity.keys[..] else {
        panic!("two keys")
    };
    assert_eq!(
        (a.groups.join("|"), a.workspace.as_str()),
        ("x|y".to_owned(), "w")
    );
    assert_eq!(
        (b.groups.join("|"), b.workspace.as_str()),
        ("x|y z".to_owned(), "default")
    );
    assert!(matches!(&b.key, ApiKeyValue::Sha256(_)));
    assert!(b.matches("test") && !b.matches("Test") && a.matches(SECRET));
}

#[test]
fn wrong_keys_are_told() {
    insta::assert_snapshot!(refused(
        "[identity.keys.a]\nkey = ''\n[identity.keys.b]\nkey = '${T_TOKEN}'\nkey_sha256 = 'x'\n\
         [identity.keys.c]\nkey_sha256 = 'abc'\n[identity.keys.d]\nforwards = 'yes'\ngroups = 1\n\
         [identity.keys.e]\nkeys = 'x'\n"
    ), @r##"
    bridges.toml:2:7: error: `key` is empty, so it protects nothing
      |
    2 | key = ''
      |       ^^
    hint: write `key = "${MCP_API_KEY}"`, which is off while MCP_API_KEY is not set, or leave `key` out

    bridges.toml:5:14: error: a key has either `key` or `key_sha256`, not both
      |
    5 | key_sha256 = '*'
      |              ^^^
    hint: keep `key_sha256`, so that the file contains no secret

    bridges.toml:7:14: error: `key_sha256` is made of 64 hexadecimal digits
      |
    7 | key_sha256 = '***'
      |              ^^^^^
    hint: `printf %s "$KEY" | sha256sum` prints them

    bridges.toml:9:12: error: `forwards`: expected `true` or `false`, found a string
      |
    9 | forwards = 'yes'
      |            ^^^^^

    bridges.toml:10:10: error: `groups`: expected a string or a list of strings, found integer `1`
       |
    10 | groups = 1
       |          ^

    bridges.toml:12:1: error: unknown key `keys` in `[identity.keys.e]`
       |
    12 | keys = 'x'
       | ^^^^
    hint: did you mean `key`?
    "##);
    let (_, warnings) = taken(
        "[identity.keys.a]\nkey = '${T_TOKEN}'\nforwards = true\n[identity.keys.b]\nkey = '${T_TOKEN}'\ngroups = ['x']\n\
         [identity.keys.c]\nkey_sha256 = '0e5a511dd3e78f3d3e5e7a4f4d6f1b1bd1d6d5f9a2b1a6f4a40b6e7f6a8a2a11'\n",
    );
    insta::assert_snapshot!(warnings, @r##"
    warning: the key `c` is not in a group, so it may call nothing: grants decide who may call what
    hint: add `groups = ["MCP-Admin"]` to `[identity.keys.c]` for everything, or groups of `[access.groups]`

    bridges.toml:1:1: warning: a caller with the key `a` can impersonate any user, because the user headers are not signed
      |
    1 | [identity.keys.a]
      | ^^^^^^^^^^^^^^^^^
    hint: set `jwt_secret` in `[identity.open_webui]` (FORWARD_USER_INFO_HEADER_JWT_SECRET, here and at Open WebUI)

    bridges.toml:2:7: warning: `key` has only 2 characters, so it can be guessed
      |
    2 | key = '${T_TOKEN}'
      |       ^^^^^^^^^^^^
    hint: `openssl rand -hex 32` makes a good one

    bridges.toml:5:7: warning: `key` has only 2 characters, so it can be guessed
      |
    5 | key = '${T_TOKEN}'
      |       ^^^^^^^^^^^^
    hint: `openssl rand -hex 32` makes a good one

    bridges.toml:5:7: warning: the keys `a` and `b` have the same value
      |
    5 | key = '${T_TOKEN}'
      |       ^^^^^^^^^^^^
    hint: logs will show `a` for both; give `b` a different value
    "##);
}

#[test]
fn wrong_settings_of_open_webui_are_told() {
    insta::assert_snapshot!(refused(
        "[identity.open_webui]\nsecret_key = ''\njwt_secret = '  '\nurl = 'open-webui:8080'\ncache_ttl = '2m'\n"
    ), @r##"
    bridges.toml:2:14: error: `secret_key` is empty, so it protects nothing
      |
    2 | secret_key = ''
      |              ^^
    hint: write `secret_key = "${WEBUI_SECRET_KEY}"`, which is off while WEBUI_SECRET_KEY is not set, or leave `secret_key` out

    bridges.toml:3:14: error: `jwt_secret` is empty, so it protects nothing
      |
    3 | jwt_secret = '  '
      |              ^^^^
    hint: write `jwt_secret = "${FORWARD_USER_INFO_HEADER_JWT_SECRET}"`, which is off while FORWARD_USER_INFO_HEADER_JWT_SECRET is not set, or leave `jwt_secret` out

    bridges.toml:4:7: error: `url`: `open-webui:` is neither `http:` nor `https:`
      |
    4 | url = 'open-webui:8080'
      |       ^^^^^^^^^^^^^^^^^
    hint: write `"http://open-webui:8080"`

    bridges.toml:5:13: error: `cache_ttl` must be more than zero and at most 1m
      |
    5 | cache_ttl = '2m'
      |             ^^^^
    hint: leave `cache_ttl` out for its default
    "##);
    insta::assert_snapshot!(refused(
        "[identity.open_webui]\nsecret_key = '${T_TOKEN}'\n"
    ), @r##"
    bridges.toml:2:14: warning: `secret_key` has only 2 characters, so it can be guessed
      |
    2 | secret_key = '${T_TOKEN}'
      |              ^^^^^^^^^^^^
    hint: `openssl rand -hex 32` makes a good one

    bridges.toml:2:14: error: a session token contains no e-mail address, and there is no source to look up its user
      |
    2 | secret_key = '${T_TOKEN}'
      |              ^^^^^^^^^^^^
    hint: set `open_webui` in `[database]` to Open WebUI's database (OPEN_WEBUI_DATABASE_URL), or `url` here to its address (OPEN_WEBUI_URL)
    "##);
    // Problems of the database are reported at `[database]`.
    let shown = refused(
        "[database]\nopen_webui = 'mysql://h/n'\n[identity.open_webui]\nsecret_key = '${T_TOKEN}'\n",
    );
    assert!(!shown.contains("no source to look up"), "{shown}");
    let (_, warnings) = taken(
        "[identity.open_webui]\nsecret_key = '${T_TOKEN}'\nurl = 'http://h'\njwt_secret = 'in-the-file-itself'\n",
    );
    insta::assert_snapshot!(warnings, @r##"
    bridges.toml:2:14: warning: `secret_key` has only 2 characters, so it can be guessed
      |
    2 | secret_key = '${T_TOKEN}'
      |              ^^^^^^^^^^^^
    hint: `openssl rand -hex 32` makes a good one

    bridges.toml:4:14: warning: `jwt_secret` is written in plain text in the file
      |
    4 | jwt_secret = '******************'
      |              ^^^^^^^^^^^^^^^^^^^^
    hint: move it to the environment: `jwt_secret = "${FORWARD_USER_INFO_HEADER_JWT_SECRET}"`
    "##);
}

#[test]
fn sessions_need_a_directory_or_an_address() {
    for database in [
        "open_webui = '/data/webui.db'",
        "open_webui = 'sqlite:////app/backend/data/webui.db'",
        "url = 'postgres://h/n'",
        "open_webui = 'postgres://h/n'",
    ] {
        let identity = identity(&format!(
            "[database]\n{database}\n[identity.open_webui]\nsecret_key = '${{SECRET}}'"
        ));
        assert!(identity.open_webui.secret_key.is_some(), "{database}");
        assert_eq!(identity.anonymous, AnonymousAccess::Refused);
    }
    let by_url = identity("[identity.open_webui]\nurl = 'http://h:8080'\ncache_ttl = '60s'");
    assert!(by_url.open_webui.is_on());
    assert_eq!(by_url.open_webui.cache_ttl.as_secs(), 60);
}

#[test]
fn a_gateway_must_prove_its_identity() {
    for (text, is_on) in [
        ("enabled = false", false),
        ("enabled = '${NOT_SET}'", false),
        ("enabled = ''", false),
        ("enabled = 'No'", false),
        ("trusted_peers = '10.0.0.0/8'", false),
        ("enabled = true\ntrusted_peers = '10.1.2.3/8'", true),
        ("enabled = 'TRUE'\nsecret = '${SECRET}'", true),
        (
            "enabled = '1'\ntrusted_peers = ['::1', '${NOT_SET}', '127.0.0.1, 10.0.0.9']",
            true,
        ),
        (
            "enabled = 'on'\nsecret = '${SECRET}'\ntrusted_peers = ['0.0.0.0/0']",
            true,
        ),
    ] {
        let (loaded, _) = load(
            &format!("[identity.gateway]\n{text}"),
            &[("SECRET", SECRET)],
        );
        assert_eq!(loaded.config.identity.gateway.is_some(), is_on, "{text}");
    }
    let text = "[identity.gateway]\nenabled = true\nsecret = '${SECRET}'\nemail_header = 'Remote-User'\ngroups_header = ''";
    let gateway = identity(text).gateway.unwrap();
    assert_eq!(gateway.email_header, "remote-user");
    assert_eq!(gateway.groups_header, "x-user-groups");
    assert_eq!(gateway.secret_header, "x-gateway-secret");
    insta::assert_snapshot!(refused("[identity.gateway]\nenabled = true\ntrusted_peers = '${BLANK}'\n"), @r##"
    bridges.toml:2:11: error: the gateway is enabled, but any client could send the same headers
      |
    2 | enabled = true
      |           ^^^^
    hint: set `trusted_peers` to its address (TRUSTED_PROXIES), or `secret` to what it sends in `X-Gateway-Secret` (GATEWAY_SECRET), or both
    "##);
    insta::assert_snapshot!(refused("[identity.gateway]\nenabled = true\ntrusted_peers = ['10.0.0.1', '::/0']\n"), @r##"
    bridges.toml:3:17: error: `trusted_peers` contains every address, so any client could impersonate any user
      |
    3 | trusted_peers = ['10.0.0.1', '::/0']
      |                 ^^^^^^^^^^^^^^^^^^^^
    hint: write the gateway's own address or network, or set `secret` too
    "##);
    insta::assert_snapshot!(refused(
        "[identity.gateway]\nenabled = 'maybe'\ntrusted_peers = ['caddy', '10.0.0.0/99']\nsecret = ''\nemail_header = 'a b'\npeers = 1\n"
    ), @r##"
    bridges.toml:2:11: error: `enabled`: `maybe` is neither true nor false
      |
    2 | enabled = 'maybe'
      |           ^^^^^^^
    hint: write `true` or `false`

    bridges.toml:3:18: error: `trusted_peers`: `caddy` is neither an address nor a network
      |
    3 | trusted_peers = ['caddy', '10.0.0.0/99']
      |                  ^^^^^^^
    hint: write `"10.0.0.7"` or `"172.16.0.0/12"`; names are not looked up

    bridges.toml:3:27: error: `trusted_peers`: `10.0.0.0/99` is neither an address nor a network
      |
    3 | trusted_peers = ['caddy', '10.0.0.0/99']
      |                           ^^^^^^^^^^^^^
    hint: write `"10.0.0.7"` or `"172.16.0.0/12"`; names are not looked up

    bridges.toml:4:10: error: `secret` is empty, so it protects nothing
      |
    4 | secret = ''
      |          ^^
    hint: write `secret = "${GATEWAY_SECRET}"`, which is off while GATEWAY_SECRET is not set, or leave `secret` out

    bridges.toml:5:16: error: `email_header`: "a b" is not a valid header name
      |
    5 | email_header = 'a b'
      |                ^^^^^
    hint: write letters, digits and `-`: `X-User-Email`

    bridges.toml:6:1: error: unknown key `peers` in `[identity.gateway]`
      |
    6 | peers = 1
      | ^^^^^
    hint: the keys are `enabled`, `trusted_peers`, `secret`, `secret_header`, `email_header`, `groups_header`, `admin_header`, `workspace_header`, `strips_headers`, `ignore_credentials`
    "##);
}

#[test]
fn an_issuer_is_secure_and_has_an_audience() {
    let text = "[identity.oidc.entra]\nissuer = 'https://login.example.org/t/v2.0'\naudience = ['a', 'b, c']\n\
                jwks_url = 'http://127.0.0.1:1/keys'\nemail_claims = 'mail'\ngroups_claims = []\nworkspace_claim = 'org'";
    let IssuerSettings {
        name,
        issuer,
        audiences,
        jwks_url,
        email_claims,
        groups_claims,
        workspace_claim,
        emails_verified,
    } = identity(text).oidc.remove(0);
    assert_eq!(
        (name.as_str(), issuer.as_str()),
        ("entra", "https://login.example.org/t/v2.0")
    );
    assert_eq!(audiences, ["a", "b", "c"]);
    assert_eq!(jwks_url.unwrap().as_str(), "http://127.0.0.1:1/keys");
    assert_eq!(
        (email_claims, groups_claims),
        (vec!["mail".to_owned()], Vec::new())
    );
    assert_eq!((&*workspace_claim, emails_verified), ("org", false));
    let plain =
        identity("[identity.oidc.x]\nissuer = 'http://localhost:8080'\naudience = 'a'").oidc;
    assert_eq!(plain[0].email_claims, ["email"]);
    assert_eq!(plain[0].groups_claims, ["groups", "roles"]);
    insta::assert_snapshot!(refused(
        "[identity.oidc]\nflat = 'x'\n[identity.oidc.a]\nissuer = 'http://login.example.org'\naudience = 'a'\n\
         [identity.oidc.b]\nissuer = 'https://login.example.org'\n\
         [identity.oidc.c]\nissuer = 'https://login.example.org'\naudience = '${BLANK:-}'\n\
         [identity.oidc.d]\naudience = 'a'\n\
         [identity.oidc.e]\nissuer = 'https://x'\naudience = 'a'\njwks_url = 'keys'\nemail_claims = []\naudiences = 'x'\n"
    ), @r##"
    bridges.toml:2:8: error: `flat`: expected a table
      |
    2 | flat = 'x'
      |        ^^^
    hint: write `[identity.oidc.flat]` and below it `issuer = "https://…"`

    bridges.toml:4:10: error: `issuer` is not `https:`, so an attacker on the network path could sign tokens
      |
    4 | issuer = 'http://login.example.org'
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: write `https://…`

    bridges.toml:6:1: error: without an `audience`, a token that the issuer made for any other program would be accepted
      |
    6 | [identity.oidc.b]
      | ^^^^^^^^^^^^^^^^^
    hint: write `audience = "${OIDC_AUDIENCE}"`: the client id, or what `aud` says in its tokens

    bridges.toml:10:12: error: without an `audience`, a token that the issuer made for any other program would be accepted
       |
    10 | audience = '${BLANK:-}'
       |            ^^^^^^^^^^^^
    hint: write `audience = "${OIDC_AUDIENCE}"`: the client id, or what `aud` says in its tokens

    bridges.toml:11:1: error: `[identity.oidc.d]` has no `issuer`
       |
    11 | [identity.oidc.d]
       | ^^^^^^^^^^^^^^^^^
    hint: add `issuer = "${OIDC_ISSUER}"`

    bridges.toml:16:12: error: `jwks_url` is not a valid URL: relative URL without a base
       |
    16 | jwks_url = 'keys'
       |            ^^^^^^
    hint: write `"https://login.example.org/realm"`

    bridges.toml:18:1: error: unknown key `audiences` in `[identity.oidc.e]`
       |
    18 | audiences = 'x'
       | ^^^^^^^^^
    hint: did you mean `audience`?
    "##);
}

#[test]
fn tables_are_tables() {
    insta::assert_snapshot!(refused(
        "[identity]\nkeys = 'k'\nopen_webui = 'http://h'\ngateway = true\noidc = 'https://x'\n"
    ), @r##"
    bridges.toml:2:8: error: `keys`: expected a table
      |
    2 | keys = 'k'
      |        ^^^
    hint: write `[identity.keys.NAME]` and below it `key = "${MCP_API_KEY}"`

    bridges.toml:3:14: error: `open_webui`: expected a table
      |
    3 | open_webui = 'http://h'
      |              ^^^^^^^^^^
    hint: write `[identity.open_webui]` on a line of its own, and its keys below

    bridges.toml:4:11: error: `gateway`: expected a table
      |
    4 | gateway = true
      |           ^^^^
    hint: write `[identity.gateway]` on a line of its own, and its keys below

    bridges.toml:5:8: error: `oidc`: expected a table
      |
    5 | oidc = 'https://x'
      |        ^^^^^^^^^^^
    hint: write `[identity.oidc.NAME]` and below it `issuer = "https://…"`
    "##);
}
