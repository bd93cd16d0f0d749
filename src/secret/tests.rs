//! What is found of a secret, and what is left alone.

use std::borrow::Cow;

use base64::{Engine as _, prelude::*};
use proptest::prelude::*;
use serde_json::json;

use super::{Redactor, Secret};

/// One that knows these.
fn knowing<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Redactor {
    let redactor = Redactor::default();
    redactor.set_configured(secrets.into_iter().map(Secret::new));
    redactor
}

#[test]
fn debug_shows_stars() {
    assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(***)");
    let redactor = knowing(["hunter2-hunter2"]);
    assert!(!format!("{redactor:#?}").contains("hunter2"));
}

#[test]
fn only_the_whole_text_matches() {
    let secret = Secret::new("key");
    assert!(secret.matches("key"));
    assert!(!secret.matches("ke") && !secret.matches("keyy") && !secret.matches(""));
}

#[test]
fn a_token_is_known_without_its_scheme() {
    let redactor = knowing(["Bearer s3cret-token", "on"]);
    assert_eq!(
        redactor.redact("bad token s3cret-token, moving on"),
        "bad token ***, moving on"
    );
}

#[test]
fn a_secret_is_found_in_every_form_in_which_it_travels() {
    let secret = "p@s\"s/w\\ö<rd>&+ 7";
    let redactor = knowing([secret]);
    let basic = BASE64_STANDARD.encode(format!("somebody:{secret}"));
    for text in [
        secret.to_owned(),
        json!(secret).to_string(),
        // JSON in JSON.
        json!(json!({ "token": secret }).to_string()).to_string(),
        // Python, PHP, Go.
        r#""p@s\"s/w\\\u00f6<rd>&+ 7""#.to_owned(),
        r#""p@s\"s\/w\\ö<rd>&+ 7""#.to_owned(),
        r#""p@s\"s/w\\ö\u003crd\u003e\u0026+ 7""#.to_owned(),
        format!("{secret:?}"),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        // `encodeURIComponent`, Python's `quote`, and both with small digits.
        "p%40s%22s%2Fw%5C%C3%B6%3Crd%3E%26%2B%207".to_owned(),
        "p%40s%22s/w%5C%C3%B6%3Crd%3E%26%2B%207".to_owned(),
        "p%40s%22s%2fw%5c%c3%b6%3crd%3e%26%2b%207".to_owned(),
        BASE64_STANDARD.encode(secret),
        BASE64_URL_SAFE_NO_PAD.encode(secret),
        basic,
        BASE64_STANDARD.encode(format!("u1:{secret}")),
        BASE64_STANDARD.encode(format!("u12:{secret}:more")),
    ] {
        let redacted = redactor
            .redact(&format!("before {text} after"))
            .into_owned();
        assert!(redacted.contains("***"), "{text} stays");
        assert!(redacted.starts_with("before ") && redacted.ends_with(" after"));
        assert!(
            !redacted.contains("s/w") && !redacted.contains("rd%3"),
            "{redacted}"
        );
    }
}

#[test]
fn each_line_of_a_key_file_is_found() {
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n\nAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----";
    let redactor = knowing([key]);
    assert_eq!(redactor.redact(key), "***");
    assert_eq!(
        redactor.redact("line 2: MIIEvQIBADANBgkqhkiG9w0BAQEF"),
        "line 2: ***"
    );
}

#[test]
fn what_is_short_or_a_common_word_is_left_alone() {
    let words = [
        "",
        " ",
        "on",
        "true",
        "12345",
        "postgres",
        "changeme",
        "webui-db",
        "12345678901",
        "Bearer",
        "Bearer production",
        "message",
    ];
    let redactor = knowing(words);
    let text = "INFO connected to postgres at 12345678901, message=\"on production\" Bearer";
    assert!(matches!(redactor.redact(text), Cow::Borrowed(same) if same == text));
    // As short, but nobody's word.
    for secret in [
        "hunter2",
        "pass word1",
        "PassPhrase",
        "correct-horse-battery",
        "123456789012",
    ] {
        let redactor = knowing([secret]);
        assert_eq!(redactor.redact(&format!("<{secret}>")), "<***>");
    }
}

