//! [`FairSharePool`]: prevents one caller from taking a whole resource.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState},
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use crate::auth::{AuthenticationMethod, Caller};

/// Below this many units any caller may take all: so few cannot be shared fairly.
const SHARED_FROM: usize = 8;

/// A caller may hold up to this many times the free amount.
const TIMES_FREE: usize = 3;

/// Identifies a caller in the tables of holders: a hash with a random key of this process, so that
/// a caller cannot choose an ID that collides with another caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerKey(u64);

/// The hash function of [`CallerKey`].
static HASH: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl CallerKey {
    /// The key of a caller. Unauthenticated callers are distinguished by their address.
    pub fn of(caller: &Caller, peer: Option<IpAddr>) -> Self {
        let address = match caller.proof {
            AuthenticationMethod::Anonymous | AuthenticationMethod::Loopback => peer,
            _ => None,
        };
        Self(HASH.hash_one((&*caller.workspace, &*caller.id, address)))
    }
}

/// One value for each caller.
pub type ByCaller<T> = HashMap<CallerKey, T, BuildHasherDefault<CallerKeyHasher>>;

/// A hasher for [`CallerKey`], which is a hash already.
#[derive(Debug, Default)]
pub struct CallerKeyHasher(u64);

impl Hasher for CallerKeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(8) ^ number;
    }
}

/// Why nothing was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FairShareError {
    /// The caller already holds its share.
    Own,
    /// Nothing is left.
    All,
}

/// How much one caller may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharePolicy {
    /// Up to three times the free amount (the dynamic thresholds of Choudhury and Hahne, IEEE/ACM
    /// Transactions on Networking 6(2), 1998). A single caller gets three quarters. However many
    /// callers take as much as they can, a part stays free for the next one.
    Dynamic,
    /// Up to this amount, but always one piece of any size.
    Capped(usize),
}

/// A number of places, slots or bytes, and how many of them each caller holds.
#[derive(Debug)]
pub struct FairSharePool {
    max: usize,
    policy: SharePolicy,
    state: Mutex<ShareUsage>,
}

/// How much each caller holds.
#[derive(Debug, Default)]
struct ShareUsage {
    total: usize,
    by_caller: ByCaller<usize>,
}

/// What a caller was given. Dropping it gives it back.
#[derive(Debug)]
pub struct FairShare {
    shares: Arc<FairSharePool>,
    caller: CallerKey,
    amount: usize,
}

impl SharePolicy {
    /// Whether a caller who holds `held` may get `amount` more if `free` of `max` are left.
    pub fn allows(self, held: usize, amount: usize, free: usize, max: usize) -> bool {
        match self {
            Self::Dynamic => max < SHARED_FROM || held < free.saturating_mul(TIMES_FREE),
            Self::Capped(cap) => held == 0 || held.saturating_add(amount) <= cap,
        }
    }
}

impl FairSharePool {
    /// A resource of this size, shared by this policy.
    pub fn new(max: usize, policy: SharePolicy) -> Arc<Self> {
        Arc::new(Self {
            max,
            policy,
            state: Mutex::default(),
        })
    }

    /// Gives a caller an amount, immediately or not at all.
    pub fn take(
        self: &Arc<Self>,
        caller: CallerKey,
        amount: usize,
    ) -> Result<FairShare, FairShareError> {
        self.lock().take(self, caller, amount)?;
        Ok(FairShare {
            shares: Arc::clone(self),
            caller,
            amount,
        })
    }

    /// The amount that all callers hold.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.lock().total
    }

    /// A thread that panicked while it held the lock left the state consistent.
    fn lock(&self) -> MutexGuard<'_, ShareUsage> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShareUsage {
    fn take(
        &mut self,
        shares: &FairSharePool,
        caller: CallerKey,
        amount: usize,
    ) -> Result<(), FairShareError> {
        let free = shares.max.saturating_sub(self.total);
        let held = self.by_caller.get(&caller).copied().unwrap_or_default();
        if amount > free {
            let is_mostly_own = held.saturating_mul(2) >= self.total && held > 0;
            return Err(if is_mostly_own {
                FairShareError::Own
            } else {
                FairShareError::All
            });
        }
        if !shares.policy.allows(held, amount, free, shares.max) {
            return Err(FairShareError::Own);
        }
        self.total += amount;
        self.by_caller.insert(caller, held + amount);
        Ok(())
    }
}

