//! [`RefusalAggregator`]: combines the records of refused calls, so that a refused caller cannot fill the
//! disk.
//!
//! A request costs its sender almost nothing, but its record takes 500 bytes for 90 days. The first
//! refusals of an address or a caller are recorded individually. Those that follow within a minute
//! become one record with a count.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::line;
use crate::store::CallRecord;

/// How long refusals are combined before they become a record.
const WINDOW: Duration = Duration::from_mins(1);

/// How many refusals of one unauthenticated address are recorded individually per window. The
/// operator sees the first one at once.
const ALONE_UNIDENTIFIED: u64 = 1;

/// The same for an authenticated caller. Their refusals show who tried what.
const ALONE_IDENTIFIED: u64 = 60;

/// The maximum number of addresses and callers that are counted separately. The rest are counted
/// together.
const SENDERS_MAX: usize = 256;

/// Combines refused calls by their sender.
#[derive(Debug, Default)]
pub(super) struct RefusalAggregator(Mutex<HashMap<RefusedSender, RefusalWindow>>);

/// The sender of a refused call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum RefusedSender {
    /// A caller: workspace and ID.
    Caller(String, String),
    /// Unauthenticated requests from one address. IPv6 addresses count by their /64 prefix, which
    /// belongs to one network.
    Address(Option<IpAddr>),
    /// All further senders when too many are counted separately.
    Others,
}

/// The refusals of a sender since the last record.
#[derive(Debug)]
struct RefusalWindow {
    began: Instant,
    /// How many were recorded individually.
    alone: u64,
    /// The last refusal that was not recorded individually.
    last: Option<CallRecord>,
    /// The counts of those that were not recorded individually, by code, with the HTTP status.
    codes: BTreeMap<String, (u64, u16)>,
}

impl RefusalAggregator {
    /// Takes a refused call. Returns it if it must be recorded individually.
    pub(super) fn take(&self, record: CallRecord, now: Instant) -> Option<CallRecord> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sender = RefusedSender::of(&record);
        if !windows.contains_key(&sender) && windows.len() >= SENDERS_MAX {
            sender = RefusedSender::Others;
        }
        let alone = sender.alone();
        let window = windows
            .entry(sender)
            .or_insert_with(|| RefusalWindow::new(now));
        if window.alone < alone {
            window.alone += 1;
            return Some(record);
        }
        window.count(record);
        None
    }

    /// The records of the windows that have ended; at the end, of all windows.
    pub(super) fn due(&self, now: Instant, is_end: bool) -> Vec<CallRecord> {
        let mut due = Vec::new();
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|sender, window| {
            let is_over = now.saturating_duration_since(window.began) >= WINDOW;
            if !is_over && !is_end {
                return true;
            }
            match window.close(sender, now) {
                Some(record) => {
                    due.push(record);
                    // If the sender continues, no more refusals are recorded individually.
                    !is_end
                }
                None => false,
            }
        });
        due
    }
}

impl RefusedSender {
    fn of(record: &CallRecord) -> Self {
        if let Some(caller) = &record.caller {
            return Self::Caller(record.workspace.clone(), caller.clone());
        }
        let address = record.peer.as_deref().and_then(|peer| peer.parse().ok());
        Self::Address(address.map(network))
    }

    /// How many are recorded individually per window.
    fn alone(&self) -> u64 {
        match self {
            Self::Caller(..) => ALONE_IDENTIFIED,
            Self::Address(_) => ALONE_UNIDENTIFIED,
            Self::Others => 0,
        }
    }
}

/// The part of an address that its user cannot choose.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

