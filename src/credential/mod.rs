//! Who we are when we call others: the keys that seal stored credentials.

mod key;
pub mod places;

pub use key::{KeyError, Keyring};
