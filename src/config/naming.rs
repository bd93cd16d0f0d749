//! Names for bridges: from a command line, a URL, or a text that is not a valid name.

use url::Url;

use crate::{
    config::read::{lint, reference::is_variable},
    name::{BRIDGE_NAME_BYTES_MAX, BridgeName, BridgeNameError},
};

/// The name of a bridge if nothing better is known.
const FALLBACK: &str = "server";

/// Programs that run another program, after which the bridge is named.
const RUNNERS: &[&str] = &[
    "npx", "bunx", "pnpm", "yarn", "npm", "uvx", "uv", "pipx", "pip", "node", "bun", "deno",
    "python", "python3", "tsx", "docker", "podman", "env", "sh", "bash", "exec", "cargo", "go",
    "java", "dotnet", "ruby",
];

/// Subcommands of these programs.
const RUNNER_WORDS: &[&str] = &[
    "run", "exec", "dlx", "tool", "x", "start", "--", "-m", "-jar",
];

/// Options of these programs that take a value in the next word.
const VALUED_OPTIONS: &[&str] = &[
    "--python",
    "--with",
    "--directory",
    "--project",
    "--index",
    "--env-file",
    "--import",
    "--require",
    "-r",
    "-e",
    "--env",
    "-v",
    "--volume",
    "--name",
    "-p",
    "--publish",
    "--network",
    "--mount",
    "-w",
    "--workdir",
    "-u",
    "--user",
    "--entrypoint",
    "--add-host",
    "--pull",
    "--platform",
    "-c",
];

/// Options whose value is the package itself.
const PACKAGE_OPTIONS: &[&str] = &["--package", "--from"];

/// Names a bridge after the package or script of a command line: `npx -y @scope/server-time@1` becomes
/// `server-time`.
pub fn name_of_command(words: &[String]) -> BridgeName {
    let mut found = None;
    let mut rest = words.iter().map(String::as_str).peekable();
    let mut in_runner = false;
    let mut package = None;
    while let Some(word) = rest.next() {
        if let Some((option, value)) = word.split_once('=')
            && PACKAGE_OPTIONS.contains(&option)
        {
            package = Some(value);
        } else if PACKAGE_OPTIONS.contains(&word) {
            package = rest.next();
        } else if in_runner && (VALUED_OPTIONS.contains(&word) || takes_secret(word)) {
            rest.next();
        } else if in_runner
            && (word.starts_with('-') || RUNNER_WORDS.contains(&word) || is_setting(word))
        {
            // An option of the runner.
        } else if RUNNERS.contains(&stem(word).as_str()) {
            in_runner = true;
        } else {
            found = Some(word);
            break;
        }
    }
    let word = found.or(package).or(words.first().map(String::as_str));
    let name = word.map(package_name).unwrap_or_default();
    nearest_name(&name)
}

/// Names a bridge after the host of a URL.
pub fn name_of_url(url: &Url) -> BridgeName {
    nearest_name(url.host_str().unwrap_or_default())
}

/// Makes a valid name from any text: other characters become `-`, and a name that is a route of the bridge
/// gets the suffix `-server`.
pub fn nearest_name(text: &str) -> BridgeName {
    let mut name = String::with_capacity(text.len());
    for character in text.trim().chars() {
        if character.is_ascii_alphanumeric() || "-_.".contains(character) {
            name.push(character);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_matches(|character: char| !character.is_ascii_alphanumeric());
    let name: String = name.chars().take(BRIDGE_NAME_BYTES_MAX).collect();
    parse_or(&name, |bad| match bad {
        BridgeNameError::Reserved(name) => format!("{name}-server"),
        BridgeNameError::Empty
        | BridgeNameError::TooLong(_)
        | BridgeNameError::Character { .. } => FALLBACK.to_owned(),
    })
}

fn parse_or(name: &str, other: impl Fn(BridgeNameError) -> String) -> BridgeName {
    let mut name = name.to_owned();
    loop {
        match BridgeName::parse(&name) {
            Ok(name) => return name,
            Err(bad) => name = other(bad),
        }
    }
}

/// Whether the word after an option such as `--token` is a secret, which must not become a name.
fn takes_secret(word: &str) -> bool {
    word.starts_with('-') && !word.contains('=') && lint::looks_secret(word)
}

/// `KEY=value`
fn is_setting(word: &str) -> bool {
    word.split_once('=')
        .is_some_and(|(name, _)| is_variable(name))
}

/// Returns the file name of a program or script without its folder and extension.
fn stem(word: &str) -> String {
    let file = word.rsplit(['/', '\\']).next().unwrap_or(word);
    let stem = [
        ".exe", ".cmd", ".py", ".js", ".mjs", ".cjs", ".ts", ".sh", ".jar", ".git",
    ]
    .iter()
    .find_map(|ending| file.strip_suffix(ending));
    stem.filter(|stem| !stem.is_empty())
        .unwrap_or(file)
        .to_owned()
}

/// Returns the name of a package: `@scope/server-time@1`, `mcp-server-time==1`, `ghcr.io/x/y:latest`,
/// `git+https://…/y.git`.
fn package_name(word: &str) -> String {
    let after_slash = word
        .trim_end_matches('/')
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or(word);
    let bare = after_slash
        .split(['@', '[', ':'])
        .find(|part| !part.is_empty())
        .unwrap_or_default();
    let bare = bare.split(['=', '<', '>', '~', '!']).next().unwrap_or(bare);
    stem(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_is_named_after_the_package_it_runs() {
        for (line, name) in [
            ("npx -y @scope/server-time@1", "server-time"),
            (
                "npx -y @modelcontextprotocol/server-filesystem /data",
                "server-filesystem",
            ),
            (
                "uvx mcp-server-time --local-timezone=Europe/Berlin",
                "mcp-server-time",
            ),
            ("uvx --from git+https://github.com/a/b-mcp.git b", "b"),
            (
                "uvx --python 3.12 mcp-server-fetch==1.2",
                "mcp-server-fetch",
            ),
            ("uv run --directory /srv/app server.py", "server"),
            (
                "uv run postgres-mcp --access-mode=unrestricted",
                "postgres-mcp",
            ),
            (
                "python3 golden/probe_server.py golden/tools.json",
                "probe_server",
            ),
            ("/app/.venv/bin/python3 -m my_server", "my_server"),
            ("env KEY=v python server.py", "server"),
            (
                "docker run -i --rm -e TOKEN ghcr.io/github/github-mcp-server:latest",
                "github-mcp-server",
            ),
            ("github-mcp-server stdio", "github-mcp-server"),
            ("mcp-bridge demo-server", "mcp-bridge"),
            ("./docs", "docs-server"),
            ("python3 -c 'x'", "python3"),
            ("/usr/bin/äöü", FALLBACK),
            ("", FALLBACK),
        ] {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(name_of_command(&words).as_str(), name, "{line}");
        }
    }

    #[test]
    fn any_text_has_a_name_near_it() {
        for (text, name) in [
            ("with space", "with-space"),
            ("a/b", "a-b"),
            ("docs", "docs-server"),
            ("-x-", "x"),
            ("", FALLBACK),
            ("日本", FALLBACK),
        ] {
            assert_eq!(nearest_name(text).as_str(), name, "{text}");
        }
        assert_eq!(
            nearest_name(&"x".repeat(99)).as_str().len(),
            BRIDGE_NAME_BYTES_MAX
        );
    }
}
