//! References from one part of a schema to another.

use percent_encoding::percent_decode_str;

/// Returns the JSON pointer of a reference into its own document.
pub fn pointer_of(reference: &str) -> Option<String> {
    let fragment = reference.strip_prefix('#')?;
    let pointer = percent_decode_str(fragment).decode_utf8().ok()?;
    (pointer.is_empty() || pointer.starts_with('/')).then(|| pointer.into_owned())
}
