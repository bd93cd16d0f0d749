//! The layers that every request passes around the routes.

mod cors;
mod leftover;
mod quiet;
mod request;
mod root_path;
mod safety;

pub use cors::cors;
pub use quiet::Quiet;
pub use request::{Note, Observer, observe};
pub use root_path::strip_root_path;
