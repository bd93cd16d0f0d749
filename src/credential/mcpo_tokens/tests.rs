//! Files in the format of the Python SDK (mcp 1.30 and 2.3).

use std::fs;

use tempfile::TempDir;

use super::*;

/// `OAuthToken.model_dump_json()`.
const TOKENS: &str = r#"{"access_token":"at-0123456789","token_type":"Bearer","expires_in":3600,"scope":"read write","refresh_token":"rt-0123456789"}"#;
/// `json.dumps(OAuthToken(…).model_dump(), indent=2)` from a server that sends few fields.
const FEW: &str = r#"{
  "access_token": "at-0123456789",
  "token_type": "Bearer",
  "expires_in": null,
  "scope": null,
  "refresh_token": null
}"#;
/// `OAuthClientInformationFull.model_dump_json()`.
const CLIENT: &str = r#"{"redirect_uris":["http://localhost:3030/callback"],"token_endpoint_auth_method":"client_secret_post","grant_types":["authorization_code","refresh_token"],"response_types":["code"],"scope":null,"client_name":"MCPO Client for time","client_uri":null,"logo_uri":null,"contacts":null,"tos_uri":null,"policy_uri":null,"jwks_uri":null,"jwks":null,"software_id":null,"software_version":null,"client_id":"client-1","client_secret":"cs-0123456789","client_id_issued_at":1760000000,"client_secret_expires_at":0,"issuer":null}"#;
/// The same for a public client, with `exclude_none=True`.
const PUBLIC: &str = r#"{"redirect_uris": ["http://localhost:3030/callback"], "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "client_id": "public-1"}"#;

#[test]
fn files_are_named_as_mcpo_names_them() {
    assert_eq!(stem("time"), "07cc694b");
    assert_eq!(stem("Ärzte/wiki"), "dd975a29");
    // Leading zeros are part of the name.
    assert_eq!(stem("server352"), "00bdb078");
}

#[test]
fn tokens_are_read() {
    let login = McpoLogin::parse(TOKENS, 1_000).unwrap();
    assert_eq!(login.access_token.expose(), "at-0123456789");
    assert_eq!(login.refresh_token.unwrap().expose(), "rt-0123456789");
    assert_eq!(login.scope.unwrap(), "read write");
    assert_eq!(login.expires_at, Some(4_600));
    let login = McpoLogin::parse(FEW, 1_000).unwrap();
    assert_eq!((login.refresh_token, login.expires_at), (None, None));
}

#[test]
fn clients_are_read() {
    let client = McpoClient::parse(CLIENT).unwrap();
    assert_eq!(client.id, "client-1");
    assert_eq!(client.secret.unwrap().expose(), "cs-0123456789");
    assert_eq!(client.auth_method.unwrap(), "client_secret_post");
    assert_eq!(client.redirect_uris, ["http://localhost:3030/callback"]);
    let client = McpoClient::parse(PUBLIC).unwrap();
    assert_eq!((client.id.as_str(), client.secret), ("public-1", None));
}

#[test]
fn a_folder_has_some_logins_and_keeps_them() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert_eq!(McpoLogin::read(folder.path(), "time").unwrap(), None);
    assert_eq!(
        McpoLogin::read(&folder.path().join("none"), "time").unwrap(),
        None
    );
    fs::write(path("07cc694b_tokens.json"), TOKENS).unwrap();
    let before = seconds(SystemTime::now());
    let login = McpoLogin::read(folder.path(), "time").unwrap().unwrap();
    assert!((before + 3_590..=before + 3_601).contains(&login.expires_at.unwrap()));
    assert_eq!(login.client, None);
    fs::write(path("07cc694b_client.json"), CLIENT).unwrap();
    let login = McpoLogin::read(folder.path(), "time").unwrap().unwrap();
    assert_eq!(login.client.unwrap().id, "client-1");
    assert_eq!(
        fs::read_to_string(path("07cc694b_tokens.json")).unwrap(),
        TOKENS
    );
}

#[test]
fn what_mcpo_would_not_write_is_said_without_its_values() {
    for bad in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"access_token": ""}"#,
        r#"{"access_token": null}"#,
        r#"{"access_token": 7, "refresh_token": "s3cret-value"}"#,
        r#"{"access_token": "a", "expires_in": "s3cret-value"}"#,
        r#"{"access_token": "a", "refresh_token": ["s3cret-value"]}"#,
        "s3cret-value",
    ] {
        let why = McpoLogin::parse(bad, 0).unwrap_err();
        assert!(!why.contains("s3cret"), "{why}");
    }
    assert!(McpoClient::parse("{}").is_err());

    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("07cc694b_tokens.json"), "s3cret-value").unwrap();
    let error = McpoLogin::read(folder.path(), "time").unwrap_err();
    let (text, debug) = (error.to_string(), format!("{error:?}"));
    assert!(text.contains("07cc694b_tokens.json"), "{text}");
    assert!(!text.contains("s3cret") && !debug.contains("s3cret"));
    fs::write(folder.path().join("07cc694b_tokens.json"), b"\xff\xfe").unwrap();
    assert!(matches!(
        McpoLogin::read(folder.path(), "time"),
        Err(McpoLoginError::Read { .. })
    ));
}

#[test]
fn nothing_shows_the_tokens() {
    let mut login = McpoLogin::parse(TOKENS, 0).unwrap();
    login.client = Some(McpoClient::parse(CLIENT).unwrap());
    let shown = format!("{login:?}");
    for secret in ["at-01", "rt-01", "cs-01"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
