//! [`Tally`]: what is counted of one bridge. It goes with the bridge, so that what is gone after a
//! reload is gone from the metrics too.
//!
//! A call costs a few atomic additions: each tool keeps its [`Outcome`]s at hand.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::count::Count;
use crate::name::ToolName;

/// Tools of a bridge that are counted each for itself: those called first. The others, and names that
/// are no tool, are counted together.
const TOOLS_MAX: usize = 500;
/// Outcomes of a tool that are told apart; there are some thirty codes.
const CODES_MAX: usize = 64;

/// The upper bounds of the buckets of calls' times, in seconds: from a tool in memory to an agent.
pub const BOUNDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// What is counted of one bridge.
#[derive(Debug, Default)]
pub struct Tally {
    /// How long calls took that were made.
    pub times: Times,
    /// Sessions that came up.
    pub sessions: Count,
    /// Connects that failed, and sessions that were lost: what is tried again.
    pub failures: Count,
    /// Processor time of its servers.
    pub cpu: Cpu,
    /// By tool.
    tools: Mutex<BTreeMap<ToolName, Arc<Outcome>>>,
    /// Of what is not told apart.
    others: Arc<Outcome>,
}

/// Processor time of process groups that come and go. The sum of those that are there would shrink
/// when one ends.
#[derive(Debug, Default)]
pub struct Cpu(Mutex<Used>);

/// What was seen of it.
#[derive(Debug, Default)]
struct Used {
    /// What each group had used when it was last looked at.
    groups: BTreeMap<u32, Duration>,
    /// What all have used.
    all: Duration,
}

/// How the calls of one tool ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Well.
    ok: Count,
    /// Otherwise, by code.
    codes: Mutex<Vec<(&'static str, u64)>>,
}

/// A histogram.
#[derive(Debug, Default)]
pub struct Times {
    /// Calls by the first bound that they kept.
    buckets: [AtomicU64; BOUNDS.len()],
    /// Calls over all bounds.
    over: AtomicU64,
    /// All of their times, in microseconds.
    sum: AtomicU64,
}

impl Tally {
    /// The outcomes of a tool, to be kept at hand.
    pub fn of_tool(&self, tool: &ToolName) -> Arc<Outcome> {
        let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = tools.get(tool) {
            return Arc::clone(outcome);
        }
        if tools.len() >= TOOLS_MAX {
            return self.others();
        }
        let outcome = Arc::<Outcome>::default();
        tools.insert(tool.clone(), Arc::clone(&outcome));
        outcome
    }

    /// The outcomes of what is not told apart.
    pub fn others(&self) -> Arc<Outcome> {
        Arc::clone(&self.others)
    }

    /// All that is told apart, and at last, under no name, what is not.
    pub fn outcomes(&self) -> Vec<(Option<ToolName>, Arc<Outcome>)> {
        let tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        let named = tools.iter();
        let named = named.map(|(tool, outcome)| (Some(tool.clone()), Arc::clone(outcome)));
        named.chain([(None, self.others())]).collect()
    }
}

impl Cpu {
    /// Takes in what the groups that are there have used; what all have, those that are gone too.
    pub fn note(&self, now: BTreeMap<u32, Duration>) -> Duration {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut used.groups);
        for (group, time) in &now {
            let known = before.get(group).copied().unwrap_or_default();
            used.all += time.saturating_sub(known);
        }
        used.groups = now;
        used.all
    }
}

impl Outcome {
    /// Counts an end: `ok`, or the code of the error.
    pub fn note(&self, code: &'static str) {
        if code == "ok" {
            return self.ok.one();
        }
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = codes.iter_mut().find(|(known, _)| *known == code) {
            *count += 1;
        } else if codes.len() < CODES_MAX {
            codes.push((code, 1));
        }
    }

    /// The counts that are not zero.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let ok = Some(("ok", self.ok.get())).filter(|(_, count)| *count > 0);
        ok.into_iter().chain(codes.iter().copied()).collect()
    }
}

impl Times {
    /// Counts one.
    pub fn note(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound);
        let bucket = bucket.and_then(|at| self.buckets.get(at));
        bucket.unwrap_or(&self.over).fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// How many kept each bound, by the order of [`BOUNDS`]; how many there were; their sum.
    pub fn read(&self) -> ([u64; BOUNDS.len()], u64, Duration) {
        let mut count = 0;
        let cumulated = self.buckets.each_ref().map(|bucket| {
            count += bucket.load(Ordering::Relaxed);
            count
        });
        count += self.over.load(Ordering::Relaxed);
        let sum = Duration::from_micros(self.sum.load(Ordering::Relaxed));
        (cumulated, count, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_every_bucket_above_it() {
        let times = Times::default();
        for millis in [0, 1, 2, 700, 100_000] {
            times.note(Duration::from_millis(millis));
        }
        let (buckets, count, sum) = times.read();
        assert_eq!(buckets, [2, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4]);
        assert_eq!((count, sum), (5, Duration::from_millis(100_703)));
    }

    #[test]
    fn tools_beyond_the_bound_make_no_series_of_their_own() {
        let tally = Tally::default();
        for number in 0..TOOLS_MAX + 50 {
            let tool = ToolName::parse(&format!("tool{number}")).unwrap();
            tally.of_tool(&tool).note("ok");
        }
        let outcomes = tally.outcomes();
        assert_eq!(outcomes.len(), TOOLS_MAX + 1);
        let (name, others) = outcomes.last().unwrap();
        assert_eq!((name.is_none(), others.counts()), (true, vec![("ok", 50)]));
    }

    #[test]
    fn processor_time_does_not_shrink_when_a_server_ends() {
        let cpu = Cpu::default();
        let mut seen = Vec::new();
        for groups in [&[(7, 2)][..], &[(7, 5), (8, 1)], &[(8, 4)], &[], &[(9, 1)]] {
            let seconds = |&(group, time): &(u32, u64)| (group, Duration::from_secs(time));
            seen.push(cpu.note(groups.iter().map(seconds).collect()).as_secs());
        }
        assert_eq!(seen, [2, 6, 9, 9, 10]);
    }

    #[test]
    fn codes_are_counted_apart() {
        let outcome = Outcome::default();
        for code in ["ok", "timeout", "ok", "timeout", "busy"] {
            outcome.note(code);
        }
        assert_eq!(outcome.counts(), [("ok", 2), ("timeout", 2), ("busy", 1)]);
    }
}
