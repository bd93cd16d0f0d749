//! How many connections and requests are allowed, from the settings and the file descriptors of the
//! process.

use rustix::process::{Resource, getrlimit};

use crate::config::{Config, ServerSettings};

/// File descriptors that are reserved for the journal, the database, the pipes of servers and
/// outgoing requests. A quarter of all descriptors is reserved, within these bounds.
const RESERVED_DESCRIPTORS: (u64, u64) = (32, 1024);

/// The most descriptors that the process asks for. Child processes inherit the limit, and some of
/// them loop over all descriptors at their start.
pub const DESCRIPTORS_MAX: u64 = 65_536;

/// The limit on connections, from the settings and the available file descriptors.
pub fn connections_max(server: &ServerSettings) -> usize {
    let descriptors = getrlimit(Resource::Nofile).current;
    server
        .connections_max
        .min(connections_for(descriptors.unwrap_or(DESCRIPTORS_MAX)))
}

/// The number of connections for this many file descriptors.
fn connections_for(descriptors: u64) -> usize {
    let (least, most) = RESERVED_DESCRIPTORS;
    let reserved = (descriptors / 4).clamp(least, most);
    let left = descriptors.saturating_sub(reserved).max(8);
    usize::try_from(left).unwrap_or(usize::MAX)
}

/// The limit on concurrent requests. It stays below the limit on connections, so that further
/// callers can still connect.
pub fn requests_max(config: &Config) -> usize {
    let connections = connections_max(&config.server);
    config.limits.requests_max.min((connections / 4 * 3).max(1))
}
