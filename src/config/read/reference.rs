//! Replaces references in strings: `${VAR}`, `${VAR:-default}`, `${file:/run/secrets/x}`, and `$${` for a
//! literal `${`. A replaced value is never expanded again.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    config::{Environment, read::lint},
    secret::Secret,
};

/// The sources of references.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceScope<'a> {
    /// Variables.
    pub environment: &'a Environment,
    /// The base folder for a relative `${file:…}`.
    pub folder: &'a Path,
    /// mcpo's rule: an unset reference stays as written.
    pub lenient: bool,
}

/// The result of replacing references.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReferenceExpansion {
    /// The text. It is not usable if something is missing.
    pub text: String,
    /// Why values are missing: `GITHUB_TOKEN is not set`.
    pub missing: Vec<String>,
    /// Why defaults were used.
    pub defaulted: Vec<String>,
    /// Whether the text has references.
    pub has_references: bool,
    /// References to values that look secret, as written.
    pub secrets: Vec<String>,
    /// The values of those references.
    pub values: Vec<Secret>,
    /// All requested files, whether they exist or not.
    pub files: BTreeSet<PathBuf>,
}

/// A malformed reference.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The closing brace is missing.
    #[error("`${{` has no closing `}}`")]
    Open,
    /// Not a valid variable name.
    #[error("`${{{0}}}` is not a valid reference to a variable")]
    Name(String),
    /// The nesting is too deep.
    #[error("references are nested more than {DEPTH_MAX} deep")]
    Deep,
}

/// The maximum depth of defaults within defaults.
const DEPTH_MAX: usize = 8;

impl ReferenceError {
    /// Returns how to fix it.
    pub fn hint(&self) -> String {
        match self {
            Self::Deep => "give the inner one a variable of its own".to_owned(),
            Self::Open => "write `${NAME}`, or `$${` for a literal `${`".to_owned(),
            Self::Name(inner) => match inner.split_once(['-', '?', '=']) {
                Some((name, default)) if is_variable(name.trim_end_matches(':')) => {
                    let name = name.trim_end_matches(':');
                    format!("write `${{{name}:-{}}}` to give a default", default.trim_start_matches('-'))
                }
                _ => "write `${NAME}`, `${NAME:-default}`, `${file:/path}`, or `$${` for a literal `${`"
                    .to_owned(),
            },
        }
    }
}

