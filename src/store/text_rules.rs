//! Rules for the texts that the tables store.

use super::StoreError;
use crate::name::is_hidden;

/// The inherited columns are VARCHAR(255).
const TEXT_MAX: usize = 255;

/// The e-mail address as stored.
pub(super) fn lower_email(email: &str) -> Result<String, StoreError> {
    let email = email.to_ascii_lowercase();
    fits("the e-mail", &email)?;
    Ok(email)
}

/// Refuses values that the inherited columns cannot store, before the database does.
pub(super) fn fits(what: &str, text: &str) -> Result<(), StoreError> {
    let characters = text.chars().count();
    if characters > TEXT_MAX {
        return Err(StoreError::Invalid(format!(
            "{what} has {characters} characters; at most {TEXT_MAX} can be stored"
        )));
    }
    if text.trim().is_empty() {
        return Err(StoreError::Invalid(format!("{what} is empty")));
    }
    if text.contains('\0') {
        return Err(StoreError::Invalid(format!("{what} contains a NUL byte")));
    }
    Ok(())
}

/// Refuses a new name that could be mistaken for another one. Existing names can still be removed.
pub(super) fn shows(what: &str, text: &str) -> Result<(), StoreError> {
    if text.contains(is_hidden) {
        return Err(StoreError::Invalid(format!(
            "{what} {text:?} contains a control, zero-width or text-direction character; type it again"
        )));
    }
    Ok(())
}
