//! [`ArgumentSchema`]: a tool's input schema, compiled once and applied to each call.
//!
//! A body is parsed, unwrapped, settled (optional nulls dropped, lax conversions, defaults filled
//! in: mcpo's habits, `mcpo §11.1`) and then validated once. Settling only touches what could not
//! be valid as it stands, so valid arguments pass unchanged. Nothing here does I/O.
//!
//! The schema is a stranger's and the arguments are a caller's, so everything here runs on a budget
//! of steps (`schema::meter`), both when a schema is compiled and when it is applied.

mod advice;
mod body;
mod branch;
mod counted;
mod digits;
mod lax;
mod lines;
mod paths;
mod patterns;
mod plan;
mod reach;
mod refusal;
mod rename;
mod repair;
mod settle;
mod strays;
mod survey;
pub(super) mod types;
mod words;

use std::time::Duration;

use serde_json::{Map, Value};

use self::{
    body::Sent,
    counted::{Counted, Seen},
    plan::Plan,
    refusal::Detail,
    rename::Renaming,
    settle::Settle,
};
use super::{
    Habits, contradictions,
    meter::{Budget, within},
    names::Names,
};
use crate::json;

pub use self::refusal::Refusal;

/// The key under which callers may wrap their arguments (`requirements §1.4`).
const WRAPPER: &str = "arguments";

/// Steps for compiling one schema: about a second.
const COMPILE_STEPS: u64 = 100_000_000;

/// The largest schema that is compiled, in values. Each takes about a kilobyte then; the largest schema
/// known of a real server has 622.
const SCHEMA_VALUES_MAX: usize = 20_000;

/// Time for compiling one schema.
const COMPILE_TIME: Duration = Duration::from_secs(3);

/// Steps of a light check: less than half a millisecond.
const LIGHT_STEPS: u64 = 20_000;

/// Steps of a minimal check.
const MINIMAL_STEPS: u64 = 2_000;

/// The largest body of a light check, in bytes.
const LIGHT_BYTES_MAX: usize = 128 << 10;

/// Matches of a light check take so much less time than those of a full one.
const LIGHT_TEXT_DIVISOR: usize = 20;

/// Steps of a full check, beside those for the size of the body.
const FULL_STEPS: u64 = 20_000_000;

/// More steps of a full check, for each byte of the body.
const FULL_STEPS_PER_BYTE: u64 = 8;

/// Time of a full check. A match that is under way is not interrupted, and takes 0.2 s at most.
const FULL_TIME: Duration = Duration::from_millis(600);

/// Steps for saying what is wrong with arguments, where each copy of a value counts. It also bounds
/// the memory of the answer.
const EXPLAIN_STEPS: u64 = 200_000;

/// How many values the body of a call may hold, as [`json::values_at_most`] counts them.
pub const BODY_VALUES_MAX: usize = 200_000;

/// How much work a check may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// On a thread that others wait for, for a schema that was costly a moment ago: enough for a few
    /// simple arguments.
    Minimal,
    /// On a thread that others wait for: less than half a millisecond.
    Light,
    /// On a thread of its own: less than a second.
    Full,
}

/// What a tool accepts.
#[derive(Debug)]
pub struct ArgumentSchema {
    /// How values are settled, and the schema's parts.
    plan: Plan,
    /// The judge; none if any object is accepted.
    validator: Option<jsonschema::Validator<Counted>>,
    /// The tool has an argument that is called [`WRAPPER`] itself.
    takes_wrapper: bool,
    /// The longest string that the schema's patterns may be applied to, in bytes.
    text_bytes_max: usize,
    /// How arguments are put right.
    habits: Habits,
}

/// Arguments that fit.
struct Fit {
    /// What is sent to the server.
    arguments: Map<String, Value>,
    /// A number became a text, maybe in other digits than it was sent with.
    is_restyled: bool,
    /// A key may be named by no schema.
    is_strayed: bool,
}

