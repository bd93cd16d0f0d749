//! Variables of a `.env` that nothing refers to: a misspelt name, a service that is gone, a name of
//! another program.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    config::{
        Config, Diagnostic, Flavor,
        read::{
            environment::read_dotenv,
            reference::{is_variable, split_at_close},
        },
        sections::otlp,
    },
    near,
};

/// The largest compose file that is looked into, in bytes.
const COMPOSE_BYTES_MAX: u64 = 1 << 20;

/// A warning that names the variables of the `.env` beside a configuration that have a value and that
/// neither the configuration nor a compose file beside it refers to. None for the files of other
/// clients: their programs get every variable. Names alone are shown, never a value.
pub fn unread(path: &Path, config: &Config) -> Option<Diagnostic> {
    if config.flavor != Flavor::Native {
        return None;
    }
    let folder = path.parent()?;
    let dotenv = folder.join(".env");
    let mut referred: BTreeSet<String> = otlp::VARIABLES.iter().map(|&it| it.to_owned()).collect();
    referred.extend(of_configuration(&fs::read_to_string(path).ok()?)?);
    for text in compose_files(folder) {
        referred.extend(of_compose(&text)?);
    }
    let (variables, _reported) = read_dotenv(&dotenv);
    let with_value = variables
        .iter()
        .filter(|(_, value)| !value.expose().trim().is_empty());
    let names: Vec<&str> = with_value
        .map(|(name, _)| name.as_str())
        .filter(|name| !referred.contains(*name))
        .collect();
    warning(&dotenv, &names, &referred)
}

fn warning(file: &Path, names: &[&str], referred: &BTreeSet<String>) -> Option<Diagnostic> {
    let shown: Vec<String> = names.iter().map(|name| told(name, referred)).collect();
    let (file, list) = (file.display(), shown.join(", "));
    let message = match names {
        [] => return None,
        [_] => format!("{file}: nothing refers to the variable {list}"),
        [_, ..] => format!(
            "{file}: nothing refers to these {} variables: {list}",
            names.len()
        ),
    };
    let hint = "remove them, or refer to one in the configuration as `${NAME}`; docs/from-the-python-proxy.md tells what became of the names of the Python proxy";
    Some(Diagnostic::warning(message).with_hint(hint))
}

/// A name, with the one that is probably meant.
fn told(name: &str, referred: &BTreeSet<String>) -> String {
    let meant = referred.iter().find(|other| near::is_slip(name, other));
    match meant {
        Some(other) => format!("`{name}` (did you mean `{other}`?)"),
        None => format!("`{name}`"),
    }
}

/// The variables that the texts of a configuration refer to; comments do not count.
fn of_configuration(text: &str) -> Option<BTreeSet<String>> {
    let document: toml::Table = text.trim_start_matches('\u{feff}').parse().ok()?;
    let mut found = BTreeSet::new();
    of_value(&toml::Value::Table(document), &mut found);
    Some(found)
}

fn of_value(value: &toml::Value, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::String(text) => of_text(text, found),
        toml::Value::Array(items) => items.iter().for_each(|item| of_value(item, found)),
        toml::Value::Table(table) => table.values().for_each(|item| of_value(item, found)),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => {}
    }
}

/// The variables of `${NAME}` and `${NAME:-default}`, those in defaults included.
fn of_text(text: &str, found: &mut BTreeSet<String>) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("${") {
        let (inner, tail) = split_at_close(after).unwrap_or((after, ""));
        let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
        if is_variable(name) {
            found.insert(name.to_owned());
        }
        of_text(default, found);
        of_text(name.strip_prefix("file:").unwrap_or_default(), found);
        rest = tail;
    }
}

