//! Bridges: one supervised task for each bridge.
//!
//! [`BridgeRegistry`] owns the tasks and turns a configuration into running bridges. [`Bridge`] is the
//! cheap handle that callers hold. [`catalogue::ToolCatalog`] holds everything that the bridges
//! publish and is swapped as one value.

mod await_login;
mod call;
mod catalogue;
mod checkout;
mod checks;
mod command;
mod connector;
mod context;
mod cooldown;
mod count;
mod demand;
mod error;
mod handle;
mod keeper;
mod known;
mod limits;
mod owned;
mod owner_failures;
mod publishing;
mod registry;
mod relist;
mod roster;
mod sessions;
mod slots;
mod status;
mod status_channel;
mod supervisor;
mod tool_lists;
mod tools;
mod traced;

pub use call::ToolCall;
pub use checks::ArgumentCheckError;
pub use context::BridgeContext;
pub use error::CallFailure;
pub use handle::Bridge;
pub use known::{KnownTools, explain_tool};
pub use registry::BridgeRegistry;
pub use roster::BridgeSet;
pub use status::BridgePhase;
pub use tools::ToolEntry;