impl ArgumentSchema {
    /// Compiles the schema as the server sent it, with what had to be left out of it.
    ///
    /// Never fails: a keyword that makes no sense is dropped, and a schema that still does not
    /// compile accepts any object. References are never fetched, formats are not asserted, and
    /// the dialect is the one `$schema` names, else 2020-12.
    ///
    /// A schema that takes more than its share of `steps_left` to compile accepts any object as well;
    /// what it took is subtracted.
    pub fn compile(schema: &Value, steps_left: &mut u64, habits: Habits) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        if json::count_values(schema) > SCHEMA_VALUES_MAX {
            let warning = format!(
                "the input schema has more than {SCHEMA_VALUES_MAX} values, any object is accepted"
            );
            return (Self::any_object(), vec![warning]);
        }
        let budget = Budget {
            time: Some(COMPILE_TIME),
            ..Budget::steps(COMPILE_STEPS.min(*steps_left))
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

    /// The schema, unless any object is accepted.
    fn compiled(schema: &Value, habits: Habits, warnings: &mut Vec<String>) -> Option<Self> {
        let names = Names::of(schema);
        // Publishing the schema tells of it.
        let loosened = contradictions::loosened(schema, &mut Vec::new());
        let repaired = repair::repair(&loosened, warnings)?;
        let mut plan = Plan::compile(repaired.schema, repaired.draft, warnings);
        plan.helps = habits.helps;
        plan.renaming = Renaming::new(names, &plan);
        Some(Self {
            takes_wrapper: plan.has_property(WRAPPER),
            plan,
            validator: Some(repaired.validator),
            text_bytes_max: repaired.text_bytes_max,
            habits,
        })
    }

    /// Whether any object is accepted as it is.
    pub fn accepts_any_object(&self) -> bool {
        self.validator.is_none()
    }

    /// Accepts any object as it is.
    fn any_object() -> Self {
        Self {
            plan: Plan::any(),
            validator: None,
            takes_wrapper: false,
            text_bytes_max: usize::MAX,
            habits: Habits::MCPO,
        }
    }

    /// Reads, settles and checks the body of a call.
    ///
    /// The body is judged by its content, not by its header. Nothing and `null` stand for `{}`
    /// where no argument is needed. Arguments may be wrapped: `{"arguments": {…}}`.
    ///
    /// [`Refusal::TooCostly`] after less than a full effort says only that it takes a full one.
    pub fn accept(&self, body: &[u8], effort: Effort) -> Result<Map<String, Value>, Refusal> {
        if body.len() > LIGHT_BYTES_MAX {
            if effort != Effort::Full {
                return Err(Refusal::TooCostly);
            }
            if json::values_at_most(body) > BODY_VALUES_MAX {
                return Err(Refusal::TooManyValues(BODY_VALUES_MAX));
            }
        }
        let budget = self.budget(effort, body.len());
        let (outcome, _) = within(budget, || self.accept_within(body));
        let outcome = outcome.unwrap_or(Err(Refusal::TooCostly));
        outcome.map_err(|refusal| self.advised(refusal, body))
    }

    /// What a check of so many bytes may cost.
    fn budget(&self, effort: Effort, bytes: usize) -> Budget {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match effort {
            Effort::Minimal | Effort::Light => Budget {
                text_bytes_max: self.text_bytes_max / LIGHT_TEXT_DIVISOR,
                ..Budget::steps(if effort == Effort::Light {
                    LIGHT_STEPS
                } else {
                    MINIMAL_STEPS
                })
            },
            Effort::Full => Budget {
                time: Some(FULL_TIME),
                text_bytes_max: self.text_bytes_max,
                ..Budget::steps(
                    bytes
                        .saturating_mul(FULL_STEPS_PER_BYTE)
                        .saturating_add(FULL_STEPS),
                )
            },
        }
    }

    /// [`ArgumentSchema::accept`], on a budget.
    fn accept_within(&self, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
        let Some(value) = self.read(body)? else {
            let nothing = Value::Object(Map::new());
            let fit = self.judge(nothing).map_err(|_| Refusal::missing_body())?;
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
        // Settled values are no longer what was sent; reading it again costs only refused calls.
        let sent = self.read(body)?.unwrap_or_default();
        Err(self.refusal(&refused, &self.unwrap(sent).0))
    }

    /// Arguments that fit, unless one of their names is a misspelling, or is not wanted.
    fn taken(&self, fit: Fit, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
        if fit.is_strayed && self.habits.helps {
            let sent = self.sent(body)?;
            let refused = strays::find(&self.plan, &sent)
                .into_iter()
                .filter(|stray| stray.slip.is_some() || self.habits.refuses_unknown);
            let details: Vec<Detail> = refused
                .map(|stray| {
                    let input = sent.pointer(&stray.pointer()).unwrap_or(&Value::Null);
                    Detail::stray(&stray, input)
                })
                .collect();
            if !details.is_empty() {
                return Err(Refusal::invalid(details));
            }
        }
        if fit.is_restyled {
            return Ok(self.as_written(body, fit.arguments));
        }
        Ok(fit.arguments)
    }

    /// The arguments as they were sent, with the server's names and without a wrapper.
    fn sent(&self, body: &[u8]) -> Result<Value, Refusal> {
        let (mut sent, _) = self.unwrap(self.read(body)?.unwrap_or_default());
        if let Some(object) = sent.as_str().and_then(lax::parse_object) {
            sent = object;
        }
        self.plan.renaming.restore(&self.plan, 0, &mut sent);
        Ok(sent)
    }

    /// A refusal with published names and a sentence for models, where our habits count.
    fn advised(&self, mut refusal: Refusal, body: &[u8]) -> Refusal {
        if !self.habits.helps {
            return refusal;
        }
        let plan = &self.plan;
        match &mut refusal {
            Refusal::InvalidJson { said, message } => *message = Some(advice::of_body(plan, said)),
            Refusal::Invalid { details, message } => {
                for step in details.iter_mut().flat_map(|detail| &mut detail.loc) {
                    if let Some(published) = step
                        .as_str()
                        .and_then(|own| plan.renaming.names.published(own))
                    {
                        *step = Value::from(published);
                    }
                }
                let budget = Budget::steps(EXPLAIN_STEPS);
                let (told, _) = within(budget, || {
                    let sent = self.sent(body).unwrap_or_default();
                    advice::of_mistakes(plan, details, &sent)
                });
                *message = told.ok();
            }
            Refusal::TooCostly | Refusal::TooManyValues(_) => {}
        }
        refusal
    }

    /// Reads a body; `None` for one that says nothing. An integer that does not fit 64 bits is refused
    /// where we would pass on another number.
    fn read(&self, body: &[u8]) -> Result<Option<Value>, Refusal> {
        let Some(Sent {
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
            Err(Refusal::long_integers(long))
        }
    }

    /// Makes texts of numbers for which a text is wanted; gives those that are left.
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

    /// The arguments once more, where a number became a text: with its digits as they came.
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

    /// Settles and checks arguments that are already parsed.
    #[cfg(test)]
    pub fn accept_value(&self, arguments: Value) -> Result<Map<String, Value>, Refusal> {
        self.judge(arguments)
            .map(|fit| fit.arguments)
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
    fn judge(&self, mut value: Value) -> Result<Fit, Value> {
        // Some models encode their arguments twice.
        if let Value::String(text) = &value
            && let Some(object) = lax::parse_object(text)
        {
            value = object;
        }
        self.plan.renaming.restore(&self.plan, 0, &mut value);
        // Only a default can make arguments invalid that were valid before.
        let spare = self.plan.defaults_may_conflict().then(|| value.clone());
        let mut settle = Settle::new(&self.plan, true);
        settle.root(&mut value);
        let checked = match (self.checked(value), spare) {
            (Err(_), Some(mut bare)) if settle.filled() => {
                Settle::new(&self.plan, false).root(&mut bare);
                self.checked(bare)
            }
            (outcome, _) => outcome,
        };
        checked.map(|arguments| Fit {
            arguments,
            is_restyled: settle.restyled(),
            is_strayed: settle.strayed(),
        })
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
            .is_none_or(|validator| validator.is_valid(Seen(value)))
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
                let budget = Budget {
                    counts_copies: true,
                    ..Budget::steps(EXPLAIN_STEPS)
                };
                let (told, _) = within(budget, || {
                    Refusal::of(validator, self.plan.schema(), settled, sent)
                });
                told.unwrap_or_else(|_spent| Refusal::of_properties(&self.misfits(settled), sent))
            }
            _ => Refusal::of_properties(&self.misfits(settled), sent),
        }
    }
}

#[cfg(test)]
mod tests;
