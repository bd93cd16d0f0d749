//! [`CallSlots`]: the running and waiting calls of a bridge, shared fairly among callers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::rate::{ByCaller, CallerKey, FairShareError, SharePolicy};

/// The calls in flight, and the calls that wait for a slot or for the server.
#[derive(Debug)]
pub(super) struct CallSlots {
    /// The maximum number of concurrent calls.
    max: usize,
    /// The maximum number of waiting calls.
    queue_max: usize,
    state: Mutex<SlotState>,
}

/// Who runs and who waits.
#[derive(Debug, Default)]
struct SlotState {
    running: CallCounts,
    waiting: CallCounts,
    /// The calls that wait for a slot, in order of arrival.
    line: VecDeque<SlotWaiter>,
    /// For each caller, the number of the last turn that the caller got while others waited.
    turns: ByCaller<u64>,
    turn: u64,
}

/// A total and its parts by caller.
#[derive(Debug, Default)]
struct CallCounts {
    total: usize,
    by_caller: ByCaller<usize>,
}

/// A call that waits for a slot.
#[derive(Debug)]
struct SlotWaiter {
    caller: CallerKey,
    turn: oneshot::Sender<CallSlot>,
}

/// A slot. When dropped, it passes to the next waiting call.
#[derive(Debug)]
pub(super) struct CallSlot {
    /// `None` if the slot was never handed over.
    slots: Option<Arc<CallSlots>>,
    caller: CallerKey,
}

/// A place in the queue, given back on drop.
#[derive(Debug)]
pub(super) struct QueueGuard {
    slots: Arc<CallSlots>,
    caller: CallerKey,
}

impl CallSlots {
    /// Slots for `max` concurrent calls and `queue_max` waiting calls.
    pub(super) fn new(max: usize, queue_max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            queue_max,
            state: Mutex::default(),
        })
    }

    /// Takes a slot, either immediately or after a bounded wait in a bounded queue.
    pub(super) async fn take(
        self: &Arc<Self>,
        caller: CallerKey,
        deadline: Instant,
    ) -> Result<CallSlot, FairShareError> {
        let (queued, mine) = {
            let mut state = self.lock();
            if state.line.is_empty() && self.may_run(&state, caller) {
                state.running.add(caller);
                return Ok(self.slot(caller));
            }
            self.join(&mut state, caller)?;
            let (turn, mine) = oneshot::channel();
            state.line.push_back(SlotWaiter { caller, turn });
            // A caller with fewer slots than the callers ahead need not wait for them.
            self.give_turns(&mut state);
            (self.queued(caller), mine)
        };
        let slot = timeout_at(deadline, mine).await;
        drop(queued);
        if let Ok(Ok(slot)) = slot {
            return Ok(slot);
        }
        let mut state = self.lock();
        state.line.retain(|waiter| !waiter.turn.is_closed());
        Err(FairShareError::All)
    }

    /// Takes a place in the queue, unless the queue or this caller's share of it is full.
    pub(super) fn wait(self: &Arc<Self>, caller: CallerKey) -> Result<QueueGuard, FairShareError> {
        self.join(&mut self.lock(), caller)?;
        Ok(self.queued(caller))
    }

    /// Calls that have a slot.
    pub(super) fn running(&self) -> usize {
        self.lock().running.total
    }

    /// Calls that wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.total
    }

    /// Whether a caller may have another slot.
    fn may_run(&self, state: &SlotState, caller: CallerKey) -> bool {
        let free = self.max.saturating_sub(state.running.total);
        free > 0 && SharePolicy::Dynamic.allows(state.running.of(caller), 1, free, self.max)
    }

    /// Counts one more waiting call.
    fn join(&self, state: &mut SlotState, caller: CallerKey) -> Result<(), FairShareError> {
        let free = self.queue_max.saturating_sub(state.waiting.total);
        let own = state.waiting.of(caller);
        if free == 0 {
            let is_mostly_own = own > 0 && own * 2 >= state.waiting.total;
            return Err(if is_mostly_own {
                FairShareError::Own
            } else {
                FairShareError::All
            });
        }
        if !SharePolicy::Dynamic.allows(own, 1, free, self.queue_max) {
            return Err(FairShareError::Own);
        }
        state.waiting.add(caller);
        Ok(())
    }

    /// Gives free slots to waiting calls. The caller with the fewest slots is next. On a tie the
    /// caller whose last turn is longest ago is next, and then the one who arrived first.
    fn give_turns(self: &Arc<Self>, state: &mut SlotState) {
        while state.running.total < self.max && !state.line.is_empty() {
            let waiters = state.line.iter().enumerate();
            let next = waiters
                .filter(|(_, waiter)| self.may_run(state, waiter.caller))
                .min_by_key(|(place, SlotWaiter { caller, .. })| {
                    let last = state.turns.get(caller).copied().unwrap_or_default();
                    (state.running.of(*caller), last, *place)
                })
                .map(|(place, _)| place);
            let Some(waiter) = next.and_then(|place| state.line.remove(place)) else {
                return;
            };
            state.running.add(waiter.caller);
            state.turn += 1;
            state.turns.insert(waiter.caller, state.turn);
            if let Err(mut unwanted) = waiter.turn.send(self.slot(waiter.caller)) {
                // The caller hung up. Dropping the slot would take the lock, which this function
                // already holds.
                unwanted.slots = None;
                state.running.remove(waiter.caller);
            }
        }
        if state.line.is_empty() {
            state.turns.clear();
        }
    }

    fn slot(self: &Arc<Self>, caller: CallerKey) -> CallSlot {
        CallSlot {
            slots: Some(Arc::clone(self)),
            caller,
        }
    }

    fn queued(self: &Arc<Self>, caller: CallerKey) -> QueueGuard {
        QueueGuard {
            slots: Arc::clone(self),
            caller,
        }
    }

    /// A thread that panicked while it held the lock left the state consistent.
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallCounts {
    fn of(&self, caller: CallerKey) -> usize {
        self.by_caller.get(&caller).copied().unwrap_or_default()
    }

    fn add(&mut self, caller: CallerKey) {
        self.total += 1;
        *self.by_caller.entry(caller).or_default() += 1;
    }

    fn remove(&mut self, caller: CallerKey) {
        self.total = self.total.saturating_sub(1);
        if let Some(own) = self.by_caller.get_mut(&caller) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_caller.remove(&caller);
            }
        }
    }
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        let Some(slots) = &self.slots else { return };
        let mut state = slots.lock();
        state.running.remove(self.caller);
        if !state.line.is_empty() {
            slots.give_turns(&mut state);
        }
    }
}

