//! Bounds that exclude every value.

use serde_json::{Map, Value};

use super::{number, own_types};

/// The keywords for the minimum and maximum of a count.
const COUNTS: [(&str, &str); 4] = [
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minContains", "maxContains"),
];

/// The keywords for the bounds of numbers.
const EDGES: [&str; 4] = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"];

/// The range between the bounds of numbers.
struct NumberRange {
    least: f64,
    is_open_below: bool,
    most: f64,
    is_open_above: bool,
}

/// Loosens one schema.
pub fn loosen(members: &mut Map<String, Value>, said: &mut Vec<String>) {
    for (least, most) in COUNTS {
        if let (Some(low), Some(high)) = (number(members, least), number(members, most))
            && low > high
        {
            members.shift_remove(least);
            members.shift_remove(most);
            said.push(format!(
                "`{least}` is more than `{most}`; both are left out"
            ));
        }
    }
    let range = NumberRange::of(members);
    let is_whole = own_types(members).whole_only();
    if range.is_empty(is_whole) {
        for edge in EDGES {
            members.shift_remove(edge);
        }
        said.push("no number is between its bounds; they are left out".to_owned());
    } else if let Some(step) = number(members, "multipleOf")
        && range.has_no_multiple(step)
    {
        members.shift_remove("multipleOf");
        said.push("no multiple of `multipleOf` is between its bounds; it is left out".to_owned());
    }
    tuple(members, said);
}

/// Whether the bounds of a schema allow a value.
pub fn admit(members: &Map<String, Value>, value: &Value) -> bool {
    let is_within = |count: usize, least: &str, most: &str| {
        #[expect(
            clippy::cast_precision_loss,
            reason = "texts have fewer than 2^52 characters"
        )]
        let count = count as f64;
        number(members, least).is_none_or(|low| count >= low)
            && number(members, most).is_none_or(|high| count <= high)
    };
    match value {
        Value::Number(number) => number
            .as_f64()
            .is_none_or(|number| NumberRange::of(members).has(number)),
        Value::String(text) => is_within(text.chars().count(), "minLength", "maxLength"),
        Value::Array(items) => is_within(items.len(), "minItems", "maxItems"),
        Value::Object(named) => is_within(named.len(), "minProperties", "maxProperties"),
        Value::Null | Value::Bool(_) => true,
    }
}

/// Removes all bounds. Returns whether there were any.
pub fn remove(members: &mut Map<String, Value>) -> bool {
    let counts = COUNTS.iter().flat_map(|(least, most)| [least, most]);
    let mut is_bounded = false;
    for keyword in EDGES.iter().chain(counts) {
        is_bounded |= members.shift_remove(*keyword).is_some();
    }
    is_bounded
}

impl NumberRange {
    /// Returns the bounds of a schema, including those of draft-04.
    fn of(members: &Map<String, Value>) -> Self {
        let (least, is_open_below) = edge(members, "minimum", "exclusiveMinimum", 1.0);
        let (most, is_open_above) = edge(members, "maximum", "exclusiveMaximum", -1.0);
        Self {
            least,
            is_open_below,
            most,
            is_open_above,
        }
    }

    /// Whether a number is within the bounds.
    fn has(&self, number: f64) -> bool {
        let is_above = number > self.least || (number >= self.least && !self.is_open_below);
        let is_below = number < self.most || (number <= self.most && !self.is_open_above);
        is_above && is_below
    }

    /// Whether the range is empty.
    fn is_empty(&self, is_whole: bool) -> bool {
        if !is_whole {
            let is_open = self.is_open_below || self.is_open_above;
            return self.least > self.most || (self.least >= self.most && is_open);
        }
        let (mut low, mut high) = (self.least.ceil(), self.most.floor());
        if self.is_open_below && low <= self.least {
            low += 1.0;
        }
        if self.is_open_above && high >= self.most {
            high -= 1.0;
        }
        low > high
    }

    /// Whether the range contains no multiple of `step`.
    fn has_no_multiple(&self, step: f64) -> bool {
        let highest = (self.most / step).floor() * step;
        let is_bounded = self.least.is_finite() && highest.is_finite();
        // Rounding errors are tolerated.
        step > 0.0 && is_bounded && highest < self.least - step * 1e-9
    }
}

/// Returns one bound, and whether the number itself is excluded. `sign` mirrors the lower bound to the upper
/// one.
fn edge(members: &Map<String, Value>, inclusive: &str, exclusive: &str, sign: f64) -> (f64, bool) {
    let bound = number(members, inclusive).map(|bound| bound * sign);
    let is_strict = members.get(exclusive) == Some(&Value::Bool(true));
    let strict = number(members, exclusive).map(|bound| bound * sign);
    let (edge, is_open) = match (bound, strict) {
        (Some(bound), Some(strict)) if strict < bound => (bound, false),
        (_, Some(strict)) => (strict, true),
        (Some(bound), None) => (bound, is_strict),
        (None, None) => (f64::NEG_INFINITY, false),
    };
    (edge * sign, is_open)
}

/// Handles a closed tuple that requires more items than it has.
fn tuple(members: &mut Map<String, Value>, said: &mut Vec<String>) {
    let (first, rest) = if members.get("items").is_some_and(Value::is_array) {
        ("items", "additionalItems")
    } else {
        ("prefixItems", "items")
    };
    let places = members.get(first).and_then(Value::as_array).map(Vec::len);
    let is_closed = members.get(rest) == Some(&Value::Bool(false));
    if let (Some(places), Some(least), true) = (places, number(members, "minItems"), is_closed) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "lists have fewer than 2^52 elements"
        )]
        let places = places as f64;
        if least > places {
            members.shift_remove("minItems");
            said.push("`minItems` is larger than its number of items; it is left out".to_owned());
        }
    }
}
