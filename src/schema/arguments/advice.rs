//! Builds the sentence for a model about rejected arguments: what is wrong, and which arguments exist.

use serde_json::Value;

use super::{
    detail::ValidationDetail,
    node::NodeId,
    plan::ArgumentPlan,
    strays::{self, UnknownProperty},
    types::ValueTypeSet,
};
use crate::schema::names::shown;

/// The longest sentence, in characters.
const CHARS_MAX: usize = 500;

/// How much of the sentence may describe the mistakes. The rest lists the arguments.
const MISTAKES_CHARS_MAX: usize = 260;

/// The maximum number of mistakes in the sentence.
const MISTAKES_MAX: usize = 3;

/// How much of the sent value is quoted, in characters of JSON.
const SENT_CHARS_MAX: usize = 40;

/// Describes what is wrong with arguments, then lists the arguments of the tool.
pub fn of_mistakes(plan: &ArgumentPlan, details: &[ValidationDetail], sent: &Value) -> String {
    let strays = strays::find(plan, sent);
    let mut told: Vec<String> = Vec::new();
    for stray in &strays {
        let is_refused = details.iter().any(|detail| {
            detail.kind == "extra_forbidden" && is_at(detail, &stray.path, &stray.name)
        });
        if is_refused || is_meant(stray, details) {
            told.push(of_stray(stray));
        }
    }
    told.truncate(MISTAKES_MAX);
    told.extend(missing(details, &strays));
    for detail in details {
        if told.len() > MISTAKES_MAX {
            break;
        }
        let words = of_detail(detail);
        if !words.is_empty() && !told.contains(&words) && !is_stray(detail, &strays) {
            told.push(words);
        }
    }
    let is_whole = |detail: &ValidationDetail| detail.loc.len() == 1 && is_no_object(detail);
    let mistakes = if details.iter().any(is_whole) {
        send_object(plan)
    } else {
        sentences(&told)
    };
    finish(plan, &mistakes)
}

/// Describes what a body should be if it is missing or not JSON.
pub fn of_body(plan: &ArgumentPlan, said: &str) -> String {
    let said = match said.strip_prefix("the ") {
        Some(rest) => format!("The {rest}"),
        None => said.to_owned(),
    };
    finish(plan, &format!("{said}. {}", send_object(plan)))
}

/// Describes what to do about a key that the schema does not define.
pub fn of_stray(stray: &UnknownProperty) -> String {
    let name = place(&stray.path, &stray.name);
    match &stray.near {
        Some(meant) => format!("`{name}` is not an argument here; did you mean `{meant}`?"),
        None => format!("`{name}` is not an argument here"),
    }
}

/// `` Send a JSON object with `path` ``.
fn send_object(plan: &ArgumentPlan) -> String {
    let arguments = ArgumentDescription::all(plan);
    let required: Vec<String> = arguments
        .iter()
        .filter(|argument| argument.is_required)
        .take(5)
        .map(|argument| format!("`{}`", argument.name))
        .collect();
    match required.split_last() {
        Some((last, [])) => format!("Send a JSON object with {last}"),
        Some((last, rest)) => format!("Send a JSON object with {} and {last}", rest.join(", ")),
        None => "Send a JSON object".to_owned(),
    }
}

/// Joins sentences.
fn sentences(told: &[String]) -> String {
    let mut text = String::new();
    for words in told {
        if !text.is_empty() {
            text.push_str(if text.ends_with('?') { " " } else { "; " });
        }
        text.push_str(words);
    }
    if text.is_empty() {
        "These arguments do not fit the schema of the tool".to_owned()
    } else {
        text
    }
}

/// Appends the list of arguments, within the length limit.
fn finish(plan: &ArgumentPlan, mistakes: &str) -> String {
    let mistakes = cut(mistakes, MISTAKES_CHARS_MAX);
    let stop = if mistakes.ends_with(['?', '.']) {
        ""
    } else {
        "."
    };
    let arguments = ArgumentDescription::all(plan);
    if arguments.is_empty() {
        return format!("{mistakes}{stop}");
    }
    let room = CHARS_MAX.saturating_sub(mistakes.chars().count() + "..  Arguments: ".len());
    format!("{mistakes}{stop} Arguments: {}", list(&arguments, room))
}

/// Whether the whole body has the wrong type or is missing.
fn is_no_object(detail: &ValidationDetail) -> bool {
    matches!(detail.kind, "model_attributes_type" | "missing")
}

