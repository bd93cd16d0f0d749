//! The call, below all protocols: who calls, whether they may, what is sent to the server, and what
//! is recorded of it. It knows neither HTTP responses nor JSON-RPC.
//!
//! An endpoint (REST in `http`) resolves a [`ToolRef`], starts a [`CallScope`], identifies the
//! caller, makes the call with [`make_call`], turns the result or the [`ServiceError`] into an answer
//! of its protocol, and ends the scope.

mod error;
mod identity;
mod link;
mod message;
mod origin;
mod pipeline;
mod record;
mod scope;
mod suggest;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use error::{ServiceError, shown};
pub use identity::{identify, is_authenticated, permissions, take_place};
pub use link::connect_link;
pub use origin::RequestOrigin;
pub use pipeline::{CallInput, make_call};
pub use record::{SentAnswer, add_caller, record_of, record_refusal};
pub use scope::CallScope;
pub use suggest::{similar_names, similar_tools};
pub use target::ToolRef;

use crate::{
    audit::AuditLog, bridge::BridgeRegistry, credential::CredentialProvider, secret::Redactor,
    settings::ReloadableSettings,
};

/// What every call uses.
#[derive(Debug)]
pub struct CallServices {
    /// The bridges.
    pub registry: Arc<BridgeRegistry>,
    /// The credentials for servers, and the logins with which users connect accounts.
    pub credentials: Arc<CredentialProvider>,
    /// The current settings.
    pub settings: Arc<ArcSwap<ReloadableSettings>>,
    /// The audit log.
    pub audit: Arc<AuditLog>,
    /// Redacts secrets in answers.
    pub redactor: Redactor,
}
