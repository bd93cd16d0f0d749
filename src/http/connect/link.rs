//! Keeps links that connect an account out of logs.

use std::borrow::Cow;

use crate::credential::is_ticket_id;

/// The path for logs and traces. The id of a link is removed, so that readers of the log cannot use
/// the link.
pub fn without_link(path: &str) -> Cow<'_, str> {
    match path.rsplit_once('/') {
        Some((before, id)) if before.ends_with("/c") && is_ticket_id(id) => {
            Cow::Owned(format!("{before}/…"))
        }
        Some(_) | None => Cow::Borrowed(path),
    }
}
