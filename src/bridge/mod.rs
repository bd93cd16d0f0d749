//! //! Bridges: one supervised task for each bridge.
//!
//! [`Registry`] owns the tasks and turns a configuration into running bridges. [`Bridge`] is the
//! cheap handle that callers hold. [`catalogue::Catalogue`] holds everything that the bridges
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
mod roster;
mod slots;
mod status;
mod supervisor;
mod toolset;
mod traced;

pub use call::{Failure, Order};
pub use checks::Unaccepted;
pub use handle::Bridge;
pub use known::{KnownTools, explain_tool};
pub use registry::{Context, Registry};
pub use roster::Roster;
pub use status::Phase;
pub use toolset::Entry;