#[test]
fn of_secrets_that_overlap_nothing_stays() {
    let redactor = knowing(["abc123def456", "def456ghi789", "abc123", "ghi789jkl"]);
    assert_eq!(redactor.redact("-abc123def456ghi789-abc123-"), "-***-***-");
    assert_eq!(redactor.redact("abc123abc123"), "***");
    let long = "x1".repeat(40);
    let redactor = knowing([long.as_str(), "x1x1x1x1"]);
    assert_eq!(redactor.redact(&format!("({long})")), "(***)");
}

#[test]
fn a_long_secret_is_told_from_one_that_ends_alike() {
    let redactor = knowing(["postgres://bridge:pass-7@db.example.org:5432/production"]);
    for other in [
        "postgres://bridge@db.example.org:5432/production",
        "db.example.org:5432/production",
        "postgres://other:pass-8@db.example.org:5432/production",
    ] {
        assert_eq!(redactor.redact(other), other);
    }
}

#[test]
fn a_value_is_cleaned_to_its_names_and_long_numbers() {
    let redactor = knowing(["s3cret-token", "1234567890123456"]);
    let mut value = json!({
        "s3cret-token": [1, "is s3cret-token", null],
        "n": 1_234_567_890_123_456_u64,
        "m": 1_234_567_890_123_457_u64,
        "f": 0.25,
    });
    redactor.clean_json(&mut value);
    let clean = json!({ "***": [1, "is ***", null], "n": "***", "m": 1_234_567_890_123_457_u64, "f": 0.25 });
    assert_eq!(value, clean);
    assert!(!redactor.finds(value.to_string().as_bytes()));
}

#[test]
fn what_is_learnt_is_found_at_once_and_by_every_clone() {
    let redactor = knowing(["configured-1"]);
    let clone = redactor.clone();
    // Beyond what is looked for apart from the rest.
    for number in 0..200 {
        let secret = format!("learnt-{number}-secret");
        redactor.learn(Secret::new(secret.as_str()));
        redactor.learn(Secret::new(secret.as_str()));
        assert_eq!(clone.redact(&secret), "***");
    }
    for secret in [
        "configured-1",
        "learnt-0-secret",
        "learnt-33-secret",
        "learnt-199-secret",
    ] {
        assert_eq!(clone.redact(secret), "***", "{secret}");
    }
}

#[test]
fn a_reload_keeps_what_servers_were_started_with() {
    let redactor = knowing(["old-secret-1", "both-secret-2"]);
    redactor.set_configured(["both-secret-2", "new-secret-3"].map(Secret::new));
    assert_eq!(
        redactor.redact("old-secret-1 both-secret-2 new-secret-3"),
        "*** *** ***"
    );
}

#[test]
fn the_oldest_of_too_many_are_forgotten_and_the_configured_never() {
    let redactor = knowing(["configured-1"]);
    let token = |number: usize| Secret::new(format!("token-{number:08}-{number:08}"));
    redactor.learn_all((0..20_000).map(token));
    redactor.learn_all([token(0), Secret::new("one-more-token")]);
    // Until everything is built anew, what was forgotten may still be found.
    redactor.set_configured([Secret::new("configured-1")]);
    let is_found = |secret: &Secret| redactor.finds(secret.expose().as_bytes());
    assert!(is_found(&token(0)), "heard of again");
    assert!(!is_found(&token(1)) && is_found(&token(2)));
    assert!(is_found(&Secret::new("one-more-token")) && is_found(&Secret::new("configured-1")));
}

proptest! {
    #[test]
    fn no_text_keeps_a_secret(
        secrets in prop::collection::vec("[a-zA-Z0-9/+=é\"\\\\ -]{6,40}[0-9A-Z]", 1..8),
        pieces in prop::collection::vec("[ -~é]{0,20}", 1..8),
        order in prop::collection::vec(0usize..8, 1..20),
    ) {
        let redactor = knowing(secrets.iter().map(String::as_str));
        let text: String = order
            .iter()
            .flat_map(|at| [&pieces[at % pieces.len()], &secrets[at % secrets.len()]])
            .map(String::as_str)
            .collect();
        let redacted = redactor.redact(&text);
        for secret in &secrets {
            prop_assert!(!redacted.contains(secret.trim()), "{redacted:?} has {secret:?}");
        }
    }
}
