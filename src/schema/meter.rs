//! The meter: limits the work that a server's schema and a caller's arguments may cost.
//!
//! A computing thread cannot be stopped from outside, so the work counts its own steps. Code that runs under
//! [`within`] calls [`charge`]. Once the budget is spent, `charge` unwinds the stack up to `within`, which
//! returns [`StepBudgetError`]. This also stops work inside the validator library, whose every access to a value is
//! charged (see `arguments::counted`).

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

/// The number of steps between two readings of the clock, as a power of two.
const CLOCK_SHIFT: u32 = 10;

/// The maximum stack use of the work, in bytes. Threads have 2 MiB or more.
const STACK_BYTES_MAX: usize = 1 << 20;

/// If strings are limited to less than this size, in bytes, the patterns applied to them are costly.
const COSTLY_TEXT_BYTES: usize = 64 << 10;

/// The stack size of each runtime thread, in bytes. The library that compiles schemas does not count steps,
/// and it nests as deeply as they do.
pub const STACK_BYTES: usize = 8 << 20;

/// The budget of some work.
#[derive(Debug, Clone, Copy)]
pub struct StepBudget {
    /// The number of steps. A step takes about 10 ns.
    pub steps: u64,
    /// The time limit, for work whose steps are slower than expected.
    pub time: Option<Duration>,
    /// The longest string that patterns may be applied to, in bytes.
    pub text_bytes_max: usize,
    /// Whether to charge for the copies of values that error messages keep.
    pub counts_copies: bool,
}

/// The budget was spent before the work was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work exceeds its step budget")]
pub struct StepBudgetError;

/// The state of the work on this thread.
struct StepMeter {
    /// The steps that are left.
    left: Cell<u64>,
    /// The end of the time limit.
    deadline: Cell<Option<Instant>>,
    /// An address at the start of the work; zero if the stack is not checked.
    stack: Cell<usize>,
    /// See [`StepBudget::text_bytes_max`].
    text_bytes_max: Cell<usize>,
    /// See [`StepBudget::counts_copies`].
    counts_copies: Cell<bool>,
}

thread_local! {
    static METER: StepMeter = const {
        StepMeter {
            left: Cell::new(u64::MAX),
            deadline: Cell::new(None),
            stack: Cell::new(0),
            text_bytes_max: Cell::new(usize::MAX),
            counts_copies: Cell::new(false),
        }
    };
}

impl StepBudget {
    /// Creates a budget of only steps.
    pub const fn steps(steps: u64) -> Self {
        Self {
            steps,
            time: None,
            text_bytes_max: usize::MAX,
            counts_copies: false,
        }
    }
}

/// Runs `work` within a budget, and within the rest of the enclosing budget. Also returns the number of steps
/// used.
pub fn within<T>(
    budget: StepBudget,
    work: impl FnOnce() -> T,
) -> (Result<T, StepBudgetError>, u64) {
    let outer = METER.with(StepMeter::snapshot);
    let steps = budget.steps.min(outer.left);
    METER.with(|meter| meter.begin(&outer, steps, budget));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let used = METER.with(|meter| steps.saturating_sub(meter.left.get()));
    METER.with(|meter| meter.restore(&outer));
    match outcome {
        Ok(value) => {
            charge(used);
            (Ok(value), used)
        }
        Err(cause) if cause.is::<StepBudgetError>() => {
            charge(used);
            (Err(StepBudgetError), used)
        }
        // A panic from a defect is already reported and passed on.
        Err(cause) => resume_unwind(cause),
    }
}

/// Runs work without a budget. Also returns the number of steps used.
#[cfg(fuzzing)]
pub fn counted<T>(work: impl FnOnce() -> T) -> (Option<T>, u64) {
    let (outcome, steps) = within(StepBudget::steps(u64::MAX), work);
    (outcome.ok(), steps)
}

/// Charges steps. Ends the work if its steps or its time are used up, or if it nests too deeply for the
/// stack. Costs about a nanosecond.
pub fn charge(steps: u64) {
    METER.with(|meter| {
        let before = meter.left.get();
        let Some(after) = before.checked_sub(steps) else {
            meter.left.set(0);
            give_up();
        };
        meter.left.set(after);
        let base = meter.stack.get();
        let is_deep = base != 0 && address().abs_diff(base) > STACK_BYTES_MAX;
        if is_deep || before >> CLOCK_SHIFT != after >> CLOCK_SHIFT {
            meter.look(is_deep);
        }
    });
}

/// Ends the work as if its budget were spent.
pub fn give_up() -> ! {
    resume_unwind(Box::new(StepBudgetError))
}

/// Charges for reading a text.
pub fn charge_text(text: &str) {
    let most = METER.with(|meter| meter.text_bytes_max.get());
    if text.len() > most {
        give_up();
    }
    // A match of a costly pattern may take long, so the clock is read before each one.
    let base = if most < COSTLY_TEXT_BYTES {
        1 << CLOCK_SHIFT
    } else {
        1
    };
    charge(base + per(text.len(), 64));
}