impl ReferenceScope<'_> {
    /// Replaces the references of a text.
    pub fn expand(&self, text: &str) -> Result<ReferenceExpansion, ReferenceError> {
        self.expand_at(text, 0)
    }

    fn expand_at(&self, text: &str, depth: usize) -> Result<ReferenceExpansion, ReferenceError> {
        if depth > DEPTH_MAX {
            return Err(ReferenceError::Deep);
        }
        let mut expansion = ReferenceExpansion::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                expansion.text.push_str(before);
                expansion.text.push_str("${");
                rest = after;
                continue;
            }
            expansion.text.push_str(before);
            match split_at_close(after) {
                Some((inner, tail)) => {
                    self.replace(inner, depth, &mut expansion)?;
                    rest = tail;
                }
                None if self.lenient => {
                    expansion.text.push_str("${");
                    rest = after;
                }
                None => return Err(ReferenceError::Open),
            }
        }
        expansion.text.push_str(rest);
        Ok(expansion)
    }

    /// Replaces one reference, given the text between its braces.
    fn replace(
        &self,
        inner: &str,
        depth: usize,
        expansion: &mut ReferenceExpansion,
    ) -> Result<(), ReferenceError> {
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let found = if let Some(path) = name.strip_prefix("file:").filter(|path| !path.is_empty()) {
            self.file(path, depth, expansion)?
        } else {
            let variable = match name.strip_prefix("env:") {
                // VS Code and Cursor use this form.
                Some(variable) if self.lenient => variable,
                _ => name,
            };
            if !is_variable(variable) {
                if self.lenient {
                    keep(inner, expansion);
                    return Ok(());
                }
                return Err(ReferenceError::Name(inner.to_owned()));
            }
            let found = self.variable(variable, self.lenient && default.is_none());
            if lint::looks_secret(variable) {
                expansion.secrets.push(format!("${{{name}}}"));
                expansion.values.extend(found.iter().map(Secret::new));
            }
            found
        };
        expansion.has_references = true;
        match (found, default) {
            (Ok(value), _) => expansion.text.push_str(&value),
            (Err(missing), Some(default)) => {
                let inner = self.expand_at(default, depth + 1)?;
                expansion.text.push_str(&inner.text);
                expansion.secrets.extend(inner.secrets);
                expansion.values.extend(inner.values);
                if lint::looks_secret(name) {
                    expansion.values.push(Secret::new(inner.text));
                }
                expansion.files.extend(inner.files);
                expansion.defaulted.push(missing.clone());
                expansion.defaulted.extend(inner.defaulted);
                // The reason names both, because the operator may set either.
                expansion.missing.extend(
                    inner
                        .missing
                        .into_iter()
                        .map(|second| format!("{missing}, and {second}")),
                );
            }
            (Err(_), None) if self.lenient => keep(inner, expansion),
            (Err(missing), None) => expansion.missing.push(missing),
        }
        Ok(())
    }

    /// Returns a variable that is set and not blank, or the reason.
    fn variable(&self, name: &str, take_blank: bool) -> Result<String, String> {
        match self.environment.get(name) {
            Some(value) if take_blank || !value.trim().is_empty() => Ok(value.to_owned()),
            Some(_) => Err(format!("{name} is blank")),
            None => Err(format!("{name} is not set")),
        }
    }

    /// Returns the text of a file without its last newline, or the reason.
    fn file(
        &self,
        path: &str,
        depth: usize,
        expansion: &mut ReferenceExpansion,
    ) -> Result<Result<String, String>, ReferenceError> {
        let named = self.expand_at(path, depth + 1)?;
        expansion.secrets.push(format!("${{file:{path}}}"));
        if let Some(missing) = named.missing.into_iter().next() {
            return Ok(Err(missing));
        }
        let path = self.folder.join(named.text);
        let text = fs::read_to_string(&path);
        let shown = path.display().to_string();
        expansion.files.insert(path);
        Ok(match text {
            Ok(text) if text.trim().is_empty() => Err(format!("{shown} is blank")),
            Ok(text) => {
                let text = text.trim_end_matches(['\n', '\r']);
                expansion.values.push(Secret::new(text));
                Ok(text.to_owned())
            }
            Err(error) => Err(format!("{shown} cannot be read: {error}")),
        })
    }
}

/// Notes every variable that a text refers to, also in defaults that are not used now.
pub fn variables_in(text: &str, found: &mut BTreeSet<String>) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        rest = after;
        if before.ends_with('$') {
            continue;
        }
        let Some((inner, tail)) = split_at_close(after) else {
            continue;
        };
        let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
        match name.strip_prefix("file:") {
            Some(path) => variables_in(path, found),
            None if is_variable(name) => drop(found.insert(name.to_owned())),
            None => {}
        }
        variables_in(default, found);
        rest = tail;
    }
}

/// Leaves a reference as written.
fn keep(inner: &str, expansion: &mut ReferenceExpansion) {
    expansion.text.push_str("${");
    expansion.text.push_str(inner);
    expansion.text.push('}');
}

/// Whether a shell accepts the name.
pub(crate) fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Returns a name that a shell accepts: `GITHUB_X_API_KEY` for `github x-api-key`.
pub(crate) fn variable_of(text: &str) -> String {
    let name: String = text
        .to_uppercase()
        .chars()
        .map(|character| match character {
            'A'..='Z' | '0'..='9' => character,
            _ => '_',
        })
        .collect();
    if is_variable(&name) {
        name
    } else {
        format!("_{name}")
    }
}

/// Splits at the brace that closes a reference, counting nested ones.
pub fn split_at_close(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    let mut before = '\0';
    for (at, character) in text.char_indices() {
        match character {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some((text.get(..at)?, text.get(at + 1..)?)),
            '}' => depth -= 1,
            _ => {}
        }
        before = character;
    }
    None
}

