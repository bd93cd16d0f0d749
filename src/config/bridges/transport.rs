//! The part of a bridge that describes how to reach the server: a program or a URL.

use std::collections::BTreeMap;

use toml::Spanned;
use url::Url;

use crate::{
    config::{
        CredentialScope, ProtocolMode, RemoteKind, RemoteSettings, RunAsUser, StdioSettings,
        TransportKind, TransportSettings,
        bridges::{
            headers,
            resolver::{BridgeResolver, warn_of_literal},
            run_as::RunAsError,
            table::{BridgeTable, ServerTable},
        },
        read::{ScalarSetting, Span, Text},
    },
    secret::Secret,
};

/// The name by which a configuration refers to this program. It stands for the running executable, so that a
/// bridge with `command = "mcp-bridge"` and `args = ["demo-server"]` works if the program is not on PATH, as
/// with `cargo run`, and never starts another version.
pub const OWN_NAME: &str = "mcp-bridge";

/// The values of `transport`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportSetting {
    /// `stdio`
    Stdio,
    /// All other values.
    Remote(RemoteKind),
}

/// The accepted words. Case, `-` and `_` are ignored.
pub const KINDS: &[(&str, TransportSetting)] = &[
    ("stdio", TransportSetting::Stdio),
    (
        "streamable-http",
        TransportSetting::Remote(RemoteKind::StreamableHttp),
    ),
    ("http", TransportSetting::Remote(RemoteKind::StreamableHttp)),
    ("sse", TransportSetting::Remote(RemoteKind::Sse)),
    ("openapi", TransportSetting::Remote(RemoteKind::OpenApi)),
    ("auto", TransportSetting::Remote(RemoteKind::Auto)),
];

/// The values of `protocol`.
const PROTOCOLS: &[(&str, ProtocolMode)] = &[
    ("auto", ProtocolMode::Auto),
    ("legacy", ProtocolMode::Legacy),
    ("modern", ProtocolMode::Modern),
];

/// How the server is reached, told from the keys that are there; nothing is reported.
pub fn kind(resolver: &BridgeResolver<'_, '_>, table: &BridgeTable) -> TransportKind {
    if table.server.command.is_some() {
        return TransportKind::Stdio;
    }
    if table.server.url.is_none() {
        return TransportKind::Unknown;
    }
    let said = table.server.transport.as_ref().and_then(|text| {
        let plain = |word: &str| word.to_lowercase().replace(['-', '_', ' '], "");
        let said = plain(&resolver.glance(text)?);
        KINDS.iter().find(|(word, _)| plain(word) == said)
    });
    match said {
        Some((_, TransportSetting::Remote(kind))) => (*kind).into(),
        Some((_, TransportSetting::Stdio)) | None => TransportKind::Http,
    }
}

/// Decides between program and URL. `None` when something was reported or is missing.
pub fn resolve(
    resolver: &mut BridgeResolver<'_, '_>,
    table: BridgeTable,
    credential: CredentialScope,
    at: &Span,
) -> Option<TransportSettings> {
    let said = table.server.transport.as_ref().and_then(|text| {
        let text = resolver.expand(text)?;
        let kind = resolver.reader.choice("transport", &text, KINDS)?;
        Some((kind, text.span()))
    });
    match (&table.server.command, &table.server.url) {
        (Some(command), Some(url)) => {
            let spans = [command.span(), url.span()];
            let later = spans.into_iter().max_by_key(|span| span.start);
            let hint = "keep `command` for a program, `url` for a server that runs elsewhere";
            let message = "a bridge has either `command` or `url`, not both";
            refuse(resolver, &later.unwrap_or_default(), message, hint);
            None
        }
        (None, None) => {
            let hint = "add `command = \"npx\"` and `args = [\"-y\", \"PACKAGE\"]`, or `url = \"https://…/mcp\"`";
            if !table.is_partial {
                let message = "the bridge has neither `command` nor `url`";
                refuse(resolver, at, message, hint);
            }
            None
        }
        (Some(_), None) => {
            if let Some((TransportSetting::Remote(_), span)) = said {
                let hint = "remove `transport`, or give `url` in place of `command`";
                refuse(resolver, &span, "this `transport` needs a `url`", hint);
            }
            refuse_keys_of_urls(resolver, &table);
            if let (CredentialScope::Caller, Some(said)) = (credential, &table.server.credential) {
                let hint =
                    "write `credential = \"group\"` for keys of groups, or leave `credential` out";
                let message = "`credential = \"caller\"` works with `url`, not with `command`";
                refuse(resolver, &said.span(), message, hint);
            }
            stdio(resolver, table).map(TransportSettings::Stdio)
        }
        (None, Some(_)) => {
            if let Some((TransportSetting::Stdio, span)) = &said {
                let hint = "remove `transport`, or give `command` in place of `url`";
                refuse(resolver, span, "this `transport` needs a `command`", hint);
            }
            refuse_keys_of_programs(resolver, &table.server);
            let kind = match said {
                Some((TransportSetting::Remote(kind), _)) => kind,
                Some((TransportSetting::Stdio, _)) | None => RemoteKind::Auto,
            };
            remote(resolver, table, kind, credential).map(TransportSettings::Remote)
        }
    }
}