/// The texts of the compose files of a folder.
fn compose_files(folder: &Path) -> Vec<String> {
    let is_compose = |name: &str| {
        let is_yaml = [".yml", ".yaml"].iter().any(|end| name.ends_with(end));
        is_yaml && (name.starts_with("compose") || name.starts_with("docker-compose"))
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(is_compose))
        .filter(|entry| {
            entry
                .metadata()
                .is_ok_and(|it| it.len() <= COMPOSE_BYTES_MAX)
        })
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect()
}

/// The variables that a compose file refers to: `$NAME`, `${NAME}`, `${NAME:?text}`, and the entries of
/// lists of variables without value. `None` where it hands a whole file of variables to a container
/// (`env_file`): which ones are read there is not known.
fn of_compose(text: &str) -> Option<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let line = line.trim_start();
        if line.starts_with('#') {
            continue;
        }
        if line.trim_start_matches("- ").starts_with("env_file") {
            return None;
        }
        for (_, after) in line
            .match_indices('$')
            .filter_map(|(at, _)| line.split_at_checked(at))
        {
            let after = after.trim_start_matches(['$', '{']);
            let name = after.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
            found.extend(name.take(1).filter(|it| is_variable(it)).map(str::to_owned));
        }
        if let Some(name) = line.strip_prefix("- ").filter(|it| is_variable(it)) {
            found.insert(name.to_owned());
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, load};

    fn check(files: &[(&str, &str)]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let path = folder.path().join("bridges.toml");
        let loaded = load(&path, &Environment::default()).unwrap();
        let warning = unread(&path, &loaded.config)?;
        let (_, told) = warning.message.split_once(": ")?;
        Some(told.to_owned())
    }

    const FILE: &str = "[bridges.a]\nurl = 'https://${HOST:-${OLD_HOST:-h}}'\n# ${COMMENTED}\n\
        headers = { X = 'Bearer ${A_TOKEN}' }\n";

    #[test]
    fn variables_that_nothing_refers_to_are_named_without_their_values() {
        let table: [(&str, Option<&str>); 7] = [
            ("HOST=h\nOLD_HOST=h\nA_TOKEN=x", None),
            ("UNKNOWN=", None),
            (
                "UNKNOWN=s3cret",
                Some("nothing refers to the variable `UNKNOWN`"),
            ),
            (
                "COMMENTED=1",
                Some("nothing refers to the variable `COMMENTED`"),
            ),
            (
                "A_TOKN=s3cret",
                Some("nothing refers to the variable `A_TOKN` (did you mean `A_TOKEN`?)"),
            ),
            (
                "X_ONE=1\nX_TWO=2",
                Some("nothing refers to these 2 variables: `X_ONE`, `X_TWO`"),
            ),
            ("OTEL_SDK_DISABLED=true", None),
        ];
        for (dotenv, expected) in table {
            let found = check(&[("bridges.toml", FILE), (".env", dotenv)]);
            assert_eq!(found.as_deref(), expected, "{dotenv}");
        }
        assert_eq!(check(&[("bridges.toml", FILE)]), None, "no .env");
    }

    #[test]
    fn a_compose_file_beside_it_refers_to_variables_too() {
        let dotenv = "IN_COMPOSE=1\nSHORT=1\nLISTED=1\nIN_COMMENT=1\n";
        let compose = "services:\n  a:\n    image: ${IN_COMPOSE:?x}/$SHORT\n    # ${IN_COMMENT}\n    environment:\n      - LISTED\n";
        let of = |compose: &str| {
            check(&[
                ("bridges.toml", FILE),
                (".env", dotenv),
                ("compose.hetzner.yml", compose),
            ])
        };
        assert_eq!(
            of(compose).as_deref(),
            Some("nothing refers to the variable `IN_COMMENT`")
        );
        assert_eq!(of("services:\n  a:\n    env_file: .env\n"), None);
    }

    #[test]
    fn files_of_other_clients_give_their_programs_every_variable() {
        let file = r#"{"mcpServers": {"a": {"command": "a"}}}"#;
        assert_eq!(check(&[("bridges.toml", file), (".env", "X=1")]), None);
    }
}
