//! [`UnsolicitedMessages`]: handles what the server of one session sends without being asked.
//!
//! A server may send requests, notifications, log lines and junk at any time. rmcp would run a task for each
//! of them, so they never reach rmcp: the transports pass them to this value instead. Pings and requests are
//! answered from a bounded queue, a changed tool list sets a flag, and the rest is dropped. All of it counts
//! against a [`TokenBucket`]. When a server has used it up, its session ends, and the status of the bridge
//! tells why.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use rmcp::{
    RoleClient,
    model::{ClientResult, ErrorCode, ErrorData, JsonRpcMessage, RequestId},
    service::TxJsonRpcMessage,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::allowance::{RefillRate, TokenBucket};

/// How much a server may send at once and in the long run. A well-behaved server that logs, prints a banner
/// or reports progress stays far below it.
const PACE: RefillRate = RefillRate {
    burst: 8 << 20,
    per_second: 256 << 10,
};

/// The cost of each line of a program, in addition to its bytes, because each message has a fixed cost of
/// parsing.
const LINE_COST: usize = 128;
/// The cost of each event, comment and malformed line of an event stream, which take more time.
const EVENT_COST: usize = 512;
/// The cost of each line of an event that is not its data.
const FIELD_COST: usize = 32;
/// The cost of each request of the server, because it requires an answer.
const REQUEST_COST: usize = 4 << 10;
/// Refilled for each answer to a request, so that a server may print something during each call.
const ANSWER_EARNS: usize = 64 << 10;
/// The divisor for bytes that are discarded unread while an answer is due. The answer may be larger than the
/// limit.
const SKIPPED_DIVISOR: usize = 16;
/// The divisor while no answer is due.
const IDLE_SKIPPED_DIVISOR: usize = 4;

/// The cost of each chunk of discarded bytes.
const SKIP_COST: usize = 16;

/// The maximum number of answers that wait to be sent to the server. Its output is not read while this many
/// wait.
pub const OWED_MAX: usize = 64;
/// The longest id of a request that is answered, in bytes of JSON. SDKs use counters or UUIDs.
pub const ID_BYTES_MAX: usize = 256;
/// The maximum number of notifications per session that rmcp itself needs for a subscription (MCP
/// 2026-07-28).
const PASSED_ON_MAX: usize = 16;
/// The largest of them, in bytes.
const PASSED_ON_BYTES_MAX: usize = 16 << 10;

/// The largest message while no request is in flight, in bytes.
const IDLE_BYTES_MAX: usize = 4 << 20;

/// The reason if a session ends because its server sent too much.
const TOO_MUCH: &str = "the server sent too much unrequested data (8 MiB at once, or more than \
                        256 KiB a second for long); it must print less on stdout and send fewer \
                        notifications and requests";
/// The reason if a session ends because its server does not read.
pub const DOES_NOT_READ: &str = "the server sent requests faster than it reads the answers: 64 answers \
                                 were waiting for more than 5 seconds";

/// The size limits for answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerLimits {
    /// The limit for the answer to a call, in bytes.
    pub result_bytes_max: usize,
    /// The limit for all pages of a tool list together, in bytes.
    pub tools_bytes_max: usize,
}

/// One value per session. Clones are cheap.
#[derive(Debug, Clone)]
pub struct UnsolicitedMessages(Arc<UnsolicitedState>);

/// The state that the clones share.
#[derive(Debug)]
struct UnsolicitedState {
    /// The size limits for answers.
    bounds: AnswerLimits,
    /// The cost of each message, in addition to its bytes.
    message_cost: usize,
    /// How much the server may still send unasked.
    allowance: Mutex<TokenBucket>,
    /// Whether anything was taken from the allowance. An answer need not lock a full one.
    is_touched: AtomicBool,
    /// The size limit of an answer that can arrive now, in bytes.
    expected: AtomicUsize,
    /// Notified when the server reports that its tool list changed.
    tools_changed: Arc<Notify>,
    /// Answers to requests of the server, in order.
    owed: Mutex<VecDeque<TxJsonRpcMessage<RoleClient>>>,
    /// The number of these answers, so that nothing is locked while there are none.
    owed_count: AtomicUsize,
    /// Notified when an answer is added.
    owing: Notify,
    /// Notified when an answer is removed.
    paid: Notify,
    /// The number of notifications that were passed to rmcp.
    passed_on: AtomicUsize,
    /// Canceled when the session has to end.
    over: CancellationToken,
    /// Why the session has to end.
    reason: OnceLock<&'static str>,
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self {
            result_bytes_max: 32 << 20,
            tools_bytes_max: 8 << 20,
        }
    }
}