/// Refuses keys that have no effect with a program, or with a URL.
fn refuse_keys(
    resolver: &mut BridgeResolver<'_, '_>,
    keys: &[(Option<Span>, &str)],
    works: &str,
    hint: &str,
) {
    for (span, key) in keys {
        if let Some(span) = span {
            resolver
                .reader
                .refuse(span, format!("`{key}` works with {works}"), hint);
        }
    }
}

fn refuse_keys_of_urls(resolver: &mut BridgeResolver<'_, '_>, table: &BridgeTable) {
    let server = &table.server;
    let keys = [
        (server.headers.keys().next().map(Text::span), "headers"),
        (server.protocol.as_ref().map(Text::span), "protocol"),
        (server.basic_auth.as_ref().map(Spanned::span), "basic_auth"),
        (table.oauth.as_ref().map(Spanned::span), "oauth"),
        (
            server.pass_headers.as_ref().map(Spanned::span),
            "pass_headers",
        ),
    ];
    let hint = "pass credentials to a program with `env`";
    refuse_keys(resolver, &keys, "`url`, not with `command`", hint);
}

fn refuse_keys_of_programs(resolver: &mut BridgeResolver<'_, '_>, server: &ServerTable) {
    let args = server.args.as_ref().and_then(|args| args.first());
    let keys = [
        (args.map(Text::span), "args"),
        (server.env.keys().next().map(Text::span), "env"),
        (server.cwd.as_ref().map(Text::span), "cwd"),
        (
            server.inherit_env.as_ref().map(Spanned::span),
            "inherit_env",
        ),
        (server.user.as_ref().map(Spanned::span), "user"),
    ];
    let hint = "send credentials to a URL with `headers`";
    refuse_keys(resolver, &keys, "`command`, not with `url`", hint);
}

fn refuse(resolver: &mut BridgeResolver<'_, '_>, span: &Span, message: &str, hint: &str) {
    resolver.reader.refuse(span, message, hint);
}

fn stdio(resolver: &mut BridgeResolver<'_, '_>, table: BridgeTable) -> Option<StdioSettings> {
    let danger = "arguments are visible to every user of the machine in the process list";
    let hint = "pass it with `env`, if the server can read it there";
    let written = table.server.command?;
    let command = resolver.expand_visible(&written, danger, hint);
    if let Some(command) = &command {
        let text = command.get_ref();
        if text.trim().is_empty() {
            resolver.reader.refuse(
                &command.span(),
                "`command` is blank",
                "write the name of a program: `\"npx\"`",
            );
        } else if table.server.args.is_none() && text.contains(' ') && !text.contains(['/', '\\']) {
            let (program, rest) = text.split_once(' ').unwrap_or((text, ""));
            let args: Vec<_> = rest
                .split_whitespace()
                .map(|arg| format!("{arg:?}"))
                .collect();
            let hint = format!(
                "write `command = {program:?}` and `args = [{}]`",
                args.join(", ")
            );
            resolver.reader.warn(
                &command.span(),
                "`command` is one program, not a shell command line",
                hint,
            );
        }
    }
    let mut args = Vec::new();
    for arg in table.server.args.unwrap_or_default() {
        args.extend(
            resolver
                .expand_visible(&arg, danger, hint)
                .map(Text::into_inner),
        );
    }
    let env = environment(resolver, &table.server.env);
    let cwd = table.server.cwd.and_then(|text| resolver.expand(&text));
    let cwd = cwd.map(|text| resolver.reader.folder.join(text.into_inner()));
    let user = table.server.user.and_then(|user| run_as(resolver, user));
    if let Some(user) = &user
        && !env.contains_key("HOME")
    {
        warn_of_no_home(resolver, user);
    }
    let mut command = command?.into_inner();
    if command == OWN_NAME
        && let Some(own) = resolver.reader.environment.executable()
    {
        command = own.to_string_lossy().into_owned();
    }
    let inherit_env = table.server.inherit_env.map(Spanned::into_inner);
    Some(StdioSettings {
        command,
        args,
        env,
        inherit_env: inherit_env.unwrap_or(resolver.reader.lenient),
        cwd,
        user: user.map(Spanned::into_inner),
    })
}

