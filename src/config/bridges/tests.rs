//! Tests of the credentials of bridges, and of the keys that encrypt tokens.

use std::{collections::BTreeMap, fs};

use http::header::AUTHORIZATION;

use crate::{
    config::{
        BridgeSettings, CliOverrides, Config, CredentialScope, Environment, HeaderSource,
        OAuthGrant, OAuthSettings, RemoteSettings, ResourceName, TokenAuthMethod,
        TransportSettings, load_bridge,
        tests::{load_named, refused, taken},
    },
    name::BridgeName,
    secret::Secret,
};

/// Long enough for encryption.
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The former encryption key.
const FORMER: &str = "fedcba9876543210fedcba9876543210";

/// Returns the bridge `x` with some keys, in an environment.
fn bridge(keys: &str, vars: &[(&str, &str)]) -> BridgeSettings {
    let text = format!("[bridges.x]\nurl = 'https://x/mcp'\n{keys}\n");
    let (result, shown) = load_named("bridges.toml", &text, vars);
    let loaded = result.unwrap_or_else(|_| panic!("{text}\n{shown}"));
    loaded.config.bridges.into_iter().next().unwrap()
}

fn remote(bridge: &BridgeSettings) -> &RemoteSettings {
    match &bridge.transport {
        Ok(TransportSettings::Remote(remote)) => remote,
        other => panic!("{other:?}"),
    }
}

fn authorization(bridge: &BridgeSettings) -> Option<&str> {
    let headers = &remote(bridge).headers;
    let found = headers.iter().find(|(name, _)| *name == AUTHORIZATION);
    found.map(|(_, value)| value.expose())
}

/// Returns why the bridge is off, and whether it would sign in.
fn state(bridge: &BridgeSettings) -> (Option<&str>, bool) {
    (bridge.reason_off(), bridge.oauth().is_some())
}

#[test]
fn an_empty_table_is_enough_to_sign_in() {
    let plain = OAuthSettings::default();
    let bare = bridge("oauth = {}", &[]);
    assert_eq!(bare.oauth(), Some(&plain));
    assert_eq!(bare.credential, CredentialScope::Shared);
    assert_eq!((bare.sessions_max, bare.session_idle.as_secs()), (64, 600));
    let blank = "oauth = { client_id = '${ID:-}', client_secret = '${S:-}', scopes = ['${SCOPES:-}'], client_metadata_url = '${U:-}', resource = '${R:-}', issuer = '${I:-}', metadata_url = '${M:-}', token_endpoint_auth_method = '${A:-}' }";
    assert_eq!(bridge(blank, &[]).oauth(), Some(&plain));
    let full = "credential = 'Group'\nsessions_max = 3\nsession_idle = '1m'\noauth = { client_id = '${ID:-}', client_secret = '${S:-}', scopes = 'mcp, read write', grant = 'client-credentials', client_metadata_url = 'https://b.example.org/me.json', private_network = '${P:-true}', resource = 'api://x', issuer = 'https://login.example.org/realm', metadata_url = 'https://login.example.org/meta', token_endpoint_auth_method = 'client-secret-basic' }";
    let full = bridge(full, &[("ID", "id"), ("S", "hunter22")]);
    assert_eq!(
        full.oauth(),
        Some(&OAuthSettings {
            client_id: Some("id".to_owned()),
            client_secret: Some(Secret::new("hunter22")),
            scopes: vec!["mcp".to_owned(), "read".to_owned(), "write".to_owned()],
            grant: OAuthGrant::ClientCredentials,
            client_metadata_url: Some("https://b.example.org/me.json".parse().unwrap()),
            private_network: true,
            resource: ResourceName::Named("api://x".to_owned()),
            issuer: Some(Box::new("https://login.example.org/realm".parse().unwrap())),
            metadata_url: Some(Box::new("https://login.example.org/meta".parse().unwrap())),
            auth_method: Some(TokenAuthMethod::Basic),
        })
    );
    assert_eq!(full.credential, CredentialScope::Group);
    assert_eq!((full.sessions_max, full.session_idle.as_secs()), (3, 60));
    assert!(full.secrets().iter().any(|it| it.expose() == "hunter22"));
}

