//! [`BridgeCounters`]: the counters of one bridge. They belong to the bridge, so that a bridge that a reload
//! removes also disappears from the metrics.
//!
//! A call costs a few atomic additions: each tool keeps a reference to its [`ToolOutcomes`].

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::count::AtomicCounter;
use crate::name::ToolName;

/// How many tools of a bridge are counted separately: those that were called first. Other tools and
/// unknown names are counted together.
const TOOLS_MAX: usize = 500;
/// How many outcomes of a tool are counted separately. There are about thirty codes.
const CODES_MAX: usize = 64;

/// The upper bounds of the buckets for call durations, in seconds: from in-memory tools to agents.
pub const BOUNDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// The counters of one bridge.
#[derive(Debug, Default)]
pub struct BridgeCounters {
    /// The durations of calls.
    pub times: DurationHistogram,
    /// Sessions that were opened.
    pub sessions: AtomicCounter,
    /// Failed connects and lost sessions, which are retried.
    pub failures: AtomicCounter,
    /// The CPU time of its servers.
    pub cpu: CpuTimeCounter,
    /// The outcomes by tool.
    tools: Mutex<BTreeMap<ToolName, Arc<ToolOutcomes>>>,
    /// The outcomes of everything that is not counted separately.
    others: Arc<ToolOutcomes>,
}

/// The CPU time of process groups that start and end. The sum over the running groups would shrink
/// when a group ends.
#[derive(Debug, Default)]
pub struct CpuTimeCounter(Mutex<ObservedCpuTime>);

/// The observed CPU time.
#[derive(Debug, Default)]
struct ObservedCpuTime {
    /// The last observed CPU time of each group.
    groups: BTreeMap<u32, Duration>,
    /// The total of all groups, including those that have ended.
    all: Duration,
}

/// How the calls of one tool ended.
#[derive(Debug, Default)]
pub struct ToolOutcomes {
    /// Successful calls.
    ok: AtomicCounter,
    /// Failed calls, by code.
    codes: Mutex<Vec<(&'static str, u64)>>,
}

/// A histogram.
#[derive(Debug, Default)]
pub struct DurationHistogram {
    /// Calls by the first bound that is not exceeded.
    buckets: [AtomicU64; BOUNDS.len()],
    /// Calls that exceed all bounds.
    over: AtomicU64,
    /// The sum of all durations, in microseconds.
    sum: AtomicU64,
}

impl BridgeCounters {
    /// The outcomes of a tool. Keep the reference for its calls.
    pub fn of_tool(&self, tool: &ToolName) -> Arc<ToolOutcomes> {
        let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = tools.get(tool) {
            return Arc::clone(outcome);
        }
        if tools.len() >= TOOLS_MAX {
            return self.others();
        }
        let outcome = Arc::<ToolOutcomes>::default();
        tools.insert(tool.clone(), Arc::clone(&outcome));
        outcome
    }

    /// The outcomes of everything that is not counted separately.
    pub fn others(&self) -> Arc<ToolOutcomes> {
        Arc::clone(&self.others)
    }

    /// All separate outcomes, and at the end, without a name, the rest.
    pub fn outcomes(&self) -> Vec<(Option<ToolName>, Arc<ToolOutcomes>)> {
        let tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        let named = tools.iter();
        let named = named.map(|(tool, outcome)| (Some(tool.clone()), Arc::clone(outcome)));
        named.chain([(None, self.others())]).collect()
    }
}

impl CpuTimeCounter {
    /// Notes the CPU time of the running groups. Returns the total of all groups, including those
    /// that have ended.
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

impl ToolOutcomes {
    /// Counts the end of a call: `ok`, or the code of the error.
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

impl DurationHistogram {
    /// Adds a duration.
    pub fn note(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound);
        let bucket = bucket.and_then(|at| self.buckets.get(at));
        bucket.unwrap_or(&self.over).fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// The cumulative counts in the order of [`BOUNDS`], the total count, and the sum.
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
        let times = DurationHistogram::default();
        for millis in [0, 1, 2, 700, 100_000] {
            times.note(Duration::from_millis(millis));
        }
        let (buckets, count, sum) = times.read();
        assert_eq!(buckets, [2, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4]);
        assert_eq!((count, sum), (5, Duration::from_millis(100_703)));
    }

    #[test]
    fn tools_beyond_the_bound_make_no_series_of_their_own() {
        let tally = BridgeCounters::default();
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
        let cpu = CpuTimeCounter::default();
        let mut seen = Vec::new();
        for groups in [&[(7, 2)][..], &[(7, 5), (8, 1)], &[(8, 4)], &[], &[(9, 1)]] {
            let seconds = |&(group, time): &(u32, u64)| (group, Duration::from_secs(time));
            seen.push(cpu.note(groups.iter().map(seconds).collect()).as_secs());
        }
        assert_eq!(seen, [2, 6, 9, 9, 10]);
    }

    #[test]
    fn codes_are_counted_apart() {
        let outcome = ToolOutcomes::default();
        for code in ["ok", "timeout", "ok", "timeout", "busy"] {
            outcome.note(code);
        }
        assert_eq!(outcome.counts(), [("ok", 2), ("timeout", 2), ("busy", 1)]);
    }
}
