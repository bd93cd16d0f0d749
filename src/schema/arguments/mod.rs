//! [`ArgumentSchema`]: a tool's input schema, compiled once and applied to each call.
//!
//! A body is parsed, unwrapped, settled (optional nulls dropped, lax conversions, defaults filled in, as mcpo
//! does) and then validated once. Settling changes only what would be invalid, so valid arguments pass
//! unchanged. No I/O.
//!
//! The schema comes from a server and the arguments from a caller, and neither is trusted. Everything here
//! therefore runs on a budget of steps (`schema::meter`), when a schema is compiled and when it is applied.

mod advice;
mod body;
mod branch;
mod compile;
mod counted;
mod detail;
mod digits;
mod lax;
mod lines;
mod node;
mod paths;
mod patterns;
mod plan;
mod reach;
mod reference;
mod refusal;
mod rename;
mod renaming;
mod repair;
mod settle;
mod strays;
mod survey;
pub(super) mod types;
mod words;

use std::time::Duration;

use serde_json::{Map, Value};

use self::{
    body::ParsedArguments,
    counted::{MeteredJson, MeteredValue},
    detail::ValidationDetail,
    plan::ArgumentPlan,
    renaming::ArgumentRenaming,
    settle::ArgumentRepair,
};
use super::{
    SchemaFlavor, contradictions,
    meter::{StepBudget, within},
    names::ArgumentNames,
};
use crate::json;

pub use self::refusal::ArgumentError;

/// The key in which callers may wrap their arguments.
const WRAPPER: &str = "arguments";

/// The step budget for compiling one schema: about a second.
const COMPILE_STEPS: u64 = 100_000_000;

/// The largest schema that is compiled, in values. Each value takes about a kilobyte; the largest known
/// schema of a real server has 622 values.
const SCHEMA_VALUES_MAX: usize = 20_000;

/// The time limit for compiling one schema.
const COMPILE_TIME: Duration = Duration::from_secs(3);

/// The steps of a light check: less than half a millisecond.
const LIGHT_STEPS: u64 = 20_000;

/// The steps of a minimal check.
const MINIMAL_STEPS: u64 = 2_000;

/// The largest body of a light check, in bytes.
const LIGHT_BYTES_MAX: usize = 128 << 10;

/// The divisor of the matching time in a light check, compared with a full one.
const LIGHT_TEXT_DIVISOR: usize = 20;

/// The steps of a full check, in addition to those for the size of the body.
const FULL_STEPS: u64 = 20_000_000;

/// Additional steps of a full check for each byte of the body.
const FULL_STEPS_PER_BYTE: u64 = 8;

/// The time limit of a full check. A running match is not interrupted; it takes 0.2 s at most.
const FULL_TIME: Duration = Duration::from_millis(600);

/// The steps for explaining what is wrong with arguments. Each copy of a value counts, so this also limits
/// the memory of the answer.
const EXPLAIN_STEPS: u64 = 200_000;

/// The maximum number of values in the body of a call, as counted by [`json::values_at_most`].
pub const BODY_VALUES_MAX: usize = 200_000;

/// How much work a check may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckEffort {
    /// On a shared thread, for a schema that was recently costly: enough for a few simple arguments.
    Minimal,
    /// On a shared thread: less than half a millisecond.
    Light,
    /// On a separate thread: less than a second.
    Full,
}

/// The arguments that a tool accepts.
#[derive(Debug)]
pub struct ArgumentSchema {
    /// The parts of the schema, and how values are settled.
    plan: ArgumentPlan,
    /// The validator; `None` if any object is accepted.
    validator: Option<jsonschema::Validator<MeteredJson>>,
    /// Whether the tool has an argument that is named [`WRAPPER`] itself.
    takes_wrapper: bool,
    /// The longest string that the schema's patterns are applied to, in bytes.
    text_bytes_max: usize,
    /// How arguments are corrected.
    habits: SchemaFlavor,
}

/// Valid arguments.
struct ValidArguments {
    /// The arguments for the server.
    arguments: Map<String, Value>,
    /// Whether a number became a text, possibly with other digits than were sent.
    is_restyled: bool,
    /// Whether there may be a key that the schema does not define.
    is_strayed: bool,
}

