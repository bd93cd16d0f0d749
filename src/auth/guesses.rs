//! [`GuessLimiter`]: limits how often an address may try wrong credentials.
//!
//! An attacker could guess a short key of the configuration, or a token that only Open WebUI can
//! check. After an address has sent many different wrong credentials, each further credential from
//! there that was never right before waits for its turn; a few per second are checked. All other
//! credentials are checked at once, whatever their address sent before: a credential that was right
//! before, a signature that the bridge checks itself, and a key that is too long to guess. So Open
//! WebUI, or a proxy behind which all users share one address, is not locked out by the wrong
//! credentials of others.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};
use http::HeaderMap;
use ipnet::IpNet;
use moka::sync::Cache;
use tokio::time::sleep;

use super::{AuthenticationError, RequestCredentials, headers};

/// How many different wrong credentials per minute one address may send before it is slowed down.
const FREE_A_MINUTE: NonZeroU32 = NonZeroU32::new(30).unwrap();

/// How many credentials of a slowed-down address are checked per second.
const PACED_A_SECOND: NonZeroU32 = NonZeroU32::new(5).unwrap();

/// How long an address stays slowed down after its last excess wrong credential.
const WATCHED: Duration = Duration::from_secs(30);

/// The maximum number of waiting credentials of one address.
const WAITING_OF_ADDRESS: usize = 16;

/// The maximum number of waiting credentials of all addresses.
const WAITING: usize = 128;

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The maximum number of addresses that are counted separately. The rest are counted together.
const ADDRESSES_MAX: usize = 10_000;

/// Counters of inactive addresses are removed after this many wrong credentials.
const SWEEP: u32 = 1024;

/// How many credentials are remembered as right, and how many as wrong.
const REMEMBERED: usize = 1 << 13;

/// How many trailing bytes of a credential identify it: the whole key, or the signature of a token.
const TOLD_BYTES: usize = 64;

/// Keys of at least this length, in bytes, count as impossible to guess.
const GUESSABLE_BYTES: usize = 16;

/// Counts wrong credentials per address.
#[derive(Debug)]
pub struct GuessLimiter {
    /// Proxies that are trusted to report the address of their client.
    trusted: Vec<IpNet>,
    hash: RandomState,
    right: RecentHashes,
    wrong: RecentHashes,
    counted: DefaultKeyedRateLimiter<IpAddr>,
    paced: DefaultKeyedRateLimiter<IpAddr>,
    /// Addresses that sent too many wrong credentials.
    watched: Cache<IpAddr, Arc<AtomicUsize>>,
    waiting: AtomicUsize,
    sweep: AtomicU32,
    clock: DefaultClock,
}

/// A set of hashes. When two hashes have the same place, the older one is forgotten. Reading and
/// writing are single atomic operations.
#[derive(Debug)]
struct RecentHashes(Box<[AtomicU64]>);

/// The credential of a request, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct CredentialAttempt {
    hash: u64,
    address: IpAddr,
}

impl RecentHashes {
    fn new() -> Self {
        Self((0..REMEMBERED).map(|_| AtomicU64::new(0)).collect())
    }

    fn place(&self, hash: u64) -> Option<&AtomicU64> {
        let place = usize::try_from(hash % self.0.len() as u64).unwrap_or_default();
        self.0.get(place)
    }

    fn has(&self, hash: u64) -> bool {
        self.place(hash)
            .is_some_and(|it| it.load(Ordering::Relaxed) == hash)
    }

    fn add(&self, hash: u64) {
        if let Some(place) = self.place(hash) {
            place.store(hash, Ordering::Relaxed);
        }
    }

    fn remove(&self, hash: u64) {
        if let Some(place) = self.place(hash) {
            // Another hash may have taken the place in the meantime; it stays.
            place
                .compare_exchange(hash, 0, Ordering::Relaxed, Ordering::Relaxed)
                .ok();
        }
    }
}