impl Default for UnsolicitedMessages {
    fn default() -> Self {
        Self::new(AnswerLimits::default())
    }
}

impl UnsolicitedMessages {
    /// Creates the value for a session with a child process.
    pub fn new(bounds: AnswerLimits) -> Self {
        Self::with_cost(bounds, LINE_COST)
    }

    /// Creates the value for a session over HTTP.
    pub fn of_events(bounds: AnswerLimits) -> Self {
        Self::with_cost(bounds, EVENT_COST)
    }

    /// Creates the value for a session.
    fn with_cost(bounds: AnswerLimits, message_cost: usize) -> Self {
        Self(Arc::new(UnsolicitedState {
            bounds,
            message_cost,
            allowance: Mutex::new(TokenBucket::new(PACE, Instant::now())),
            is_touched: AtomicBool::new(false),
            expected: AtomicUsize::new(0),
            tools_changed: Arc::default(),
            owed: Mutex::default(),
            owed_count: AtomicUsize::new(0),
            owing: Notify::new(),
            paid: Notify::new(),
            passed_on: AtomicUsize::new(0),
            over: CancellationToken::new(),
            reason: OnceLock::new(),
        }))
    }

    /// The size limits for answers.
    pub fn bounds(&self) -> AnswerLimits {
        self.0.bounds
    }

    /// Notified when the server reports that its tool list changed.
    pub fn tools_changed(&self) -> Arc<Notify> {
        Arc::clone(&self.0.tools_changed)
    }

    /// Counts a message that no request asked for.
    pub fn note(&self, bytes: usize) {
        self.take(bytes.saturating_add(self.0.message_cost));
    }

    /// Counts a line of an event stream that belongs to an event and is not its data.
    pub fn note_field(&self, bytes: usize) {
        self.take(bytes.saturating_add(FIELD_COST));
    }

    /// Counts bytes that were discarded unread, such as those of a message that is too large.
    pub fn skipped(&self, bytes: usize) {
        let is_due = self.0.expected.load(Ordering::Relaxed) > 0;
        let divisor = if is_due {
            SKIPPED_DIVISOR
        } else {
            IDLE_SKIPPED_DIVISOR
        };
        self.take(bytes.div_ceil(divisor).saturating_add(SKIP_COST));
    }

    /// Counts an answer to a request. It refills the allowance, so that the same amount may arrive again at
    /// no cost.
    pub fn answered(&self, bytes: usize) {
        if self.0.is_touched.load(Ordering::Relaxed) {
            let earned = bytes.saturating_add(ANSWER_EARNS);
            self.allowance()
                .earn(u64::try_from(earned).unwrap_or(u64::MAX));
        }
    }

