//! Which forms of a secret are found, and which texts are left unchanged.

use std::{borrow::Cow, hash::RandomState};

use base64::{Engine as _, prelude::*};
use proptest::prelude::*;
use serde_json::json;

use super::{
    Redactor, Secret, SecretSource,
    memory::{KnownSecrets, LearnResult},
};

/// A redactor that knows these secrets.
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
    let basic = BASE64_STANDARD.encode(format!("user:{secret}"));
    for text in [
        secret.to_owned(),
        json!(secret).to_string(),
        // JSON in JSON.
        json!(json!({ "token": secret }).to_string()).to_string(),
        json!(json!(json!(secret).to_string()).to_string()).to_string(),
        // Python, PHP, Go.
        r#""p@s\"s/w\\\u00f6<rd>&+ 7""#.to_owned(),
        r#""p@s\"s\/w\\ö<rd>&+ 7""#.to_owned(),
        r#""p@s\"s/w\\ö\u003crd\u003e\u0026+ 7""#.to_owned(),
        format!("{secret:?}"),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        // `encodeURIComponent`, Python's `quote`, and both with lower-case digits.
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
    // Just as short, but not words.
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
fn what_was_cut_shows_no_half_of_a_secret() {
    let secret = "a secret of several words";
    let redactor = knowing([secret]);
    for cut in 1..=secret.len() {
        for before in [0, 1, 50, 500] {
            let whole = format!("{secret} {}{secret}", "w ".repeat(before));
            let beginning = whole.get(..whole.len() - secret.len() + cut).unwrap();
            let shown = redactor.redact_beginning(beginning);
            assert!(!shown.contains("a s"), "{shown}");
            assert!(before < 500 || shown.starts_with("*** w w"), "{shown}");
        }
    }
    assert_eq!(knowing([]).redact_beginning("all of it"), "all of it");
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
fn what_is_learned_is_found_at_once_and_by_every_clone() {
    let redactor = knowing(["configured-1"]);
    let clone = redactor.clone();
    // More than are kept separately before a rebuild.
    for number in 0..200 {
        let secret = format!("learned-{number}-secret");
        redactor.learn(Secret::new(secret.as_str()));
        redactor.learn(Secret::new(secret.as_str()));
        assert_eq!(clone.redact(&secret), "***");
    }
    for secret in [
        "configured-1",
        "learned-0-secret",
        "learned-33-secret",
        "learned-199-secret",
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
    // Until the next rebuild, forgotten secrets may still be found.
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
        for secret in secrets.iter().filter(|secret| secret.trim().len() >= 6) {
            prop_assert!(!redacted.contains(secret.trim()), "{redacted:?} has {secret:?}");
        }
    }

    #[test]
    fn json_stays_json(
        secret in "[a-zA-Z0-9/+=é\\\\ <&-]{6,40}[0-9A-Z][0-9A-Z\\\\]",
        // A percent sign could consume the first letter as a hexadecimal digit.
        texts in prop::collection::vec("[ -$&-~é\n]{0,20}", 1..8),
        depth in 1usize..4,
    ) {
        // In text whose escapes are undone, backslashes do not count.
        prop_assume!(secret.trim().replace('\\', "").len() >= 6);
        let redactor = knowing([secret.as_str()]);
        let texts: Vec<String> = texts.iter().map(|text| format!("{text}{secret}{text}")).collect();
        let mut written = json!(texts).to_string();
        for _ in 1..depth {
            written = json!([written]).to_string();
        }
        let redacted = redactor.redact(&written);
        let value: Result<serde_json::Value, _> = serde_json::from_str(&redacted);
        prop_assert!(value.is_ok(), "{written} became {redacted}");
        prop_assert!(redacted.contains("***"));
        let inner = json!(secret.trim().trim_end_matches('\\')).to_string();
        prop_assert!(!redacted.contains(inner.trim_matches('"')), "{redacted}");
    }
}

/// A token like those of servers.
fn token(number: u64) -> String {
    format!(
        "tK{:016x}q9Z{number:06}xV",
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    )
}

#[test]
fn a_stranger_does_not_decide_which_words_others_say() {
    let redactor = knowing(["configured-1"]);
    let giver = SecretSource::stranger("evil", "");
    let words = [
        "create_pull_request",
        "https://example.com/",
        "2026-11-28T02:05:14Z",
        "\"type\":\"text\"",
        "application/json",
        "short",
        "Bearer https://example.com/",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a\nhttps://example.com/",
    ];
    redactor.learn_from(&giver, words.map(Secret::new));
    let text = words.join(" ");
    assert!(
        matches!(redactor.redact(&text), Cow::Borrowed(_)),
        "{}",
        redactor.redact(&text)
    );
    // A secret with the shape of a token is found in all its forms.
    redactor.learn_from(&giver, [Secret::new(token(1))]);
    for text in [token(1), BASE64_STANDARD.encode(token(1))] {
        assert!(redactor.redact(&text).contains("***"), "{text}");
    }
}

#[test]
fn a_server_that_gives_many_tokens_pushes_out_none_of_others() {
    let (mut memory, hasher) = (KnownSecrets::default(), RandomState::new());
    let mut is_new = |giver: &SecretSource, secret: &str| {
        let news = memory.learn(&Secret::new(secret), giver, &hasher);
        matches!(news, LearnResult::New(_))
    };
    let (quiet, noisy) = (
        SecretSource::stranger("quiet", "alice"),
        SecretSource::stranger("noisy", ""),
    );
    assert!(is_new(&quiet, &token(1)) && is_new(&SecretSource::Ourselves, "own-key-0aB"));
    // One login with a new token every second.
    for number in 100..200 {
        assert!(is_new(&noisy, &token(number)));
    }
    assert!(!is_new(&noisy, &token(199)) && !is_new(&noisy, &token(184)));
    assert!(is_new(&noisy, &token(183)), "more than sixteen are known");
    // Many logins.
    for number in 1_000..22_000_u64 {
        let giver = SecretSource::stranger("noisy", &number.to_string());
        is_new(&giver, &token(number));
    }
    assert!(!is_new(&quiet, &token(1)) && !is_new(&SecretSource::Ourselves, "own-key-0aB"));
    assert!(!is_new(&noisy, &token(21_999)));
    assert!(is_new(&noisy, &token(1_000)), "more than are remembered");
    assert!(memory.len() <= 20_000);
}

#[test]
fn what_a_caller_sent_stays_in_the_answer_to_them() {
    let redactor = knowing([
        "Bearer s3cret-t0ken-A",
        "s3cret/t0ken B",
        "UPPER-S3CRET-9",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----",
    ]);
    let of = |texts: &[&str], body: &str, answer: &str| {
        let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        let caller = redactor.for_caller(&texts, body.to_owned().into());
        caller.redact(answer).into_owned()
    };
    let base64 = BASE64_STANDARD.encode("s3cret-t0ken-A");
    for (texts, body, answer, expected) in [
        (
            &["s3cret-t0ken-A"][..],
            "",
            "it is s3cret-t0ken-A",
            "it is s3cret-t0ken-A",
        ),
        (
            &[],
            r#"{"a":"s3cret-t0ken-A"}"#,
            "Bearer s3cret-t0ken-A",
            "Bearer s3cret-t0ken-A",
        ),
        (
            &[],
            r#"{"a":"s3cret-t0ken-A"}"#,
            base64.as_str(),
            base64.as_str(),
        ),
        (
            &[],
            r#"{"a":"s3cret\/t0ken B"}"#,
            "s3cret/t0ken B",
            "s3cret/t0ken B",
        ),
        (
            &["s3cret%2Ft0ken%20B"],
            "",
            "s3cret/t0ken B",
            "s3cret/t0ken B",
        ),
        // Concatenated, and in upper case.
        (
            &[],
            r#"{"a":"s3cret-","b":["t0ken","-A"]}"#,
            "s3cret-t0ken-A",
            "s3cret-t0ken-A",
        ),
        (
            &[],
            r#"{"a":"upper-s3cret-9"}"#,
            "UPPER-S3CRET-9",
            "UPPER-S3CRET-9",
        ),
        // Secrets that the caller did not send are redacted.
        (
            &["s3cret-t0ken-B"],
            r#"{"a":"s3cret-t0ken"}"#,
            "s3cret-t0ken-A",
            "***",
        ),
        (
            &["s3cret-t0ken-A"],
            "",
            "s3cret-t0ken-A UPPER-S3CRET-9",
            "s3cret-t0ken-A ***",
        ),
        (
            &["-----BEGIN PRIVATE KEY-----"],
            "",
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF",
            "-----BEGIN PRIVATE KEY-----\n***",
        ),
    ] {
        assert_eq!(of(texts, body, answer), expected, "{texts:?} {body}");
    }
    // For other callers it is a secret.
    assert_eq!(redactor.redact("s3cret-t0ken-A"), "***");
}
