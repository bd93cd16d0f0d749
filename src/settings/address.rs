//! The addresses at which browsers reach the bridge.

use url::Url;

use crate::config::Config;

/// The URL at which browsers reach the bridge: `public_url` from the configuration, or else this
/// machine with the port that the bridge listens on.
pub fn public_url(config: &Config) -> Url {
    if let Some(url) = &config.server.public_url {
        return url.clone();
    }
    let scheme = if config.server.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let (port, root) = (config.server.listen.port(), &config.server.root_path);
    let text = format!("{scheme}://localhost:{port}{root}");
    text.parse().unwrap_or_else(|_| localhost())
}

/// `http://localhost`.
#[expect(clippy::expect_used, reason = "the text is a constant that parses")]
fn localhost() -> Url {
    "http://localhost".parse().expect("a URL")
}

/// A URL below the public URL.
pub fn below(config: &Config, path: &str) -> Url {
    let mut url = public_url(config);
    let root = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{root}{path}"));
    url
}
