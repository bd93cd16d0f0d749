//! The sentence of an error for a model: what is wrong, what to do, and whether and when to call
//! again.

use super::error::ServiceError;
use crate::error_code::ErrorCode;

/// How much of the error's text goes into the sentence, in characters.
const SAID_CHARS_MAX: usize = 1_000;

/// The phrase in the bridge's own errors that is replaced by the exact wait, if it is known.
const IN_A_MOMENT: &str = "try again in a moment";

/// The text for a call that a server refused with a reason.
const FORBIDDEN: &str = "the server refused the call";

impl ServiceError {
    /// One sentence for a model: what is wrong, what to do, and whether and when to call again.
    pub fn message(&self) -> String {
        let said = self.said();
        let advice = self.advice.as_deref();
        if advice.is_some_and(|it| it.is_sentence) {
            return said.into_owned();
        }
        let wait = wait(self.retry_after.as_deref());
        let said = beginning(said.trim().trim_end_matches('.'));
        let mut text = match self.code {
            // A server's text is quoted unchanged.
            ErrorCode::ServerError => format!("The server says: {said}"),
            _ => capitalized(&said),
        };
        if let Some(wait) = &wait {
            text = text.replace(IN_A_MOMENT, wait);
        }
        // A question keeps its question mark.
        let stop = if text.ends_with('?') { " " } else { "; " };
        let next = advice
            .and_then(|it| it.next.as_deref())
            .map_or_else(|| next(self, wait.as_deref()), |next| Some(next.to_owned()));
        match next {
            Some(next) if !text.contains("try again in ") || wait.is_none() => {
                let next = if stop == " " {
                    capitalized(&next)
                } else {
                    next
                };
                format!("{text}{stop}{next}.")
            }
            _ => format!("{text}."),
        }
    }

    /// Whether the same call may succeed later without any other change.
    pub fn may_retry(&self) -> bool {
        self.retry_after.is_some()
            || matches!(
                self.code,
                ErrorCode::BodyTimeout | ErrorCode::BodyIncomplete
            )
    }
}

/// When to try again, from the `Retry-After` header: seconds, or a date.
fn wait(retry_after: Option<&str>) -> Option<String> {
    let when = retry_after?.trim();
    Some(match when.parse::<u64>() {
        Ok(seconds) => format!("try again in {seconds} s"),
        Err(_) => format!("try again after {}", beginning(when)),
    })
}

/// What to do, according to the error code.
fn next(error: &ServiceError, wait: Option<&str>) -> Option<String> {
    if let Some(wait) = wait {
        return Some(match error.code {
            ErrorCode::Unavailable => format!("{wait}, or go on without it"),
            _ => wait.to_owned(),
        });
    }
    let words = match error.code {
        ErrorCode::BodyTimeout | ErrorCode::BodyIncomplete => "send the whole request once more",
        ErrorCode::BodyTooLarge => "send less; do not retry with the same body",
        ErrorCode::ResultTooLarge => "ask the tool for less; do not retry the same call",
        ErrorCode::Timeout | ErrorCode::UpstreamClosed => {
            "the call may have been carried out: check before you call it again, or ask for less"
        }
        ErrorCode::Unauthorized => {
            "tell the user that their sign-in or key is not accepted; do not retry"
        }
        ErrorCode::UpstreamAuth if error.said().contains(FORBIDDEN) => {
            "tell the user; do not retry"
        }
        ErrorCode::UpstreamAuth => {
            "tell the user that an administrator has to renew the bridge's credentials; do not retry"
        }
        ErrorCode::UpstreamError
        | ErrorCode::Internal
        | ErrorCode::NoDatabase
        | ErrorCode::NoSecretKey => "tell the user; do not retry",
        ErrorCode::ToolError | ErrorCode::ServerError => {
            "correct the arguments if they caused the error, else tell the user; do not retry the same call"
        }
        ErrorCode::InvalidArguments | ErrorCode::InvalidJson => "correct the arguments",
        ErrorCode::ArgumentsTooCostly => return None,
        _ => "do not retry",
    };
    Some(words.to_owned())
}

/// The beginning of a text, on one line.
fn beginning(text: &str) -> String {
    let begin: String = text.chars().take(SAID_CHARS_MAX).collect();
    let mut line = begin.split_whitespace().collect::<Vec<_>>().join(" ");
    if begin.len() < text.len() {
        line.push('…');
    }
    line
}

/// Capitalizes the first letter of a text.
fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_uppercase(), rest.as_str())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bridge::CallFailure;

    /// The sentence for a failure, and whether to call again.
    fn told(failure: CallFailure) -> (String, bool) {
        let error = ServiceError::from(failure);
        (error.message(), error.may_retry())
    }

    #[test]
    fn every_failure_tells_what_to_do() {
        let bridge = || "crm".to_owned();
        let reason = || "KeyError: 'x'".to_owned();
        let table = [
            (
                CallFailure::Unavailable {
                    bridge: bridge(),
                    reason: reason(),
                    retry_after: 39,
                },
                "Bridge `crm` is not available now; try again in 39 s, or go on without it.",
                true,
            ),
            (
                CallFailure::Disabled(bridge(), "CRM_URL is not set".to_owned()),
                "Bridge `crm` is disabled: CRM_URL is not set; tell the user; do not retry.",
                false,
            ),
            (
                CallFailure::NeedsLogin {
                    bridge: bridge(),
                    reason: reason(),
                },
                "Bridge `crm` cannot be used yet. An administrator has to log in; tell the user; do not retry.",
                false,
            ),
            (
                CallFailure::NoCredential {
                    bridge: bridge(),
                    reason: "no group of yours has keys".to_owned(),
                },
                "Bridge `crm` cannot act for you: no group of yours has keys; ask an administrator for keys of `crm`; do not retry.",
                false,
            ),
            (
                CallFailure::Busy(bridge(), 64),
                "Bridge `crm` has 64 calls in flight and its queue is full; try again in 1 s.",
                true,
            ),
        ];
        for (failure, sentence, retry) in table {
            assert_eq!(told(failure), (sentence.to_owned(), retry));
        }
    }

    #[test]
    fn a_server_says_when_to_come_back_in_its_own_way() {
        let error = |when: &str| {
            ServiceError::new(ErrorCode::RateLimited, "the server wants fewer calls.")
                .retry_after(when)
        };
        assert_eq!(
            error("7").message(),
            "The server wants fewer calls; try again in 7 s."
        );
        assert_eq!(
            error("Wed, 21 Oct 2026 07:28:00 GMT").message(),
            "The server wants fewer calls; try again after Wed, 21 Oct 2026 07:28:00 GMT."
        );
        let long = ServiceError::with_detail(
            ErrorCode::ServerError,
            json!({"message": "é".repeat(5_000)}),
        );
        assert!(long.message().chars().count() < 1_200);
    }
}
