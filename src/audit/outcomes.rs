//! How calls end, in the words of the audit trail.

use crate::near;

/// Every outcome that a record can have: `ok`, the code of an error, or what became of the call otherwise.
pub const OUTCOMES: [&str; 39] = [
    "ok",
    "started",
    "cancelled",
    "interrupted",
    "put_aside",
    "arguments_too_costly",
    "audit_unavailable",
    "body_incomplete",
    "body_timeout",
    "body_too_large",
    "busy",
    "connect_required",
    "disabled",
    "files_full",
    "forbidden",
    "forbidden_host",
    "forbidden_origin",
    "identity_unavailable",
    "internal",
    "invalid_arguments",
    "invalid_json",
    "method_not_allowed",
    "needs_login",
    "no_credential",
    "no_secret_key",
    "not_found",
    "rate_limited",
    "result_too_large",
    "server_error",
    "store_unavailable",
    "timeout",
    "too_many_failures",
    "tool_error",
    "unauthorized",
    "unavailable",
    "unsupported_media_type",
    "upstream_auth",
    "upstream_closed",
    "upstream_error",
];

/// Refuses what no record can have, and names what may have been meant.
pub fn check_outcome(text: &str) -> Result<(), String> {
    if OUTCOMES.contains(&text) {
        return Ok(());
    }
    let shown: String = text.chars().take(100).collect();
    let meant = match near::nearest(text, OUTCOMES.into_iter(), 3).as_slice() {
        [] => ".".to_owned(),
        near => format!("; did you mean {}?", near::either(near)),
    };
    Err(format!(
        "`{shown}` is not an outcome{meant} The outcomes are {}",
        near::either(&OUTCOMES)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_code::ErrorCode;

    /// The codes that no call of a tool ends with: those of the admin API and of logins in a browser.
    const NOT_OF_CALLS: [ErrorCode; 13] = [
        ErrorCode::AdminGroup,
        ErrorCode::BadLink,
        ErrorCode::InvalidConfig,
        ErrorCode::InvalidEndpoint,
        ErrorCode::InvalidName,
        ErrorCode::InvalidRequest,
        ErrorCode::LoginRefused,
        ErrorCode::LoginUnknown,
        ErrorCode::NoDatabase,
        ErrorCode::NoLoginHere,
        ErrorCode::NotYourLink,
        ErrorCode::OtherBrowser,
        ErrorCode::Taken,
    ];

    #[test]
    fn every_code_of_a_call_is_an_outcome() {
        for code in ErrorCode::ALL {
            let is_outcome = OUTCOMES.contains(&code.as_str());
            assert_ne!(is_outcome, NOT_OF_CALLS.contains(code), "{code}");
        }
    }

    #[test]
    fn a_misspelt_outcome_is_told_with_the_right_one() {
        assert_eq!(check_outcome("forbidden"), Ok(()));
        let told = check_outcome("forbiden").unwrap_err();
        assert!(told.contains("did you mean `forbidden`"), "{told}");
        let told = check_outcome("x").unwrap_err();
        assert!(told.contains("The outcomes are `ok`, `started`"), "{told}");
    }
}
