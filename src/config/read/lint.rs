//! Detects values that look like secrets. Only warnings and masking depend on it, so it may be wrong.

/// Words that make a name secret anywhere in it.
const SECRET_PARTS: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "APIKEY",
    "AUTHORIZATION",
];

/// Words that make a name secret only as a separate word: `API_KEY`, not `KEYBOARD`.
const SECRET_WORDS: &[&str] = &["KEY", "PAT", "PWD", "COOKIE"];

/// Prefixes of tokens of well-known vendors.
const TOKEN_PREFIXES: &[&str] = &[
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_live_",
    "xoxb-",
    "xoxp-",
    "ntn_",
    "lin_api_",
    "pat-",
    "eyJ",
];

/// Whether the name of a variable, header or flag indicates a secret value.
pub(crate) fn looks_secret(name: &str) -> bool {
    // Token counts and tools of language models are not credentials.
    let name = name
        .to_uppercase()
        .replace("TOKENS", "")
        .replace("TOKENIZER", "");
    SECRET_PARTS.iter().any(|part| name.contains(part))
        || name
            .split(|character: char| !character.is_ascii_alphanumeric())
            .any(|word| SECRET_WORDS.contains(&word))
}

/// Whether a literal value is a switch, which cannot be a secret.
pub fn is_plain_switch(value: &str) -> bool {
    matches!(
        value.trim().to_lowercase().as_str(),
        "" | "true" | "false" | "0" | "1" | "yes" | "no" | "on" | "off"
    )
}

/// Whether the text before a quoted value ends in a secret name: `X_TOKEN = `, `"--api-key", `.
pub fn ends_in_secret_name(before: &str) -> bool {
    let before = before.trim_end_matches(|character: char| {
        character.is_whitespace() || "=:,[({".contains(character)
    });
    let name = before
        .rsplit(|character: char| !(character.is_ascii_alphanumeric() || "-_.".contains(character)))
        .next()
        .unwrap_or_default();
    // `[identity.keys.NAME] key = "…"`. The kind of `credential` is not a secret.
    name != "credential" && looks_secret(name)
}

/// Whether a text begins like a token of a well-known vendor.
pub(crate) fn has_token_prefix(text: &str) -> bool {
    let text = text.trim_start_matches("Bearer ");
    text.len() > 10 && TOKEN_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

/// The minimum length of a run of letters and digits that looks random.
const RANDOM_CHARS_MIN: usize = 20;
/// The same for a run of only hexadecimal digits.
const HEX_CHARS_MIN: usize = 32;

/// Whether a value looks random, as tokens do: a long run of upper case letters, lower case letters and
/// digits, or of hexadecimal digits. Ids of tenants and projects, URLs and paths do not match.
pub(crate) fn looks_random(value: &str) -> bool {
    let is_run = |character: char| character.is_ascii_alphanumeric() || "_-+~".contains(character);
    value.split(|character| !is_run(character)).any(|run| {
        let has = |kind: fn(&char) -> bool| run.chars().any(|character| kind(&character));
        let (big, small) = (has(char::is_ascii_uppercase), has(char::is_ascii_lowercase));
        let is_hex = run.len() >= HEX_CHARS_MIN && run.chars().all(|it| it.is_ascii_hexdigit());
        let is_long = run.len() >= RANDOM_CHARS_MIN;
        has(char::is_ascii_digit) && (is_hex && (big || small) || is_long && big && small)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_from_addresses_and_ids() {
        for token in [
            "AbCdEfGhIj0123456789",
            "https://hooks.example.org/services/T0/B0/a1B2c3D4e5F6g7H8i9J0k1L2",
            "0123456789abcdef0123456789abcdef",
        ] {
            assert!(looks_random(token), "{token}");
        }
        for other in [
            "https://Acme2.example.org/rest/api/3",
            "3f2c1d4e-5a6b-7c8d-9e0f-1a2b3c4d5e6f",
            "platform-team-2024-backend-services",
            "eu-central-1",
            "1234567890123456789012345678901234567890",
            "/var/lib/mcp-bridge/data",
        ] {
            assert!(!looks_random(other), "{other}");
        }
    }

    #[test]
    fn names_of_secrets_are_told_from_others() {
        for secret in [
            "GITHUB_TOKEN",
            "apiKey",
            "API_KEY",
            "x-api-key",
            "--api-key",
            "Authorization",
            "DB_PASSWORD",
            "CLIENT_SECRET",
            "MY_PAT",
        ] {
            assert!(looks_secret(secret), "{secret}");
        }
        for other in [
            "KEYBOARD",
            "MONKEY",
            "MAX_TOKENS",
            "TOKENIZERS_PARALLELISM",
            "PATH",
            "HOME",
        ] {
            assert!(!looks_secret(other), "{other}");
        }
    }
}