impl FairShare {
    /// Takes an additional amount.
    pub fn grow(&mut self, amount: usize) -> Result<(), FairShareError> {
        let shares = &*self.shares;
        shares.lock().take(shares, self.caller, amount)?;
        self.amount += amount;
        Ok(())
    }
}

impl Drop for FairShare {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        held.total = held.total.saturating_sub(self.amount);
        if let Some(own) = held.by_caller.get_mut(&self.caller) {
            *own = own.saturating_sub(self.amount);
            if *own == 0 {
                held.by_caller.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> CallerKey {
        CallerKey::of(&Caller::named(name, AuthenticationMethod::ApiKey), None)
    }

    /// Takes single units until the limit is reached.
    fn all(shares: &Arc<FairSharePool>, name: &str) -> (Vec<FairShare>, FairShareError) {
        let mut held = Vec::new();
        loop {
            match shares.take(key(name), 1) {
                Ok(share) => held.push(share),
                Err(full) => return (held, full),
            }
        }
    }

    #[test]
    fn a_caller_who_is_alone_gets_three_quarters_and_others_always_find_a_place() {
        for (max, alone) in [
            (1, 1),
            (2, 2),
            (4, 4),
            (7, 7),
            (8, 6),
            (64, 48),
            (2048, 1536),
        ] {
            let shares = FairSharePool::new(max, SharePolicy::Dynamic);
            let (held, full) = all(&shares, "alice");
            assert_eq!((held.len(), full), (alone, FairShareError::Own), "of {max}");
        }
        let shares = FairSharePool::new(2048, SharePolicy::Dynamic);
        let mut taken = Vec::new();
        for hostile in ["a", "b", "c", "d"] {
            taken.push(all(&shares, hostile).0);
            assert!(shares.take(key("honest"), 1).is_ok(), "beside {hostile}");
        }
        drop(taken);
        assert_eq!(shares.held(), 0);
        assert!(shares.lock().by_caller.is_empty());
    }

    #[test]
    fn the_refusal_says_whose_fault_it_is() {
        let shares = FairSharePool::new(4, SharePolicy::Dynamic);
        let (held, _) = all(&shares, "alice");
        assert_eq!(shares.take(key("bob"), 1).unwrap_err(), FairShareError::All);
        drop(held);
        assert!(shares.take(key("bob"), 1).is_ok());
    }

    #[test]
    fn a_cap_leaves_one_piece_of_any_size() {
        let shares = FairSharePool::new(100, SharePolicy::Capped(40));
        let mut large = shares.take(key("alice"), 60).unwrap();
        assert_eq!(
            shares.take(key("alice"), 1).unwrap_err(),
            FairShareError::Own
        );
        assert_eq!(large.grow(1), Err(FairShareError::Own));
        let mut small = shares.take(key("bob"), 30).unwrap();
        assert_eq!(small.grow(10), Ok(()));
        assert_eq!(
            shares.take(key("carol"), 1).unwrap_err(),
            FairShareError::All
        );
        drop(large);
        assert_eq!(small.grow(1), Err(FairShareError::Own));
        drop(small);
        assert_eq!(shares.held(), 0);
    }

    #[test]
    fn callers_without_identity_are_told_apart_by_their_address() {
        let anonymous = Caller::named("anonymous", AuthenticationMethod::Anonymous);
        let at = |text: &str| CallerKey::of(&anonymous, Some(text.parse().unwrap()));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_eq!(at("192.0.2.1"), at("192.0.2.1"));
    }
}