/// Finds the user that runs the program. If the user cannot be used, the bridge is off: another user might
/// have rights that the program should not have.
fn run_as(
    resolver: &mut BridgeResolver<'_, '_>,
    written: Spanned<ScalarSetting>,
) -> Option<Spanned<RunAsUser>> {
    let scalar = resolver.scalar(written)?;
    let span = scalar.span();
    let text = match scalar.into_inner() {
        ScalarSetting::Text(text) => text,
        ScalarSetting::Integer(number) => number.to_string(),
    };
    match RunAsUser::find(&text) {
        Err(RunAsError::Wrong(message)) => {
            let hint = "write `user = \"nobody\"` or `user = \"1001:1001\"`";
            refuse(resolver, &span, &message, hint);
            None
        }
        found => match (found, resolver.reader.environment.uid()) {
            (Ok(user), Some(0)) => Some(Spanned::new(span, user)),
            (Err(RunAsError::Here(why) | RunAsError::Wrong(why)), Some(0)) => {
                resolver.miss(why);
                None
            }
            (_, uid) => {
                let who = uid.map_or("another user".to_owned(), |uid| format!("user {uid}"));
                resolver.miss(format!(
                    "`user = \"{text}\"` needs mcp-bridge to run as root, but it runs as {who}"
                ));
                None
            }
        },
    }
}

/// Warns of a user without a home directory. `npx` and `uvx` fail with an error that does not explain it.
fn warn_of_no_home(resolver: &mut BridgeResolver<'_, '_>, user: &Spanned<RunAsUser>) {
    let found = user.get_ref();
    let home = found.home.as_deref().filter(|home| home.is_dir());
    if home.is_none() {
        let message = format!(
            "the user `{}` has no home directory on this system",
            found.name
        );
        let hint = "`npx` and `uvx` keep their packages there: name a folder that this user may write to, `env = { HOME = \"/var/lib/mcp\" }`";
        let problems = &mut resolver.reader.problems;
        problems.warning(&user.span(), message).hint(hint);
    }
}

fn environment(
    resolver: &mut BridgeResolver<'_, '_>,
    table: &BTreeMap<Text, Text>,
) -> BTreeMap<String, Secret> {
    let mut env = BTreeMap::new();
    for (name, written) in table {
        if name.get_ref().is_empty() || name.get_ref().contains(['=', '\0']) {
            resolver.reader.refuse(
                &name.span(),
                format!("`env`: {:?} is not a valid variable name", name.get_ref()),
                "write `NAME = \"value\"`",
            );
            continue;
        }
        warn_of_literal(resolver, name, written);
        let Some(value) = resolver.expand(written) else {
            continue;
        };
        let Some(value) = resolver.unless_blank(written, value) else {
            continue;
        };
        if value.get_ref().contains('\0') {
            resolver.reader.problems.error(
                &value.span(),
                format!(
                    "`env`: the value of `{}` contains a NUL character",
                    name.get_ref()
                ),
            );
            continue;
        }
        env.insert(name.get_ref().clone(), Secret::new(value.into_inner()));
    }
    env
}

fn remote(
    resolver: &mut BridgeResolver<'_, '_>,
    mut table: BridgeTable,
    kind: RemoteKind,
    credential: CredentialScope,
) -> Option<RemoteSettings> {
    let written = table.server.url.take()?;
    let url = resolver.expand_visible(
        &written,
        "URLs end up in logs, here and at every proxy",
        "send it with `headers`, if the server accepts it there: `headers = { Authorization = \"Bearer ${…}\" }`",
    );
    let url = url.and_then(|text| parse_url(resolver, &text));
    let protocol = table.server.protocol.take().and_then(|text| {
        let text = resolver.expand(&text)?;
        resolver.reader.choice("protocol", &text, PROTOCOLS)
    });
    if credential == CredentialScope::Caller
        && table.oauth.is_none()
        && table.server.pass_headers.is_none()
    {
        refuse(
            resolver,
            &written.span(),
            "`credential = \"caller\"` needs a way for callers to use their own credentials",
            "add `oauth = {}`, so that each user logs in, or list their headers in `pass_headers`",
        );
    }
    let pass_headers = table.server.pass_headers.take();
    let pass_headers = headers::passed(resolver, pass_headers, &table.server.headers);
    let credentials = headers::read(resolver, &mut table, credential);
    Some(RemoteSettings {
        url: url?,
        kind,
        headers: credentials.headers,
        protocol: protocol.unwrap_or(ProtocolMode::Auto),
        oauth: credentials.oauth,
        pass_headers,
    })
}

fn parse_url(resolver: &mut BridgeResolver<'_, '_>, text: &Text) -> Option<Url> {
    let problem = match Url::parse(text.get_ref().trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            if url.password().is_some() {
                resolver.reader.warn(
                    &text.span(),
                    "the URL contains a password, and URLs end up in logs",
                    "send it with `headers`: `Authorization = \"Basic ${…}\"`",
                );
            }
            return Some(url);
        }
        Ok(url) => format!("`url`: `{}:` is neither `http:` nor `https:`", url.scheme()),
        // The text may contain a secret, so the error does not repeat it.
        Err(error) => format!("`url` is not a valid URL: {error}"),
    };
    resolver
        .reader
        .refuse(&text.span(), problem, "write `\"https://host/path\"`");
    None
}
