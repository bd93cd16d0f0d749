//! Who we are when we call others: the key that seals stored credentials, and what groups have of
//! their own.

mod group_keys;
mod key;
mod mcpo_tokens;
pub mod places;
mod rotation;
mod words;

pub use group_keys::{GroupKey, GroupKeyRefusal, GroupKeys, PutError, Stored, put_group_key};
pub use key::{KeyError, Keyring};
pub use mcpo_tokens::{McpoClient, McpoLogin, McpoLoginError};
pub use rotation::{Rotation, Tally, holdings, rotate, survey};
pub use words::{endpoint, variable};

#[cfg(test)]
pub mod testing;