impl GuessLimiter {
    /// Creates the counters. `trusted` are the proxies that report client addresses.
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self {
            trusted,
            hash: RandomState::new(),
            right: RecentHashes::new(),
            wrong: RecentHashes::new(),
            counted: DefaultKeyedRateLimiter::keyed(Quota::per_minute(FREE_A_MINUTE)),
            paced: DefaultKeyedRateLimiter::keyed(Quota::per_second(PACED_A_SECOND)),
            watched: Cache::builder()
                .max_capacity(ADDRESSES_MAX as u64)
                .time_to_live(WATCHED)
                .build(),
            waiting: AtomicUsize::new(0),
            sweep: AtomicU32::new(0),
            clock: DefaultClock::default(),
        }
    }

    /// The credential of a request; `None` if it has none that could be guessed.
    pub fn attempt(&self, evidence: &RequestCredentials<'_>) -> Option<CredentialAttempt> {
        let sent = evidence.headers;
        let credential = match headers::authorization(sent) {
            Ok(None) => headers::cookie(sent).ok().flatten()?,
            Ok(Some(authorization)) => authorization,
            Err(_) => return None,
        };
        let bytes = credential.as_bytes();
        let told = bytes.get(bytes.len().saturating_sub(TOLD_BYTES)..)?;
        let hash = self.hash.hash_one((told, bytes.len()));
        Some(CredentialAttempt {
            // Zero marks an empty place.
            hash: hash.max(1),
            address: self.address(sent, evidence.peer?),
        })
    }

    /// The address that a request came from: the last one in the chain that is not a trusted proxy.
    fn address(&self, sent: &HeaderMap, peer: IpAddr) -> IpAddr {
        let is_trusted = |address: &IpAddr| self.trusted.iter().any(|it| it.contains(address));
        if !is_trusted(&peer) {
            return network(peer);
        }
        let lists = sent.get_all("x-forwarded-for").iter();
        let addresses: Vec<IpAddr> = lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','))
            .filter_map(|address| address.trim().parse().ok())
            .collect();
        let client = addresses.into_iter().rev().find(|it| !is_trusted(it));
        network(client.unwrap_or(peer))
    }

    /// Whether a credential must wait for its turn, unless it turns out that it cannot be guessed.
    pub fn is_suspect(&self, shown: &CredentialAttempt) -> bool {
        !self.right.has(shown.hash)
            && !self.wrong.has(shown.hash)
            && self.watched.contains_key(&shown.address)
    }

    /// Waits until the credential may be checked.
    pub async fn turn(&self, shown: &CredentialAttempt) -> Result<(), AuthenticationError> {
        let waiting = self.watched.get(&shown.address).unwrap_or_default();
        let Some(_place) =
            WaitingPlace::take([&waiting, &self.waiting], [WAITING_OF_ADDRESS, WAITING])
        else {
            return Err(self.too_many());
        };
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let Err(until) = self.paced.check_key(&shown.address) else {
                return Ok(());
            };
            let wait = until.wait_time_from(self.clock.now());
            if Instant::now() + wait > deadline {
                return Err(self.too_many());
            }
            sleep(wait).await;
        }
    }

    #[expect(clippy::unused_self, reason = "the wait is the same for all")]
    fn too_many(&self) -> AuthenticationError {
        AuthenticationError::TooManyFailures(WAIT_MAX.as_secs())
    }

    /// Records the outcome of the check.
    pub fn note<T>(&self, shown: &CredentialAttempt, outcome: &Result<T, AuthenticationError>) {
        match outcome {
            Ok(_) if self.right.has(shown.hash) => {}
            Ok(_) => {
                self.wrong.remove(shown.hash);
                self.right.add(shown.hash);
            }
            Err(refusal) if refusal.is_wrong() && !self.wrong.has(shown.hash) => {
                self.right.remove(shown.hash);
                self.wrong.add(shown.hash);
                self.count(shown.address);
            }
            Err(_) => {}
        }
    }

    /// Counts a wrong credential that was not seen before.
    fn count(&self, address: IpAddr) {
        if self.sweep.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            for counters in [&self.counted, &self.paced] {
                counters.retain_recent();
                counters.shrink_to_fit();
            }
        }
        let crowd = IpAddr::from([0, 0, 0, 0]);
        let is_full = self.counted.len() >= ADDRESSES_MAX;
        let counted = if is_full { crowd } else { address };
        if self.counted.check_key(&counted).is_err() {
            let before = self.watched.get(&address);
            // Log only once until the address calms down: one line per request would fill the disk.
            if before.is_none() {
                tracing::warn!(%address, "this address sent many wrong credentials; further unknown credentials from it are rate limited");
            }
            self.watched.insert(address, before.unwrap_or_default());
        }
    }
}

/// Whether a key could be guessed with a few tries per second.
pub fn is_guessable(key: &str) -> bool {
    key.len() < GUESSABLE_BYTES
}

/// The part of an address that its user cannot choose: for IPv6, the /64 prefix.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A waiting place, counted for one address and for all. Given back on drop.
struct WaitingPlace<'a>([&'a AtomicUsize; 2]);

