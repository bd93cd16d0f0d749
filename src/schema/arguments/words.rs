//! Converts the validator's errors to pydantic's messages, which models and clients of mcpo know.

use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
    paths::LocationSegment,
};
use serde_json::{Number, Value, json};

use super::{
    detail::{DETAILS_MAX, ValidationDetail, body},
    lax,
};

/// pydantic's error for a value that is not an object.
pub const OBJECT_TYPE: (&str, &str) = (
    "model_attributes_type",
    "Input should be a valid dictionary or object to extract fields from",
);

/// The maximum number of choices in a message.
const CHOICES_MAX: usize = 50;

/// A branch of a union: the position in the path, and the branch's name.
type Mark = (usize, String);

/// Returns the nesting depth of an error.
pub fn depth(error: &ValidationError<'_>) -> usize {
    let names_key = matches!(
        error.kind(),
        Kind::Required { .. }
            | Kind::AdditionalProperties { .. }
            | Kind::UnevaluatedProperties { .. }
    );
    error.instance_path().segments().count() + usize::from(names_key)
}

/// The context of the errors.
#[derive(Debug, Clone, Copy)]
pub struct ErrorTranslator<'a> {
    /// The schema of the validator.
    pub schema: &'a Value,
    /// The arguments as they were sent.
    pub sent: &'a Value,
}

impl ErrorTranslator<'_> {
    /// Appends the details of one error. For a union, appends those of each branch.
    pub fn describe(
        &self,
        error: &ValidationError<'_>,
        marks: &[Mark],
        out: &mut Vec<ValidationDetail>,
    ) {
        let input = self.input(error);
        let mut loc = loc(error, marks);
        match error.kind() {
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                self.union(error, context, marks, out);
            }
            Kind::Type { kind } => self.types(error, kind, marks, out),
            Kind::AdditionalProperties { unexpected }
            | Kind::UnevaluatedProperties { unexpected } => {
                for key in unexpected.iter().take(DETAILS_MAX) {
                    let mut loc = loc.clone();
                    loc.push(Value::from(key.as_str()));
                    out.push(extra(loc, input.get(key).unwrap_or(&Value::Null)));
                }
            }
            Kind::FalseSchema => out.push(extra(loc, input)),
            Kind::Required { property } => {
                loc.push(property.clone());
                out.push(ValidationDetail::new(
                    "missing",
                    loc,
                    "Field required",
                    input,
                ));
            }
            Kind::PropertyNames { error: inner } => {
                let msg = format!("Value error, the key {} is not allowed", inner.instance());
                out.push(ValidationDetail::new("value_error", loc, msg, input));
            }
            kind => out.push(plain(error, kind, &loc, input)),
        }
    }

    /// Appends the errors of each branch, with the branch's name in `loc`. Null branches have none, and a
    /// union with only one other branch does not count as a union (pydantic's `nullable`).
    fn union(
        &self,
        error: &ValidationError<'_>,
        context: &[Vec<ValidationError<'static>>],
        marks: &[Mark],
        out: &mut Vec<ValidationDetail>,
    ) {
        let branches = self.keyword(error).and_then(Value::as_array);
        let branch = |index: usize| branches.and_then(|branches| branches.get(index));
        let named: Vec<(String, &Vec<ValidationError<'static>>)> = context
            .iter()
            .enumerate()
            .map(|(index, errors)| {
                (
                    branch(index).map_or_else(|| "choice".to_owned(), name),
                    errors,
                )
            })
            .filter(|(name, _)| name != "none")
            .collect();
        if named.is_empty() {
            out.push(none_required(loc(error, marks), self.input(error)));
        }
        let single = named.len() == 1;
        let place = error.instance_path().segments().count();
        for (name, errors) in named {
            let mut marks = marks.to_vec();
            if !single {
                marks.push((place, name));
            }
            for error in errors {
                if out.len() >= DETAILS_MAX {
                    return;
                }
                self.describe(error, &marks, out);
            }
        }
    }

    /// Appends the error for a wrong type; for a list of types, one detail for each.
    fn types(
        &self,
        error: &ValidationError<'_>,
        kind: &TypeKind,
        marks: &[Mark],
        out: &mut Vec<ValidationDetail>,
    ) {
        let names: Vec<String> = match (kind, self.keyword(error)) {
            (TypeKind::Single(kind), _) => vec![kind.to_string()],
            (TypeKind::Multiple(_), Some(Value::Array(names))) => names
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            (TypeKind::Multiple(kinds), _) => kinds.iter().map(|kind| kind.to_string()).collect(),
        };
        let others: Vec<&String> = names.iter().filter(|name| *name != "null").collect();
        let input = self.input(error);
        if others.is_empty() {
            out.push(none_required(loc(error, marks), input));
        }
        let place = error.instance_path().segments().count();
        for name in &others {
            let mut marks = marks.to_vec();
            if others.len() > 1 {
                marks.push((place, type_name(name).to_owned()));
            }
            let (kind, msg) = wrong_type(name, input, self.has_properties(error));
            out.push(ValidationDetail::new(kind, loc(error, &marks), msg, input));
        }
    }

    /// Returns the sent value at the position, or the converted value if it differs.
    fn input<'e>(&'e self, error: &'e ValidationError<'_>) -> &'e Value {
        let sent = self.sent.pointer(error.instance_path().as_str());
        sent.unwrap_or_else(|| error.instance())
    }

    /// Returns the schema's keyword that caused the error.
    fn keyword(&self, error: &ValidationError<'_>) -> Option<&Value> {
        self.schema.pointer(error.schema_path().as_str())
    }

    /// Whether the schema that caused the error defines properties.
    fn has_properties(&self, error: &ValidationError<'_>) -> bool {
        let parent = error.schema_path().as_str().rsplit_once('/');
        parent
            .and_then(|(parent, _)| self.schema.pointer(parent))
            .is_some_and(|schema| schema.get("properties").is_some())
    }
}

