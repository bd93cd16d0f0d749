//! `envFile`: variables of one program in a separate file, as in VS Code.

use std::{collections::BTreeMap, io::Read as _, path::Path};

use crate::{
    config::{
        BridgeSettings, Diagnostic, DisabledReason, TransportSettings,
        mcp::{
            entry::{McpServerEntry, text},
            unfilled::{PlaceholderLocation, filled},
        },
        read::{ConfigReader, environment::read_dotenv},
    },
    secret::Secret,
};

/// The maximum size of such a file.
const BYTES_MAX: u64 = 1 << 20;

/// Adds the variables of the file. Those in `env` take precedence. A file that cannot be read disables the
/// bridge.
pub fn add(reader: &mut ConfigReader<'_>, entry: &McpServerEntry<'_>, bridge: &mut BridgeSettings) {
    let Ok(TransportSettings::Stdio(stdio)) = &mut bridge.transport else {
        return;
    };
    let Some(written) = entry.get("envFile").and_then(text) else {
        return;
    };
    if written.get_ref().trim().is_empty() {
        return;
    }
    let named = filled(
        reader,
        entry,
        PlaceholderLocation::Other("envFile"),
        &written,
    );
    let Some(named) = reader.expand(&named) else {
        return;
    };
    if !named.missing.is_empty() {
        bridge.transport = Err(DisabledReason(named.missing.join("; ")));
        return;
    }
    let path = reader.folder.join(&named.text);
    reader.files.insert(path.clone());
    let problem = match read(&path) {
        Ok((variables, warnings)) => {
            reader.add_all(warnings);
            for (name, value) in variables {
                stdio.env.entry(name).or_insert(value);
            }
            return;
        }
        Err(problem) => problem,
    };
    let reason = format!("`envFile` {} {problem}", named.text);
    let message = format!("server `{}` is off: {reason}", entry.name);
    reader.problems.warning(&written.span(), message);
    bridge.transport = Err(DisabledReason(reason));
}

/// Reads such a file: its variables, and what is odd in it; or why it cannot be read, as the end of a
/// sentence.
pub(crate) fn read(path: &Path) -> Result<(BTreeMap<String, Secret>, Vec<Diagnostic>), String> {
    let size = std::fs::File::open(path)
        .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut Vec::new()));
    match size {
        Ok(size) if size as u64 > BYTES_MAX => Err("is larger than 1 MiB".to_owned()),
        Ok(_) => Ok(read_dotenv(path)),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}
