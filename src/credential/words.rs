//! What administrators say of a group: [`endpoint`], where its calls go instead of where the
//! configuration says, and [`variable`], which its key takes the place of.

use url::Url;

/// What the column of the table holds, in bytes.
const VARIABLE_MAX: usize = 255;

/// Reads an endpoint of a group: HTTP or HTTPS, with a host and without credentials, which would
/// stand in the open. The error is one sentence.
pub fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim())
        .map_err(|error| format!("the endpoint is no URL ({error}); write `https://host/mcp`"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "the endpoint begins with `{}:`; only http:// and https:// are called",
            url.scheme()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "the endpoint has credentials in it, which everybody would see who may see the \
             endpoint; store them as a key of the group"
                .to_owned(),
        );
    }
    Ok(url)
}

/// Checks the name of a variable: what `${NAME}` can name in the configuration. The error is one
/// sentence.
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
        "`{shown}` names no variable; write the one that the bridge is configured with, \
         `GITHUB_TOKEN`, say"
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