#[test]
fn the_resource_of_a_login_is_left_out_named_or_found_out() {
    for (written, resource) in [
        ("false", ResourceName::Unsaid),
        ("true", ResourceName::Discovered),
        ("'${R:-false}'", ResourceName::Unsaid),
        ("'${R:-}'", ResourceName::Discovered),
        (
            "'https://x/mcp/'",
            ResourceName::Named("https://x/mcp/".to_owned()),
        ),
        ("'urn:x:y'", ResourceName::Named("urn:x:y".to_owned())),
    ] {
        let bridge = bridge(&format!("oauth = {{ resource = {written} }}"), &[]);
        assert_eq!(bridge.oauth().unwrap().resource, resource, "{written}");
    }
}

#[test]
fn a_login_that_cannot_be_meant_is_refused_with_a_way_out() {
    for (keys, needles) in [
        ("resource = 7", &["`false` or a URI in quotes"][..]),
        (
            "resource = 'my-app'",
            &["`resource` is a URI", "api://some-id"],
        ),
        ("resource = 'https://x/#y'", &["without fragment"]),
        (
            "issuer = 'x'",
            &["`issuer` is not a valid URL", "https://login.example.com"],
        ),
        ("issuer = 'ftp://x'", &["neither `http:` nor `https:`"]),
        (
            "issuer = 'https://x?y'",
            &["`issuer` is the identifier", "`metadata_url`"],
        ),
        (
            "issuer = 'https://x/.well-known/openid-configuration'",
            &["`metadata_url`"],
        ),
        (
            "issuer = 'https://u:hunter22@x'",
            &["without a user and without a fragment"],
        ),
        (
            "metadata_url = 'https://x/#y'",
            &["without a user and without a fragment"],
        ),
        (
            "metadata_url = '/x'",
            &["`metadata_url` is not a valid URL"],
        ),
        (
            "token_endpoint_auth_method = 'private_key_jwt'",
            &["there is no `private_key_jwt`", "client_secret_post"],
        ),
        (
            "client_id = 'i', client_secret = '${S:-s}', token_endpoint_auth_method = 'none'",
            &["sends no secret"],
        ),
        (
            "client_id = 'i', token_endpoint_auth_method = 'client_secret_post'",
            &["`client_secret` is not set"],
        ),
        (
            "grant = 'client_credentials', client_id = 'i', client_secret = '${S:-s}', token_endpoint_auth_method = 'none'",
            &["sends no secret"],
        ),
    ] {
        let shown = refused(&format!(
            "[bridges.x]\nurl = 'https://x'\noauth = {{ {keys} }}"
        ));
        for needle in needles {
            assert!(shown.contains(needle), "{keys}: {shown}");
        }
    }
    let registered = "oauth = { token_endpoint_auth_method = 'client_secret_post' }";
    let method = bridge(registered, &[]).oauth().unwrap().auth_method;
    assert_eq!(
        method,
        Some(TokenAuthMethod::Post),
        "of a client that is registered"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn a_key_wins_and_without_it_a_user_logs_in() {
    let key = "headers = { Authorization = 'Bearer ${K}', X-Team = '${TEAM}' }";
    let all: &[(&str, &str)] = &[("K", "k"), ("TEAM", "t")];
    let waits = |why: &str| format!("{why}no user has logged in: mcp-bridge login x");
    // Keys of the bridge, environment; why it is off, whether it signs in.
    for (keys, vars, off, signs_in) in [
        ("", all, None, false),
        (
            "",
            &[],
            Some("K is not set; TEAM is not set".to_owned()),
            false,
        ),
        ("enabled = 'auto'", all, None, false),
        (
            "enabled = 'auto'",
            &[("TEAM", "t")],
            Some("K is not set".to_owned()),
            false,
        ),
        ("oauth = {}", all, None, false),
        ("oauth = {}", &[], None, true),
        ("oauth = {}", &[("K", "k")], None, true),
        ("enabled = 'auto'\noauth = {}", all, None, false),
        (
            "enabled = 'auto'\noauth = {}",
            &[],
            Some(waits("K is not set; TEAM is not set, and ")),
            true,
        ),
        (
            "enabled = 'auto'\ncredential = 'caller'\noauth = {}",
            &[],
            None,
            true,
        ),
        // A key belongs to an account that all callers share.
        (
            "enabled = 'auto'\ncredential = 'caller'\noauth = {}",
            all,
            None,
            true,
        ),
        (
            "enabled = 'auto'\ncredential = 'group'\noauth = {}",
            &[],
            None,
            true,
        ),
        (
            "enabled = 'auto'\noauth = { grant = 'client_credentials', client_id = 'i', client_secret = '${K}' }",
            &[("K", "k")],
            None,
            true,
        ),
        // Values that a key makes unnecessary may be missing.
        (
            "oauth = { client_id = '${ID}', client_secret = '${S}' }",
            all,
            None,
            false,
        ),
        (
            "enabled = 'auto'\noauth = { client_id = '${ID}', client_secret = '${S}' }",
            &[],
            Some(
                "K is not set; TEAM is not set, and for a login ID is not set; S is not set"
                    .to_owned(),
            ),
            false,
        ),
        (
            "oauth = { client_id = '${ID:-}', client_secret = '${S:-}' }",
            &[("S", "s")],
            Some("K is not set; TEAM is not set, and for a login ID is not set".to_owned()),
            false,
        ),
        (
            "oauth = { grant = 'client_credentials', client_id = '${ID:-}', client_secret = '${S:-}' }",
            &[],
            Some(
                "K is not set; TEAM is not set, and for a login ID is not set; S is not set"
                    .to_owned(),
            ),
            false,
        ),
    ] {
        let bridge = bridge(&format!("{key}\n{keys}"), vars);
        assert_eq!(
            state(&bridge),
            (off.as_deref(), signs_in),
            "{keys} {vars:?}"
        );
        if signs_in {
            assert_eq!(authorization(&bridge), None, "{keys} {vars:?}");
        }
    }
    let bare = bridge("enabled = 'auto'\noauth = {}", &[]);
    assert_eq!(bare.waits_for_login, Some(waits("")));
    assert_eq!(remote(&bare).headers, []);
    let bare = bridge(
        "oauth = { client_id = '${ID}', client_secret = '${S}' }",
        &[],
    );
    assert_eq!(bare.reason_off(), Some("ID is not set; S is not set"));
    // The other headers stay.
    let other = bridge("headers = { X-A = 'a', X-B = '${B}' }\noauth = {}", &[]);
    assert_eq!(remote(&other).headers.len(), 1);
}

#[test]
fn a_switch_may_stand_in_the_environment() {
    for (switch, vars, off, is_enabled) in [
        ("true", &[][..], None, true),
        ("false", &[], Some("disabled in the configuration"), false),
        ("'${ON}'", &[], Some("ON is not set"), false),
        ("'${ON:-}'", &[], Some("ON is not set"), false),
        ("'${ON}'", &[("ON", " ")], Some("ON is blank"), false),
        ("'${ON}'", &[("ON", "Yes")], None, true),
        (
            "'${ON}'",
            &[("ON", "0")],
            Some("disabled in the configuration"),
            false,
        ),
        ("'${ON:-auto}'", &[], None, true),
        ("'auto'", &[], None, true),
    ] {
        let bridge = bridge(&format!("enabled = {switch}"), vars);
        assert_eq!(bridge.reason_off(), off, "{switch} {vars:?}");
        assert_eq!(bridge.is_enabled, is_enabled, "{switch} {vars:?}");
    }
}

#[test]
fn basic_is_a_header_and_its_password_a_secret() {
    let keys = "basic_auth = { user = '${USER_NAME}', password = '${PASS}' }";
    let on = bridge(keys, &[("USER_NAME", "a@b.c"), ("PASS", "pass:word")]);
    assert_eq!(authorization(&on), Some("Basic YUBiLmM6cGFzczp3b3Jk"));
    let secrets: Vec<_> = on.secrets();
    let secrets: Vec<_> = secrets.iter().map(Secret::expose).collect();
    for secret in ["Basic YUBiLmM6cGFzczp3b3Jk", "pass:word"] {
        assert!(secrets.contains(&secret), "{secret}");
    }
    let off = bridge(keys, &[]);
    assert_eq!(
        off.reason_off(),
        Some("USER_NAME is not set; PASS is not set")
    );
    let blank = "basic_auth = { user = '${USER_NAME:-}', password = '${PASS:-}' }";
    assert_eq!(bridge(blank, &[]).reason_off(), off.reason_off());
    let half = bridge(&format!("{keys}\noauth = {{}}"), &[("PASS", "p")]);
    assert_eq!((authorization(&half), state(&half)), (None, (None, true)));
}

#[test]
fn what_is_optional_is_left_out_while_it_is_blank() {
    let far = bridge(
        "headers = { X-A = '${A:-}', X-B = '${B:-}', X-C = '' }",
        &[("B", "b")],
    );
    let names: Vec<_> = remote(&far).headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["x-b", "x-c"]);
    let text = "[bridges.x]\ncommand = 'x'\nenv = { A = '${A:-}', B = '${B:-}', C = '' }\n";
    let (near, _) = config(text, &[("B", "b")]);
    let Ok(TransportSettings::Stdio(stdio)) = &near.bridges[0].transport else {
        panic!("a program")
    };
    assert_eq!(stdio.env.keys().collect::<Vec<_>>(), ["B", "C"]);
    let mcpo = r#"{"mcpServers": {"x": {"command": "x", "env": {"A": "${A:-}"}}}}"#;
    let (result, _) = load_named("config.json", mcpo, &[("MCP_API_KEY", KEY)]);
    let Ok(TransportSettings::Stdio(stdio)) = &result.unwrap().config.bridges[0].transport else {
        panic!("a program")
    };
    assert_eq!(stdio.env.len(), 1);
}

#[test]
fn headers_of_callers_go_on_by_name() {
    let some = bridge(
        "pass_headers = ['X-Request-Source, x-request-source', 'X-Trace']",
        &[],
    );
    assert_eq!(remote(&some).pass_headers, ["x-request-source", "x-trace"]);
    for name in [
        "Authorization",
        "cookie",
        "Proxy-Authorization",
        "Host",
        "Connection",
        "Content-Type",
        "content-length",
        "Transfer-Encoding",
        "Mcp-Session-Id",
        "X-OpenWebUI-User-Jwt",
        "X-Gateway-Secret",
    ] {
        let text = format!("[bridges.x]\nurl = 'https://x'\npass_headers = ['{name}']");
        let shown = refused(&text);
        assert!(shown.contains("is never forwarded"), "{shown}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one snapshot")]
fn what_cannot_be_meant_is_refused_with_a_way_out() {
    insta::assert_snapshot!(refused(
        "[bridges.a]\nurl = 'https://x'\nheaders = { authorization = '${K}', X-A = 'a' }\nbasic_auth = { user = 'u', password = '${P}' }\npass_headers = ['x-a', 'a b']\ncredential = 'mine'\nenabled = 'perhaps'\n\
         [bridges.b]\nurl = 'https://x'\nbasic_auth = { user = 'u' }\noauth = { client_secret = '${S}' }\n\
         [bridges.c]\nurl = 'https://x'\noauth = { grant = 'client_credentials', client_id = '${I}', client_metadata_url = 'http://x/y' }\n\
         [bridges.d]\nurl = 'https://x'\ncredential = 'caller'\n\
         [bridges.e]\ncommand = 'x'\ncredential = 'caller'\noauth = {}\n\
         [bridges.f]\nurl = 'https://x'\nbasic_auth = { user = 'u:v', password = '${T_TOKEN}' }\noauth = { scope = 'x' }\n"
    ), @r##"
    bridges.toml:4:14: error: `basic_auth` sets the header `Authorization`, which is also in `headers`
      |
    4 | basic_auth = { user = 'u', password = '${P}' }
      |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: keep one of them

    bridges.toml:5:17: error: `pass_headers`: `x-a` is already set in `headers`
      |
    5 | pass_headers = ['x-a', 'a b']
      |                 ^^^^^
    hint: keep one of them

    bridges.toml:5:24: error: `pass_headers`: "a b" is not a valid header name
      |
    5 | pass_headers = ['x-a', 'a b']
      |                        ^^^^^
    hint: write letters, digits and `-`: `X-Request-Source`

    bridges.toml:6:14: error: `credential`: there is no `mine`
      |
    6 | credential = 'mine'
      |              ^^^^^^
    hint: write one of `shared`, `group`, `caller`

    bridges.toml:7:11: error: `enabled`: `perhaps` is neither true nor false
      |
    7 | enabled = 'perhaps'
      |           ^^^^^^^^^
    hint: write `true` or `false`

    bridges.toml:10:14: error: `basic_auth` needs `user` and `password`
       |
    10 | basic_auth = { user = 'u' }
       |              ^^^^^^^^^^^^^^
    hint: write `basic_auth = { user = "${SOME_USER}", password = "${SOME_TOKEN}" }`

    bridges.toml:11:9: error: `client_secret` needs `client_id`
       |
    11 | oauth = { client_secret = '${S}' }
       |         ^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: write `oauth = { client_id = "${SOME_ID}", client_secret = "${SOME_SECRET}" }`

    bridges.toml:14:9: error: `grant = "client_credentials"` needs `client_id` and `client_secret`
       |
    14 | oauth = { grant = 'client_credentials', client_id = '${I}', client_metadata_url = 'http://x/y' }
       |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: write `oauth = { client_id = "${SOME_ID}", client_secret = "${SOME_SECRET}" }`

    bridges.toml:14:83: error: `client_metadata_url` must be an `https:` URL with a path, without a user and without a fragment
       |
    14 | oauth = { grant = 'client_credentials', client_id = '${I}', client_metadata_url = 'http://x/y' }
       |                                                                                   ^^^^^^^^^^^^
    hint: write `"https://tools.example.org/mcp-bridge.json"`

    bridges.toml:16:7: error: `credential = "caller"` needs a way for callers to use their own credentials
       |
    16 | url = 'https://x'
       |       ^^^^^^^^^^^
    hint: add `oauth = {}`, so that each user logs in, or list their headers in `pass_headers`

    bridges.toml:20:14: error: `credential = "caller"` works with `url`, not with `command`
       |
    20 | credential = 'caller'
       |              ^^^^^^^^
    hint: write `credential = "group"` for keys of groups, or leave `credential` out

    bridges.toml:21:9: error: `oauth` works with `url`, not with `command`
       |
    21 | oauth = {}
       |         ^^
    hint: pass credentials to a program with `env`

    bridges.toml:24:23: error: `basic_auth`: `user` cannot contain a `:`, because the password begins after it
       |
    24 | basic_auth = { user = 'u:v', password = '${T_TOKEN}' }
       |                       ^^^^^
    hint: put what follows the `:` into `password`

    bridges.toml:25:11: error: unknown key `scope` in `[bridges.f]`
       |
    25 | oauth = { scope = 'x' }
       |           ^^^^^
    hint: did you mean `scopes`?
    "##);
    let gateway = "[identity.gateway]\nenabled = true\nsecret = '${SECRET}'\nsecret_header = 'X-Door'\n[bridges.a]\nurl = 'https://x'\npass_headers = ['x-door']\n";
    let (result, shown) = load_named("bridges.toml", gateway, &[("SECRET", KEY)]);
    assert!(
        result.is_err() && shown.contains("the header with which the gateway authenticates"),
        "{shown}"
    );
}

#[test]
fn literal_passwords_draw_a_warning() {
    let text = "[bridges.x]\nurl = 'https://x'\nbasic_auth = { user = 'u', password = 'hunter22' }\n\
                [bridges.y]\nurl = 'https://x'\noauth = { client_id = 'i', client_secret = 'hunter22' }\n";
    let (_, shown) = taken(text);
    assert_eq!(
        shown
            .matches("is written in plain text in the file")
            .count(),
        2,
        "{shown}"
    );
    assert!(!shown.contains("hunter22"), "{shown}");
}

fn config(text: &str, vars: &[(&str, &str)]) -> (Config, String) {
    let (result, shown) = load_named("bridges.toml", text, vars);
    let loaded = result.unwrap_or_else(|_| panic!("{text}\n{shown}"));
    (loaded.config, shown)
}

#[test]
fn keys_that_encrypt_are_long_and_secret() {
    let text = "[database]\nsecret_key = '${A:-}'\nsecret_keys_old = ['${B:-}']\n";
    let (blank, _) = config(text, &[]);
    let database = blank.database.unwrap();
    assert_eq!(
        (database.secret_key, database.secret_keys_old.len()),
        (None, 0)
    );
    assert!(database.secret_key_file.ends_with("mcp-bridge.key"));
    let (set, _) = config(text, &[("A", KEY), ("B", &format!("{FORMER}, {KEY}"))]);
    let secrets = set.secrets();
    let database = set.database.unwrap();
    assert!(database.secret_key.unwrap().matches(KEY));
    assert_eq!(database.secret_keys_old.len(), 2);
    for secret in [KEY, FORMER] {
        assert!(secrets.iter().any(|it| it.matches(secret)), "{secret}");
    }
    insta::assert_snapshot!(refused("[database]\nsecret_key = '${T_TOKEN}'\n"), @r##"
    bridges.toml:2:14: error: `secret_key` has 2 characters; a key that encrypts tokens needs at least 32
      |
    2 | secret_key = '${T_TOKEN}'
      |              ^^^^^^^^^^^^
    hint: `openssl rand -hex 32` makes a good one
    "##);
    let short = refused("[database]\nsecret_keys_old = ['${T_TOKEN}']\n");
    assert!(
        short.contains("`secret_keys_old` has 2 characters"),
        "{short}"
    );
    assert!(refused("[database]\nsecret_key = ''\n").contains("`secret_key` is empty"));
    let (_, shown) = taken(&format!(
        "[database]\nsecret_key = '{KEY}'\nsecret_keys_old = ['{KEY}']\nsecret_key_file = '/run/k'\n"
    ));
    assert_eq!(
        shown.matches("in plain text in the file").count(),
        2,
        "{shown}"
    );
    assert!(!shown.contains(KEY), "{shown}");
}

#[test]
fn where_browsers_reach_us_is_an_origin_and_a_path() {
    for (written, url) in [
        ("${P:-}", None),
        ("https://t.example.org", Some("https://t.example.org/")),
        (
            "http://t.example.org:8000/api/mcp/",
            Some("http://t.example.org:8000/api/mcp"),
        ),
    ] {
        let (config, _) = config(&format!("[server]\npublic_url = '{written}'\n"), &[]);
        let found = config.server.public_url.map(String::from);
        assert_eq!(found.as_deref(), url);
    }
    for bad in [
        "t.example.org",
        "ftp://x",
        "https://x/?a=b",
        "https://x/#a",
        "https://u:p@x/",
    ] {
        let shown = refused(&format!("[server]\npublic_url = '{bad}'\n"));
        assert!(shown.contains("`public_url`"), "{shown}");
    }
}

#[test]
fn a_bridge_is_read_again_with_the_keys_of_a_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridges.toml");
    let text = "[bridges.far]\nurl = 'https://x'\ncredential = 'group'\nheaders = { Authorization = 'Bearer ${K}' }\noauth = {}\n\
                [bridges.near]\ncommand = 'c'\ncredential = 'group'\nenv = { GITHUB_TOKEN = '${K}' }\n";
    fs::write(&path, text).unwrap();
    fs::write(folder.path().join(".env"), "K=of-all\n").unwrap();
    let environment = Environment::of([("K", "of-the-process")]);
    let read = |name: &str, key: Option<&str>| {
        let values: BTreeMap<_, _> = key
            .map(|key| ("K".to_owned(), Secret::new(key)))
            .into_iter()
            .collect();
        let name = BridgeName::parse(name).unwrap();
        load_bridge(
            &path,
            &environment,
            &CliOverrides::default(),
            &name,
            &values,
            HeaderSource::Operator,
        )
    };
    let far = read("far", Some("of-a-group")).unwrap();
    assert_eq!(authorization(&far), Some("Bearer of-a-group"));
    assert!(far.oauth().is_none());
    let near = read("near", Some("of-a-group")).unwrap();
    let secrets = near.secrets();
    assert!(secrets.iter().any(|it| it.matches("of-a-group")));
    let own = read("far", None).unwrap();
    assert_eq!(authorization(&own), Some("Bearer of-the-process"));
    let gone = read("gone", None).unwrap_err();
    assert_eq!(gone, "the bridge `gone` is no longer in the configuration");
    fs::write(&path, "[bridges.far]\n").unwrap();
    let broken = read("far", None).unwrap_err();
    assert_eq!(
        broken,
        "the configuration cannot be read: the bridge has neither `command` nor `url`"
    );
}

#[test]
fn headers_for_the_server_of_a_group_hold_its_own_keys_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridges.toml");
    fs::write(folder.path().join("key"), "of-a-file").unwrap();
    let text = "[bridges.far]\nurl = 'https://x'\n[bridges.far.headers]\nX-Own = 'Bearer ${K}'\n\
                X-Second = '${NONE:-${K}}'\nX-Ours = '${OURS}'\nX-Mixed = '${K} ${OURS}'\n\
                X-Default = '${NONE:-secret}'\nX-Fallback = '${OURS:-${K}}'\nX-File = '${file:key}'\n\
                X-Literal = 'literal'\nX-Both = '${K}${file:key}'\n\
                [bridges.basic]\nurl = 'https://x'\nbasic_auth = { user = '${OURS}', password = '${K}' }\n\
                [bridges.plain]\nurl = 'https://x'\nbasic_auth = { user = 'bot', password = '${K}' }\n\
                [bridges.theirs]\nurl = 'https://x'\nbasic_auth = { user = 'bot', password = '${OURS}' }\n";
    fs::write(&path, text).unwrap();
    fs::write(folder.path().join(".env"), "OURS=of-dotenv\n").unwrap();
    let environment = Environment::of([("OURS", "of-the-operator"), ("K", "of-all")]);
    let values = BTreeMap::from([("K".to_owned(), Secret::new("of-a-group"))]);
    let read = |name: &str, values: &BTreeMap<String, Secret>, source| {
        let name = BridgeName::parse(name).unwrap();
        let overrides = CliOverrides::default();
        let bridge = load_bridge(&path, &environment, &overrides, &name, values, source).unwrap();
        let Ok(TransportSettings::Remote(remote)) = bridge.transport else {
            panic!("a remote one")
        };
        let mut names: Vec<_> = remote
            .headers
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        names.sort();
        names
    };
    let group = HeaderSource::Group;
    assert_eq!(
        read("far", &values, group),
        ["x-fallback", "x-own", "x-second"]
    );
    let name = BridgeName::parse("far").unwrap();
    let far = load_bridge(
        &path,
        &environment,
        &CliOverrides::default(),
        &name,
        &values,
        group,
    );
    for secret in far.unwrap().secrets() {
        assert!(!secret.matches("of-the-operator") && !secret.matches("of-all"));
    }
    assert!(read("basic", &values, group).is_empty());
    assert_eq!(read("plain", &values, group), ["authorization"]);
    assert!(read("theirs", &values, group).is_empty());
    assert!(read("far", &BTreeMap::new(), group).is_empty());
    assert_eq!(read("far", &values, HeaderSource::Operator).len(), 9);
}

#[test]
fn who_says_yes_to_a_login_is_told_of_the_empty_table() {
    let text = "[bridges.a]\nurl = 'https://x/mcp'\noauth = true\n";
    let (_result, shown) = load_named("bridges.toml", text, &[("MCP_API_KEY", KEY)]);
    assert!(
        shown.contains("`oauth`: expected a table, found boolean `true`"),
        "{shown}"
    );
    assert!(
        shown.contains("hint: an empty table is enough: `oauth = {}`"),
        "{shown}"
    );
}

#[test]
fn a_bridge_for_groups_alone_is_kept_apart_from_one_that_is_off() {
    let keys = "headers = { X-Api-Key = '${K}' }\ncredential = 'group'";
    assert!(bridge(keys, &[]).is_for_groups_alone());
    assert!(!bridge(keys, &[("K", "k")]).is_for_groups_alone());
    assert!(!bridge(&format!("{keys}\nenabled = false"), &[]).is_for_groups_alone());
}

#[test]
fn mcpo_files_sign_in_with_streamable_http() {
    let json = r#"{"mcpServers": {
        "a": {"type": "streamable-http", "url": "https://x/mcp", "oauth": {"server_url": "https://x", "storage_type": "file", "callback_port": 3030, "client_metadata": {"client_name": "n", "scope": "read write"}}},
        "b": {"type": "streamable-http", "url": "https://x/mcp", "oauth": {}},
        "c": {"command": "c", "oauth": {"server_url": "https://x"}},
        "d": {"type": "streamable-http", "url": "https://x/mcp", "oauth": true}
    }}"#;
    let (result, shown) = load_named("config.json", json, &[("MCP_API_KEY", KEY)]);
    let bridges = result.unwrap().config.bridges;
    let scopes: Vec<_> = bridges
        .iter()
        .map(|bridge| bridge.oauth().map(|oauth| oauth.scopes.join(" ")))
        .collect();
    assert_eq!(
        scopes,
        [
            Some("read write".to_owned()),
            Some(String::new()),
            None,
            None
        ]
    );
    assert_eq!(shown.matches("is ignored").count(), 2, "{shown}");
}
