//! `healthcheck`: for container probes, where there is no curl.

use std::{net::IpAddr, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use tokio::runtime::Runtime;
use url::Url;

use super::{
    args::Start,
    output::{fail, print},
    serve,
};
use crate::mcp;

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
    let url = match url {
        Some(url) => url,
        None => configured(start)?,
    };
    let client = mcp::http_client()?;
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

/// Where the configuration says that we listen.
fn configured(start: &Start) -> anyhow::Result<Url> {
    let address = match start.listen {
        Some(address) => address,
        None => match (serve::plan(start).source)() {
            Ok(loaded) => loaded.config.server.listen,
            Err(problems) => bail!(
                "{} problems in the configuration; see `mcp-bridge check`",
                problems.len()
            ),
        },
    };
    let host = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
    };
    let address = std::net::SocketAddr::new(host, address.port());
    Ok(Url::parse(&format!("http://{address}/"))?)
}