    /// Answers a request of the server: a ping (MCP 2025-11-25, ping) with a result, and all others with an
    /// error, because they need capabilities that the bridge does not declare.
    pub fn request(&self, id: RequestId, method: &str, bytes: usize) {
        self.take(bytes.saturating_add(REQUEST_COST));
        if self.is_over() {
            return;
        }
        let answer = if method == "ping" {
            JsonRpcMessage::response(ClientResult::empty(()), id)
        } else {
            let error = ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                "this client answers only `ping`",
                None,
            );
            JsonRpcMessage::error(error, Some(id))
        };
        self.owed().push_back(answer);
        self.0.owed_count.fetch_add(1, Ordering::AcqRel);
        self.0.owing.notify_one();
    }

    /// Handles a notification. Returns `true` if rmcp has to receive it.
    pub fn notification(&self, method: &str, bytes: usize) -> bool {
        self.note(bytes);
        match method {
            "notifications/tools/list_changed" => {
                self.0.tools_changed.notify_one();
                false
            }
            "notifications/subscriptions/acknowledged" | "notifications/cancelled" => {
                bytes <= PASSED_ON_BYTES_MAX
                    && self.0.passed_on.fetch_add(1, Ordering::Relaxed) < PASSED_ON_MAX
            }
            _ => false,
        }
    }

    /// Takes the next answer that is due.
    pub fn take_owed(&self) -> Option<TxJsonRpcMessage<RoleClient>> {
        if self.0.owed_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let owed = self.owed().pop_front()?;
        self.0.owed_count.fetch_sub(1, Ordering::AcqRel);
        self.0.paid.notify_waiters();
        Some(owed)
    }

    /// Whether too many answers wait, so that the server's output is not read.
    pub fn owes_too_many(&self) -> bool {
        self.0.owed_count.load(Ordering::Acquire) >= OWED_MAX
    }

    /// Whether few enough answers wait, so that the server keeps up.
    pub fn owes_few(&self) -> bool {
        self.0.owed_count.load(Ordering::Acquire) <= OWED_MAX / 4
    }

    /// Waits until an answer is due.
    pub async fn owing(&self) {
        self.0.owing.notified().await;
    }

    /// Waits until the server's output may be read again. Cancel-safe.
    pub async fn room(&self) {
        loop {
            // Created before the check, so that a change in between is not missed.
            let paid = self.0.paid.notified();
            if !self.owes_too_many() {
                return;
            }
            paid.await;
        }
    }

    /// Ends the session. Only the first reason is kept.
    pub fn end(&self, reason: &'static str) {
        self.0.reason.get_or_init(|| reason);
        self.0.over.cancel();
    }

    /// Returns why the session ended, if it did.
    pub fn reason(&self) -> Option<&'static str> {
        self.0.reason.get().copied()
    }

    /// Whether the session was ended.
    pub fn is_over(&self) -> bool {
        self.0.over.is_cancelled()
    }

    /// Waits until the session is ended.
    pub async fn over(&self) {
        self.0.over.cancelled().await;
    }

    /// Sets the size limit of the answer that can arrive now, in bytes; 0 if none is due.
    pub fn expect(&self, bytes: usize) {
        self.0.expected.store(bytes, Ordering::Relaxed);
    }

    /// The largest message that is kept whole now, in bytes.
    pub fn message_bytes_max(&self) -> usize {
        let expected = self.0.expected.load(Ordering::Relaxed);
        let least = IDLE_BYTES_MAX.min(self.0.bounds.result_bytes_max);
        expected.max(least)
    }

    /// Takes from the allowance. If the allowance is used up, the session ends.
    fn take(&self, cost: usize) {
        self.0.is_touched.store(true, Ordering::Relaxed);
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        if !self.allowance().take(cost, Instant::now()) {
            self.end(TOO_MUCH);
        }
    }

    /// Locks the allowance. A poisoned lock is safe to use: no statement leaves it half changed.
    fn allowance(&self) -> MutexGuard<'_, TokenBucket> {
        self.0
            .allowance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the pending answers.
    fn owed(&self) -> MutexGuard<'_, VecDeque<TxJsonRpcMessage<RoleClient>>> {
        self.0.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_flood_ends_the_session_and_says_why() {
        for send in [
            (|it: &UnsolicitedMessages| it.note(100)) as fn(&UnsolicitedMessages),
            |it| it.request(RequestId::Number(1), "ping", 40),
            |it| {
                it.notification("notifications/tools/list_changed", 60);
            },
            |it| it.skipped(16 << 10),
        ] {
            let unasked = UnsolicitedMessages::default();
            for _ in 0..1_000 {
                send(&unasked);
                while unasked.take_owed().is_some() {}
            }
            assert!(!unasked.is_over(), "a thousand messages are not a flood");
            for _ in 0..200_000 {
                send(&unasked);
                while unasked.take_owed().is_some() {}
            }
            assert_eq!(unasked.reason(), Some(TOO_MUCH));
        }
    }

    #[test]
    fn answers_pay_for_what_is_printed_beside_them() {
        let unasked = UnsolicitedMessages::default();
        for _ in 0..10_000 {
            unasked.note(50_000);
            unasked.answered(10);
        }
        assert!(!unasked.is_over());
    }

    #[test]
    fn a_server_is_not_read_while_it_does_not_take_its_answers() {
        let unasked = UnsolicitedMessages::default();
        for number in 0..64 {
            assert!(unasked.room().now_or_never().is_some(), "{number}");
            unasked.request(RequestId::Number(number), "ping", 40);
        }
        assert!(unasked.owes_too_many());
        let mut room = Box::pin(unasked.room());
        assert!((&mut room).now_or_never().is_none());
        assert!(unasked.take_owed().is_some());
        assert!(room.now_or_never().is_some());
    }

    #[test]
    fn what_needs_a_capability_is_refused() {
        let unasked = UnsolicitedMessages::default();
        unasked.request(RequestId::Number(1), "roots/list", 80);
        let owed = serde_json::to_string(&unasked.take_owed().unwrap()).unwrap();
        assert!(owed.contains("-32601"), "{owed}");
    }

    #[test]
    fn rmcp_hears_of_a_few_notifications_at_most() {
        let unasked = UnsolicitedMessages::default();
        let passed = (0..1_000)
            .filter(|_| unasked.notification("notifications/cancelled", 80))
            .count();
        assert_eq!(passed, PASSED_ON_MAX);
        assert!(!unasked.notification("notifications/resources/updated", 80));
    }
}
