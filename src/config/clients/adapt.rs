//! Converts one server to the keys of `mcpServers`, whatever its client calls them.

use crate::config::clients::{
    ClientDialect, ClientFile, PlaceholderStyle, cut,
    filters::ClientToolFilter,
    kinds::{self, TOLD},
    tree::{At, SpannedField, SpannedValue, ValueContent, get, last_of_each},
};

/// The key for deny patterns from elsewhere in the file. Files cannot contain this key by accident.
pub(super) const GLOBS_DENIED: &str = "\u{0}globs denied";

/// Keys of other clients, and the corresponding keys here.
const RENAMED: &[(&str, &str)] = &[
    ("cmd", "command"),
    ("arguments", "args"),
    ("environment", "env"),
    ("envs", "env"),
    ("uri", "url"),
    ("server_url", "serverUrl"),
    ("http_headers", "headers"),
    ("workingDirectory", "cwd"),
    ("working_directory", "cwd"),
    ("workdir", "cwd"),
    ("env_file", "envFile"),
];
/// Keys with times in seconds or milliseconds, and the corresponding keys here.
const TIMES: &[(&str, &str, f64)] = &[
    ("tool_timeout_sec", "timeout", 1000.0),
    ("startup_timeout_sec", "connect_timeout", 1000.0),
    ("startup_timeout_ms", "connect_timeout", 1.0),
    ("initTimeout", "connect_timeout", 1.0),
    ("connectionTimeout", "connect_timeout", 1.0),
];
/// The longest time that is accepted, in milliseconds.
const MILLIS_MAX: f64 = 1e12;
/// Keys with the transport.
const TYPES: &[&str] = &["type", "transport", "transportType"];
/// Keys with the URL.
const URLS: &[&str] = &["url", "httpUrl", "serverUrl"];

/// A server in the keys of `mcpServers`. Additional keys: `tools_allow` and `tools_deny` (lists of globs),
/// and `connect_timeout`.
#[derive(Debug)]
pub(crate) struct AdaptedServer {
    /// The fields, each name once.
    pub(crate) fields: Vec<SpannedField>,
    /// Why the server cannot be reached.
    pub(crate) unusable: Option<String>,
    /// Why the server must stay off although it can be reached.
    pub(crate) closed: Option<String>,
}

impl AdaptedServer {
    /// Returns why the server is off.
    pub(crate) fn reason_off(&self) -> Option<&str> {
        self.unusable.as_deref().or(self.closed.as_deref())
    }
}

impl ClientFile {
    /// Converts one server of this file.
    pub(crate) fn server(&self, fields: &[SpannedField]) -> AdaptedServer {
        let (denied, fields): (Vec<&SpannedField>, Vec<&SpannedField>) = last_of_each(fields)
            .into_iter()
            .partition(|field| field.name == GLOBS_DENIED);
        let fields = fields.into_iter().cloned().collect();
        let mut work = ServerFields { fields };
        if !self.dialect.is_mcpo {
            work.split_command();
        }
        for (theirs, ours) in RENAMED {
            work.rename(theirs, ours);
        }
        work.codex_headers();
        work.continue_headers();
        work.times(self.dialect);
        let unusable = work.kind();
        let mut filter = ClientToolFilter::take(&mut work.fields);
        let globs = denied.iter().filter_map(|field| field.value.list());
        filter.deny.extend(globs.flatten().cloned());
        for (key, list) in [
            ("tools_allow", filter.allow),
            ("tools_deny", Some(filter.deny)),
        ] {
            if let Some(list) = list.filter(|list| !list.is_empty()) {
                let at = list.first().map(|node| node.at.clone()).unwrap_or_default();
                work.put(
                    key,
                    SpannedValue {
                        at,
                        tree: ValueContent::List(list),
                    },
                );
            }
        }
        AdaptedServer {
            fields: work.fields,
            unusable,
            closed: filter.unreadable,
        }
    }