/// Charges for the copy of a value that an error keeps, if copies are counted.
pub fn charge_copy(value: &serde_json::Value) {
    if METER.with(|meter| meter.counts_copies.get()) {
        charge(16);
        charge_each(value);
    }
}

/// Charges for the copy of a value: one step for each of its parts.
pub fn charge_each(value: &serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::String(text) => charge(1 + per(text.len(), 64)),
        Value::Array(elements) => {
            charge(1);
            elements.iter().for_each(charge_each);
        }
        Value::Object(members) => {
            charge(1);
            for (key, value) in members {
                charge(2 + per(key.len(), 64));
                charge_each(value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => charge(1),
    }
}

/// Converts bytes to steps.
pub fn per(bytes: usize, a_step: usize) -> u64 {
    u64::try_from(bytes / a_step).unwrap_or(u64::MAX)
}

/// Returns the current stack address.
#[inline(never)]
fn address() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

/// A copy of the meter's state.
struct MeterState {
    /// See [`StepMeter::left`].
    left: u64,
    /// See [`StepMeter::deadline`].
    deadline: Option<Instant>,
    /// See [`StepMeter::stack`].
    stack: usize,
    /// See [`StepMeter::text_bytes_max`].
    text_bytes_max: usize,
    /// See [`StepMeter::counts_copies`].
    counts_copies: bool,
}

impl StepMeter {
    /// Returns the state, to restore it later.
    fn snapshot(&self) -> MeterState {
        MeterState {
            left: self.left.get(),
            deadline: self.deadline.get(),
            stack: self.stack.get(),
            text_bytes_max: self.text_bytes_max.get(),
            counts_copies: self.counts_copies.get(),
        }
    }

    /// Starts nested work.
    fn begin(&self, outer: &MeterState, steps: u64, budget: StepBudget) {
        let own = budget.time.map(|time| Instant::now() + time);
        let deadline = match (own, outer.deadline) {
            (Some(own), Some(outer)) => Some(own.min(outer)),
            (own, outer) => own.or(outer),
        };
        self.left.set(steps);
        self.deadline.set(deadline);
        self.stack.set(if outer.stack == 0 {
            address()
        } else {
            outer.stack
        });
        let text_bytes_max = budget.text_bytes_max.min(outer.text_bytes_max);
        self.text_bytes_max.set(text_bytes_max);
        self.counts_copies
            .set(budget.counts_copies || outer.counts_copies);
    }

    /// Restores a state.
    fn restore(&self, state: &MeterState) {
        self.left.set(state.left);
        self.deadline.set(state.deadline);
        self.stack.set(state.stack);
        self.text_bytes_max.set(state.text_bytes_max);
        self.counts_copies.set(state.counts_copies);
    }

    /// Ends the work if its time is over, or if `is_deep`.
    fn look(&self, is_deep: bool) {
        let deadline = self.deadline.get();
        if is_deep || deadline.is_some_and(|at| Instant::now() >= at) {
            give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(steps: u64) -> u64 {
        (0..steps).for_each(|_| charge(1));
        steps
    }

    #[test]
    fn work_ends_where_its_budget_does() {
        let (done, used) = within(StepBudget::steps(100), || work(100));
        assert_eq!((done, used), (Ok(100), 100));
        let (done, used) = within(StepBudget::steps(100), || work(101));
        assert_eq!((done, used), (Err(StepBudgetError), 100));
        // Outside of a budget, nothing is counted.
        work(1_000);
    }

    #[test]
    fn work_inside_of_other_work_spends_its_budget_too() {
        let (done, used) = within(StepBudget::steps(100), || {
            let (inner, _) = within(StepBudget::steps(60), || work(70));
            assert_eq!(inner, Err(StepBudgetError));
            work(40)
        });
        assert_eq!((done, used), (Ok(40), 100));
        let (done, _) = within(StepBudget::steps(100), || {
            let (inner, _) = within(StepBudget::steps(1_000), || work(200));
            assert_eq!(inner, Err(StepBudgetError));
            work(1)
        });
        assert_eq!(done, Err(StepBudgetError));
    }

    /// Recurses until the budget ends it.
    fn down(levels: u64) -> u64 {
        charge(1);
        let room = std::hint::black_box([0_u8; 512]);
        if levels == u64::MAX {
            return 0;
        }
        down(levels + 1) + u64::from(room[3])
    }

    #[test]
    fn time_and_depth_end_it_as_well() {
        let budget = StepBudget {
            time: Some(Duration::from_millis(20)),
            ..StepBudget::steps(u64::MAX)
        };
        assert_eq!(within(budget, || work(u64::MAX)).0, Err(StepBudgetError));
        let deep = std::thread::Builder::new().stack_size(STACK_BYTES);
        let ended = deep
            .spawn(|| within(StepBudget::steps(u64::MAX), || down(0)).0)
            .unwrap();
        assert_eq!(ended.join().unwrap(), Err(StepBudgetError));
    }

    #[test]
    fn a_defect_is_not_taken_for_a_spent_budget() {
        let failed =
            catch_unwind(|| within(StepBudget::steps(10), || std::panic::panic_any("defect")));
        assert!(failed.is_err());
        work(100);
    }
}
