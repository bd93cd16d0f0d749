//! [`AddressGuard`]: limits where requests may go if the operator did not write the URL.
//!
//! A server's metadata lists the URLs of its authorization server, and the bridge then calls them (MCP
//! security best practices, server-side request forgery). These URLs must not lead into the bridge's own
//! network unless the operator allowed it. The host of the operator's own URL is trusted if it resolves to an
//! address in a private network. Host names never lead to the metadata service of a cloud or to another
//! address that is never a server; only an operator's URL with that very address does.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Decides which addresses may be called.
#[derive(Debug, Clone)]
pub struct AddressGuard {
    /// The host of the operator's own URL, in lower case.
    own: Option<Arc<str>>,
    /// Whether that host name stands for this machine.
    is_local: bool,
    /// Whether private addresses are allowed: the operator enabled them or wrote one.
    allows_private: bool,
}

/// A host name that resolves only to addresses that are never a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` resolves to a reserved address, such as a cloud metadata service; if that is \
     intended, write the address itself as the `url`"
)]
pub struct ReservedAddressError(pub String);

/// An address that must not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is a private address; the bridge calls it only if `private_network = true` is set")]
pub struct PrivateAddressError(pub String);

impl AddressGuard {
    /// Creates a guard for the server of a URL that the operator wrote.
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
            allows_private: private_network || named.is_some_and(|it| is_private(unwrapped(it))),
            own: own.map(Arc::from),
        }
    }

    /// Whether a URL may be called, without looking up its host name. [`Resolve`] checks the addresses during
    /// the lookup.
    pub fn check(&self, url: &Url) -> Result<(), PrivateAddressError> {
        let allowed = match url.host() {
            // The operator wrote this very address, so it is intended.
            Some(Host::Ipv4(_) | Host::Ipv6(_))
                if url.host_str().is_some_and(|it| self.is_own(it)) =>
            {
                true
            }
            Some(Host::Ipv4(address)) => self.allows(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.allows(IpAddr::V6(address)),
            Some(Host::Domain(name)) => self.is_own(name) || self.is_local || !is_localhost(name),
            None => false,
        };
        if allowed {
            Ok(())
        } else {
            Err(PrivateAddressError(
                url.host_str().unwrap_or_default().to_owned(),
            ))
        }
    }

    /// Whether this is the operator's own host.
    fn is_own(&self, host: &str) -> bool {
        self.own
            .as_deref()
            .is_some_and(|own| own.eq_ignore_ascii_case(host))
    }

    /// Whether an address may be called.
    fn allows(&self, address: IpAddr) -> bool {
        // Checked before unwrapping, because `::` and `::1` are IPv6 addresses of this machine and do not
        // stand for an IPv4 address.
        if is_never_called(address) {
            return false;
        }
        let (outer, address) = (address, unwrapped(address));
        if address.is_loopback() {
            return self.is_local;
        }
        if is_never_called(address) {
            return false;
        }
        self.allows_private || !(is_private(address) || is_private(outer))
    }

    /// Whether the operator's own host may resolve to an address: any network is allowed, but not an address
    /// that is never a server.
    fn allows_own(address: IpAddr) -> bool {
        !is_never_called(address) && !is_never_called(unwrapped(address))
    }
}

/// Resolves the hosts of the operator's own URLs and drops addresses that are never a server. A party that
/// controls a DNS name must not make the bridge call a cloud metadata service.
#[derive(Debug)]
pub struct OwnHostResolver;

impl Resolve for OwnHostResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            lookup(
                name.as_str(),
                AddressGuard::allows_own,
                ReservedAddressError,
            )
            .await
        })
    }
}

/// Looks a host up and drops the addresses that may not be called. Fails if no address is left.
async fn lookup<E: std::error::Error + Send + Sync + 'static>(
    host: &str,
    allows: impl Fn(IpAddr) -> bool,
    forbidden: impl FnOnce(String) -> E,
) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
    let found = tokio::net::lookup_host((host, 0)).await?;
    let allowed: Vec<SocketAddr> = found.filter(|found| allows(found.ip())).collect();
    if allowed.is_empty() {
        return Err(forbidden(host.to_owned()).into());
    }
    Ok(Box::new(allowed.into_iter()))
}

/// Looks hosts up and drops forbidden addresses, so that a name that changes its address between check and
/// use gains nothing (DNS rebinding).
impl Resolve for AddressGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let is_own = guard.is_own(host);
            let allows = |address| guard.allows(address) || (is_own && Self::allows_own(address));
            lookup(host, allows, PrivateAddressError).await
        })
    }
}

/// `localhost` and its subdomains (RFC 6761).
fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Cloud metadata services that are not link-local: Alibaba, Oracle and Azure, and the IPv6 addresses of AWS
/// (instances and pods), Google and Scaleway.
const METADATA: [IpAddr; 7] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
];

/// Addresses that no configuration allows: cloud metadata services, and addresses that are not a host (IANA
/// special-purpose address registries).
fn is_never_called(address: IpAddr) -> bool {
    METADATA.contains(&address)
        || match address {
            // 0.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4, 240.0.0.0/4
            IpAddr::V4(v4) => v4.is_link_local() || matches!(v4.octets(), [0 | 224..=255, ..]),
            // fe80::/10, ff00::/8, ::, 100::/64
            IpAddr::V6(v6) => {
                (v6.segments()[0] & 0xffc0) == 0xfe80
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || matches!(v6.segments(), [0x100, 0, 0, 0, ..])
            }
        }
}

/// Addresses that are not on the public internet (IANA special-purpose address registries).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