impl Drop for QueueGuard {
    fn drop(&mut self) {
        self.slots.lock().waiting.remove(self.caller);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::{AuthenticationMethod, Caller};

    fn key(name: &str) -> CallerKey {
        CallerKey::of(&Caller::named(name, AuthenticationMethod::ApiKey), None)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[tokio::test]
    async fn one_caller_leaves_slots_and_places_of_the_queue_to_others() {
        let slots = CallSlots::new(64, 256);
        let mut held = Vec::new();
        for _ in 0..48 {
            held.push(slots.take(key("hostile"), soon()).await.unwrap());
        }
        let waits: Vec<_> = (0..400)
            .map(|_| slots.take(key("hostile"), soon()))
            .collect();
        let waits = futures::future::join_all(waits).await;
        let refused = |full| {
            waits
                .iter()
                .filter(|it| it.as_ref().err() == Some(&full))
                .count()
        };
        assert_eq!(
            (refused(FairShareError::Own), refused(FairShareError::All)),
            (400 - 192, 192)
        );
        assert_eq!((slots.running(), slots.waiting()), (48, 0));
        let honest = slots.take(key("honest"), soon()).await;
        assert!(honest.is_ok(), "{honest:?}");
        drop((honest, held));
        assert_eq!((slots.running(), slots.waiting()), (0, 0));
        assert!(slots.lock().line.is_empty());
    }

    #[tokio::test]
    async fn the_caller_with_the_fewest_is_next() {
        let slots = CallSlots::new(2, 100);
        let first = slots.take(key("greedy"), soon()).await.unwrap();
        let second = slots.take(key("greedy"), soon()).await.unwrap();
        let greedy = (0..20).map(|_| slots.take(key("greedy"), later()));
        let mut greedy = Box::pin(futures::future::join_all(greedy));
        let mut modest = Box::pin(slots.take(key("modest"), later()));
        assert!(futures::poll!(&mut greedy).is_pending());
        assert!(futures::poll!(&mut modest).is_pending());
        drop(first);
        assert!(futures::poll!(&mut modest).is_ready(), "it had none");
        drop((greedy, modest, second));
        assert_eq!((slots.running(), slots.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn of_one_slot_callers_take_turns() {
        let slots = CallSlots::new(1, 64);
        let mut held = slots.take(key("greedy"), soon()).await.unwrap();
        let mut greedy: Vec<_> = (0..10)
            .map(|_| Box::pin(slots.take(key("greedy"), later())))
            .collect();
        for wait in &mut greedy {
            assert!(futures::poll!(wait).is_pending());
        }
        let mut modest = Box::pin(slots.take(key("modest"), later()));
        assert!(futures::poll!(&mut modest).is_pending());
        drop(held);
        held = greedy.remove(0).await.unwrap();
        assert!(futures::poll!(&mut modest).is_pending());
        drop(held);
        assert!(
            futures::poll!(&mut modest).is_ready(),
            "after one of the others"
        );
    }

    #[tokio::test]
    async fn what_is_given_to_a_caller_who_hung_up_is_given_on() {
        let slots = CallSlots::new(1, 8);
        let held = slots.take(key("a"), soon()).await.unwrap();
        let mut gone = Box::pin(slots.take(key("b"), later()));
        assert!(futures::poll!(&mut gone).is_pending());
        drop(gone);
        let mut next = Box::pin(slots.take(key("c"), later()));
        assert!(futures::poll!(&mut next).is_pending());
        drop(held);
        let next = futures::poll!(&mut next);
        assert!(next.is_ready(), "{next:?}");
        drop(next);
        assert!(slots.take(key("d"), soon()).await.is_ok());
    }
}
