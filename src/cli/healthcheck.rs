//! `healthcheck`: asks a running bridge for its health. Container probes can use it instead of curl.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::runtime::Runtime;
use url::Url;

use super::{
    args::ConfigOptions,
    output::{fail, print},
    serve,
};
use crate::{config::ServerSettings, mcp};

/// The time limit of the request. Container probes have limits of a few seconds.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks `/health` and prints the answer.
pub fn main(start: &ConfigOptions, url: Option<Url>) -> ExitCode {
    let result = Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(ask(start, url)));
    match result {
        Ok(body) => {
            print(&format!("{body}\n"));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

/// Sends the request and returns the body of the answer.
async fn ask(start: &ConfigOptions, url: Option<Url>) -> anyhow::Result<String> {
    let (client, url) = match url {
        Some(url) => (mcp::http_client()?, url),
        None => (own_client()?, configured(start)?),
    };
    let response = client
        .get(url.join("health")?)
        .timeout(TIMEOUT)
        .send()
        .await
        .with_context(|| format!("no server answers at {url}"))?;
    let status = response.status();
    let body = response.text().await?;
    if !status.is_success() {
        bail!("{url} answers {status}: {body}");
    }
    Ok(body)
}

/// Builds the client for a listener on this machine. It uses no proxy, and it accepts any certificate, because the
/// certificate has the public name of the server.
fn own_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .build()
}

/// Returns the URL of the listener in the configuration.
fn configured(start: &ConfigOptions) -> anyhow::Result<Url> {
    let server = match (serve::plan(start).source)() {
        Ok(loaded) => loaded.config.server,
        // The running process still uses the last valid configuration.
        Err(_) if start.listen.is_some() => ServerSettings::default(),
        Err(problems) => bail!(
            "the configuration has {} problems; run `mcp-bridge check` to see them",
            problems.len()
        ),
    };
    let address = start.listen.unwrap_or(server.listen);
    let host = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let scheme = if server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let address = SocketAddr::new(host, address.port());
    Ok(Url::parse(&format!("{scheme}://{address}/"))?)
}
