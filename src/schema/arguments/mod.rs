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
mod survey;
mod types;
mod words;

use serde_json::{Map, Value};

use self::{plan::Plan, settle::Settle};

pub use self::refusal::Refusal;

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
    /// where no argument is needed. Arguments may be wrapped: `{"arguments": {…}}`.
    pub fn accept(&self, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
        let Some(value) = body::parse(body)? else {
            let nothing = Value::Object(Map::new());
            return self.judge(nothing).map_err(|_| Refusal::missing_body());
        };
        let (value, inner) = self.unwrap(value);
        let refused = match self.judge(value) {
            Ok(arguments) => return Ok(arguments),
            Err(refused) => refused,
        };
        if let Some(Ok(arguments)) = inner.map(|inner| self.judge(inner)) {
            return Ok(arguments);
        }
        // Settled values are no longer what was sent; reading it again costs only refused calls.
        let sent = body::parse(body)?.unwrap_or_default();
        Err(self.refusal(&refused, &self.unwrap(sent).0))
    }

    /// Settles and checks arguments that are already parsed.
    #[cfg(test)]
    pub fn accept_value(&self, arguments: Value) -> Result<Map<String, Value>, Refusal> {
        self.judge(arguments)
            .map_err(|refused| self.refusal(&refused, &refused))
    }

    /// Takes the wrapper off. Where the tool has an argument of that name nobody can know whether
    /// it is one: then the inside comes second, to be tried if the whole is refused.
    fn unwrap(&self, value: Value) -> (Value, Option<Value>) {
        let Value::Object(mut members) = value else {
            return (value, None);
        };
        match members.get(WRAPPER) {
            Some(inner @ Value::Object(_)) if self.takes_wrapper => {
                let inner = (members.len() == 1).then(|| inner.clone());
                (Value::Object(members), inner)
            }
            Some(Value::Object(_)) => (members.remove(WRAPPER).unwrap_or_default(), None),
            _ => (Value::Object(members), None),
        }
    }

    /// Settles and validates, once each; what is refused comes back as it was settled.
    fn judge(&self, mut value: Value) -> Result<Map<String, Value>, Value> {
        // Some models encode their arguments twice.
        if let Value::String(text) = &value
            && let Some(object) = lax::parse_object(text)
        {
            value = object;
        }
        // Only a default can make arguments invalid that were valid before.
        let spare = self.plan.defaults_may_conflict().then(|| value.clone());
        let mut settle = Settle::new(&self.plan, true);
        settle.root(&mut value);
        match (self.checked(value), spare) {
            (Err(_), Some(mut bare)) if settle.filled() => {
                Settle::new(&self.plan, false).root(&mut bare);
                self.checked(bare)
            }
            (outcome, _) => outcome,
        }
    }

    /// Asks the validator.
    fn checked(&self, value: Value) -> Result<Map<String, Value>, Value> {
        match value {
            Value::Object(_) if !self.is_valid(&value) => Err(value),
            Value::Object(arguments) => Ok(arguments),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(value),
        }
    }

    /// True if the validator has nothing to say.
    fn is_valid(&self, value: &Value) -> bool {
        self.validator
            .as_ref()
            .is_none_or(|validator| validator.is_valid(value))
    }

    /// The arguments that are not valid on their own.
    fn misfits<'v>(&self, settled: &'v Value) -> Vec<&'v str> {
        let properties = &self.plan.node(0).properties;
        let members = settled.as_object().into_iter().flatten();
        members
            .filter(|(name, value)| {
                let property = properties.get(name.as_str());
                property.is_some_and(|property| !branch::is_valid(&self.plan, property.node, value))
            })
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Says what is wrong with settled arguments, and shows it as it was `sent`.
    fn refusal(&self, settled: &Value, sent: &Value) -> Refusal {
        match &self.validator {
            _ if !settled.is_object() => Refusal::not_an_object(sent),
            Some(validator) if self.plan.can_explain(settled) => {
                Refusal::of(validator, self.plan.schema(), settled, sent)
            }
            _ => Refusal::of_properties(&self.misfits(settled), sent),
        }
    }
}

#[cfg(test)]
mod tests;
