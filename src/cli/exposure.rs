//! The warnings of `check` about secrets that the programs of bridges can read.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    config::{
        DatabaseUrl, Diagnostic, Environment, LoadedConfig, RunAsUser, StdioSettings,
        TransportSettings,
    },
    secret::Secret,
};

/// Secrets shorter than this are ignored, because short texts occur in any file by chance.
const SECRET_BYTES_MIN: usize = 8;

/// Returns a warning about programs that run as the user of mcp-bridge, and one about programs of other users that
/// can read files with secrets. It returns no warning if the configuration starts only mcp-bridge itself.
pub fn warnings(path: &Path, loaded: &LoadedConfig, environment: &Environment) -> Vec<Diagnostic> {
    let is_foreign =
        |stdio: &&StdioSettings| environment.executable() != Some(Path::new(&stdio.command));
    let programs = loaded.config.bridges.iter().filter_map(|bridge| {
        let Ok(TransportSettings::Stdio(stdio)) = &bridge.transport else {
            return None;
        };
        Some(stdio).filter(is_foreign)
    });
    let (others, ours): (Vec<&StdioSettings>, Vec<&StdioSettings>) =
        programs.partition(|it| it.user.is_some());
    let files = secret_files(path, loaded);
    let mut warnings = Vec::new();
    if !ours.is_empty() {
        let is_root = environment.uid() == Some(0);
        let has_secrets = loaded.secrets().next().is_some();
        warnings.extend(of_our_user(ours.len(), &files, is_root && has_secrets));
    }
    let users = others.iter().filter_map(|stdio| stdio.user.as_ref());
    let open: Vec<&PathBuf> = files
        .iter()
        .filter(|file| users.clone().any(|user| may_read(user, file)))
        .collect();
    if !open.is_empty() {
        let message = format!(
            "servers that run as another user can read files with secrets: {}",
            listed(open)
        );
        warnings.push(
            Diagnostic::warning(message)
                .with_hint("remove the permissions of other users: `chmod o= FILE`"),
        );
    }
    warnings
}

fn of_our_user(count: usize, files: &[PathBuf], reads_memory: bool) -> Option<Diagnostic> {
    let memory = reads_memory.then(|| "the memory and environment of mcp-bridge".to_owned());
    let files = (!files.is_empty()).then(|| listed(files));
    let readable = match (memory, files) {
        (None, None) => return None,
        (Some(one), None) | (None, Some(one)) => one,
        (Some(memory), Some(files)) => format!("{memory}, {files}"),
    };
    let servers = if count == 1 {
        "1 server runs".to_owned()
    } else {
        format!("{count} servers run")
    };
    let (user, hint) = if reads_memory {
        (
            "as root, like mcp-bridge,",
            "set another user in each bridge: `user = \"nobody\"`",
        )
    } else {
        (
            "as the user of mcp-bridge",
            "start only programs that you trust with these secrets, or set `user` (docs/operation.md)",
        )
    };
    let message = format!("{servers} {user} and can read secrets: {readable}");
    Some(Diagnostic::warning(message).with_hint(hint))
}

/// Returns the existing files that contain secrets.
fn secret_files(path: &Path, loaded: &LoadedConfig) -> Vec<PathBuf> {
    let known: Vec<Secret> = loaded
        .secrets()
        .filter(|secret| secret.expose().len() >= SECRET_BYTES_MIN)
        .collect();
    let holds_secret = |file: &&PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_default();
        known.iter().any(|secret| text.contains(secret.expose()))
    };
    let mut files: Vec<PathBuf> = loaded
        .sources
        .iter()
        .filter(holds_secret)
        .cloned()
        .collect();
    if let Some(database) = &loaded.config.database {
        if let DatabaseUrl::Sqlite(file) = &database.url {
            files.push(file.clone());
        }
        if database.secret_key.is_none() {
            files.push(database.secret_key_file.clone());
        }
    }
    if loaded.config.audit.is_on {
        files.push(loaded.config.audit.journal.clone());
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    files.retain(|file| file.exists() || folder.join(file).exists());
    files.dedup();
    files
}

/// Whether a user may open a file and all folders on the way to it.
fn may_read(user: &RunAsUser, file: &Path) -> bool {
    let Ok(file) = fs::canonicalize(file) else {
        return false;
    };
    file.ancestors().enumerate().all(|(above, path)| {
        let wanted = if above == 0 { 0o4 } else { 0o1 };
        fs::metadata(path).is_ok_and(|found| {
            let shift = if found.uid() == user.uid {
                6
            } else if found.gid() == user.gid {
                3
            } else {
                0
            };
            found.mode() >> shift & wanted != 0
        })
    })
}

fn listed<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> String {
    let names = files.into_iter().map(|file| file.display().to_string());
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config;

    const SECRET: &str = "s3cr3t-t0ken-value";

    fn warned(text: &str, uid: u32, mode: u32) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).unwrap();
        let path = folder.path().join("bridges.toml");
        fs::write(&path, text).unwrap();
        let dotenv = folder.path().join(".env");
        fs::write(&dotenv, format!("API_TOKEN={SECRET}\n")).unwrap();
        fs::set_permissions(&dotenv, fs::Permissions::from_mode(mode)).unwrap();
        let environment = Environment::default()
            .with_uid(uid)
            .with_executable("/opt/mcp-bridge");
        let loaded = config::load(&path, &environment).unwrap();
        let prefix = format!("{}/", folder.path().display());
        let warnings = warnings(&path, &loaded, &environment).into_iter();
        warnings.map(|it| it.message.replace(&prefix, "")).collect()
    }

    #[test]
    fn secrets_that_programs_can_read_are_told() {
        let program = "[bridges.a]\ncommand = 'npx'\nenv = { API_TOKEN = '${API_TOKEN}' }\n";
        let as_user = format!("{program}user = '65534:65534'\n");
        let ours = "1 server runs as the user of mcp-bridge and can read secrets: .env";
        let root = "1 server runs as root, like mcp-bridge, and can read secrets: the memory and environment of mcp-bridge, .env";
        let other = "servers that run as another user can read files with secrets: .env";
        for (text, uid, mode, expected) in [
            (program, 1000, 0o600, &[ours][..]),
            (program, 0, 0o600, &[root]),
            (&as_user, 0, 0o644, &[other]),
            (&as_user, 0, 0o640, &[]),
            ("[bridges.a]\ncommand = 'mcp-bridge'\n", 1000, 0o644, &[]),
            ("[bridges.a]\nurl = 'https://h/mcp'\n", 1000, 0o644, &[]),
            ("[bridges.a]\ncommand = 'npx'\n", 1000, 0o644, &[ours]),
        ] {
            assert_eq!(warned(text, uid, mode), expected, "{text} {uid} {mode:o}");
        }
    }
}
