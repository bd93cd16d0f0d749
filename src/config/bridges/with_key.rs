//! `with_key` of a bridge: another way to the same service, for the case that a key is there.
//!
//! Vendors often have a server at a URL that people log in to, and another server, mostly a program,
//! that takes an API key. Both are one bridge, with one name and one path.

use toml::Spanned;

use crate::config::{
    CredentialScope, Environment,
    bridges::{
        resolver::BridgeResolver,
        table::{BasicAuthTable, BridgeTable, ServerTable},
    },
    read::{
        Text,
        reference::{ReferenceExpansion, ReferenceScope},
    },
};

/// Which of both ways a bridge takes: its own where its key is complete, else the one of `with_key`
/// where everything is there that it refers to, else its own. Gives whose credentials its calls carry,
/// too. The resolver keeps the reason why `with_key` is not taken.
pub fn choose(
    resolver: &mut BridgeResolver<'_, '_>,
    table: &mut BridgeTable,
    credential: CredentialScope,
) -> CredentialScope {
    let Some(written) = table.with_key.take() else {
        return credential;
    };
    let at = written.span();
    let with_key = written.into_inner();
    if !with_key.texts().any(|text| text.get_ref().contains("${")) {
        let problem = "`with_key` refers to no variable, so it would always be taken";
        let hint = "refer to the key in it, `env = { SOME_TOKEN = \"${SOME_TOKEN}\" }`, or move its keys into the bridge";
        resolver.reader.refuse(&at, problem, hint);
        return credential;
    }
    let own = with_key.credential.clone();
    let whose = match &own {
        Some(_) => resolver.credential(own.as_ref()),
        None => credential,
    };
    // With `credential = "caller"`, each caller has their own account, so a shared key has no effect.
    if whose == CredentialScope::Caller || has_key(resolver, table) {
        return credential;
    }
    let names_server = with_key.command.is_some() || with_key.url.is_some();
    // An administrator named another server for a group: only headers can go there.
    if names_server && resolver.reader.environment.for_headers().is_some() {
        return credential;
    }
    let missing = missing(resolver, with_key.texts());
    if !missing.is_empty() {
        resolver.key_missing = missing;
        return credential;
    }
    with_key.replace(table, names_server);
    whose
}

impl ServerTable {
    /// Everything in it that may refer to a variable and has to be there.
    fn texts(&self) -> impl Iterator<Item = &Text> {
        let basic_auth = self.basic_auth.iter().map(Spanned::get_ref);
        self.command
            .iter()
            .chain(self.args.iter().flatten())
            .chain(self.env.values())
            .chain(&self.url)
            .chain(self.headers.values())
            .chain(basic_auth.flat_map(BasicAuthTable::texts))
    }

    /// Puts it where the keys of the bridge stand. Without a server of its own it replaces the
    /// credentials alone.
    fn replace(mut self, table: &mut BridgeTable, names_server: bool) {
        let own = &mut table.server;
        let has_headers = !names_server || self.url.is_some();
        self.pass_headers = self.pass_headers.or(own.pass_headers.take());
        self.pass_headers = self.pass_headers.filter(|_| has_headers);
        if names_server {
            *own = self;
        } else {
            own.headers = self.headers;
            own.basic_auth = self.basic_auth;
            own.pass_headers = self.pass_headers;
        }
        table.oauth = None;
    }
}

/// Why there is no key, where one of two would do.
pub fn either(missing: Vec<String>, other: &[String]) -> Vec<String> {
    if missing.is_empty() || other.is_empty() {
        return missing;
    }
    if other.iter().all(|reason| missing.contains(reason)) {
        // The one key is part of the other: it is enough.
        return other.to_vec();
    }
    vec![format!(
        "{}, or else {}",
        missing.join("; "),
        other.join("; ")
    )]
}

/// Whether the bridge has a complete key without `with_key`.
fn has_key(resolver: &BridgeResolver<'_, '_>, table: &BridgeTable) -> bool {
    let basic_auth = table.server.basic_auth.iter().map(Spanned::get_ref);
    let mut keys = table
        .server
        .headers
        .values()
        .chain(basic_auth.flat_map(BasicAuthTable::texts))
        .chain(table.server.env.values())
        .peekable();
    keys.peek().is_some() && missing(resolver, keys).is_empty()
}

