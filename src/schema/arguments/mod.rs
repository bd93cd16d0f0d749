//! [`ArgumentSchema`]: a tool's input schema, compiled once and applied to each call.
//!
//! A body is parsed, unwrapped, settled (optional nulls dropped, lax conversions, defaults filled
//! in: mcpo's habits, `mcpo §11.1`) and then validated once. Settling only touches what could not
//! be valid as it stands, so valid arguments pass unchanged. Nothing here does I/O.

mod body;
mod branch;
mod lax;
mod plan;
mod refusal;
mod repair;
mod settle;
mod types;
mod words;

use serde_json::{Map, Value};

use self::{plan::Plan, settle::Settle};

pub use self::refusal::{Detail, Refusal};

/// The key under which callers may wrap their arguments (`requirements §1.4`).
const WRAPPER: &str = "arguments";

/// What a tool accepts.
#[derive(Debug)]
pub struct ArgumentSchema {
    /// How values are settled, and the schema's parts.
    plan: Plan,
    /// The judge; none if any object is accepted.
    validator: Option<jsonschema::Validator>,
    /// The tool has an argument that is called [`WRAPPER`] itself.
    takes_wrapper: bool,
}

impl ArgumentSchema {
    /// Compiles the schema as the server sent it, with what had to be left out of it.
    ///
    /// Never fails: a keyword that makes no sense is dropped, and a schema that still does not
    /// compile accepts any object. References are never fetched, formats are not asserted, and
    /// the dialect is the one `$schema` names, else 2020-12.
    pub fn compile(schema: &Value) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let Some(repaired) = repair::repair(schema, &mut warnings) else {
            return (Self::any_object(), warnings);
        };
        let plan = Plan::compile(repaired.schema, repaired.draft, &mut warnings);
        let schema = Self {
            takes_wrapper: plan.has_property(WRAPPER),
            plan,
            validator: Some(repaired.validator),
        };
        (schema, warnings)
    }

    /// Accepts any object as it is.
    fn any_object() -> Self {
        Self {
            plan: Plan::any(),
            validator: None,
            takes_wrapper: false,
        }
    }

    /// Reads, settles and checks the body of a call.
    ///
    /// The body is judged by its content, not by its header. Nothing and `null` stand for `{}`
    /// where no argument is needed.
    pub fn accept(&self, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
        let parsed = body::parse(body)?;
        let Some(value) = parsed else {
            return self
                .accept_value(Value::Object(Map::new()))
                .map_err(|_| Refusal::missing_body());
        };
        let arguments = match value {
            Value::Object(mut map) => match map.get(WRAPPER) {
                Some(Value::Object(_)) if !self.takes_wrapper => {
                    map.remove(WRAPPER).unwrap_or_default()
                }
                Some(Value::Object(_)) if map.len() == 1 => return self.accept_either(map),
                _ => Value::Object(map),
            },
            other => other,
        };
        self.accept_value(arguments)
    }

    /// Settles and checks arguments that are already parsed, such as those of an MCP call.
    pub fn accept_value(&self, arguments: Value) -> Result<Map<String, Value>, Refusal> {
        // Only a default can make arguments invalid that were valid before.
        let spare = self.plan.defaults_may_conflict().then(|| arguments.clone());
        let (settled, filled) = self.settle(arguments, true)?;
        let refusal = match self.check(settled) {
            Ok(arguments) => return Ok(arguments),
            Err(refusal) => refusal,
        };
        match spare {
            Some(spare) if filled => {
                let (bare, _) = self.settle(spare, false)?;
                self.check(bare)
            }
            _ => Err(refusal),
        }
    }

    /// A body with the one key `arguments`, of a tool that has such an argument: as it is if that
    /// is valid, else unwrapped.
    fn accept_either(&self, map: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
        let inner = map.get(WRAPPER).cloned().unwrap_or_default();
        self.accept_value(Value::Object(map))
            .or_else(|refusal| self.accept_value(inner).map_err(|_| refusal))
    }

    /// Settles arguments; also says whether a default was filled in.
    fn settle(&self, mut value: Value, fill: bool) -> Result<(Value, bool), Refusal> {
        // Some models encode their arguments twice.
        if let Value::String(text) = &value
            && let Some(object) = lax::parse_object(text)
        {
            value = object;
        }
        if !value.is_object() {
            return Err(Refusal::not_an_object(&value));
        }
        let mut settle = Settle::new(&self.plan, fill);
        settle.root(&mut value);
        Ok((value, settle.filled()))
    }

    /// Validates settled arguments once; what is wrong is only looked for if something is.
    fn check(&self, arguments: Value) -> Result<Map<String, Value>, Refusal> {
        match &self.validator {
            Some(validator) if !validator.is_valid(&arguments) => {
                Err(Refusal::of(validator, self.plan.schema(), &arguments))
            }
            _ => match arguments {
                Value::Object(arguments) => Ok(arguments),
                other => Err(Refusal::not_an_object(&other)),
            },
        }
    }
}

#[cfg(test)]
mod tests;
