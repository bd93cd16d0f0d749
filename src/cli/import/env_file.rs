//! `envFile`: imports the variables of the file that a server of another client names.

use std::path::{Path, PathBuf};

use super::{
    importer::ConfigImporter,
    table::ImportedBridge,
    text::{line, plain},
};
use crate::config::{clients::SpannedValue, is_variable, looks_secret, read_env_file, variable_of};

/// The prefixes with which clients write the project folder and the home folder in a path.
const FOLDERS: [(&str, BaseFolder); 6] = [
    ("${workspaceFolder}", BaseFolder::Project),
    ("${workspaceRoot}", BaseFolder::Project),
    ("${userHome}", BaseFolder::Home),
    ("${HOME}", BaseFolder::Home),
    ("${env:HOME}", BaseFolder::Home),
    ("~", BaseFolder::Home),
];

/// The folder that a prefix stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BaseFolder {
    /// The project folder.
    Project,
    /// The home folder of the user.
    Home,
}

/// The folders in which the files are searched.
#[derive(Debug, Clone)]
pub struct EnvFileFolders {
    /// The folder of the imported file.
    folder: PathBuf,
    /// The home folder of the user.
    home: Option<PathBuf>,
}

impl EnvFileFolders {
    /// Searches relative to the folder of the imported file.
    pub fn beside(file: &Path) -> Self {
        Self {
            folder: file.parent().map(Path::to_path_buf).unwrap_or_default(),
            home: std::env::home_dir(),
        }
    }

    /// Returns the file that a text names, or `None` if the text contains an unknown variable.
    fn path(&self, text: &str) -> Option<PathBuf> {
        let found = FOLDERS.iter().find_map(|(word, folder)| {
            let rest = text.strip_prefix(word)?;
            let is_whole = rest.is_empty() || rest.starts_with('/');
            is_whole.then(|| (rest.trim_start_matches('/'), *folder))
        });
        let path = match found {
            // `.vscode/mcp.json` is in a folder inside the project.
            Some((rest, BaseFolder::Project)) if self.folder.ends_with(".vscode") => {
                self.folder.parent()?.join(rest)
            }
            Some((rest, BaseFolder::Project)) => self.folder.join(rest),
            Some((rest, BaseFolder::Home)) => self.home.as_ref()?.join(rest),
            None => self.folder.join(text),
        };
        (!path.to_string_lossy().contains("${")).then_some(path)
    }
}

impl ConfigImporter {
    /// Imports the variables of the file that `envFile` names, except those that `env` has. Returns whether the file
    /// could be read. A note names each variable that is left out.
    pub(super) fn env_file(
        &mut self,
        table: &mut ImportedBridge<'_>,
        named: &SpannedValue,
        own: &[&str],
    ) -> bool {
        let (Some(places), Some(text)) = (&self.places, named.text()) else {
            return false;
        };
        let read = match places.path(text) {
            Some(path) => read_env_file(&path),
            None => Err("names a folder that `mcp-bridge import` does not know".to_owned()),
        };
        let (variables, warnings) = match read {
            Ok(read) => read,
            Err(problem) => {
                self.notes.push(format!(
                    "the `envFile` {} of `{}` {problem}; its variables are missing",
                    plain(text),
                    table.bridge
                ));
                return false;
            }
        };
        self.notes
            .extend(warnings.iter().map(|warning| warning.message.clone()));
        line(
            &mut table.comments,
            &format!("# `env` includes the variables of {}", plain(text)),
        );
        for (name, value) in variables {
            if own.contains(&name.as_str()) {
                continue;
            }
            let text = value.expose();
            let is_kept = !text.trim().is_empty() && !text.contains(['\n', '\r', '\0']);
            let written = if is_kept {
                let wanted = is_variable(&name).then(|| name.clone());
                let long = variable_of(&format!("{}_{name}", table.bridge));
                let variable = self.keep(wanted, &long, text);
                format!("${{{variable}}}")
            } else if looks_secret(&name) {
                self.notes.push(format!(
                    "`{name}` of `{}` is blank or has several lines, so it is left out",
                    table.bridge
                ));
                continue;
            } else {
                text.replace("${", "$${")
            };
            table.entry("env", &name, &written, &[]);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_looked_for_where_its_client_would() {
        let places = |folder: &str| EnvFileFolders {
            folder: folder.into(),
            home: Some("/home/ann".into()),
        };
        for (folder, text, expected) in [
            ("/p", "vars.env", Some("/p/vars.env")),
            ("/p", "/etc/vars", Some("/etc/vars")),
            ("/p/.vscode", "${workspaceFolder}/.env", Some("/p/.env")),
            ("/p", "${workspaceFolder}/.env", Some("/p/.env")),
            ("/p", "${userHome}/x", Some("/home/ann/x")),
            ("/p", "~/x", Some("/home/ann/x")),
            ("/p", "~x", Some("/p/~x")),
            ("/p", "${input:file}", None),
        ] {
            let found = places(folder).path(text);
            assert_eq!(found.as_deref(), expected.map(Path::new), "{text}");
        }
    }
}
