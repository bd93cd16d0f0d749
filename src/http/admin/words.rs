//! Parses the values in requests: e-mail addresses, names, patterns, times.

use jiff::Timestamp;

use super::guard::invalid;
use crate::{
    audit,
    call::shown,
    config, credential,
    error_code::ErrorCode,
    http::error::ApiError,
    name::{BridgeName, check_name},
};

/// An e-mail address, converted to lower case.
pub fn email(text: &str) -> Result<String, ApiError> {
    let email = text.trim().to_ascii_lowercase();
    if config::is_email(&email) {
        Ok(email)
    } else {
        Err(invalid(format!(
            "`{}` is not a valid e-mail address",
            shown(text)
        )))
    }
}

/// The name of a group. [`check_name`] checks it.
pub fn group(text: &str) -> Result<String, ApiError> {
    check_name("group", text)
        .map_err(|detail| ApiError::new(ErrorCode::InvalidName, detail).of_caller())?;
    Ok(text.to_owned())
}

/// The name of a key. It appears in logs and records, so it must not look like a user.
pub fn key_name(text: &str) -> Result<String, ApiError> {
    config::check_key_name(text).map_err(invalid)?;
    check_name("key", text).map_err(invalid)?;
    Ok(text.to_owned())
}

/// The name of an environment variable.
pub fn variable(text: &str) -> Result<String, ApiError> {
    credential::variable(text).map_err(invalid)?;
    Ok(text.to_owned())
}

/// The name of a bridge. The bridge does not have to be configured.
pub fn bridge(text: &str) -> Result<BridgeName, ApiError> {
    BridgeName::parse(text).map_err(|bad| invalid(bad.to_string()))
}

/// Patterns for tool names. `None` means all tools. An empty list is refused, because it could be
/// read as all tools or as no tool.
pub fn patterns(texts: Option<Vec<String>>) -> Result<Vec<String>, ApiError> {
    let Some(texts) = texts else {
        return Ok(Vec::new());
    };
    if texts.is_empty() {
        return Err(invalid(
            "`tools` is an empty list; leave it out to grant all tools, or revoke the grant to allow none",
        ));
    }
    for text in &texts {
        config::check_glob(text)
            .map_err(|problem| invalid(format!("`tools`: `{}`: {problem}", shown(text))))?;
    }
    Ok(texts)
}

/// A time in microseconds since 1970, from a timestamp or an age.
pub fn moment(key: &str, text: Option<&str>, now: Timestamp) -> Result<Option<i64>, ApiError> {
    text.map(|text| audit::instant(text, now))
        .transpose()
        .map_err(|problem| invalid(format!("`{key}`: {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_identity_providers() {
        for good in [
            "developers",
            "Ärzte & Co",
            "8d5f…/x",
            "MCP-Admin",
            &"x".repeat(255),
        ] {
            assert_eq!(group(good).unwrap(), good);
        }
        for bad in [
            "",
            " ",
            "a,b",
            " a",
            "a\n",
            "a\u{0}",
            "a\u{200b}b",
            "a\u{202e}b",
            "a\u{2066}b",
            "\u{feff}a",
            &"x".repeat(256),
        ] {
            assert!(group(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn no_patterns_are_not_every_tool() {
        assert!(patterns(Some(Vec::new())).is_err());
        assert!(patterns(Some(vec!["[".to_owned()])).is_err());
        assert!(patterns(Some(vec![String::new()])).is_err());
        assert_eq!(patterns(None).unwrap(), Vec::<String>::new());
    }
}
