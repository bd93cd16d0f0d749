//! The names that clients use for transports.

/// Each transport with its names. Case and punctuation are ignored.
const WORDS: &[(&str, &[&str])] = &[
    (
        "stdio",
        &[
            "stdio",
            "local",
            "command",
            "cmd",
            "process",
            "subprocess",
            "program",
            "executable",
        ],
    ),
    (
        "streamable-http",
        &[
            "streamablehttp",
            "http",
            "https",
            "streamable",
            "httpstream",
            "httpstreamable",
            "httpstreaming",
            "streamhttp",
            "streaminghttp",
            "shttp",
        ],
    ),
    (
        "sse",
        &["sse", "httpsse", "ssehttp", "serversentevents", "legacysse"],
    ),
    ("openapi", &["openapi"]),
    // A URL that may be either transport.
    ("auto", &["auto", "remote", "url"]),
];

/// The names that error messages list.
pub(super) const TOLD: &str = "`stdio`, `streamable-http`, `http`, `sse`, `openapi`, `auto`";

/// Returns the bridge's name of a client's transport.
pub(super) fn word(written: &str) -> Option<&'static str> {
    let plain: String = written
        .chars()
        .filter(|character| character.is_alphanumeric())
        .collect::<String>()
        .to_lowercase();
    let known = WORDS
        .iter()
        .find(|(_, words)| words.contains(&plain.as_str()));
    known.map(|(word, _)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_clients_are_known() {
        for (written, ours) in [
            ("STDIO", Some("stdio")),
            ("local", Some("stdio")),
            ("streamable_http", Some("streamable-http")),
            ("streamableHttp", Some("streamable-http")),
            ("http-stream", Some("streamable-http")),
            ("streamable", Some("streamable-http")),
            ("HTTP+SSE", Some("sse")),
            ("remote", Some("auto")),
            ("ws", None),
            ("websocket", None),
            ("", None),
        ] {
            assert_eq!(word(written), ours, "{written}");
        }
    }
}
