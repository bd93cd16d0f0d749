//! [`Catalogue`]: everything the bridges publish, built anew after each change and swapped whole.

use std::{collections::HashMap, sync::Arc};

use super::{handle::Bridge, toolset::Entry};
use crate::{config::Config, name::BridgeName, openapi::Document};

/// What is published.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// `/openapi.json`
    merged: Document,
    /// `/{bridge}/openapi.json`
    by_bridge: HashMap<BridgeName, Document>,
    /// `/{bridge}_{tool}`, the Python proxy's old form, and every operation id.
    flat: HashMap<String, (Arc<Bridge>, Arc<Entry>)>,
}
