//! Parses JSON with comments and trailing commas.

use jsonc_parser::{CollectOptions, ParseOptions, ast::Value, common::Ranged, parse_to_ast};

use crate::config::clients::{
    ClientSyntaxError,
    tree::{SpannedField, SpannedValue, ValueContent},
};

/// The parser options: comments and trailing commas in otherwise plain JSON.
fn options() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// Parses a text. `None` means that it contains nothing but comments.
pub(super) fn parse(text: &str) -> Result<Option<SpannedValue>, ClientSyntaxError> {
    match parse_to_ast(text, &CollectOptions::default(), &options()) {
        Ok(parsed) => Ok(parsed.value.as_ref().map(node)),
        Err(error) => {
            let range = error.range();
            Err(ClientSyntaxError {
                at: range.start..range.end,
                message: format!("the JSON is not valid: {}", error.kind()),
            })
        }
    }
}

/// Converts a value. The parser limits the nesting depth.
fn node(value: &Value<'_>) -> SpannedValue {
    let tree = match value {
        Value::StringLit(text) => ValueContent::Text(text.value.clone().into_owned()),
        Value::NumberLit(number) => ValueContent::Number(number.value.to_owned()),
        Value::BooleanLit(switch) => ValueContent::Switch(switch.value),
        Value::NullKeyword(_) => ValueContent::Null,
        Value::Array(array) => ValueContent::List(array.elements.iter().map(node).collect()),
        Value::Object(object) => {
            let fields = object.properties.iter().map(|property| {
                let range = property.name.range();
                SpannedField {
                    name: property.name.as_str().to_owned(),
                    at: range.start..range.end,
                    value: node(&property.value),
                }
            });
            ValueContent::Map(fields.collect())
        }
    };
    let range = value.range();
    SpannedValue {
        at: range.start..range.end,
        tree,
    }
}
