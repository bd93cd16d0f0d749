//! `[identity.gateway]`: a gateway in front of the bridge names the user in headers.

use http::HeaderName;
use ipnet::IpNet;
use serde::Deserialize;
use toml::de::DeTable;

use crate::{
    config::read::{
        ConfigReader, SECRET_BYTES_MIN, SecretRule, SectionRules, Span, keys_of, take, value,
    },
    secret::Secret,
};

/// `[identity.gateway]`: a gateway in front of the bridge names the user in headers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaySettings {
    /// The addresses of the gateway. Empty: only the secret is checked.
    #[serde(deserialize_with = "value::networks")]
    pub trusted_peers: Vec<IpNet>,
    /// The secret that the gateway sends in `secret_header`.
    #[serde(deserialize_with = "value::secret")]
    pub secret: Option<Secret>,
    /// The header with the secret. Default `X-Gateway-Secret`.
    #[serde(deserialize_with = "value::header_name")]
    pub secret_header: HeaderName,
    /// The header with the e-mail address. Default `X-User-Email`.
    #[serde(deserialize_with = "value::header_name")]
    pub email_header: HeaderName,
    /// The header with a comma-separated list of groups. Default `X-User-Groups`.
    #[serde(deserialize_with = "value::header_name")]
    pub groups_header: HeaderName,
    /// The header that is `true` for an administrator. Default `X-User-Admin`.
    #[serde(deserialize_with = "value::header_name")]
    pub admin_header: HeaderName,
    /// The header with the workspace. Default `X-Tenant-ID`.
    #[serde(deserialize_with = "value::header_name")]
    pub workspace_header: HeaderName,
    /// Whether the gateway removes these headers from client requests, so that groups and the workspace also
    /// apply next to a user's own session. Default false.
    pub strips_headers: bool,
    /// Whether `Authorization` and the cookie are ignored if the gateway names the user, because they are
    /// meant for the gateway. Default false: invalid credentials are rejected.
    pub ignore_credentials: bool,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            trusted_peers: Vec::new(),
            secret: None,
            secret_header: HeaderName::from_static("x-gateway-secret"),
            email_header: HeaderName::from_static("x-user-email"),
            groups_header: HeaderName::from_static("x-user-groups"),
            admin_header: HeaderName::from_static("x-user-admin"),
            workspace_header: HeaderName::from_static("x-tenant-id"),
            strips_headers: false,
            ignore_credentials: false,
        }
    }
}

const RULES: SectionRules = SectionRules {
    optional: &[
        "secret_header",
        "email_header",
        "groups_header",
        "admin_header",
        "workspace_header",
    ],
    empty: &["enabled", "trusted_peers"],
    secrets: &[SecretRule::new(
        "secret",
        "GATEWAY_SECRET",
        SECRET_BYTES_MIN,
    )],
    ..SectionRules::NONE
};

/// The switch of the section.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GatewaySwitch {
    #[serde(deserialize_with = "value::flag")]
    enabled: bool,
}

/// Reads the section. Mistakes are reported even if it is disabled.
pub(super) fn read(
    reader: &mut ConfigReader<'_>,
    span: &Span,
    mut table: DeTable<'_>,
) -> Option<GatewaySettings> {
    let section = "identity.gateway";
    let known = [&["enabled"], keys_of::<GatewaySettings>()].concat();
    reader.refuse_unknown(section, &mut table, &known);
    let before = reader.problems.len();
    let switch = take(&mut table, &["enabled"]);
    let at = switch
        .values()
        .next()
        .map_or_else(|| span.clone(), toml::Spanned::span);
    let (switch, _notes) = reader.section::<GatewaySwitch>(section, span, switch, &RULES);
    let is_known = !reader.problems.has_errors_since(before);
    let (gateway, notes) = reader.section::<GatewaySettings>(section, span, table, &RULES);
    if !switch.unwrap_or_default().enabled {
        if is_known {
            reader.turn_off("a gateway's headers", "`enabled` is false".to_owned());
        }
        return None;
    }
    let gateway = gateway?;
    if notes.is_whole(reader) {
        refuse_open_gateway(reader, &gateway, &at, notes.at("trusted_peers").cloned());
    }
    Some(gateway)
}

/// Rejects a gateway without a proof of its identity: headers that any client can send prove nothing.
fn refuse_open_gateway(
    reader: &mut ConfigReader<'_>,
    gateway: &GatewaySettings,
    at: &Span,
    peers: Option<Span>,
) {
    if gateway.secret.is_some() {
        return;
    }
    if gateway.trusted_peers.is_empty() {
        reader.refuse(
                at,
                "the gateway is enabled, but any client could send the same headers", "set `trusted_peers` to its address (TRUSTED_PROXIES), or `secret` to what it sends in `X-Gateway-Secret` (GATEWAY_SECRET), or both");
    }
    if gateway
        .trusted_peers
        .iter()
        .any(|net| net.prefix_len() == 0)
    {
        reader.refuse(
            &peers.unwrap_or_else(|| at.clone()),
            "`trusted_peers` contains every address, so any client could impersonate any user",
            "write the gateway's own address or network, or set `secret` too",
        );
    }
}
