//! mcpo's conventions, reproduced exactly, because saved function filters and prompts contain these names.

use serde_json::{Value, json};

/// FastAPI's operation id: the route's name and path, with `_` for characters that are not word characters.
pub fn operation_id(tool: &str) -> String {
    let path: String = tool
        .chars()
        .map(|character| {
            if character.is_alphanumeric() || character == '_' {
                character
            } else {
                '_'
            }
        })
        .collect();
    format!("tool_{path}_post")
}

/// Returns the tool's name in readable form.
pub fn summary(tool: &str) -> String {
    title(&tool.replace('_', " "))
}

/// Returns the title of the response, after FastAPI's name for its model.
pub fn response_title(tool: &str) -> String {
    title(&format!("Response_{}", operation_id(tool))).replace('_', " ")
}

/// Returns pydantic's key for a model: the part after the last dot, with only allowed characters.
pub fn component_key(model: &str) -> String {
    key_characters(model.rsplit('.').next().unwrap_or(model))
}

/// Returns pydantic's key for models whose short keys are equal.
pub fn long_component_key(model: &str) -> String {
    key_characters(&format!("mcpo.utils.main.{model}")).replace('.', "__")
}

/// Appends the list of bridges to the description of the root document, as mcpo does at startup.
/// `path_prefix` starts and ends with `/`.
pub fn available_tools<'a>(
    description: &str,
    path_prefix: &str,
    bridges: impl IntoIterator<Item = &'a str>,
) -> String {
    let links: Vec<String> = bridges
        .into_iter()
        .map(|name| format!("\n    - [{name}]({path_prefix}{name}/docs)"))
        .collect();
    if links.is_empty() {
        return description.to_owned();
    }
    // mcpo uses a full-width colon.
    format!(
        "{description}\n\n- **available tools**\u{ff1a}{}",
        links.concat()
    )
}

/// FastAPI's components for refused arguments, in the order of their keys.
pub fn validation_components() -> [(&'static str, Value); 2] {
    [
        (
            "HTTPValidationError",
            json!({
                "properties": {
                    "detail": {
                        "items": {"$ref": "#/components/schemas/ValidationError"},
                        "type": "array",
                        "title": "Detail"
                    }
                },
                "type": "object",
                "title": "HTTPValidationError"
            }),
        ),
        (
            "ValidationError",
            json!({
                "properties": {
                    "loc": {
                        "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                        "type": "array",
                        "title": "Location"
                    },
                    "msg": {"type": "string", "title": "Message"},
                    "type": {"type": "string", "title": "Error Type"},
                    "input": {"title": "Input"},
                    "ctx": {"type": "object", "title": "Context"}
                },
                "type": "object",
                "required": ["loc", "msg", "type"],
                "title": "ValidationError"
            }),
        ),
    ]
}

/// Implements Python's `str.title`: a cased letter after an uncased one is upper case, the others are lower
/// case.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut in_word = false;
    for character in text.chars() {
        let is_cased = character.is_lowercase()
            || character.is_uppercase()
            || character.to_lowercase().next() != Some(character);
        if is_cased && !in_word {
            // `ß` becomes `Ss`, not `SS`.
            let mut capital = character.to_uppercase();
            titled.extend(capital.next());
            titled.extend(capital.flat_map(char::to_lowercase));
        } else {
            titled.extend(character.to_lowercase());
        }
        in_word = is_cased;
    }
    titled
}

/// Replaces the characters that pydantic does not allow in a key.
fn key_characters(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '-' | '_' => character,
            _ => '_',
        })
        .collect()
}
