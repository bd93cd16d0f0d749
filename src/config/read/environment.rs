//! The environment for reading a configuration. It is passed as a value, so that lower modules read no
//! globals.

use std::{
    collections::BTreeMap,
    env, fmt, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    config::{Diagnostic, read::lint},
    secret::Secret,
};

/// The variables, the path of the running program, and its user.
#[derive(Clone, Default)]
pub struct Environment {
    vars: BTreeMap<String, Secret>,
    /// The only variables for headers, if the server is not the operator's own.
    group_only: Option<BTreeMap<String, Secret>>,
    executable: Option<PathBuf>,
    uid: Option<u32>,
}

impl Environment {
    /// Returns the environment of the process. Variables that are not UTF-8 are skipped, because references
    /// cannot use their values.
    pub fn process() -> Self {
        let vars = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .map(|(name, value)| (name, Secret::new(value)))
            .collect();
        Self {
            vars,
            group_only: None,
            executable: env::current_exe().ok(),
            uid: Some(nix::unistd::geteuid().as_raw()),
        }
    }

    /// Creates an environment from pairs; later pairs win.
    #[cfg(test)]
    pub fn of<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self::default().with(pairs)
    }

    /// Returns a copy with the given pairs added; they win.
    #[must_use]
    pub fn with<N: Into<String>, V: Into<String>>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        for (name, value) in pairs {
            self.vars.insert(name.into(), Secret::new(value));
        }
        self
    }

    /// Sets the program that `command = "mcp-bridge"` stands for.
    #[cfg(test)]
    #[must_use]
    pub fn with_executable(mut self, executable: impl Into<PathBuf>) -> Self {
        self.executable = Some(executable.into());
        self
    }

    /// Sets the user that runs the bridge.
    #[cfg(test)]
    #[must_use]
    pub fn with_uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// Returns a copy with secret values added; they win.
    pub fn over(&self, values: &BTreeMap<String, Secret>) -> Self {
        let mut over = self.clone();
        over.vars.extend(
            values
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        over
    }

    /// Returns a copy in which headers may contain only these values.
    #[must_use]
    pub fn with_headers_of(mut self, values: &BTreeMap<String, Secret>) -> Self {
        self.group_only = Some(values.clone());
        self
    }

    /// Returns the environment for headers, if it is restricted.
    pub fn for_headers(&self) -> Option<Self> {
        let vars = self.group_only.clone()?;
        Some(Self {
            vars,
            ..Self::default()
        })
    }

    /// Returns the value of a variable, if it is set, blank or not.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(Secret::expose)
    }

    /// Returns the values of the variables with secret names, except shells' folders and paths of files. A
    /// child process that inherits them may print them.
    pub fn secrets(&self) -> Vec<Secret> {
        let is_secret = |name: &str| {
            let last = name.rsplit('_').next().unwrap_or_default();
            lint::looks_secret(name) && !matches!(last, "PWD" | "OLDPWD" | "FILE" | "PATH" | "DIR")
        };
        let named = self.vars.iter().filter(|(name, _)| is_secret(name));
        named.map(|(_, value)| value.clone()).collect()
    }

    /// The path of the running program, if the system reports it.
    pub fn executable(&self) -> Option<&Path> {
        self.executable.as_deref()
    }

    /// The effective user id, if it is known.
    pub fn uid(&self) -> Option<u32> {
        self.uid
    }

    /// Returns a copy with the variables of a dotenv file, which do not override existing ones. A missing
    /// file changes nothing.
    pub fn over_dotenv(&self, path: &Path) -> (Self, Vec<Diagnostic>) {
        let (file, warnings) = read_dotenv(path);
        let mut merged = self.clone();
        for (name, value) in file {
            merged.vars.entry(name).or_insert(value);
        }
        (merged, warnings)
    }
}

/// Shows only names.
impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Environment")
            .field("vars", &self.vars.keys())
            .field("group_only", &self.group_only.as_ref().map(BTreeMap::keys))
            .field("executable", &self.executable)
            .field("uid", &self.uid)
            .finish()
    }
}

/// Reads a dotenv file. Of two equal names the last one counts. An unreadable line is skipped with a warning,
/// as in python-dotenv. A missing file has no variables.
pub(crate) fn read_dotenv(path: &Path) -> (BTreeMap<String, Secret>, Vec<Diagnostic>) {
    let mut found = BTreeMap::new();
    let mut warnings = Vec::new();
    let file = path.display();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (found, warnings),
        Err(error) => {
            warnings.push(Diagnostic::warning(format!("{file}: {error}")));
            return (found, warnings);
        }
    };
    for line in dotenvy::from_read_iter(quote_plain(&text).as_bytes()) {
        if let Ok((name, value)) = line {
            found.insert(name, Secret::new(value));
        } else {
            // The line itself may hold a secret, so it is not shown.
            warnings.push(
                Diagnostic::warning(format!("{file}: a line is not of the form `NAME=value`"))
                    .with_hint("put values with quotes, `#` or `$` in single quotes"),
            );
        }
    }
    (found, warnings)
}

/// Puts the value of `NAME=some words` in quotes. Compose and python-dotenv accept it without quotes, dotenvy
/// does not.
fn quote_plain(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 1);
    let (mut single, mut double) = (0, 0);
    for line in text.trim_start_matches('\u{feff}').lines() {
        // Not inside a value of several lines.
        let is_outside = single % 2 == 0 && double % 2 == 0;
        match plain_line(line).filter(|_| is_outside) {
            Some((name, value)) => quoted.extend([name, "='", value, "'"]),
            None => quoted.push_str(line),
        }
        // The last line gets a newline too: dotenvy rejects a last line that ends in a space.
        quoted.push('\n');
        if !line.trim_start().starts_with('#') {
            single += line.matches('\'').count();
            double += line.matches('"').count();
        }
    }
    quoted
}

/// Returns the name and the words of a line that needs quotes.
fn plain_line(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.trim().split_once('=')?;
    let value = value.split(" #").next().unwrap_or_default().trim();
    let is_plain = !name.trim_start().starts_with('#')
        && value.contains(' ')
        && !value.starts_with('#')
        && !value.contains(['"', '\'', '\\', '$']);
    is_plain.then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotenv_file_is_read_as_compose_and_python_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let text = "\u{feff}# comment\nA=1\nexport B='two words'\nC=two words # no\nD=\nA=2\n=x\nE=\"x\\ny\"\nF=last ";
        fs::write(&path, text).unwrap();
        let (found, warnings) = read_dotenv(&path);
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        assert_eq!(
            found,
            [
                ("A", "2"),
                ("B", "two words"),
                ("C", "two words"),
                ("D", ""),
                ("E", "x\ny"),
                ("F", "last"),
            ]
        );
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(read_dotenv(&folder.path().join("none")).0.is_empty());
    }

    #[test]
    fn the_process_environment_wins_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        fs::write(&path, "A=file\nB=file\n").unwrap();
        let (merged, _) = Environment::of([("A", "process")]).over_dotenv(&path);
        assert_eq!(
            (merged.get("A"), merged.get("B")),
            (Some("process"), Some("file"))
        );
        assert!(!format!("{merged:?}").contains("process"));
    }
}
