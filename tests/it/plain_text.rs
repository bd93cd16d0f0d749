//! What servers and callers say moves no cursor and turns no line round, in logs and on terminals.

use reqwest::Method;

use crate::harness::{Setup, until};

/// Whether a text has a character that people do not see.
fn is_plain(text: &str) -> bool {
    text.chars().all(|it| {
        it == '\n'
            || !(it.is_control()
                || matches!(it, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'))
    })
}

/// A server that speaks like an attacker of terminals.
fn setup(format: &str) -> Setup {
    let said = r"\033[2J\033]8;;https://evil.example\007link\033]8;;\007 \342\200\256rev\302\233\r over\342\200\213 \363\240\201\201tag end\n";
    Setup::toml(&format!(
        "[telemetry]\nformat = '{format}'\nlevel = 'debug'\n\
         [bridges.noisy]\ncommand = 'sh'\n\
         args = ['-c', '''printf \"{said}\" >&2; exec python3 \"$0\" bad-tools''', '{{tests}}/it/servers/bad_server.py']\n"
    ))
}

#[tokio::test]
async fn the_log_and_the_terminal_get_plain_text() {
    for format in ["text", "json"] {
        let bridge = setup(format).ready().await;
        until(async || bridge.log().contains("tag end")).await;
        // A caller, too.
        let path = "/noisy/%1B%5B2J%E2%80%AE%0Dfake";
        let headers = [("user-agent", "ua"), ("content-type", "application/json")];
        let answer = bridge.send(Method::POST, path, &headers, "{}").await;
        assert_eq!(answer.status, 404);
        assert!(is_plain(&answer.text), "{:?}", answer.text);
        until(async || bridge.log().contains("2J")).await;
        assert!(is_plain(&bridge.log()), "{format}: {:?}", bridge.log());
        let shown = bridge.get("/admin/api/bridges").await.text;
        assert!(shown.contains("link") && is_plain(&shown), "{shown:?}");
        for words in [
            &["tools", "noisy"][..],
            &["tools", "--json"],
            &["openapi"],
            &["check"],
        ] {
            let out = bridge.cli(words).await;
            let is_right = is_plain(&out.stdout) && is_plain(&out.stderr);
            assert!(is_right, "{words:?}: {out:?}");
        }
    }
}
