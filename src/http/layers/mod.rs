//! The layers that every request passes around the routes.

mod cors;
mod leftover;
mod quiet;
mod request;
mod root_path;
mod safety;

pub use cors::cors;
pub use quiet::RefusalLogLimiter;
pub use request::{RequestLogFields, RequestObserver, observe};
pub use root_path::strip_root_path;
