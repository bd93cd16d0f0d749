//! [`Guard`]: where requests may lead that somebody else than the operator named.
//!
//! What a server says of its authorization server is a list of URLs that we then call (MCP security
//! best practices, server-side request forgery): they must not lead into our own network unless the
//! operator said so. The host of the operator's own URL is trusted wherever it leads.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// A client for a server at an address that is not the operator's word: it does not lead into our own
/// network, unless `own`, the operator's address of that server, does so too.
pub fn guarded_client(
    own: &Url,
    endpoint: &Url,
    private_network: bool,
) -> Result<reqwest::Client, GuardError> {
    let guard = Guard::new(own, private_network);
    guard.check(endpoint)?;
    let client = super::http::client_builder().dns_resolver(Arc::new(guard));
    Ok(client.build()?)
}

/// Why there is no such client.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// It may not be called.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The system's certificates cannot be read.
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// What may be called.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The host of the operator's own URL, in lower case.
    own: Option<Arc<str>>,
    /// Whether that host is this machine by its very name.
    is_local: bool,
    /// Whether private addresses are allowed: the operator said so, or named one.
    allows_private: bool,
}

/// An address that is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` leads to a private address, which is only called where `private_network = true` is set"
)]
pub struct Forbidden(pub String);

impl Guard {
    /// Around the server of a URL that the operator wrote.
    pub fn new(server: &Url, private_network: bool) -> Self {
        let named = match server.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        let own = server.host_str().map(str::to_ascii_lowercase);
        let is_local = own.as_deref().is_some_and(is_localhost)
            || named.is_some_and(|address| address.is_loopback());
        Self {
            is_local,
            allows_private: private_network || named.is_some_and(is_private),
            own: own.map(Arc::from),
        }
    }

    /// Whether a URL may be called, as far as it can be told without looking its host up; the rest is
    /// checked when it is ([`Resolve`]).
    pub fn check(&self, url: &Url) -> Result<(), Forbidden> {
        let allowed = match url.host() {
            Some(Host::Ipv4(address)) => self.allows(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.allows(IpAddr::V6(address)),
            Some(Host::Domain(name)) => self.is_own(name) || self.is_local || !is_localhost(name),
            None => false,
        };
        if allowed {
            Ok(())
        } else {
            Err(Forbidden(url.host_str().unwrap_or_default().to_owned()))
        }
    }

    /// Whether it is the operator's own host.
    fn is_own(&self, host: &str) -> bool {
        self.own
            .as_deref()
            .is_some_and(|own| own.eq_ignore_ascii_case(host))
    }

    /// Whether an address may be called.
    fn allows(&self, address: IpAddr) -> bool {
        let address = unwrapped(address);
        if address.is_loopback() {
            return self.is_local;
        }
        if is_never_called(address) {
            return false;
        }
        self.allows_private || !is_private(address)
    }
}

/// Looks hosts up and leaves out what may not be called, so that a name which changes its address
/// between check and use gains nothing.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            let is_own = guard.is_own(host);
            let allowed: Vec<_> = found
                .into_iter()
                .filter(|found| is_own || guard.allows(found.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(Forbidden(host.to_owned()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// `localhost` and what is below it (RFC 6761).
fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// The metadata services of clouds that are not link-local: Alibaba's, and those of AWS and Google
/// over IPv6.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Addresses that no configuration opens: the metadata services of clouds, and what is no host.
fn is_never_called(address: IpAddr) -> bool {
    METADATA.contains(&address)
        || match address {
            IpAddr::V4(v4) => {
                v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast()
            }
            IpAddr::V6(v6) => {
                (v6.segments()[0] & 0xffc0) == 0xfe80 || v6.is_unspecified() || v6.is_multicast()
            }
        }
}

/// Addresses of networks that are not the internet (RFC 6890).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xfe00) == 0xfc00,
    }
}

/// The same for IPv4, with carrier-grade NAT and benchmarking networks.
fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
}

/// An address as a packet to it ends up: the IPv4 address that one of IPv6 stands for.
fn unwrapped(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => embedded(v6).map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The IPv4 address within NAT64 (`64:ff9b::/96`) and 6to4 (`2002::/16`).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(server: &str, private_network: bool, url: &str) -> bool {
        let guard = Guard::new(&server.parse().unwrap(), private_network);
        guard.check(&url.parse().unwrap()).is_ok()
    }

    #[test]
    fn a_discovered_url_does_not_lead_into_our_network() {
        let public = "https://mcp.example.com/mcp";
        for (server, private_network, url, is_allowed) in [
            (public, false, "https://auth.example.com/", true),
            (public, false, "https://203.0.113.9/", true),
            (public, false, "http://127.0.0.1:8000/", false),
            (public, true, "http://127.0.0.1:8000/", false),
            (public, false, "http://localhost/", false),
            (public, false, "http://a.localhost./", false),
            (public, false, "http://10.0.0.9/", false),
            (public, true, "http://10.0.0.9/", true),
            (public, false, "http://169.254.169.254/latest", false),
            (public, true, "http://169.254.169.254/latest", false),
            (public, false, "http://100.64.1.1/", false),
            (public, false, "http://[::1]/", false),
            (public, false, "http://[fd00::1]/", false),
            (public, true, "http://[fd00::1]/", true),
            (public, false, "http://[::ffff:10.0.0.1]/", false),
            (public, false, "http://[64:ff9b::a00:1]/", false),
            (public, true, "http://[64:ff9b::a00:1]/", true),
            (public, true, "http://[64:ff9b::a9fe:a9fe]/", false),
            (public, true, "http://[2002:a9fe:a9fe::1]/", false),
            (public, true, "http://[64:ff9b::7f00:1]/", false),
            (public, true, "http://[fd00:ec2::254]/", false),
            (public, true, "http://[fd20:ce::254]/", false),
            (public, true, "http://100.100.100.200/", false),
            (public, true, "http://100.100.100.201/", true),
            (public, false, "http://0.0.0.0/", false),
            (
                "http://127.0.0.1:9/mcp",
                false,
                "http://localhost:10/",
                true,
            ),
            (
                "http://localhost:9/mcp",
                false,
                "http://127.0.0.1:10/",
                true,
            ),
            ("http://localhost:9/mcp", false, "http://10.0.0.1/", false),
            ("http://10.0.0.1/mcp", false, "http://10.0.0.2/", true),
            ("http://keycloak:9/mcp", false, "http://keycloak:10/", true),
        ] {
            assert_eq!(
                allows(server, private_network, url),
                is_allowed,
                "{server} {private_network} {url}"
            );
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_looked_up_for_strangers() {
        let name = || "localhost".parse::<Name>().unwrap();
        let public = Guard::new(&"https://mcp.example.com".parse().unwrap(), true);
        assert!(public.resolve(name()).await.is_err());
        let local = Guard::new(&"http://localhost:1".parse().unwrap(), false);
        assert!(local.resolve(name()).await.is_ok());
    }
}
