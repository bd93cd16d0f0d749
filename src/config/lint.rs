//! What looks like a secret. Only warnings and masking rest on it, so it may err.

/// Words that make a name secret wherever they stand in it.
const SECRET_PARTS: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "APIKEY",
    "AUTHORIZATION",
];

/// Words that make a name secret when they stand alone in it: `API_KEY`, not `KEYBOARD`.
const SECRET_WORDS: &[&str] = &["KEY", "PAT", "PWD", "COOKIE"];

/// How tokens of well-known makers begin.
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

/// Whether the name of a variable, header or flag says that its value is secret.
pub(crate) fn looks_secret(name: &str) -> bool {
    // Counts and tools of language models, not credentials.
    let name = name
        .to_uppercase()
        .replace("TOKENS", "")
        .replace("TOKENIZER", "");
    SECRET_PARTS.iter().any(|part| name.contains(part))
        || name
            .split(|character: char| !character.is_ascii_alphanumeric())
            .any(|word| SECRET_WORDS.contains(&word))
}

/// Whether a literal value may be secret at all: switches are not.
pub(super) fn is_plain_switch(value: &str) -> bool {
    matches!(
        value.trim().to_lowercase().as_str(),
        "" | "true" | "false" | "0" | "1" | "yes" | "no" | "on" | "off"
    )
}

/// Whether the text before a quoted value ends in a name that looks secret: `X_TOKEN = `,
/// `"--api-key", `.
pub(super) fn ends_in_secret_name(before: &str) -> bool {
    let before = before.trim_end_matches(|character: char| {
        character.is_whitespace() || "=:,[({".contains(character)
    });
    let name = before
        .rsplit(|character: char| !(character.is_ascii_alphanumeric() || "-_.".contains(character)))
        .next()
        .unwrap_or_default();
    // `[identity.keys.NAME] key = "…"`; whose credentials they are is no secret.
    name != "credential" && looks_secret(name)
}

/// Whether a text begins as the tokens of well-known makers do.
pub(super) fn has_token_prefix(text: &str) -> bool {
    let text = text.trim_start_matches("Bearer ");
    text.len() > 10 && TOKEN_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

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