/// The same for IPv4, including carrier-grade NAT, benchmarking, documentation and the former 6to4 relays.
fn is_private_v4(address: Ipv4Addr) -> bool {
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || matches!(
            address.octets(),
            [0, ..] | [100, 64..=127, ..] | [198, 18..=19, ..] | [192, 0, 0, _] | [192, 88, 99, _]
        )
}

/// The same for IPv6.
fn is_private_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Local NAT64 (RFC 8215), Teredo, benchmarking, ORCHID, documentation.
        [0x64, 0xff9b, 1, ..]
        | [0x2001, 0 | 0xdb8 | 0x10..=0x2f, ..]
        | [0x2001, 2, 0, ..]
        | [0x3fff, 0..=0xfff, ..]
        | [0x5f00, ..] => true,
        // Unique local (fc00::/7) and the former site-local (fec0::/10).
        [first, ..] => (first & 0xfe00) == 0xfc00 || (first & 0xffc0) == 0xfec0,
    }
}

/// The address that a packet really reaches: the IPv4 address inside an IPv6 address, if any.
fn unwrapped(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => embedded(v6).map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The IPv4 address inside NAT64 (`64:ff9b::/96` and `64:ff9b:1::/48`, RFC 6052), 6to4 (`2002::/16`), Teredo
/// (`2001::/32`), ISATAP, IPv4-compatible (`::a.b.c.d`) and translated (`::ffff:0:a.b.c.d`) addresses. `::`
/// and `::1` contain none.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // RFC 6052 reserves bits 64 to 71 of a /48.
        [0x64, 0xff9b, 1, high, third, last, 0, 0] if third >> 8 == 0 => {
            Some(of(high, (third << 8) | (last >> 8)))
        }
        [0x64, 0xff9b, 0 | 1, .., high, low]
        | [0x2002, high, low, ..]
        | [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
        | [.., 0 | 0x200, 0x5efe, high, low] => Some(of(high, low)),
        [0x2001, 0, .., high, low] => Some(of(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(server: &str, private_network: bool, url: &str) -> bool {
        let guard = AddressGuard::new(&server.parse().unwrap(), private_network);
        guard.check(&url.parse().unwrap()).is_ok()
    }

    #[test]
    fn a_discovered_url_does_not_lead_into_our_network() {
        let public = "https://mcp.example.com/mcp";
        for (server, private_network, url, is_allowed) in [
            (public, false, "https://auth.example.com/", true),
            (public, false, "https://93.184.215.14/", true),
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

    #[test]
    fn no_special_address_is_taken_for_one_of_the_internet() {
        let public = "https://mcp.example.com/mcp";
        for (server, private_network, url, is_allowed) in [
            (public, false, "https://[2606:2800:21f:cb07::1]/", true),
            (public, false, "https://203.0.113.9/", false),
            (public, true, "https://203.0.113.9/", true),
            (public, true, "http://0.1.2.3/", false),
            (public, true, "http://240.0.0.1/", false),
            (public, true, "http://224.0.0.251/", false),
            (public, false, "http://198.18.0.1/", false),
            (public, false, "http://192.0.0.8/", false),
            (public, true, "http://192.0.0.192/", false),
            (public, true, "http://168.63.129.16/", false),
            (public, false, "http://[fec0::1]/", false),
            (public, true, "http://[fec0::1]/", true),
            (public, true, "http://[fe80::1]/", false),
            (public, true, "http://[ff02::1]/", false),
            (public, true, "http://[100::1]/", false),
            (public, false, "http://[2001:db8::1]/", false),
            (public, false, "http://[64:ff9b:1::1]/", false),
            (public, true, "http://[64:ff9b:1::a9fe:a9fe]/", false),
            (public, true, "http://[64:ff9b:1:a9fe:a9:fe00::]/", false),
            (public, true, "http://[64:ff9b:1::7f00:1]/", false),
            (public, false, "http://[::10.0.0.1]/", false),
            (public, true, "http://[::127.0.0.1]/", false),
            (public, true, "http://[::169.254.169.254]/", false),
            (public, true, "http://[::ffff:169.254.169.254]/", false),
            (public, true, "http://[::ffff:0:a9fe:a9fe]/", false),
            (public, true, "http://[2001:0:1::5601:5601]/", false),
            (public, false, "http://[2001:0:1::a247:27f1]/", false),
            (public, true, "http://[2606::5efe:169.254.169.254]/", false),
            (public, false, "http://[2002:a00:1::]/", false),
            (public, true, "http://[::]/", false),
            (public, true, "http://[::1]/", false),
            (
                "http://169.254.169.254/mcp",
                false,
                "http://169.254.169.254/token",
                true,
            ),
            (
                "http://169.254.1.1/mcp",
                true,
                "http://169.254.169.254/token",
                false,
            ),
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
        let public = AddressGuard::new(&"https://mcp.example.com".parse().unwrap(), true);
        assert!(public.resolve(name()).await.is_err());
        let local = AddressGuard::new(&"http://localhost:1".parse().unwrap(), false);
        assert!(local.resolve(name()).await.is_ok());
    }

    #[test]
    fn the_operators_own_host_leads_into_a_network_but_to_no_metadata() {
        for (address, is_allowed) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("10.1.2.3", true),
            ("172.18.0.5", true),
            ("192.168.1.10", true),
            ("100.64.0.7", true),
            ("fd12:3456::1", true),
            ("93.184.215.14", true),
            ("169.254.169.254", false),
            ("169.254.170.2", false),
            ("::ffff:169.254.169.254", false),
            ("64:ff9b::a9fe:a9fe", false),
            ("fe80::1", false),
            ("fd00:ec2::254", false),
            ("100.100.100.200", false),
            ("0.0.0.0", false),
            ("::", false),
            ("255.255.255.255", false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(AddressGuard::allows_own(address), is_allowed, "{address}");
        }
    }
}
