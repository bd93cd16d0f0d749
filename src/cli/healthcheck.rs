//! `healthcheck`: for container probes, where there is no curl.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::runtime::Runtime;
use url::Url;

use super::{
    args::Start,
    output::{fail, print},
    serve,
};
use crate::{config::Server, mcp};

/// Probes give up after seconds; so do we.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks `/health` and prints the answer.
pub fn main(start: &Start, url: Option<Url>) -> ExitCode {
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

/// One request.
async fn ask(start: &Start, url: Option<Url>) -> anyhow::Result<String> {
    let (client, url) = match url {
        Some(url) => (mcp::http_client()?, url),
        None => (own_client()?, configured(start)?),
    };
    let response = client
        .get(url.join("health")?)
        .timeout(TIMEOUT)
        .send()
        .await
        .with_context(|| format!("nothing answers at {url}"))?;
    let status = response.status();
    let body = response.text().await?;
    if !status.is_success() {
        bail!("{url} answers {status}: {body}");
    }
    Ok(body)
}

/// For a listener on this machine: no proxy stands between, and its certificate is for the name
/// that others call it by.
fn own_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .build()
}

/// Where the configuration says that we listen.
fn configured(start: &Start) -> anyhow::Result<Url> {
    let server = match (serve::plan(start).source)() {
        Ok(loaded) => loaded.config.server,
        // The running process has a configuration that was right once.
        Err(_) if start.listen.is_some() => Server::default(),
        Err(problems) => bail!(
            "{} problems in the configuration; see `mcp-bridge check`",
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
