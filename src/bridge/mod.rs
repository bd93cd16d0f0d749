//! //! Bridges: one supervised task for each bridge.
//!
//! [`BridgeRegistry`] owns the tasks and turns a configuration into running bridges. [`Bridge`] is the
//! cheap handle that callers hold. [`catalogue::ToolCatalog`] holds everything that the bridges
//! publish and is swapped as one value.

mod call;
mod catalogue;
mod checks;
mod count;
mod demand;
mod gathered;
mod handle;
mod known;
mod login;
mod opener;
mod own;
mod own_tools;
mod pool;
mod registry;
mod relist;
mod reload;
mod roster;
mod slots;
mod status;
mod supervisor;
mod toolset;
mod traced;

pub use call::{CallFailure, ToolCall};
pub use checks::ArgumentCheckError;
pub use handle::Bridge;
pub use known::{KnownTools, explain_tool};
pub use registry::{BridgeContext, BridgeRegistry};
pub use reload::{ConfigReloader, Source};
pub use roster::BridgeSet;
pub use status::BridgePhase;
pub use toolset::ToolEntry;