impl ArgumentSchema {
    /// Compiles the schema as the server sent it. Also returns warnings about the parts that were dropped.
    ///
    /// Never fails: an invalid keyword is dropped, and a schema that still does not compile accepts any
    /// object. References are never fetched, formats are not checked, and the dialect is the one that
    /// `$schema` names, or 2020-12.
    ///
    /// A schema that exceeds its share of `steps_left` accepts any object too. The steps used are subtracted.
    pub fn compile(
        schema: &Value,
        steps_left: &mut u64,
        habits: SchemaFlavor,
    ) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        if json::count_values(schema) > SCHEMA_VALUES_MAX {
            let warning = format!(
                "the input schema has more than {SCHEMA_VALUES_MAX} values, any object is accepted"
            );
            return (Self::any_object(), vec![warning]);
        }
        let budget = StepBudget {
            time: Some(COMPILE_TIME),
            ..StepBudget::steps(COMPILE_STEPS.min(*steps_left))
        };
        let (compiled, used) = within(budget, || Self::compiled(schema, habits, &mut warnings));
        *steps_left = steps_left.saturating_sub(used);
        let compiled = compiled.unwrap_or_else(|_spent| {
            warnings.push(
                "the input schema is too complex to be compiled, any object is accepted".to_owned(),
            );
            None
        });
        (compiled.unwrap_or_else(Self::any_object), warnings)
    }

    /// Returns the compiled schema, or `None` if any object is accepted.
    fn compiled(schema: &Value, habits: SchemaFlavor, warnings: &mut Vec<String>) -> Option<Self> {
        let names = ArgumentNames::of(schema);
        // Publishing the schema reports this.
        let loosened = contradictions::loosened(schema, &mut Vec::new());
        let repaired = repair::repair(&loosened, warnings)?;
        let mut plan = ArgumentPlan::compile(repaired.schema, repaired.draft, warnings);
        plan.helps = habits.helps;
        plan.renaming = ArgumentRenaming::new(names, plan.nodes());
        Some(Self {
            takes_wrapper: plan.has_property(WRAPPER),
            plan,
            validator: Some(repaired.validator),
            text_bytes_max: repaired.text_bytes_max,
            habits,
        })
    }

    /// Whether any object is accepted unchanged.
    pub fn accepts_any_object(&self) -> bool {
        self.validator.is_none()
    }

    /// Accepts any object unchanged.
    fn any_object() -> Self {
        Self {
            plan: ArgumentPlan::any(),
            validator: None,
            takes_wrapper: false,
            text_bytes_max: usize::MAX,
            habits: SchemaFlavor::MCPO,
        }
    }

    /// Parses, settles and validates the body of a call.
    ///
    /// The content of the body counts, not its header. An empty body and `null` mean `{}` if no argument is
    /// required. Arguments may be wrapped: `{"arguments": {…}}`.
    ///
    /// With less than full effort, [`ArgumentError::TooCostly`] means only that a full check is needed.
    pub fn accept(
        &self,
        body: &[u8],
        effort: CheckEffort,
    ) -> Result<Map<String, Value>, ArgumentError> {
        if body.len() > LIGHT_BYTES_MAX {
            if effort != CheckEffort::Full {
                return Err(ArgumentError::TooCostly);
            }
            if json::values_at_most(body) > BODY_VALUES_MAX {
                return Err(ArgumentError::TooManyValues(BODY_VALUES_MAX));
            }
        }
        let budget = self.budget(effort, body.len());
        let (outcome, _) = within(budget, || self.accept_within(body));
        let outcome = outcome.unwrap_or(Err(ArgumentError::TooCostly));
        outcome.map_err(|refusal| self.advised(refusal, body))
    }

    /// Returns the budget for checking this many bytes.
    fn budget(&self, effort: CheckEffort, bytes: usize) -> StepBudget {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match effort {
            CheckEffort::Minimal | CheckEffort::Light => StepBudget {
                text_bytes_max: self.text_bytes_max / LIGHT_TEXT_DIVISOR,
                ..StepBudget::steps(if effort == CheckEffort::Light {
                    LIGHT_STEPS
                } else {
                    MINIMAL_STEPS
                })
            },
            CheckEffort::Full => StepBudget {
                time: Some(FULL_TIME),
                text_bytes_max: self.text_bytes_max,
                ..StepBudget::steps(
                    bytes
                        .saturating_mul(FULL_STEPS_PER_BYTE)
                        .saturating_add(FULL_STEPS),
                )
            },
        }
    }

    /// Does the work of [`ArgumentSchema::accept`] within a budget.
    fn accept_within(&self, body: &[u8]) -> Result<Map<String, Value>, ArgumentError> {
        let Some(value) = self.read(body)? else {
            let nothing = Value::Object(Map::new());
            let fit = self
                .judge(nothing)
                .map_err(|_| ArgumentError::missing_body())?;
            return Ok(fit.arguments);
        };
        let (value, inner) = self.unwrap(value);
        let refused = match self.judge(value) {
            Ok(fit) => return self.taken(fit, body),
            Err(refused) => refused,
        };
        if let Some(Ok(fit)) = inner.map(|inner| self.judge(inner)) {
            return Ok(fit.arguments);
        }
        // The settled values differ from the sent ones, so the body of a rejected call is parsed again.
        let sent = self.read(body)?.unwrap_or_default();
        Err(self.argument_error(&refused, &self.unwrap(sent).0))
    }

    /// Returns valid arguments, unless one of their names is a misspelling or unknown names are rejected.
    fn taken(&self, fit: ValidArguments, body: &[u8]) -> Result<Map<String, Value>, ArgumentError> {
        if fit.is_strayed && self.habits.helps {
            let sent = self.sent(body)?;
            let refused = strays::find(&self.plan, &sent)
                .into_iter()
                .filter(|stray| stray.slip.is_some() || self.habits.refuses_unknown);
            let details: Vec<ValidationDetail> = refused
                .map(|stray| {
                    let input = sent.pointer(&stray.pointer()).unwrap_or(&Value::Null);
                    ValidationDetail::stray(&stray, advice::of_stray(&stray), input)
                })
                .collect();
            if !details.is_empty() {
                return Err(ArgumentError::invalid(details));
            }
        }
        if fit.is_restyled {
            return Ok(self.as_written(body, fit.arguments));
        }
        Ok(fit.arguments)
    }

    /// Returns the arguments as sent, but with the server's names and without a wrapper.
    fn sent(&self, body: &[u8]) -> Result<Value, ArgumentError> {
        let (mut sent, _) = self.unwrap(self.read(body)?.unwrap_or_default());
        if let Some(object) = sent.as_str().and_then(lax::parse_object) {
            sent = object;
        }
        rename::restore(&self.plan, 0, &mut sent);
        Ok(sent)
    }

    /// Adds published names and a sentence for models to a refusal, unless mcpo's conventions apply.
    fn advised(&self, mut refusal: ArgumentError, body: &[u8]) -> ArgumentError {
        if !self.habits.helps {
            return refusal;
        }
        let plan = &self.plan;
        match &mut refusal {
            ArgumentError::InvalidJson { said, message } => {
                *message = Some(advice::of_body(plan, said));
            }
            ArgumentError::Invalid { details, message } => {
                for step in details.iter_mut().flat_map(|detail| &mut detail.loc) {
                    if let Some(published) = step
                        .as_str()
                        .and_then(|own| plan.renaming.names.published(own))
                    {
                        *step = Value::from(published);
                    }
                }
                let budget = StepBudget::steps(EXPLAIN_STEPS);
                let (told, _) = within(budget, || {
                    let sent = self.sent(body).unwrap_or_default();
                    advice::of_mistakes(plan, details, &sent)
                });
                *message = told.ok();
            }
            ArgumentError::TooCostly | ArgumentError::TooManyValues(_) => {}
        }
        refusal
    }

    /// Parses a body; `None` for an empty one. An integer that does not fit 64 bits is rejected if the server
    /// would receive a different number.
    fn read(&self, body: &[u8]) -> Result<Option<Value>, ArgumentError> {
        let Some(ParsedArguments {
            mut value,
            mut long,
        }) = body::parse(body)?
        else {
            return Ok(None);
        };
        if self.plan.helps && !long.is_empty() {
            long = self.write(&mut value, long);
        }
        if long.is_empty() {
            Ok(Some(value))
        } else {
            Err(ArgumentError::long_integers(long))
        }
    }

    /// Converts numbers to text where the schema requires text. Returns the remaining ones.
    fn write(&self, value: &mut Value, mut numbers: Vec<digits::Written>) -> Vec<digits::Written> {
        match value.get_mut(WRAPPER) {
            Some(inner) if inner.is_object() && !self.takes_wrapper => {
                for (path, _) in &mut numbers {
                    path.remove(0);
                }
                let mut left = digits::write(&self.plan, inner, numbers);
                for (path, _) in &mut left {
                    path.insert(0, Value::from(WRAPPER));
                }
                left
            }
            _ => digits::write(&self.plan, value, numbers),
        }
    }

    /// Returns the arguments with the original digits of numbers that became texts.
    fn as_written(&self, body: &[u8], arguments: Map<String, Value>) -> Map<String, Value> {
        let numbers = body::restyled(body);
        let read = self.read(body).ok().flatten();
        let Some(mut value) = read.filter(|_| !numbers.is_empty()) else {
            return arguments;
        };
        self.write(&mut value, numbers);
        let fit = self.judge(self.unwrap(value).0);
        fit.map_or(arguments, |fit| fit.arguments)
    }

    /// Settles and validates parsed arguments.
    #[cfg(test)]
    pub fn accept_value(&self, arguments: Value) -> Result<Map<String, Value>, ArgumentError> {
        self.judge(arguments)
            .map(|fit| fit.arguments)
            .map_err(|refused| self.argument_error(&refused, &refused))
    }

    /// Removes the wrapper. If the tool has an argument of that name, the wrapper is ambiguous: the inner
    /// value is then returned second, for use if the whole is rejected.
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

    /// Settles and validates once. Rejected arguments are returned as settled.
    fn judge(&self, mut value: Value) -> Result<ValidArguments, Value> {
        // Some models encode the arguments twice.
        if let Value::String(text) = &value
            && let Some(object) = lax::parse_object(text)
        {
            value = object;
        }
        rename::restore(&self.plan, 0, &mut value);
        // Only a default can make valid arguments invalid.
        let spare = self.plan.defaults_may_conflict().then(|| value.clone());
        let mut settle = ArgumentRepair::new(&self.plan, true);
        settle.root(&mut value);
        let checked = match (self.checked(value), spare) {
            (Err(_), Some(mut bare)) if settle.filled() => {
                ArgumentRepair::new(&self.plan, false).root(&mut bare);
                self.checked(bare)
            }
            (outcome, _) => outcome,
        };
        checked.map(|arguments| ValidArguments {
            arguments,
            is_restyled: settle.restyled(),
            is_strayed: settle.strayed(),
        })
    }

    /// Runs the validator.
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

    /// Whether the validator finds no errors.
    fn is_valid(&self, value: &Value) -> bool {
        self.validator
            .as_ref()
            .is_none_or(|validator| validator.is_valid(MeteredValue(value)))
    }

    /// Returns the arguments that are invalid on their own.
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

    /// Explains what is wrong with settled arguments, and shows them as `sent`.
    fn argument_error(&self, settled: &Value, sent: &Value) -> ArgumentError {
        match &self.validator {
            _ if !settled.is_object() => ArgumentError::not_an_object(sent),
            Some(validator) if self.plan.can_explain(settled) => {
                let budget = StepBudget {
                    counts_copies: true,
                    ..StepBudget::steps(EXPLAIN_STEPS)
                };
                let (told, _) = within(budget, || {
                    ArgumentError::of(validator, self.plan.schema(), settled, sent)
                });
                told.unwrap_or_else(|_spent| {
                    ArgumentError::of_properties(&self.misfits(settled), sent)
                })
            }
            _ => ArgumentError::of_properties(&self.misfits(settled), sent),
        }
    }
}

#[cfg(test)]
mod tests;