/// Why some of the texts cannot be had, each reason once. A text that cannot be read counts as there,
/// so that it is reported when it is used.
fn missing<'t>(
    resolver: &BridgeResolver<'_, '_>,
    texts: impl Iterator<Item = &'t Text>,
) -> Vec<String> {
    let own: Option<Environment> = resolver.reader.environment.for_headers();
    let scope = ReferenceScope {
        environment: own.as_ref().unwrap_or(resolver.reader.environment),
        folder: &resolver.reader.folder,
        lenient: false,
    };
    let mut missing = Vec::new();
    for text in texts {
        let expansion: ReferenceExpansion = scope.expand(text.get_ref()).unwrap_or_default();
        for reason in expansion.missing {
            if !missing.contains(&reason) {
                missing.push(reason);
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::*;
    use crate::{
        config::{
            BridgeSettings, CliOverrides, HeaderSource, TransportKind, TransportSettings,
            load_bridge,
            tests::{load_named, refused},
        },
        name::BridgeName,
        secret::Secret,
    };

    const NOTION: &str = "[bridges.x]\nurl = 'https://x/mcp'\noauth = {}\nenabled = 'auto'\n\
        credential = '${WHOSE:-shared}'\n[bridges.x.with_key]\ncommand = 'npx'\nargs = ['-y', 'p']\n\
        env = { TOKEN = '${KEY:-${OLD_KEY}}', HOST = '${HOST:-}' }\n";
    const ATLASSIAN: &str = "[bridges.x]\nurl = 'https://x/mcp'\ntransport = 'sse'\noauth = {}\n\
        basic_auth = { user = '${USER}', password = '${KEY}' }\nenabled = 'auto'\n\
        with_key = { headers = { Authorization = 'Bearer ${KEY}' } }\n";
    const HUBSPOT: &str = "[bridges.x]\nurl = 'https://x/mcp'\n\
        oauth = { client_id = '${ID}', client_secret = '${SECRET}' }\ncredential = '${WHOSE:-caller}'\n\
        [bridges.x.with_key]\ncommand = 'p'\nenv = { TOKEN = '${KEY}' }\ncredential = '${WHOSE:-shared}'\n";
    const PROGRAM: &str = "[bridges.x]\ncommand = 'p'\nenv = { TOKEN = '${A}' }\n\
        [bridges.x.with_key]\nurl = 'https://x/mcp'\nheaders = { X-Key = '${B}' }\n";

    fn bridge(text: &str, vars: &[(&str, &str)]) -> BridgeSettings {
        let (result, shown) = load_named("bridges.toml", text, vars);
        let loaded = result.unwrap_or_else(|_| panic!("{text}\n{shown}"));
        loaded.config.bridges.into_iter().next().unwrap()
    }

    /// How it is reached and with what, or why it is off.
    fn way(bridge: &BridgeSettings) -> String {
        match (&bridge.transport, bridge.reason_off()) {
            (_, Some(reason)) => format!("{}: off: {reason}", bridge.kind.as_str()),
            (Ok(TransportSettings::Stdio(stdio)), None) => {
                let names: Vec<_> = stdio.env.keys().map(String::as_str).collect();
                format!("{} {}", stdio.command, names.join(" "))
            }
            (Ok(TransportSettings::Remote(remote)), None) => {
                let headers = remote.headers.iter().map(|(name, value)| {
                    let scheme = value.expose().split(' ').next().unwrap_or_default();
                    format!("{name} {scheme}")
                });
                let mut words: Vec<String> = headers.collect();
                words.extend(remote.oauth.iter().map(|_| "login".to_owned()));
                format!("{:?} {}", remote.kind, words.join(" "))
            }
            (Err(_), None) => "off".to_owned(),
        }
    }

    #[test]
    fn the_way_is_taken_whose_key_is_there() {
        type Variables<'a> = &'a [(&'a str, &'a str)];

        let key = ("KEY", "k");
        let table: [(&str, Variables<'_>, &str); 17] = [
            (
                NOTION,
                &[],
                "http: off: KEY is not set, and OLD_KEY is not set, and no user has logged in: mcp-bridge login x",
            ),
            (
                NOTION,
                &[("KEY", " ")],
                "http: off: KEY is blank, and OLD_KEY is not set, and no user has logged in: mcp-bridge login x",
            ),
            (NOTION, &[key], "npx TOKEN"),
            (NOTION, &[("OLD_KEY", "k"), ("HOST", "h")], "npx HOST TOKEN"),
            (NOTION, &[key, ("WHOSE", "caller")], "Auto login"),
            (NOTION, &[key, ("WHOSE", "group")], "npx TOKEN"),
            (
                ATLASSIAN,
                &[],
                "sse: off: KEY is not set, and no user has logged in: mcp-bridge login x",
            ),
            (ATLASSIAN, &[key], "Sse authorization Bearer"),
            (ATLASSIAN, &[key, ("USER", "u")], "Sse authorization Basic"),
            (
                ATLASSIAN,
                &[("USER", "u")],
                "sse: off: KEY is not set, and no user has logged in: mcp-bridge login x",
            ),
            (
                HUBSPOT,
                &[],
                "http: off: KEY is not set, and for a login ID is not set; SECRET is not set",
            ),
            (HUBSPOT, &[key], "p TOKEN"),
            (HUBSPOT, &[("ID", "i"), ("SECRET", "s")], "Auto login"),
            (
                HUBSPOT,
                &[key, ("ID", "i"), ("SECRET", "s"), ("WHOSE", "caller")],
                "Auto login",
            ),
            (
                PROGRAM,
                &[],
                "stdio: off: A is not set, or else B is not set",
            ),
            (PROGRAM, &[("B", "b")], "Auto x-key b"),
            (PROGRAM, &[("A", "a"), ("B", "b")], "p TOKEN"),
        ];
        for (text, vars, expected) in table {
            assert_eq!(way(&bridge(text, vars)), expected, "{vars:?} {text}");
        }
    }

    #[test]
    fn the_transport_is_known_while_a_bridge_is_off() {
        for (text, kind) in [
            (
                "command = 'p'\nenv = { T = '${NONE}' }",
                TransportKind::Stdio,
            ),
            ("command = 'p'\nenabled = false", TransportKind::Stdio),
            ("url = 'https://x/${NONE}'", TransportKind::Http),
            ("url = 'https://x'\nenabled = false", TransportKind::Http),
            (
                "url = 'https://x/${NONE}'\ntransport = 'SSE'",
                TransportKind::Sse,
            ),
            (
                "url = 'https://x/${NONE}'\ntransport = '${K:-openapi}'",
                TransportKind::OpenApi,
            ),
        ] {
            let bridge = bridge(&format!("[bridges.x]\n{text}\n"), &[]);
            assert!(bridge.reason_off().is_some(), "{text}");
            assert_eq!(bridge.kind, kind, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let shown = refused("[bridges.x]\nurl = 'https://x'\nwith_key = { command = 'p' }\n");
        assert!(
            shown.contains("`with_key` refers to no variable"),
            "{shown}"
        );
        let shown =
            refused("[bridges.x]\nurl = 'https://x'\nwith_key = { comand = '${T_TOKEN}' }\n");
        assert!(shown.contains("comand"), "{shown}");
        let both = "[bridges.x]\nurl = 'https://x'\nwith_key = { command = 'p', url = 'https://${T_TOKEN}' }\n";
        assert!(refused(both).contains("not both"));
        let title = format!(
            "[bridges.x]\ncommand = 'p'\ntitle = '{}'\n",
            "x".repeat(101)
        );
        assert!(refused(&title).contains("`title` has more than 100 characters"));
        let hidden = "[bridges.x]\ncommand = 'p'\ntitle = \"a\\u202eb\"\n";
        assert!(refused(hidden).contains("`title` has a character that cannot be seen"));
    }

    #[test]
    fn a_program_is_not_started_for_a_group_that_has_a_server_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridges.toml");
        fs::write(&path, NOTION).unwrap();
        let values = BTreeMap::from([("KEY".to_owned(), Secret::new("k"))]);
        for (source, is_program) in [(HeaderSource::Operator, true), (HeaderSource::Group, false)] {
            let name = BridgeName::parse("x").unwrap();
            let environment = Environment::of([("WHOSE", "group")]);
            let overrides = CliOverrides::default();
            let read = load_bridge(&path, &environment, &overrides, &name, &values, source);
            let found = matches!(read.unwrap().transport, Ok(TransportSettings::Stdio(_)));
            assert_eq!(found, is_program, "{source:?}");
        }
    }
}
