//! Parses `WWW-Authenticate` (RFC 9110 §11.6.1): several lines form one list, one line may hold several
//! challenges, and parameters may appear in any order and spelling.

use http::{HeaderMap, header::WWW_AUTHENTICATE};

/// How much of the header is parsed, in bytes.
const BYTES_MAX: usize = 16 << 10;
/// The maximum number of metadata URLs that are taken from it.
const POINTERS_MAX: usize = 4;

/// One challenge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthChallenge {
    /// The scheme, in lower case; empty for parameters before the first scheme.
    pub scheme: String,
    /// The parameters, with names in lower case.
    pub parameters: Vec<(String, String)>,
}

impl AuthChallenge {
    /// The value of a parameter.
    fn value(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }
}

/// Returns the challenges of an answer, Bearer challenges first.
pub fn challenges(headers: &HeaderMap) -> Vec<AuthChallenge> {
    let mut found = Vec::new();
    let mut left = BYTES_MAX;
    for line in headers.get_all(WWW_AUTHENTICATE) {
        let Some(rest) = left.checked_sub(line.len()) else {
            break;
        };
        left = rest;
        parse(&String::from_utf8_lossy(line.as_bytes()), &mut found);
    }
    found.sort_by_key(|challenge| challenge.scheme != "bearer");
    found
}

/// Returns the URLs of the server's metadata (RFC 9728 §5.1), in order.
pub fn pointers(challenges: &[AuthChallenge]) -> Vec<&str> {
    let mut pointers = Vec::new();
    let parameters = challenges.iter().flat_map(|it| &it.parameters);
    for (name, value) in parameters {
        let is_new = !value.is_empty() && !pointers.contains(&value.as_str());
        if name == "resource_metadata" && is_new && pointers.len() < POINTERS_MAX {
            pointers.push(value.as_str());
        }
    }
    pointers
}

/// Returns the scopes that the challenge asks for.
pub fn scope(challenges: &[AuthChallenge]) -> Option<&str> {
    challenges.iter().find_map(|it| it.value("scope"))
}

/// Returns the scopes that a token lacks (RFC 6750 §3.1); empty if the server does not name them.
pub fn lacking(challenges: &[AuthChallenge]) -> Option<&str> {
    let is_lack = |it: &&AuthChallenge| {
        let error = it.value("error");
        error.is_some_and(|error| error.eq_ignore_ascii_case("insufficient_scope"))
    };
    let challenge = challenges.iter().find(is_lack)?;
    Some(challenge.value("scope").unwrap_or_default())
}

/// Parses a line of a list of challenges. It may continue the parameters of the last challenge of the line
/// before. Everything else is skipped.
fn parse(line: &str, found: &mut Vec<AuthChallenge>) {
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches(is_between);
        if rest.is_empty() {
            return;
        }
        let (word, after) = split(rest, |it| is_between(it) || it == '=' || it == '"');
        if word.is_empty() {
            // A stray quote or equals sign.
            rest = match rest.strip_prefix('"') {
                Some(quoted) => unquoted(quoted).1,
                None => rest.strip_prefix('=').unwrap_or_default(),
            };
            continue;
        }
        let word = word.to_ascii_lowercase();
        let Some(value) = after.trim_start().strip_prefix('=') else {
            rest = after;
            found.push(AuthChallenge {
                scheme: word,
                parameters: Vec::new(),
            });
            continue;
        };
        let (value, after) = value_of(value.trim_start_matches(char::is_whitespace));
        rest = after;
        if found.is_empty() {
            found.push(AuthChallenge::default());
        }
        if let Some(challenge) = found.last_mut() {
            challenge.parameters.push((word, value));
        }
    }
}

/// Whether a character separates parameters. The grammar has no semicolon, but servers send it.
fn is_between(letter: char) -> bool {
    letter == ',' || letter == ';' || letter.is_whitespace()
}

/// Parses a value, quoted or not. Returns it and the rest.
fn value_of(text: &str) -> (String, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        return unquoted(quoted);
    }
    let (value, after) = split(text, is_between);
    (value.trim_matches('\'').to_owned(), after)
}

