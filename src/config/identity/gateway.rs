//! `[identity.gateway]`: a gateway in front of the bridge names the user in headers.

use serde::Deserialize;
use toml::de::DeTable;

use crate::config::{
    Gateway,
    diagnostic::Span,
    read::{
        section::{SECRET_BYTES_MIN, SecretRule, SectionRules, keys_of, take},
        value,
    },
    reader::Reader,
};

const RULES: SectionRules = SectionRules {
    optional: &[
        "secret_header",
        "email_header",
        "groups_header",
        "admin_header",
        "workspace_header",
    ],
    empty: &["enabled", "trusted_peers"],
    secrets: &[SecretRule {
        key: "secret",
        variable: "GATEWAY_SECRET",
        bytes_min: SECRET_BYTES_MIN,
    }],
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
    reader: &mut Reader<'_>,
    span: &Span,
    mut table: DeTable<'_>,
) -> Option<Gateway> {
    let section = "identity.gateway";
    let known = [&["enabled"], keys_of::<Gateway>()].concat();
    reader.refuse_unknown(section, &mut table, &known);
    let before = reader.problems.len();
    let switch = take(&mut table, &["enabled"]);
    let at = switch
        .values()
        .next()
        .map_or_else(|| span.clone(), toml::Spanned::span);
    let (switch, _notes) = reader.section::<GatewaySwitch>(section, span, switch, &RULES);
    let is_known = !reader.problems.has_errors_since(before);
    let (gateway, notes) = reader.section::<Gateway>(section, span, table, &RULES);
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
fn refuse_open_gateway(reader: &mut Reader<'_>, gateway: &Gateway, at: &Span, peers: Option<Span>) {
    if gateway.secret.is_some() {
        return;
    }
    if gateway.trusted_peers.is_empty() {
        reader
            .problems
            .error(
                at,
                "the gateway is enabled, but any client could send the same headers",
            )
            .hint("set `trusted_peers` to its address (TRUSTED_PROXIES), or `secret` to what it sends in `X-Gateway-Secret` (GATEWAY_SECRET), or both");
    }
    if gateway
        .trusted_peers
        .iter()
        .any(|net| net.prefix_len() == 0)
    {
        reader
            .problems
            .error(
                &peers.unwrap_or_else(|| at.clone()),
                "`trusted_peers` contains every address, so any client could impersonate any user",
            )
            .hint("write the gateway's own address or network, or set `secret` too");
    }
}
