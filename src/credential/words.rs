//! Checks what administrators enter for a group: [`endpoint`] is the URL that replaces the
//! configured one, and [`variable`] is the variable that a key of the group replaces.

use url::Url;

/// The maximum length of the table's column, in bytes.
const VARIABLE_MAX: usize = 255;

/// Parses the endpoint of a group: HTTP or HTTPS, with a host, and without credentials, which would
/// be readable in plain text. The error is one sentence.
pub fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| {
        format!("the endpoint is not a valid URL ({error}); write `https://host/mcp`")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "the endpoint begins with `{}:`; use http:// or https://",
            url.scheme()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "the endpoint contains credentials, which would be visible to every user who may see the \
             endpoint; store them as a key of the group"
                .to_owned(),
        );
    }
    Ok(url)
}

/// Checks the name of a variable: `${NAME}` in the configuration must be able to name it. The error
/// is one sentence.
pub fn variable(text: &str) -> Result<(), String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins_well = text
        .bytes()
        .next()
        .is_some_and(|first| !first.is_ascii_digit());
    if begins_well && text.len() <= VARIABLE_MAX && text.bytes().all(is_word) {
        return Ok(());
    }
    let shown: String = text.chars().take(100).collect();
    Err(format!(
        "`{shown}` is not a valid variable name; write the variable that the bridge is configured \
         with, for example `GITHUB_TOKEN`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_is_called() {
        for good in [
            "https://example.org/mcp",
            " http://127.0.0.1:8000 ",
            "https://[::1]/a?b=c",
        ] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "/mcp",
            "file:///etc/passwd",
            "ftp://example.org",
            "javascript:alert(1)",
            "https://",
            "https://ann:s3cret@example.org",
            "https://token@example.org",
        ] {
            let why = endpoint(bad).unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn variables_are_those_of_the_environment() {
        for good in ["GITHUB_TOKEN", "_x9", "a"] {
            assert_eq!(variable(good), Ok(()), "{good}");
        }
        for bad in ["", "9A", "A-B", "A B", "Ä", "A=B", "${A}", &"x".repeat(256)] {
            assert!(variable(bad).is_err(), "{bad}");
        }
    }
}
