//! `[identity.gateway]`: a gateway in front of the bridge names the user in headers.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use toml::{Spanned, de::DeTable};

use crate::config::{
    GatewaySettings,
    diagnostic::Span,
    reader::{ConfigReader, Text},
    setting::{FlagSetting, ListSetting},
};

/// The section in the file. Defaults are those of [`Gateway`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GatewayTable {
    enabled: Option<Spanned<FlagSetting>>,
    trusted_peers: Option<Spanned<ListSetting>>,
    secret: Option<Text>,
    secret_header: Option<Text>,
    email_header: Option<Text>,
    groups_header: Option<Text>,
    admin_header: Option<Text>,
    workspace_header: Option<Text>,
    strips_headers: bool,
    ignore_credentials: bool,
}

/// Reads the section. Mistakes are reported even if it is disabled.
pub(super) fn read(
    reader: &mut ConfigReader<'_>,
    span: &Span,
    table: DeTable<'_>,
) -> Option<GatewaySettings> {
    let before = reader.problems.len();
    let table: GatewayTable = reader.table("identity.gateway", span, table)?;
    let enabled = table.enabled.as_ref();
    let is_on = enabled.map_or(Some(false), |flag| reader.flag("enabled", flag));
    let peers = table.trusted_peers.as_ref();
    let trusted_peers = peers
        .map(|list| read_peers(reader, list))
        .unwrap_or_default();
    let secret = table.secret.as_ref();
    let secret = secret.and_then(|text| reader.secret("secret", "GATEWAY_SECRET", text)?.ok());
    let mut header =
        |key, text: &Option<Text>, default| reader.header_name(key, text.as_ref(), default);
    let gateway = GatewaySettings {
        trusted_peers,
        secret,
        secret_header: header("secret_header", &table.secret_header, "x-gateway-secret"),
        email_header: header("email_header", &table.email_header, "x-user-email"),
        groups_header: header("groups_header", &table.groups_header, "x-user-groups"),
        admin_header: header("admin_header", &table.admin_header, "x-user-admin"),
        workspace_header: header("workspace_header", &table.workspace_header, "x-tenant-id"),
        strips_headers: table.strips_headers,
        ignore_credentials: table.ignore_credentials,
    };
    if is_on != Some(true) {
        if is_on == Some(false) {
            reader.turn_off("a gateway's headers", "`enabled` is false".to_owned());
        }
        return None;
    }
    let at = enabled.map_or_else(|| span.clone(), Spanned::span);
    if !reader.problems.has_errors_since(before) {
        refuse_open_gateway(reader, &gateway, &at, peers.map(Spanned::span));
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

fn read_peers(reader: &mut ConfigReader<'_>, list: &Spanned<ListSetting>) -> Vec<IpNet> {
    let mut peers = Vec::new();
    for word in reader.words(list) {
        let text = word.get_ref();
        let net = text
            .parse::<IpNet>()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        if let Some(net) = net {
            peers.push(net.trunc());
        } else {
            reader
                .problems
                .error(
                    &word.span(),
                    format!("`trusted_peers`: `{text}` is neither an address nor a network"),
                )
                .hint("write `\"10.0.0.7\"` or `\"172.16.0.0/12\"`; names are not looked up");
        }
    }
    peers
}