/// Describes missing arguments, together with the unknown keys sent in the same place.
fn missing(details: &[ValidationDetail], strays: &[UnknownProperty]) -> Option<String> {
    let is_missing = |detail: &&ValidationDetail| detail.kind == "missing" && detail.loc.len() > 1;
    let first = details.iter().find(is_missing)?;
    let (_, parent) = first.loc.split_last()?;
    let beside = |detail: &&ValidationDetail| {
        is_missing(detail) && detail.loc.split_last().is_some_and(|(_, it)| it == parent)
    };
    let path = parent.get(1..).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for detail in details.iter().filter(beside) {
        let name = detail
            .loc
            .last()
            .and_then(Value::as_str)
            .unwrap_or_default();
        let name = place(path, name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let sent: Vec<String> = strays
        .iter()
        .filter(|stray| stray.path == path)
        .take(MISTAKES_MAX)
        .map(|stray| shown(&stray.name))
        .collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    let mut words = format!("{} {verb} missing", names.join(", "));
    if !sent.is_empty() {
        words = format!("{words} (you sent {})", sent.join(", "));
    }
    Some(words)
}

/// Whether a detail refers to one of these keys.
fn is_stray(detail: &ValidationDetail, strays: &[UnknownProperty]) -> bool {
    detail.kind == "extra_forbidden"
        && strays
            .iter()
            .any(|stray| is_at(detail, &stray.path, &stray.name))
}

/// Whether a key may be a misspelling of an argument that is missing in the same place.
fn is_meant(stray: &UnknownProperty, details: &[ValidationDetail]) -> bool {
    let Some(meant) = &stray.near else {
        return false;
    };
    details
        .iter()
        .any(|detail| detail.kind == "missing" && is_at(detail, &stray.path, meant))
}

/// Whether a detail refers to a key of an object.
fn is_at(detail: &ValidationDetail, path: &[Value], name: &str) -> bool {
    let Some((last, rest)) = detail.loc.split_last() else {
        return false;
    };
    last == name && rest.get(1..).is_some_and(|rest| rest == path)
}

/// Describes one mistake. Empty if another sentence covers it.
fn of_detail(detail: &ValidationDetail) -> String {
    if is_no_object(detail) && (detail.kind == "missing" || detail.loc.len() == 1) {
        return String::new();
    }
    let (name, path) = match detail.loc.split_last() {
        Some((last, rest)) if !rest.is_empty() => (last, rest.get(1..).unwrap_or_default()),
        _ => return String::new(),
    };
    let name = match name {
        Value::String(name) => place(path, name),
        index => place(path, &format!("[{index}]")),
    };
    let sent = detail.input.to_string();
    let is_short = !detail.input.is_object() && sent.chars().count() <= SENT_CHARS_MAX;
    let sent = if is_short && detail.kind != "extra_forbidden" {
        format!(" (you sent {sent})")
    } else {
        String::new()
    };
    format!("{}{sent}", in_words(detail, &name))
}

/// Converts pydantic's message to a sentence about `name`.
pub(super) fn in_words(detail: &ValidationDetail, name: &str) -> String {
    let should_be = |what: &str| format!("{name} should be {what}");
    match detail.kind {
        "int_type" | "int_parsing" | "int_from_float" => should_be("an integer"),
        "float_type" | "float_parsing" => should_be("a number"),
        "bool_type" | "bool_parsing" => should_be("true or false"),
        "string_type" => should_be("a string"),
        "list_type" => should_be("a list"),
        "dict_type" | "model_attributes_type" => should_be("an object"),
        "none_required" => should_be("null"),
        "extra_forbidden" => format!("`{name}` is not an argument here"),
        _ => {
            let subjects = [
                "Input should ",
                "String should ",
                "List should ",
                "Dictionary should ",
            ];
            let rest = subjects.iter().find_map(|it| detail.msg.strip_prefix(it));
            if let Some(rest) = rest {
                format!("{name} should {rest}")
            } else {
                let said = detail.msg.strip_prefix("Value error, ");
                format!("{name}: {}", said.unwrap_or(&detail.msg))
            }
        }
    }
}

/// `edits[0].oldText`.
pub(super) fn place(path: &[Value], name: &str) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Value::String(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&shown(key));
            }
            index => text = format!("{text}[{index}]"),
        }
    }
    if !text.is_empty() && !name.starts_with('[') {
        text.push('.');
    }
    text + &shown(name)
}

/// Returns the beginning of a text.
fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let mut start: String = text.chars().take(chars.saturating_sub(1)).collect();
    start.push('…');
    start
}

