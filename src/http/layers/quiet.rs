//! [`RefusalLogLimiter`]: limits the log lines about refused requests.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use governor::{DefaultDirectRateLimiter, Quota};
use http::StatusCode;

/// Log lines a minute about refused requests of unidentified clients.
const UNIDENTIFIED: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// Log lines a minute about refused requests of identified callers.
const IDENTIFIED: NonZeroU32 = NonZeroU32::new(600).unwrap();

/// Limits the log lines about refused requests. The audit trail and the metrics still count every
/// request.
#[derive(Debug)]
pub struct RefusalLogLimiter {
    unidentified: DefaultDirectRateLimiter,
    identified: DefaultDirectRateLimiter,
    left_out: AtomicU64,
}

impl Default for RefusalLogLimiter {
    fn default() -> Self {
        let limiter = |lines| DefaultDirectRateLimiter::direct(Quota::per_minute(lines));
        Self {
            unidentified: limiter(UNIDENTIFIED),
            identified: limiter(IDENTIFIED),
            left_out: AtomicU64::new(0),
        }
    }
}

impl RefusalLogLimiter {
    /// Whether to write the log line of a request.
    pub fn is_logged(&self, status: StatusCode, is_identified: bool) -> bool {
        let is_refused = status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE;
        if !is_refused {
            return true;
        }
        let limiter = if is_identified {
            &self.identified
        } else {
            &self.unidentified
        };
        if limiter.check().is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::info!(
                count = left_out,
                "refused requests were not logged individually"
            );
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_bounded_and_nothing_else_is() {
        let quiet = RefusalLogLimiter::default();
        let lines = |status, is_identified| {
            (0..10_000)
                .filter(|_| quiet.is_logged(status, is_identified))
                .count()
        };
        assert_eq!(lines(StatusCode::OK, false), 10_000);
        assert_eq!(lines(StatusCode::BAD_GATEWAY, true), 10_000);
        assert!((60..70).contains(&lines(StatusCode::UNAUTHORIZED, false)));
        assert!((600..700).contains(&lines(StatusCode::FORBIDDEN, true)));
        assert!(quiet.left_out.load(Ordering::Relaxed) > 9_000);
    }
}
