//! Reads `bridges.toml`. Every section and every bridge is read separately, so that all problems are reported
//! at once.

use std::collections::BTreeMap;

use toml::{
    Spanned,
    de::{DeTable, DeValue, Error},
};

use crate::{
    config::{
        BridgeSettings, CliOverrides, Config, Diagnostic, Flavor, LimitSettings, Severity,
        bridges::settle::{self, warn_of_twin},
        contradictions, identity,
        naming::nearest_name,
        read::{ConfigReader, SectionRules, Span},
        sections::{access, audit, database, server, telemetry},
    },
    name::{BridgeName, BridgeNameError},
};

/// The known sections.
const SECTIONS: &[&str] = &[
    "server",
    "database",
    "identity",
    "access",
    "limits",
    "audit",
    "telemetry",
    "bridges",
];

/// The maximum number of reported syntax errors.
const SYNTAX_ERRORS_MAX: usize = 10;

/// Reads the whole file. The result is valid only if no error was reported.
pub(super) fn read(reader: &mut ConfigReader<'_>, overrides: &CliOverrides) -> Config {
    let text = reader.problems.text().to_owned();
    let (document, errors) = DeTable::parse_recoverable(&text);
    let mut sections = BTreeMap::new();
    if errors.is_empty() {
        for (key, value) in document.into_inner() {
            let name = key.get_ref().as_ref();
            if let Some(section) = SECTIONS.iter().find(|section| **section == name) {
                sections.extend(table_of(reader, section, value));
            } else {
                reader.unknown_key("", name, &key.span(), SECTIONS);
            }
        }
    } else {
        syntax_errors(reader, &errors);
    }
    let mut section = |name: &str| sections.remove(name).unwrap_or_default();
    let (server, identity, limits) = (section("server"), section("identity"), section("limits"));
    let (telemetry, bridges) = (section("telemetry"), section("bridges"));
    let (database, access, audit) = (section("database"), section("access"), section("audit"));

    let (mut server, listen) = server::read(reader, &server.0, server.1);
    server.listen = overrides.listen.unwrap_or(server.listen);
    let (limits, _notes) =
        reader.section::<LimitSettings>("limits", &limits.0, limits.1, &SectionRules::NONE);
    let telemetry = telemetry::read(reader, &telemetry.0, telemetry.1);
    let before = reader.problems.len();
    let database = database::read(reader, &database.0, database.1);
    // An invalid database is already reported.
    let has_directory = database.open_webui.is_some() || reader.problems.has_errors_since(before);
    let draft = identity::read(reader, &identity.0, identity.1, has_directory);
    let (identity, complaint) = draft.resolve(server.listen);
    let bridges = read_bridges(reader, bridges.1);
    let access = access::read(reader, &access.0, access.1, &bridges);
    let audit = audit::read(reader, &audit.0, audit.1);
    // Not needed in addition to errors.
    let is_worth_it = |complaint: &Diagnostic| {
        errors.is_empty()
            && (complaint.severity == Severity::Error || !reader.problems.has_errors())
    };
    if let Some(mut complaint) = complaint.filter(is_worth_it) {
        if let Some(span) = listen.filter(|_| overrides.listen.is_none()) {
            complaint.place = Some(reader.problems.place(&span));
        }
        reader.problems.add(complaint);
    }
    let config = Config {
        flavor: Flavor::Native,
        server,
        database: Some(database),
        identity,
        access,
        limits: limits.unwrap_or_default(),
        audit,
        telemetry,
        bridges,
    };
    if !reader.problems.has_errors() {
        reader.add_all(contradictions::find(&config));
    }
    config
}

/// A section and its position.
type Section<'i> = (Span, DeTable<'i>);

fn table_of<'i>(
    reader: &mut ConfigReader<'_>,
    name: &'static str,
    value: Spanned<DeValue<'i>>,
) -> Option<(&'static str, Section<'i>)> {
    let header = if name == "bridges" {
        "bridges.NAME"
    } else {
        name
    };
    let message = format!("`{name}` must be a table");
    let hint = format!("write `[{header}]` on a line of its own, and its keys below");
    Some((name, reader.table_in(value, message, hint)?))
}

/// Reports one syntax error per line, because a parser that continues after an error often fails again on the
/// same line.
fn syntax_errors(reader: &mut ConfigReader<'_>, errors: &[Error]) {
    let mut last_line = None;
    let mut shown = 0;
    for error in errors {
        let span = error.span().unwrap_or_default();
        let line = Some(reader.problems.place(&span).line);
        if line == last_line || shown == SYNTAX_ERRORS_MAX {
            continue;
        }
        last_line = line;
        shown += 1;
        let problem = reader.problems.error(&span, error.message());
        if error.message().starts_with("duplicate key") {
            problem.hint("keep one of them");
        }
    }
}

fn read_bridges(reader: &mut ConfigReader<'_>, table: DeTable<'_>) -> Vec<BridgeSettings> {
    let mut bridges: Vec<BridgeSettings> = Vec::new();
    for (key, value) in table {
        let written = key.get_ref().as_ref();
        let name = match BridgeName::parse(written) {
            Ok(name) => Some(name),
            Err(bad) => {
                let problem = reader.problems.error(&key.span(), bad.to_string());
                if let BridgeNameError::Character { .. } | BridgeNameError::TooLong(_) = bad {
                    problem.hint(format!("write `[bridges.{}]`", nearest_name(written)));
                }
                None
            }
        };
        if let Some(name) = &name {
            warn_of_twin(reader, &bridges, name, &key.span());
        }
        let message = format!("`{written}`: a bridge must be a table");
        let hint = format!("write `[bridges.{written}]` and below it `command = …` or `url = …`");
        let Some((span, inner)) = reader.table_in(value, message, hint) else {
            continue;
        };
        // The rest of a bridge with an invalid name is checked too.
        let known = name.clone().unwrap_or_else(|| nearest_name(written));
        let section = format!("bridges.{written}");
        let bridge = settle::read(reader, known, &section, [&key.span(), &span], inner);
        bridges.extend(name.is_some().then_some(bridge));
    }
    bridges
}
