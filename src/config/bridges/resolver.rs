//! [`BridgeResolver`]: the values of one bridge, with their references replaced.

use toml::Spanned;

use crate::config::{
    CredentialScope,
    read::{
        ConfigReader, FlagSetting, ListSetting, ScalarSetting, Text, is_blank, lint,
        reference::{ReferenceScope, variable_of},
        setting::Setting,
        why_blank,
    },
};

/// What `credential` may say.
const CREDENTIALS: &[(&str, CredentialScope)] = &[
    ("shared", CredentialScope::Shared),
    ("group", CredentialScope::Group),
    ("caller", CredentialScope::Caller),
];

/// Reads the strings of one bridge; a missing reference switches it off.
#[derive(Debug)]
pub struct BridgeResolver<'r, 'a> {
    /// What it is read with.
    pub reader: &'r mut ConfigReader<'a>,
    /// Why the bridge is off.
    pub missing: Vec<String>,
    /// Why it has no key and signs in.
    pub keys_missing: Vec<String>,
    /// Why `with_key` is not taken.
    pub key_missing: Vec<String>,
}

/// What `enabled` says.
#[derive(Debug, PartialEq, Eq)]
pub enum EnabledSetting {
    /// `true`, or nothing.
    On,
    /// `"auto"`: on with a key, or after a user has logged in.
    Auto,
    /// `false` or blank, and why.
    Off(String),
}

impl BridgeResolver<'_, '_> {
    /// Replaces references; `None` when something is missing or malformed.
    pub fn expand(&mut self, text: &Text) -> Option<Text> {
        let expansion = self.reader.expand(text)?;
        if expansion.missing.is_empty() {
            return Some(Spanned::new(text.span(), expansion.text));
        }
        for missing in expansion.missing {
            self.miss(missing);
        }
        None
    }

    /// The text of a value that is read for real later; nothing is reported.
    pub fn glance(&self, text: &Text) -> Option<String> {
        let scope = ReferenceScope {
            environment: self.reader.environment,
            folder: &self.reader.folder,
            lenient: self.reader.lenient,
        };
        let expansion = scope.expand(text.get_ref()).ok()?;
        expansion.missing.is_empty().then_some(expansion.text)
    }

    /// The same for a value that may be blank by a default of nothing; then it says why.
    pub fn optional(&mut self, text: &Text) -> Option<Setting<Text>> {
        let expansion = self.reader.expand(text)?;
        if !expansion.missing.is_empty() {
            return self.expand(text).map(Ok);
        }
        if is_blank(&expansion) {
            return Some(Err(why_blank(&expansion)));
        }
        let value = expansion.text.trim().to_owned();
        Some(Ok(Spanned::new(text.span(), value)))
    }

    /// The words of a list, blank ones left out.
    pub fn words(&mut self, list: &Spanned<ListSetting>, separators: &[char]) -> Vec<Text> {
        let texts = match list.get_ref() {
            ListSetting::One(text) => vec![Spanned::new(list.span(), text.clone())],
            ListSetting::Many(texts) => texts.clone(),
        };
        let mut words = Vec::new();
        for text in texts {
            let Some(value) = self.expand(&text) else {
                continue;
            };
            let inner = value.get_ref().split(separators).map(str::trim);
            let inner = inner.filter(|word| !word.is_empty());
            words.extend(inner.map(|word| Spanned::new(text.span(), word.to_owned())));
        }
        words
    }

    /// Notes why the bridge is off.
    pub fn miss(&mut self, reason: String) {
        if !self.missing.contains(&reason) {
            self.missing.push(reason);
        }
    }

    /// The value of a header or variable, unless a default of nothing made it blank: then it is left
    /// out, so that what is optional can stand in a file. mcpo passes it on as it is.
    pub fn unless_blank(&self, written: &Text, value: Text) -> Option<Text> {
        let is_left_out = !self.reader.lenient
            && value.get_ref().trim().is_empty()
            && written.get_ref().contains("${");
        (!is_left_out).then_some(value)
    }

    /// Reads what does not switch the bridge off when it is missing; gives the reasons apart.
    pub fn apart<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> (T, Vec<String>) {
        let before = std::mem::take(&mut self.missing);
        let found = read(self);
        (found, std::mem::replace(&mut self.missing, before))
    }

    pub fn switch(&mut self, flag: Option<Spanned<FlagSetting>>) -> EnabledSetting {
        let Some(flag) = flag else {
            return EnabledSetting::On;
        };
        if let FlagSetting::Text(text) = flag.get_ref() {
            let text = Spanned::new(flag.span(), text.clone());
            match self.reader.optional(&text) {
                Some(Ok(value)) if value.get_ref().eq_ignore_ascii_case("auto") => {
                    return EnabledSetting::Auto;
                }
                Some(Ok(_)) => {}
                Some(Err(why)) => return EnabledSetting::Off(why),
                // Reported.
                None => return EnabledSetting::On,
            }
        }
        match self.reader.flag("enabled", &flag) {
            Some(false) => EnabledSetting::Off("disabled in the configuration".to_owned()),
            Some(true) | None => EnabledSetting::On,
        }
    }

    pub fn credential(&mut self, text: Option<&Text>) -> CredentialScope {
        let kind = text.and_then(|text| {
            let text = self.expand(text)?;
            self.reader.choice("credential", &text, CREDENTIALS)
        });
        kind.unwrap_or(CredentialScope::Shared)
    }

    /// The same for a string that others can see; a secret in it is worth a warning.
    pub fn expand_visible(&mut self, text: &Text, danger: &str, hint: &str) -> Option<Text> {
        if let Some(expansion) = self.reader.expand(text) {
            if let Some(secret) = expansion.secrets.first() {
                self.reader.warn(
                    &text.span(),
                    format!("`{secret}` looks like a secret, and {danger}"),
                    hint,
                );
            }
            return self.expand(text);
        }
        None
    }

    pub fn scalar(&mut self, scalar: Spanned<ScalarSetting>) -> Option<Spanned<ScalarSetting>> {
        let span = scalar.span();
        let scalar = match scalar.into_inner() {
            ScalarSetting::Text(text) => {
                ScalarSetting::Text(self.expand(&Spanned::new(span.clone(), text))?.into_inner())
            }
            integer @ ScalarSetting::Integer(_) => integer,
        };
        Some(Spanned::new(span, scalar))
    }
}

/// Warns of a literal secret. Secrets belong in the environment, not in a file that is committed.
pub fn warn_of_literal(resolver: &mut BridgeResolver<'_, '_>, name: &Text, value: &Text) {
    let literal = !value.get_ref().contains("${") && !lint::is_plain_switch(value.get_ref());
    if !literal || !(lint::looks_secret(name.get_ref()) || lint::has_token_prefix(value.get_ref()))
    {
        return;
    }
    let name = name.get_ref();
    let variable = variable_of(name);
    let reference = if name.eq_ignore_ascii_case("authorization") {
        "Bearer ${SOME_TOKEN}".to_owned()
    } else {
        format!("${{{variable}}}")
    };
    let hint = if resolver.reader.lenient {
        format!("move it to the environment: `\"{name}\": \"{reference}\"`")
    } else {
        format!("move it to the environment: `{name} = \"{reference}\"`")
    };
    resolver.reader.warn(
        &value.span(),
        format!(
            "the value of `{name}` looks like a secret and is written in plain text in the file"
        ),
        hint,
    );
}
