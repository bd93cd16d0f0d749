//! [`Unasked`]: what the server of one session sends without being asked, and what becomes of it.
//!
//! A server may send requests, notifications, log lines and junk whenever it likes. rmcp would run a
//! task for each of them, so nothing of the kind reaches it: the transports hand it to this value
//! instead. Pings and requests are answered from a bounded queue, a changed tool list sets a flag, and
//! the rest is dropped. All of it is counted against an [`Allowance`]; a server that uses it up has its
//! session ended, and the bridge's status says why.

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

use super::allowance::{Allowance, Pace};

/// What a server may send at once and in the long run. An honest server that logs, prints a banner or
/// reports progress stays far below it.
const PACE: Pace = Pace {
    burst: 8 << 20,
    per_second: 256 << 10,
};

/// Counted for each line of a program beside its bytes, because reading a message costs something of its
/// own.
const LINE_COST: usize = 128;
/// The same for each event, comment and odd line of an event stream, which cost more.
const EVENT_COST: usize = 512;
/// Counted for each line of an event that is not its data.
const FIELD_COST: usize = 32;
/// Counted for each request of the server, because it wants an answer.
const REQUEST_COST: usize = 4 << 10;
/// Given back for each answer to a request of ours, so that a server may print something at each call.
const ANSWER_EARNS: usize = 64 << 10;
/// Bytes that are passed over unread cost one of this many while an answer is due: it may be larger than
/// we take.
const SKIPPED_DIVISOR: usize = 16;
/// The same while none is due.
const IDLE_SKIPPED_DIVISOR: usize = 4;

/// Counted for each piece of them.
const SKIP_COST: usize = 16;

/// Answers that wait to be sent to the server; it is not read further while they are this many.
pub const OWED_MAX: usize = 64;
/// The longest id of a request that is answered, in bytes of JSON. SDKs count, or send a UUID.
pub const ID_BYTES_MAX: usize = 256;
/// Notifications that rmcp itself needs for a subscription (MCP 2026-07-28), in one session.
const PASSED_ON_MAX: usize = 16;
/// The largest of them, in bytes.
const PASSED_ON_BYTES_MAX: usize = 16 << 10;

/// The largest message while no request is in flight, in bytes.
const IDLE_BYTES_MAX: usize = 4 << 20;

/// Why a session is ended that sent too much.
const TOO_MUCH: &str = "the server sent too much that was not asked for (8 MiB at once, or more than \
                        256 KiB a second for long); it must print less on stdout and send fewer \
                        notifications and requests";
/// Why a session is ended whose server does not read.
pub const DOES_NOT_READ: &str = "the server sent requests faster than it reads the answers: 64 of them \
                                 were waiting for long";

/// The bounds of what one answer may weigh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The largest answer to a call, in bytes.
    pub result_bytes_max: usize,
    /// All pages of a tool list together, in bytes.
    pub tools_bytes_max: usize,
}

/// One for each session; cheap to clone.
#[derive(Debug, Clone)]
pub struct Unasked(Arc<Inner>);

/// What the clones share.
#[derive(Debug)]
struct Inner {
    /// What one answer may weigh.
    bounds: Bounds,
    /// Counted for each message beside its bytes.
    message_cost: usize,
    /// What may still come unasked.
    allowance: Mutex<Allowance>,
    /// Whether anything was taken from it: an answer need not look at a full one.
    is_touched: AtomicBool,
    /// The largest message that can be an answer now, in bytes.
    expected: AtomicUsize,
    /// Woken when the server says that its tool list changed.
    tools_changed: Arc<Notify>,
    /// Answers to requests of the server, in their order.
    owed: Mutex<VecDeque<TxJsonRpcMessage<RoleClient>>>,
    /// How many they are, so that nothing is locked while there are none.
    owed_count: AtomicUsize,
    /// Woken when there is one more of them.
    owing: Notify,
    /// Woken when there is one less.
    paid: Notify,
    /// Notifications that rmcp was given.
    passed_on: AtomicUsize,
    /// Cancelled when the session has to end.
    over: CancellationToken,
    /// Why.
    reason: OnceLock<&'static str>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            result_bytes_max: 32 << 20,
            tools_bytes_max: 8 << 20,
        }
    }
}

impl Default for Unasked {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Unasked {
    /// For a session with a program.
    pub fn new(bounds: Bounds) -> Self {
        Self::with_cost(bounds, LINE_COST)
    }

    /// For a session over HTTP.
    pub fn of_events(bounds: Bounds) -> Self {
        Self::with_cost(bounds, EVENT_COST)
    }

