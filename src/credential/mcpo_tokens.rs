//! stub
use crate::mcp::oauth::Imported;
pub fn find(_name: &str) -> Option<Imported> {
    None
}
