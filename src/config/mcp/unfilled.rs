//! Placeholders in files of other clients. A missing value disables its bridge. With mcpo's command line the
//! placeholder stays as written; if it is the whole value, that is an error.

use toml::Spanned;

use crate::config::{
    clients::{PlaceholderStyle, PlaceholderVariable, RewrittenText, alone, rewrite},
    mcp::entry::McpServerEntry,
    read::{ConfigReader, Text, reference::ReferenceScope},
};

/// The position of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceholderLocation {
    /// A header.
    Header,
    /// A variable of a program.
    Env,
    /// The URL.
    Url,
    /// The program.
    Command,
    /// An argument.
    Arg,
    /// An argument that is a shell command line.
    Script,
    /// A value that is not sent to the server, by its key.
    Other(&'static str),
}

impl PlaceholderLocation {
    /// Returns the key of the value.
    fn key(self) -> &'static str {
        match self {
            Self::Header => "headers",
            Self::Env => "env",
            Self::Url => "url",
            Self::Command => "command",
            Self::Arg | Self::Script => "args",
            Self::Other(key) => key,
        }
    }
}

impl McpServerEntry<'_> {
    /// Returns the first of some keys that contains a string which is not empty, with its placeholders converted.
    pub fn filled(
        &self,
        reader: &mut ConfigReader<'_>,
        keys: &[&str],
        place: PlaceholderLocation,
    ) -> Option<Text> {
        let text = self.text(keys)?;
        Some(filled(reader, self, place, &text))
    }
}

/// Converts a value to references, with a warning if it needs an unset variable.
pub fn filled(
    reader: &mut ConfigReader<'_>,
    entry: &McpServerEntry<'_>,
    place: PlaceholderLocation,
    text: &Text,
) -> Text {
    let own = match place {
        PlaceholderLocation::Arg | PlaceholderLocation::Script | PlaceholderLocation::Command => {
            entry.own
        }
        PlaceholderLocation::Header
        | PlaceholderLocation::Env
        | PlaceholderLocation::Url
        | PlaceholderLocation::Other(_) => &[],
    };
    let style = PlaceholderStyle {
        is_script: place == PlaceholderLocation::Script,
        ..entry.file.style(own)
    };
    let rewritten = rewrite(text.get_ref(), style);
    let missing = missing(reader, &rewritten);
    let ours = Spanned::new(text.span(), rewritten.text.clone());
    if !reader.keeps_unset {
        if let Some(variable) = missing {
            warn(reader, entry, place, text, variable);
        }
        return ours;
    }
    if !matches!(
        place,
        PlaceholderLocation::Header | PlaceholderLocation::Env
    ) || alone(&rewritten.text).is_none()
    {
        return text.clone();
    }
    let Some(variable) = missing else {
        return ours;
    };
    warn(reader, entry, place, text, variable);
    text.clone()
}

/// Returns the first variable that a value needs and that is not set.
fn missing<'r>(
    reader: &ConfigReader<'_>,
    rewritten: &'r RewrittenText,
) -> Option<&'r PlaceholderVariable> {
    let scope = ReferenceScope {
        environment: reader.environment,
        folder: &reader.folder,
        lenient: false,
    };
    // A default may use another variable.
    let expansion = scope.expand(&rewritten.text).ok()?;
    if expansion.missing.is_empty() {
        return None;
    }
    rewritten.variables.iter().find(|variable| {
        let value = reader.environment.get(&variable.name);
        let is_set = value.is_some_and(|it| reader.keeps_unset || !it.trim().is_empty());
        !is_set && !variable.has_default
    })
}

fn warn(
    reader: &mut ConfigReader<'_>,
    entry: &McpServerEntry<'_>,
    place: PlaceholderLocation,
    text: &Text,
    variable: &PlaceholderVariable,
) {
    let what = format!(
        "server `{}`: no value is set for `{}` in `{}`",
        entry.name,
        variable.written,
        place.key()
    );
    let effect = if reader.keeps_unset {
        "the server receives it as written"
    } else {
        "the bridge is off"
    };
    let mut inputs = entry.file.inputs.iter();
    let description = variable
        .input
        .as_ref()
        .and_then(|id| inputs.find(|input| input.id == *id)?.description.as_deref())
        .map_or_else(String::new, |description| format!(" ({description})"));
    reader.warn(
        &text.span(),
        format!("{what}, so {effect}"),
        format!(
            "set {}{description}, for example in `.env` next to this file",
            variable.name
        ),
    );
}