/// An argument of a tool, as described.
struct ArgumentDescription {
    /// The published name.
    name: String,
    /// `string`, `list of numbers`.
    kind: String,
    /// Whether every call needs it.
    is_required: bool,
}

impl ArgumentDescription {
    /// Returns the arguments of a tool, required ones first.
    fn all(plan: &ArgumentPlan) -> Vec<Self> {
        let ids = plan.beside(&[0]);
        let certain = certain(plan);
        let mut all: Vec<Self> = strays::names(plan, &ids)
            .into_iter()
            .map(|name| {
                let property = |id: &NodeId| plan.node(*id).properties.get(name);
                let kind = ids.iter().find_map(property).map(|it| kind(plan, it.node));
                Self {
                    name: shown(plan.renaming.shown(name)),
                    kind: kind.unwrap_or_else(|| "any value".to_owned()),
                    is_required: certain
                        .iter()
                        .any(|id| plan.node(*id).required.iter().any(|it| it == name)),
                }
            })
            .collect();
        all.sort_by_key(|argument| !argument.is_required);
        all
    }
}

/// Returns the schemas that always apply to the arguments.
fn certain(plan: &ArgumentPlan) -> Vec<NodeId> {
    let mut found = vec![0];
    let mut next = 0;
    while let Some(id) = found.get(next).copied() {
        next += 1;
        for other in &plan.node(id).all_of {
            if !found.contains(other) {
                found.push(*other);
            }
        }
    }
    found
}

/// Describes the type of an argument.
fn kind(plan: &ArgumentPlan, id: NodeId) -> String {
    const KINDS: [(ValueTypeSet, &str); 5] = [
        (ValueTypeSet::STRING, "string"),
        (ValueTypeSet::BOOLEAN, "boolean"),
        (ValueTypeSet::OBJECT, "object"),
        (ValueTypeSet::ARRAY, "list"),
        (ValueTypeSet::NUMBER, "number"),
    ];
    let types = plan.node(id).possible.without(ValueTypeSet::NULL);
    if types == ValueTypeSet::ALL.without(ValueTypeSet::NULL) {
        return "any value".to_owned();
    }
    let mut kinds: Vec<String> = KINDS
        .iter()
        .filter(|(kind, _)| types.contains(*kind))
        .map(|(_, name)| (*name).to_owned())
        .collect();
    if types.whole_only() {
        kinds.push("integer".to_owned());
    }
    if types == ValueTypeSet::ARRAY {
        let below = plan.below(&plan.beside(&[id]), &Value::from(0));
        let items = below.first().map(|items| plan.node(*items).possible);
        let item = KINDS.iter().find(|(kind, _)| {
            items.is_some_and(|items| items.without(ValueTypeSet::NULL) == *kind)
        });
        let item = match items {
            Some(items) if items == ValueTypeSet::INTEGER => Some("integer"),
            _ => item.map(|(_, name)| *name),
        };
        if let Some(item) = item {
            return format!("list of {item}s");
        }
    }
    if kinds.is_empty() {
        "null".to_owned()
    } else {
        kinds.join(" or ")
    }
}

/// Lists arguments within this many characters: `path (string), head, tail (optional numbers)`.
fn list(arguments: &[ArgumentDescription], room: usize) -> String {
    let mut text = String::new();
    let mut told = 0;
    for group in arguments
        .chunk_by(|one, other| one.kind == other.kind && one.is_required == other.is_required)
    {
        let Some(first) = group.first() else { continue };
        let names: Vec<&str> = group.iter().map(|it| it.name.as_str()).collect();
        let kind = if group.len() > 1 {
            plural(&first.kind)
        } else {
            first.kind.clone()
        };
        let optional = if first.is_required { "" } else { "optional " };
        let next = format!("{} ({optional}{kind})", names.join(", "));
        let separator = if text.is_empty() { "" } else { ", " };
        let more = format!(", and {} more", arguments.len());
        if (text.len() + separator.len() + next.len() + more.len()) > room {
            break;
        }
        text.push_str(separator);
        text.push_str(&next);
        told += group.len();
    }
    match arguments.len() - told {
        0 => text,
        left if text.is_empty() => format!("{left}, see the schema of the tool"),
        left => format!("{text}, and {left} more"),
    }
}

/// Returns the plural of a type.
fn plural(kind: &str) -> String {
    match kind.strip_prefix("list of ") {
        Some(items) => format!("lists of {items}"),
        None if kind.contains(' ') => format!("each {kind}"),
        None => format!("{kind}s"),
    }
}