/// Returns pydantic's error for a value of the wrong type.
fn wrong_type(expected: &str, input: &Value, has_properties: bool) -> (&'static str, &'static str) {
    match (expected, input) {
        ("integer", Value::String(text)) if lax::is_long_integer(text) => (
            "int_parsing_size",
            "Unable to parse input string as an integer, exceeded maximum size",
        ),
        ("integer", Value::String(_)) => (
            "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        ("integer", Value::Number(_)) => (
            "int_from_float",
            "Input should be a valid integer, got a number with a fractional part",
        ),
        ("integer", _) => ("int_type", "Input should be a valid integer"),
        ("number", Value::String(_)) => (
            "float_parsing",
            "Input should be a valid number, unable to parse string as a number",
        ),
        ("number", _) => ("float_type", "Input should be a valid number"),
        ("boolean", Value::String(_) | Value::Number(_)) => (
            "bool_parsing",
            "Input should be a valid boolean, unable to interpret input",
        ),
        ("boolean", _) => ("bool_type", "Input should be a valid boolean"),
        ("string", _) => ("string_type", "Input should be a valid string"),
        ("array", _) => ("list_type", "Input should be a valid list"),
        ("object", _) if has_properties => OBJECT_TYPE,
        ("object", _) => ("dict_type", "Input should be a valid dictionary"),
        _ => ("none_required", "Input should be None"),
    }
}

/// Returns the detail for all other errors.
fn plain(
    error: &ValidationError<'_>,
    kind: &Kind,
    loc: &[Value],
    input: &Value,
) -> ValidationDetail {
    let detail = |kind, msg: String| ValidationDetail::new(kind, loc.to_vec(), msg, input);
    let bound = |kind, words: &str, key: &str, limit: &Value| {
        detail(kind, format!("Input should be {words} {limit}")).with(json!({ key: limit }))
    };
    match kind {
        Kind::Enum { options } => choice(detail, options.as_array().map_or(&[], Vec::as_slice)),
        Kind::Constant { expected_value } => {
            choice(detail, std::slice::from_ref(&**expected_value))
        }
        Kind::Minimum { limit } => bound(
            "greater_than_equal",
            "greater than or equal to",
            "ge",
            limit,
        ),
        Kind::ExclusiveMinimum { limit } => bound("greater_than", "greater than", "gt", limit),
        Kind::Maximum { limit } => bound("less_than_equal", "less than or equal to", "le", limit),
        Kind::ExclusiveMaximum { limit } => bound("less_than", "less than", "lt", limit),
        Kind::MultipleOf { multiple_of } => {
            let step = Number::from_f64(*multiple_of);
            let step = step.map(|step| lax::whole(&step).unwrap_or(step));
            bound("multiple_of", "a multiple of", "multiple_of", &json!(step))
        }
        Kind::MinLength { limit } => detail(
            "string_too_short",
            format!("String should have at least {}", count(*limit, "character")),
        )
        .with(json!({ "min_length": limit })),
        Kind::MaxLength { limit } => detail(
            "string_too_long",
            format!("String should have at most {}", count(*limit, "character")),
        )
        .with(json!({ "max_length": limit })),
        Kind::Pattern { pattern } => detail(
            "string_pattern_mismatch",
            format!("String should match pattern '{pattern}'"),
        )
        .with(json!({ "pattern": pattern })),
        Kind::MinItems { limit } | Kind::MinProperties { limit } => size(
            detail,
            "too_short",
            ("at least", "min_length"),
            *limit,
            input,
        ),
        Kind::MaxItems { limit } | Kind::MaxProperties { limit } => {
            size(detail, "too_long", ("at most", "max_length"), *limit, input)
        }
        Kind::AdditionalItems { limit } => size(
            detail,
            "too_long",
            ("at most", "max_length"),
            u64::try_from(*limit).unwrap_or(u64::MAX),
            input,
        ),
        Kind::Contains => detail(
            "value_error",
            "Value error, the list lacks an item that it should contain".to_owned(),
        ),
        Kind::UniqueItems => detail(
            "value_error",
            "Value error, the items should be unique".to_owned(),
        ),
        Kind::OneOfMultipleValid { .. } => detail(
            "value_error",
            "Value error, the input fits more than one of the shapes of which it should fit one"
                .to_owned(),
        ),
        _ => detail(
            "value_error",
            format!("Value error, {}", error.masked_with("the input")),
        ),
    }
}