impl RefusalWindow {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            alone: 0,
            last: None,
            codes: BTreeMap::new(),
        }
    }

    /// Counts a refusal that is not recorded individually.
    fn count(&mut self, mut record: CallRecord) {
        let code = self.codes.entry(record.outcome.clone()).or_default();
        *code = (code.0.saturating_add(1), record.status);
        line::bound(&mut record);
        self.last = Some(record);
    }

    /// The record of the counted refusals, if there are any. Starts the next window.
    fn close(&mut self, sender: &RefusedSender, now: Instant) -> Option<CallRecord> {
        let mut record = self.last.take()?;
        let codes = std::mem::take(&mut self.codes);
        let total: u64 = codes.values().map(|(count, _)| count).sum();
        let most = codes.iter().max_by_key(|(_, (count, _))| *count);
        if let Some((code, (_, status))) = most {
            record.outcome.clone_from(code);
            record.status = *status;
        }
        if codes.len() > 1 {
            let counts = codes
                .iter()
                .map(|(code, (count, _))| format!("{code} {count}"));
            record.rule = counts.collect::<Vec<_>>().join(", ");
        }
        if *sender == RefusedSender::Others {
            record.caller = None;
            "none".clone_into(&mut record.proof);
            record.groups.clear();
            record.peer = Some("others".to_owned());
        }
        record.repeats = i64::try_from(total.saturating_sub(1)).unwrap_or(i64::MAX);
        self.began = now;
        self.alone = sender.alone();
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(caller: Option<&str>, peer: &str, code: &str) -> CallRecord {
        CallRecord {
            workspace: "default".to_owned(),
            caller: caller.map(str::to_owned),
            peer: Some(peer.to_owned()),
            outcome: code.to_owned(),
            status: if code == "forbidden" { 403 } else { 401 },
            ..CallRecord::default()
        }
    }

    #[test]
    fn a_flood_without_identity_is_two_records_in_the_first_minute_and_one_in_each_after_it() {
        let refusals = RefusalAggregator::default();
        let began = Instant::now();
        for minute in 0..3_u32 {
            let now = began + WINDOW * minute;
            let mut alone = 0;
            for _ in 0..1_000 {
                let record = refused(None, "192.0.2.1", "unauthorized");
                alone += u32::from(refusals.take(record, now).is_some());
            }
            assert_eq!(alone, u32::from(minute == 0));
            assert_eq!(refusals.due(now, false), []);
            let due = refusals.due(now + WINDOW, false);
            let repeats: Vec<_> = due.iter().map(|it| it.repeats).collect();
            assert_eq!(repeats, [999 - i64::from(alone)]);
        }
        assert_eq!(refusals.due(began + WINDOW * 4, false), []);
        let again = refused(None, "192.0.2.1", "unauthorized");
        assert!(refusals.take(again, began + WINDOW * 5).is_some());
    }

    #[test]
    fn a_record_says_which_codes_there_were() {
        let refusals = RefusalAggregator::default();
        let now = Instant::now();
        for (code, count) in [("unauthorized", 3), ("too_many_failures", 5)] {
            for _ in 0..count {
                refusals.take(refused(None, "192.0.2.1", code), now);
            }
        }
        let due = refusals.due(now, true);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].outcome, "too_many_failures");
        assert_eq!(due[0].rule, "too_many_failures 5, unauthorized 2");
        assert_eq!(due[0].repeats, 6);
    }

    #[test]
    fn addresses_and_callers_are_told_apart_up_to_a_bound() {
        let refusals = RefusalAggregator::default();
        let now = Instant::now();
        for number in 0..1_000_u32 {
            for _ in 0..2 {
                let peer = std::net::Ipv4Addr::from(number).to_string();
                refusals.take(refused(None, &peer, "unauthorized"), now);
            }
        }
        // All addresses of one /64 prefix are one sender.
        let refusals_v6 = RefusalAggregator::default();
        for peer in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
            refusals_v6.take(refused(None, peer, "unauthorized"), now);
        }
        assert_eq!(refusals_v6.due(now, true)[0].repeats, 1);
        let due = refusals.due(now, true);
        assert_eq!(due.len(), SENDERS_MAX + 1);
        let others = due.iter().find(|it| it.peer.as_deref() == Some("others"));
        assert_eq!(others.unwrap().repeats, 2 * (1_000 - 256) - 1);
    }

    #[test]
    fn an_identified_caller_is_recorded_one_by_one_for_a_while() {
        let refusals = RefusalAggregator::default();
        let now = Instant::now();
        let alone = (0..100)
            .filter(|_| {
                let record = refused(Some("alice"), "192.0.2.1", "forbidden");
                refusals.take(record, now).is_some()
            })
            .count();
        assert_eq!(alone, 60);
        let due = refusals.due(now, true);
        assert_eq!((due.len(), due[0].repeats), (1, 39));
        assert_eq!(due[0].caller.as_deref(), Some("alice"));
    }
}