/// Whether the references of a text are well formed.
#[cfg(test)]
pub fn is_readable(text: &str) -> bool {
    let scope = ReferenceScope {
        environment: &Environment::default(),
        folder: Path::new("/nowhere"),
        lenient: false,
    };
    scope.expand(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str, lenient: bool) -> Result<ReferenceExpansion, ReferenceError> {
        let environment = Environment::of([
            ("A", "a"),
            ("BLANK", " "),
            ("NESTED", "${A}"),
            ("X_TOKEN", "t"),
        ]);
        let scope = ReferenceScope {
            environment: &environment,
            folder: Path::new("/nowhere"),
            lenient,
        };
        scope.expand(text)
    }

    #[test]
    fn references_are_replaced_once() {
        for (text, result) in [
            ("", ""),
            ("plain $A $$ }{", "plain $A $$ }{"),
            ("${A}", "a"),
            ("x${A}y${A}z", "xayaz"),
            ("${NESTED}", "${A}"),
            ("$${A}", "${A}"),
            ("${NO:-d}", "d"),
            ("${NO:-}", ""),
            ("${BLANK:-d}", "d"),
            ("${A:-d}", "a"),
            ("${NO:-${A}}", "a"),
            ("${NO:-${NO:-${A}x}y}z", "axyz"),
            ("${NO:-a:-b}", "a:-b"),
        ] {
            let expansion = expand(text, false).unwrap();
            assert_eq!(
                (expansion.text.as_str(), expansion.missing.len()),
                (result, 0),
                "{text}"
            );
        }
    }

    #[test]
    fn every_variable_of_a_text_is_found() {
        for (text, expected) in [
            ("plain $A $${B}", &[][..]),
            ("${A}x${B:-${C:-d}}", &["A", "B", "C"]),
            ("${file:/run/${D}}", &["D"]),
            ("${A}${A}${not a name}${", &["A"]),
        ] {
            let mut found = BTreeSet::new();
            variables_in(text, &mut found);
            assert!(found.iter().eq(expected), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, missing) in [
            ("${NO}", "NO is not set"),
            ("${BLANK}", "BLANK is blank"),
            ("${NO:-${BLANK}}", "NO is not set, and BLANK is blank"),
            (
                "${file:secret}",
                "/nowhere/secret cannot be read: No such file or directory (os error 2)",
            ),
        ] {
            assert_eq!(expand(text, false).unwrap().missing, [missing], "{text}");
        }
    }

    #[test]
    fn odd_references_are_refused_with_a_way_out() {
        for (text, error, hint) in [
            ("${A", ReferenceError::Open, "$${"),
            ("${}", ReferenceError::Name(String::new()), "${NAME}"),
            (
                "${A-x}",
                ReferenceError::Name("A-x".to_owned()),
                "`${A:-x}`",
            ),
            (
                "${A:?x}",
                ReferenceError::Name("A:?x".to_owned()),
                "`${A:-x}`",
            ),
            (
                "${env:A}",
                ReferenceError::Name("env:A".to_owned()),
                "${NAME}",
            ),
            (&"${A:-".repeat(20), ReferenceError::Open, "$${"),
            (
                &("${NO:-".repeat(20) + &"}".repeat(20)),
                ReferenceError::Deep,
                "of its own",
            ),
        ] {
            let bad = expand(text, false).unwrap_err();
            assert!(bad.hint().contains(hint), "{}", bad.hint());
            assert_eq!(bad, error);
        }
    }

    #[test]
    fn mcpo_files_keep_what_is_not_set() {
        for (text, result) in [
            ("${A}${NO}", "a${NO}"),
            ("${BLANK}", " "),
            ("${env:A}${env:NO}", "a${env:NO}"),
            ("${input:x} ${", "${input:x} ${"),
            ("${NO:-d}", "d"),
            ("${BLANK:-d}", "d"),
            ("${file:secret}", "${file:secret}"),
        ] {
            let expansion = expand(text, true).unwrap();
            assert_eq!(
                (expansion.text.as_str(), expansion.missing.len()),
                (result, 0),
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_loses_its_last_newline_and_is_watched() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("s"), "two\nlines\r\n").unwrap();
        let environment = Environment::default();
        let scope = ReferenceScope {
            environment: &environment,
            folder: folder.path(),
            lenient: false,
        };
        let expansion = scope.expand("${file:s}").unwrap();
        assert_eq!(expansion.text, "two\nlines");
        assert_eq!(expansion.files, BTreeSet::from([folder.path().join("s")]));
        assert_eq!(expansion.secrets, ["${file:s}"]);
    }
}