    /// Returns the placeholder syntax of its values. `own` are variables of the server that its values may
    /// name.
    pub(crate) fn style<'s>(&self, own: &'s [&'s str]) -> PlaceholderStyle<'s> {
        PlaceholderStyle {
            is_dollar: self.dialect.is_gemini,
            is_braces: self.dialect.is_opencode,
            is_script: false,
            own,
        }
    }
}

/// Returns the variables that a server replaces in its own arguments: those that `env` sets to something
/// other than a reference to the same name.
pub(crate) fn own_variables(fields: &[SpannedField]) -> Vec<&str> {
    let entries = get(fields, "env")
        .and_then(SpannedValue::map)
        .unwrap_or_default();
    let is_own = |field: &&SpannedField| {
        let value = field.value.scalar().unwrap_or_default();
        let bare: String = value.chars().filter(|it| !"${}".contains(*it)).collect();
        let named = bare.rsplit(':').next().unwrap_or_default();
        !(value.contains(['$', '{']) && named == field.name)
    };
    entries
        .iter()
        .filter(is_own)
        .map(|field| field.name.as_str())
        .collect()
}

/// Whether an argument is a shell command line, given the argument before it.
pub(crate) fn is_script(before: Option<&str>, arg: &str) -> bool {
    let is_announced = matches!(
        before,
        Some("-c" | "-lc" | "-ic" | "-ec" | "-xc" | "/c" | "/C" | "-Command" | "-command")
    );
    is_announced && arg.contains(char::is_whitespace)
}

/// A server that is being converted.
struct ServerFields {
    fields: Vec<SpannedField>,
}

impl ServerFields {
    fn get(&self, key: &str) -> Option<&SpannedValue> {
        get(&self.fields, key)
    }

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn remove(&mut self, key: &str) {
        self.fields.retain(|field| field.name != key);
    }

    fn put(&mut self, key: &str, value: SpannedValue) {
        self.remove(key);
        self.fields.push(SpannedField::new(key, value));
    }

    fn rename(&mut self, theirs: &str, ours: &str) {
        if self.has(ours) || !self.has(theirs) {
            return;
        }
        self.remove(ours);
        for field in &mut self.fields {
            if field.name == theirs {
                ours.clone_into(&mut field.name);
            }
        }
    }

    /// Handles `command` as a list (opencode), or as a table with `path`, `args`, `env` (Zed).
    fn split_command(&mut self) {
        let Some(command) = self.get("command").cloned() else {
            return;
        };
        match command.tree {
            ValueContent::List(mut words) => {
                let Some(program) = (!words.is_empty()).then(|| words.remove(0)) else {
                    return;
                };
                if let Some(ValueContent::List(more)) =
                    self.get("args").map(|args| args.tree.clone())
                {
                    words.extend(more);
                }
                let at = command.at;
                self.put("command", program);
                if !words.is_empty() {
                    self.put(
                        "args",
                        SpannedValue {
                            at,
                            tree: ValueContent::List(words),
                        },
                    );
                }
            }
            ValueContent::Map(parts) => {
                let Some(path) = get(&parts, "path").cloned() else {
                    return;
                };
                self.put("command", path);
                for key in ["args", "env"] {
                    if let Some(value) = get(&parts, key).filter(|_| !self.has(key)).cloned() {
                        self.put(key, value);
                    }
                }
            }
            ValueContent::Null
            | ValueContent::Switch(_)
            | ValueContent::Number(_)
            | ValueContent::Text(_) => {}
        }
    }

    /// Handles `bearer_token_env_var` and `env_http_headers`, which name variables with header values.
    fn codex_headers(&mut self) {
        let variable = self.get("bearer_token_env_var").cloned();
        if let Some((text, at)) = variable
            .as_ref()
            .and_then(|node| Some((node.text()?, &node.at)))
        {
            let header = format!("Bearer ${{{text}}}");
            if self.header("Authorization", SpannedValue::of_text(at, header)) {
                self.remove("bearer_token_env_var");
            }
        }
        let named = self
            .get("env_http_headers")
            .and_then(SpannedValue::map)
            .unwrap_or_default()
            .to_vec();
        let mut is_taken = !named.is_empty();
        for field in &named {
            is_taken &= field.value.text().is_some_and(|variable| {
                let header = SpannedValue::of_text(&field.value.at, format!("${{{variable}}}"));
                self.header(&field.name, header)
            });
        }
        if is_taken {
            self.remove("env_http_headers");
        }
    }

