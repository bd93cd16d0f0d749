//! The words of requests: e-mails, names, patterns, times.

use http::StatusCode;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::guard::invalid;
use crate::{config, http::error::ApiError, name::BridgeName};

/// What the columns of the tables hold, in characters.
const NAME_CHARS_MAX: usize = 255;

/// An e-mail in lower case.
pub fn email(text: &str) -> Result<String, ApiError> {
    let email = text.trim().to_lowercase();
    if config::is_email(&email) {
        Ok(email)
    } else {
        Err(invalid(format!("`{}` is no e-mail", shown(text))))
    }
}

/// The name of a group: any text of identity providers (`Ärzte & Co`, a GUID), but without comma,
/// which separates groups in headers and variables, and without what cannot be seen.
pub fn group(text: &str) -> Result<String, ApiError> {
    name("group", text)
        .map_err(|detail| ApiError::new(StatusCode::BAD_REQUEST, "invalid_name", detail))
}

/// The name of a key; logs show it.
pub fn key_name(text: &str) -> Result<String, ApiError> {
    name("key", text).map_err(invalid)
}

fn name(kind: &str, text: &str) -> Result<String, String> {
    let is_seen = !text.chars().any(char::is_control);
    let length = text.chars().count();
    if is_seen
        && text.trim() == text
        && !text.contains(',')
        && (1..=NAME_CHARS_MAX).contains(&length)
    {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{}` cannot name a {kind}: a name has 1 to {NAME_CHARS_MAX} characters, no comma, no control character and no blank at its ends",
        shown(text)
    ))
}

/// The name of a bridge, there or not.
pub fn bridge(text: &str) -> Result<BridgeName, ApiError> {
    BridgeName::parse(text).map_err(|bad| invalid(bad.to_string()))
}

/// Patterns over tool names. None at all would mean every tool, so that must be said by leaving
/// them out.
pub fn patterns(texts: Option<Vec<String>>) -> Result<Vec<String>, ApiError> {
    let Some(texts) = texts else {
        return Ok(Vec::new());
    };
    if texts.is_empty() {
        return Err(invalid(
            "`tools` names no tool; leave it out for all of them, or revoke the grant for none",
        ));
    }
    for text in &texts {
        config::check_glob(text)
            .map_err(|problem| invalid(format!("`tools`: `{}`: {problem}", shown(text))))?;
    }
    Ok(texts)
}

/// A moment, in microseconds since 1970: `2026-11-20T12:00:00Z`, `2026-11-20` (UTC), or a time ago,
/// `24h`.
pub fn moment(key: &str, text: &str, now: Timestamp) -> Result<i64, ApiError> {
    let text = text.trim();
    let moment = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| {
            let day: Date = text.parse().ok()?;
            Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
        })
        .or_else(|| {
            let ago = humantime::parse_duration(text).ok()?;
            now.checked_sub(ago).ok()
        });
    moment.map(Timestamp::as_microsecond).ok_or_else(|| {
        invalid(format!(
            "`{key}`: `{}` is no time; write `2026-11-20T12:00:00Z`, `2026-11-20`, or `24h` for a day ago",
            shown(text)
        ))
    })
}

/// A moment as it is shown: RFC 3339 in UTC.
pub fn shown_time(microseconds: i64) -> String {
    Timestamp::from_microsecond(microseconds)
        .map_or_else(|_| microseconds.to_string(), |time| time.to_string())
}

/// As much of a text as an answer repeats.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
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
        for bad in ["", " ", "a,b", " a", "a\n", "a\u{0}", &"x".repeat(256)] {
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

    #[test]
    fn a_time_is_written_as_people_write_it() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        for (text, meant) in [
            ("2026-11-20T11:00:00+01:00", "2026-11-20T10:00:00Z"),
            ("2026-11-19", "2026-11-19T00:00:00Z"),
            ("36h", "2026-11-19T00:00:00Z"),
        ] {
            assert_eq!(shown_time(moment("since", text, now).unwrap()), meant);
        }
        for bad in ["", "yesterday", "99999999999y", "2026-13-01"] {
            assert!(moment("since", bad, now).is_err(), "{bad}");
        }
    }
}