/// Returns the detail for a value that is not among the choices.
fn choice(
    detail: impl Fn(&'static str, String) -> ValidationDetail,
    options: &[Value],
) -> ValidationDetail {
    let mut names: Vec<String> = options.iter().take(CHOICES_MAX).map(python).collect();
    let expected = if options.len() > CHOICES_MAX {
        format!("{}, … ({} in all)", names.join(", "), options.len())
    } else {
        match (names.pop(), names.is_empty()) {
            (Some(last), false) => format!("{} or {last}", names.join(", ")),
            (last, _) => last.unwrap_or_default(),
        }
    };
    detail("literal_error", format!("Input should be {expected}"))
        .with(json!({ "expected": expected }))
}

/// Returns the detail for too few or too many items.
fn size(
    detail: impl Fn(&'static str, String) -> ValidationDetail,
    kind: &'static str,
    (words, key): (&str, &str),
    limit: u64,
    input: &Value,
) -> ValidationDetail {
    let (field, actual) = match input {
        Value::Array(items) => ("List", items.len()),
        Value::Object(members) => ("Dictionary", members.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => ("Input", 0),
    };
    let items = count(limit, "item");
    detail(
        kind,
        format!("{field} should have {words} {items} after validation, not {actual}"),
    )
    .with(json!({ "field_type": field, key: limit, "actual_length": actual }))
}

/// Returns the detail for an argument that the tool does not have.
fn extra(loc: Vec<Value>, input: &Value) -> ValidationDetail {
    ValidationDetail::new(
        "extra_forbidden",
        loc,
        "Extra inputs are not permitted",
        input,
    )
}

/// Returns the detail for a value where only null is allowed.
fn none_required(loc: Vec<Value>, input: &Value) -> ValidationDetail {
    ValidationDetail::new("none_required", loc, "Input should be None", input)
}

/// Returns `body`, the path of the instance, and the branches of unions at their positions.
fn loc(error: &ValidationError<'_>, marks: &[Mark]) -> Vec<Value> {
    let mut loc = body();
    let mut marks = marks.iter().peekable();
    for (place, segment) in error.instance_path().segments().enumerate() {
        while let Some((_, name)) = marks.next_if(|(mark, _)| *mark == place) {
            loc.push(Value::from(name.as_str()));
        }
        loc.push(match segment {
            LocationSegment::Property(key) => Value::from(key.as_ref()),
            LocationSegment::Index(index) => Value::from(index),
        });
    }
    loc.extend(marks.map(|(_, name)| Value::from(name.as_str())));
    loc
}

/// Returns pydantic's name for a branch of a union. Objects use their title.
fn name(branch: &Value) -> String {
    let kind = match branch.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        _ => "",
    };
    match kind {
        "array" => match branch.pointer("/items/type").and_then(Value::as_str) {
            Some(item) => format!("list[{}]", type_name(item)),
            None => "list".to_owned(),
        },
        "" | "object" => {
            let reference = branch.get("$ref").and_then(Value::as_str);
            let title = branch.get("title").and_then(Value::as_str);
            let last = reference.and_then(|reference| reference.rsplit('/').next());
            title
                .or(last)
                .unwrap_or(if kind.is_empty() { "choice" } else { "object" })
                .to_owned()
        }
        kind => type_name(kind).to_owned(),
    }
}

/// Returns Python's name of a schema type.
fn type_name(name: &str) -> &str {
    match name {
        "string" => "str",
        "integer" => "int",
        "number" => "float",
        "boolean" => "bool",
        "null" => "none",
        "array" => "list",
        other => other,
    }
}

/// Returns a value as Python prints it.
fn python(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{text}'"),
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// `1 item`, `2 items`.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