/// Parses a quoted string after its opening quote. Returns it without escapes, and the rest.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => value.extend(letters.next()),
            letter => value.push(letter),
        }
    }
    (value, letters.as_str())
}

/// Splits a text before the first character that matches.
fn split(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(ends).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Returns the challenges of some lines.
    fn of(lines: &[&str]) -> Vec<AuthChallenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                WWW_AUTHENTICATE,
                HeaderValue::from_bytes(line.as_bytes()).unwrap(),
            );
        }
        challenges(&headers)
    }

    #[test]
    fn the_pointer_is_seen_wherever_it_stands() {
        for lines in [
            &[r#"Bearer resource_metadata="https://a/m""#][..],
            &[r#"Bearer realm="x" , resource_metadata = "https://a/m""#],
            &["Bearer resource_metadata\t=\t\"https://a/m\""],
            &[
                r#"Basic realm="x""#,
                r#"Bearer resource_metadata="https://a/m""#,
            ],
            &[r#"Bearer realm="x""#, r#"resource_metadata="https://a/m""#],
            &[r#"Basic realm="x", Bearer resource_metadata="https://a/m""#],
            &[r#"Negotiate YIIabc==, Bearer resource_metadata="https://a/m""#],
            &[
                r#"Negotiate, Basic realm="a, Bearer b=\"c\"", bearer RESOURCE_METADATA="https://a/m""#,
            ],
            &[r#"BEARER Resource_Metadata="https:\/\/a\/m""#],
            &["Bearer resource_metadata=https://a/m, error=x"],
            &["Bearer resource_metadata='https://a/m'"],
            &[r#"Bearer error="e" resource_metadata="https://a/m""#],
            &[r#"Bearer error="e"; resource_metadata="https://a/m""#],
            &[r#"DPoP algs="ES256", resource_metadata="https://a/m""#],
            &["Bearer realm=\"Übung\", resource_metadata=\"https://a/m\""],
            &[r#"Bearer resource_metadata="https://a/m"#],
            &[r#",, = "x" Bearer resource_metadata="https://a/m""#],
            &[r#"Bearer resource_metadata="", resource_metadata="https://a/m""#],
        ] {
            assert_eq!(pointers(&of(lines)), ["https://a/m"], "{lines:?}");
        }
        let none = of(&[r#"Basic realm="resource_metadata=https://evil/m""#]);
        assert!(pointers(&none).is_empty());
        let two =
            of(&[r#"Bearer resource_metadata="https://a/1", resource_metadata="https://a/2""#]);
        assert_eq!(pointers(&two), ["https://a/1", "https://a/2"]);
    }

    #[test]
    fn scopes_are_those_of_the_challenge_that_asks_for_a_token() {
        let lines = [r#"Basic scope="b""#, r#"Bearer scope = "read \"x\" write""#];
        assert_eq!(scope(&of(&lines)), Some(r#"read "x" write"#));
        assert_eq!(scope(&of(&["Bearer"])), None);
    }

    #[test]
    fn a_lack_of_rights_is_seen_in_any_spelling() {
        for (lines, scopes) in [
            (
                &[r#"Bearer error="insufficient_scope", scope="w""#][..],
                Some("w"),
            ),
            (
                &[
                    r#"Basic realm="x""#,
                    r#"Bearer error = "insufficient_scope" , scope = "w""#,
                ],
                Some("w"),
            ),
            (&["bearer ERROR=insufficient_scope"], Some("")),
            (&[r#"Bearer error="invalid_token", scope="w""#], None),
            (&[r#"Bearer error_description="insufficient_scope""#], None),
        ] {
            assert_eq!(lacking(&of(lines)), scopes, "{lines:?}");
        }
    }

    #[test]
    fn more_than_the_budget_is_not_read() {
        let long = format!("Bearer realm=\"{}\"", "x".repeat(BYTES_MAX));
        let lines = [long.as_str(), r#"Bearer resource_metadata="https://a/m""#];
        assert!(of(&lines).is_empty());
        let many: Vec<String> = (0..20)
            .map(|n| format!("Bearer resource_metadata=https://a/{n}"))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(pointers(&of(&many)).len(), POINTERS_MAX);
    }
}