impl<'a> WaitingPlace<'a> {
    fn take(counts: [&'a AtomicUsize; 2], bounds: [usize; 2]) -> Option<Self> {
        let place = Self(counts);
        let taken = counts.map(|count| count.fetch_add(1, Ordering::Relaxed));
        let is_free = taken
            .iter()
            .zip(bounds)
            .all(|(taken, bound)| *taken < bound);
        is_free.then_some(place)
    }
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        for count in self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::AUTHORIZATION};

    use super::*;

    fn guesses() -> GuessLimiter {
        GuessLimiter::new(vec!["10.0.0.0/8".parse().unwrap()])
    }

    fn shown(
        guesses: &GuessLimiter,
        text: &str,
        peer: &str,
        forwarded: Option<&str>,
    ) -> CredentialAttempt {
        let mut sent = HeaderMap::new();
        let value = HeaderValue::try_from(format!("Bearer {text}")).unwrap();
        sent.insert(AUTHORIZATION, value);
        if let Some(forwarded) = forwarded {
            let value = HeaderValue::try_from(forwarded).unwrap();
            sent.insert("x-forwarded-for", value);
        }
        let peer = Some(peer.parse().unwrap());
        let evidence = RequestCredentials {
            headers: &sent,
            peer,
        };
        guesses.attempt(&evidence).unwrap()
    }

    fn wrong(guesses: &GuessLimiter, text: &str, peer: &str) {
        let shown = shown(guesses, text, peer, None);
        guesses.note(&shown, &Err::<(), _>(AuthenticationError::Key));
    }

    #[tokio::test]
    async fn an_address_with_many_wrong_credentials_is_paced_and_others_are_not() {
        let guesses = guesses();
        let right = shown(&guesses, "right", "192.0.2.1", None);
        guesses.note(&right, &Ok(()));
        for number in 0..200 {
            wrong(&guesses, &format!("guess {number}"), "192.0.2.1");
        }
        let fresh = shown(&guesses, "fresh", "192.0.2.1", None);
        assert!(guesses.is_suspect(&fresh));
        assert!(!guesses.is_suspect(&right), "it was right before");
        let elsewhere = shown(&guesses, "fresh", "192.0.2.2", None);
        assert!(!guesses.is_suspect(&elsewhere));
        let began = Instant::now();
        let turns = (0..200).map(|number| {
            let one = shown(&guesses, &format!("more {number}"), "192.0.2.1", None);
            let guesses = &guesses;
            async move { guesses.turn(&one).await }
        });
        let turns = futures::future::join_all(turns).await;
        let taken = turns.iter().filter(|turn| turn.is_ok()).count();
        // The credentials of the first second do not wait.
        assert_eq!(taken, 5 + WAITING_OF_ADDRESS, "the rest is refused at once");
        assert!(
            began.elapsed() > Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(guesses.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_same_wrong_credential_is_counted_once() {
        let guesses = guesses();
        for _ in 0..10_000 {
            wrong(&guesses, "a session that has ended", "192.0.2.1");
        }
        assert!(!guesses.is_suspect(&shown(&guesses, "fresh", "192.0.2.1", None)));
        let ended = shown(&guesses, "a session that has ended", "192.0.2.1", None);
        assert!(!guesses.is_suspect(&ended), "its answer costs nothing");
        guesses.note(&ended, &Ok(()));
        assert!(!guesses.wrong.has(ended.hash));
    }

    #[test]
    fn the_client_of_a_trusted_proxy_is_the_address() {
        let guesses = guesses();
        let table = [
            ("192.0.2.1", None, "192.0.2.1"),
            ("192.0.2.1", Some("198.51.100.1"), "192.0.2.1"),
            ("10.0.0.1", None, "10.0.0.1"),
            ("10.0.0.1", Some("198.51.100.1"), "198.51.100.1"),
            (
                "10.0.0.1",
                Some("1.1.1.1, 198.51.100.1, 10.0.0.2"),
                "198.51.100.1",
            ),
            ("10.0.0.1", Some("made up"), "10.0.0.1"),
            ("2001:db8::1", None, "2001:db8::"),
            ("::ffff:192.0.2.1", None, "192.0.2.1"),
        ];
        for (peer, forwarded, address) in table {
            let shown = shown(&guesses, "x", peer, forwarded);
            assert_eq!(shown.address.to_string(), address, "{peer} {forwarded:?}");
        }
    }
}