    /// For a session that begins.
    fn with_cost(bounds: Bounds, message_cost: usize) -> Self {
        Self(Arc::new(Inner {
            bounds,
            message_cost,
            allowance: Mutex::new(Allowance::new(PACE, Instant::now())),
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

    /// What one answer may weigh.
    pub fn bounds(&self) -> Bounds {
        self.0.bounds
    }

    /// Woken when the server says that its tool list changed.
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

    /// Counts bytes that were passed over without being read, as those of a message that is too large.
    pub fn skipped(&self, bytes: usize) {
        let is_due = self.0.expected.load(Ordering::Relaxed) > 0;
        let divisor = if is_due {
            SKIPPED_DIVISOR
        } else {
            IDLE_SKIPPED_DIVISOR
        };
        self.take(bytes.div_ceil(divisor).saturating_add(SKIP_COST));
    }

    /// Counts an answer to a request of ours: what it brought may come once more for nothing.
    pub fn answered(&self, bytes: usize) {
        if self.0.is_touched.load(Ordering::Relaxed) {
            let earned = bytes.saturating_add(ANSWER_EARNS);
            self.allowance()
                .earn(u64::try_from(earned).unwrap_or(u64::MAX));
        }
    }

    /// Answers a request of the server: a ping (MCP 2025-11-25, ping), and with an error whatever needs
    /// a capability that we do not declare.
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
                "this client answers no request but `ping`",
                None,
            );
            JsonRpcMessage::error(error, Some(id))
        };
        self.owed().push_back(answer);
        self.0.owed_count.fetch_add(1, Ordering::AcqRel);
        self.0.owing.notify_one();
    }

    /// Takes a notification. `true` where rmcp has to see it.
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

    /// The answer that is due next.
    pub fn take_owed(&self) -> Option<TxJsonRpcMessage<RoleClient>> {
        if self.0.owed_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let owed = self.owed().pop_front()?;
        self.0.owed_count.fetch_sub(1, Ordering::AcqRel);
        self.0.paid.notify_waiters();
        Some(owed)
    }

    /// Whether so many answers wait that the server is not read further.
    pub fn owes_too_many(&self) -> bool {
        self.0.owed_count.load(Ordering::Acquire) >= OWED_MAX
    }

    /// Whether so few answers wait that the server keeps up with them.
    pub fn owes_few(&self) -> bool {
        self.0.owed_count.load(Ordering::Acquire) <= OWED_MAX / 4
    }

    /// Waits until an answer is due.
    pub async fn owing(&self) {
        self.0.owing.notified().await;
    }

    /// Waits until the server may be read further. Cancel-safe.
    pub async fn room(&self) {
        loop {
            // Made before the look, so that it hears of what happens in between.
            let paid = self.0.paid.notified();
            if !self.owes_too_many() {
                return;
            }
            paid.await;
        }
    }

    /// Ends the session; the first reason stays.
    pub fn end(&self, reason: &'static str) {
        self.0.reason.get_or_init(|| reason);
        self.0.over.cancel();
    }

    /// Why the session was ended, if it was.
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

    /// Notes the largest answer that can come now, in bytes; 0 when none is due.
    pub fn expect(&self, bytes: usize) {
        self.0.expected.store(bytes, Ordering::Relaxed);
    }

    /// The largest message that is read whole now, in bytes.
    pub fn message_bytes_max(&self) -> usize {
        let expected = self.0.expected.load(Ordering::Relaxed);
        let least = IDLE_BYTES_MAX.min(self.0.bounds.result_bytes_max);
        expected.max(least)
    }

    /// Takes from the allowance, and ends the session of a server that has used it up.
    fn take(&self, cost: usize) {
        self.0.is_touched.store(true, Ordering::Relaxed);
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        if !self.allowance().take(cost, Instant::now()) {
            self.end(TOO_MUCH);
        }
    }

    /// The allowance; it is whole between two statements, also after a panic elsewhere.
    fn allowance(&self) -> MutexGuard<'_, Allowance> {
        self.0
            .allowance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The answers that wait.
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
            (|it: &Unasked| it.note(100)) as fn(&Unasked),
            |it| it.request(RequestId::Number(1), "ping", 40),
            |it| {
                it.notification("notifications/tools/list_changed", 60);
            },
            |it| it.skipped(16 << 10),
        ] {
            let unasked = Unasked::default();
            for _ in 0..1_000 {
                send(&unasked);
                while unasked.take_owed().is_some() {}
            }
            assert!(!unasked.is_over(), "a thousand messages are no flood");
            for _ in 0..200_000 {
                send(&unasked);
                while unasked.take_owed().is_some() {}
            }
            assert_eq!(unasked.reason(), Some(TOO_MUCH));
        }
    }

    #[test]
    fn answers_pay_for_what_is_printed_beside_them() {
        let unasked = Unasked::default();
        for _ in 0..10_000 {
            unasked.note(50_000);
            unasked.answered(10);
        }
        assert!(!unasked.is_over());
    }

    #[test]
    fn a_server_is_not_read_while_it_does_not_take_its_answers() {
        let unasked = Unasked::default();
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
        let unasked = Unasked::default();
        unasked.request(RequestId::Number(1), "roots/list", 80);
        let owed = serde_json::to_string(&unasked.take_owed().unwrap()).unwrap();
        assert!(owed.contains("-32601"), "{owed}");
    }

    #[test]
    fn rmcp_hears_of_a_few_notifications_at_most() {
        let unasked = Unasked::default();
        let passed = (0..1_000)
            .filter(|_| unasked.notification("notifications/cancelled", 80))
            .count();
        assert_eq!(passed, PASSED_ON_MAX);
        assert!(!unasked.notification("notifications/resources/updated", 80));
    }
}
