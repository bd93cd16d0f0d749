//! Reads the file to import, and writes the results.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::Path,
    process::ExitCode,
};

use super::{
    env_file::EnvFileFolders,
    importer::{ImportOptions, import},
    text::line,
};
use crate::{cli::args::ImportArgs, config::clients::FILE_BYTES_MAX, secret::Secret};

/// Imports a file, and prints or writes the result.
#[expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "this is the command line"
)]
pub fn run(args: &ImportArgs) -> ExitCode {
    let file = args.file.display();
    let imported = match (read_bounded(&args.file), wishes(args)) {
        (Ok(text), Ok(wishes)) => {
            import(&args.file, &text, wishes).map_err(|error| error.to_string())
        }
        (Err(error), _) => Err(error.to_string()),
        (_, Err(error)) => Err(error),
    };
    let imported = match imported {
        Ok(imported) => imported,
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::from(2);
        }
    };
    for note in &imported.notes {
        eprintln!("warning: {note}");
    }
    if args.env_file.is_none() && !imported.variables.is_empty() {
        eprintln!(
            "note: the values of {} variables were not written; use `--env-file FILE` to write them",
            imported.variables.len()
        );
    }
    let written = if let Some(path) = &args.output {
        write_new(path, &imported.toml, 0o644)
    } else {
        print!("{}", imported.toml);
        Ok(())
    };
    let written = written.and_then(|()| match &args.env_file {
        Some(path) => write_new(path, &env_file(&imported.variables), 0o600),
        None => Ok(()),
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the options of the import. A blank API key counts as not set, as in mcpo.
fn wishes(args: &ImportArgs) -> Result<ImportOptions, String> {
    let is_there = |key: &&Secret| !key.expose().trim().is_empty();
    let api_key = args.api_key.as_ref().filter(is_there);
    if api_key.is_some_and(|key| key.expose().contains(char::is_control)) {
        return Err("`--api-key` has a line break or another control character".to_owned());
    }
    Ok(ImportOptions {
        api_key: api_key.cloned(),
        places: args
            .read_env_files
            .then(|| EnvFileFolders::beside(&args.file)),
    })
}

/// Reads a file, unless it is too large for a configuration.
fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    let size = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if size as u64 > FILE_BYTES_MAX {
        let most = FILE_BYTES_MAX >> 20;
        return Err(io::Error::other(format!(
            "the file is larger than {most} MiB"
        )));
    }
    Ok(text)
}

/// Writes a new file, and fails if it exists.
fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _mode = mode;
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Renders variables as a dotenv file.
pub(super) fn env_file(variables: &BTreeMap<String, Secret>) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        line(&mut text, &format!("{name}={}", in_quotes(value.expose())));
    }
    text
}

/// Quotes a value. It uses single quotes unless the value contains a single quote or a backslash.
fn in_quotes(value: &str) -> String {
    if !value.contains(['\'', '\\']) {
        return format!("'{value}'");
    }
    let mut quoted = String::from("\"");
    for character in value.chars() {
        if matches!(character, '\\' | '"' | '$') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}
