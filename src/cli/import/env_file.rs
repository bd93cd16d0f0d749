//! [`EnvFileFolders`]: finds and reads the file of variables that a server of another client names.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    config::{Diagnostic, read_env_file},
    secret::Secret,
};

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

    /// Reads the variables of the file that a text names, with warnings about its lines. The error completes a
    /// sentence about the file.
    pub(super) fn read(
        &self,
        text: &str,
    ) -> Result<(BTreeMap<String, Secret>, Vec<Diagnostic>), String> {
        match self.path(text) {
            Some(path) => read_env_file(&path),
            None => Err("names a folder that `mcp-bridge import` does not know".to_owned()),
        }
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
