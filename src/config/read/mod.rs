//! Reading tables of the file into the types of the configuration.
//!
//! References are replaced in the parsed table first ([`section`]). Then serde reads the table straight into the
//! public type, and the functions in [`value`] parse its values.

pub(super) mod diagnostic;
pub(super) mod environment;
pub(super) mod lint;
pub(super) mod reader;
pub(super) mod reference;
pub(super) mod section;
pub(super) mod setting;
pub(super) mod value;

pub(in crate::config) use value::{parsed, reads};
pub use {
    diagnostic::{Span, nearest},
    reader::{ConfigReader, ScalarSetting, Text},
    section::{SECRET_BYTES_MIN, SecretRule, SectionRules, keys_of, take},
    setting::{FlagSetting, ListSetting, is_blank, plain, why_blank},
    value::{
        BadValue, KEY, Parsed, ValueForms, WordSetting, YEAR, duration_up_to, duration_within,
        glob, list_of, web_url, words_of,
    },
};
