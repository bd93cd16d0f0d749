//! [`Gate`]: the bound on requests served at once.

use std::sync::Arc;

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// Lets a bounded number of requests in; the rest is refused at once, not queued.
#[derive(Debug, Clone)]
pub struct Gate {
    /// One permit a request.
    places: Arc<Semaphore>,
}

impl Gate {
    /// A gate with so many places.
    pub fn new(requests_max: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(requests_max)),
        }
    }

    /// A place, while there is one.
    pub fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// The refusal.
    pub fn refusal() -> ApiError {
        let mut error = ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "too many requests at once; try again in a moment",
        );
        error.retry_after = Some("1".to_owned());
        error
    }
}