    /// Handles `requestOptions.headers` and `apiKey`.
    fn continue_headers(&mut self) {
        let options = self
            .get("requestOptions")
            .and_then(SpannedValue::map)
            .unwrap_or_default()
            .to_vec();
        let headers = get(&options, "headers")
            .and_then(SpannedValue::map)
            .unwrap_or_default();
        let mut is_taken = options.len() == 1 && !headers.is_empty();
        for field in headers {
            is_taken &= self.header(&field.name, field.value.clone());
        }
        if is_taken {
            self.remove("requestOptions");
        }
        let is_remote = URLS.iter().any(|key| self.has(key));
        let key = self.get("apiKey").filter(|_| is_remote).cloned();
        if let Some((text, at)) = key.as_ref().and_then(|node| Some((node.text()?, &node.at)))
            && self.header(
                "Authorization",
                SpannedValue::of_text(at, format!("Bearer {text}")),
            )
        {
            self.remove("apiKey");
        }
    }

    /// Adds a header unless it exists.
    fn header(&mut self, name: &str, value: SpannedValue) -> bool {
        if !self.has("headers") {
            let at = value.at.clone();
            self.put(
                "headers",
                SpannedValue {
                    at,
                    tree: ValueContent::Map(Vec::new()),
                },
            );
        }
        let field = self.fields.iter_mut().find(|field| field.name == "headers");
        let Some(ValueContent::Map(headers)) = field.map(|field| &mut field.value.tree) else {
            return false;
        };
        if headers
            .iter()
            .any(|other| other.name.eq_ignore_ascii_case(name))
        {
            return false;
        }
        headers.push(SpannedField::new(name, value));
        true
    }

    fn times(&mut self, dialect: ClientDialect) {
        if dialect.is_opencode {
            self.time("timeout", "connect_timeout", 1.0);
        }
        for (theirs, ours, scale) in TIMES {
            self.time(theirs, ours, *scale);
        }
    }

    fn time(&mut self, theirs: &str, ours: &str, scale: f64) {
        let Some(value) = self.get(theirs).filter(|_| !self.has(ours)) else {
            return;
        };
        let ValueContent::Number(number) = &value.tree else {
            return;
        };
        let millis = number.parse::<f64>().map(|number| number * scale).ok();
        if let Some(millis) = millis.filter(|millis| *millis >= 1.0 && *millis < MILLIS_MAX) {
            let time = SpannedValue::of_text(&value.at, format!("{millis:.0}ms"));
            self.remove(theirs);
            self.put(ours, time);
        }
    }

    /// Writes the bridge's name of the transport into `type`. Returns why the server cannot be reached if the
    /// transport is unknown.
    fn kind(&mut self) -> Option<String> {
        let (key, said, at) = TYPES.iter().find_map(|key| {
            let node = self.get(key)?;
            let text = node.text().filter(|text| !text.is_empty())?;
            Some((*key, text.to_owned(), node.at.clone()))
        })?;
        let is_there = |key: &str| {
            self.get(key)
                .and_then(SpannedValue::text)
                .is_some_and(|it| !it.is_empty())
        };
        let (has_url, has_command) = (URLS.iter().any(|key| is_there(key)), self.has("command"));
        let Some(word) = kinds::word(&said) else {
            let unknown = format!(
                "`{key}` `{}` is not known; known are {TOLD}",
                cut(&said, 40)
            );
            return (has_url && !has_command).then_some(unknown);
        };
        self.set_kind(key, word, &said, &at);
        None
    }

    fn set_kind(&mut self, key: &str, word: &str, said: &str, at: &At) {
        // mcpo's own names stay, because its errors repeat them.
        let is_ours = said == word || said.replace('_', "-") == word || said == "streamablehttp";
        if key == "type" && is_ours {
            return;
        }
        self.remove(key);
        self.put("type", SpannedValue::of_text(at, word));
    }
}
