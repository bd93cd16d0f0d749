//! [`ListenerConnections`]: limits the number of connections, and chooses which one to close for a new one.
//!
//! A client can open connections at no cost, and each takes a file descriptor. When all places are
//! taken, the connection that has been idle the longest is closed. So idle connections cannot keep
//! callers out.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::extract::connect_info::Connected;
use futures::task::AtomicWaker;
use ipnet::IpNet;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

/// How long a client may leave a response unread before its connection is cut.
pub const UNREAD_MAX: Duration = Duration::from_secs(30);

/// How often the bridge checks for connections with unread responses.
const SWEEP: Duration = Duration::from_secs(5);

/// How often a full table is checked for a connection that became idle.
const RETRY: Duration = Duration::from_millis(50);

/// How long a connection stays open after its request has ended. During this time the response may
/// still be on its way.
const SETTLING: Duration = Duration::from_millis(100);

/// How many bytes of incomplete request heads all connections together may have sent.
const HEADS_BYTES_MAX: usize = 32 << 20;

/// A connection that has sent fewer bytes than this is never closed because of that total.
const HEAD_BYTES_FREE: usize = 16 << 10;

/// All connections of one listener.
#[derive(Debug)]
pub struct ListenerConnections {
    /// The number of connections from one address, unless the address is trusted.
    of_address_max: usize,
    /// Trusted proxies. Many clients share the address of a proxy.
    trusted: Vec<IpNet>,
    places: Arc<Semaphore>,
    table: Mutex<ConnectionTable>,
    /// Bytes of incomplete request heads.
    heads: AtomicUsize,
    /// The start of the clock.
    began: Instant,
}

/// The open connections.
#[derive(Debug, Default)]
struct ConnectionTable {
    next: u64,
    connections: HashMap<u64, Arc<ClientConnection>>,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection, shared by its requests and its stream.
#[derive(Debug)]
pub struct ClientConnection {
    pub(super) all: Arc<ListenerConnections>,
    number: u64,
    address: IpAddr,
    /// Requests whose body may still be read.
    open: AtomicUsize,
    /// Requests in progress.
    busy: AtomicUsize,
    /// Responses that the client has not read completely.
    unread: AtomicUsize,
    /// Whether the connection has ever had a request.
    has_served: AtomicBool,
    /// The time when a request or a part of a response last moved, in milliseconds.
    moved_at: AtomicU64,
    /// Bytes that arrived while no request was open.
    head: AtomicUsize,
    /// Requests since the connection last waited for the client.
    run: AtomicUsize,
    is_cut: AtomicBool,
    /// Wakes the reader when the connection is cut or its writes continue.
    pub(super) reader: AtomicWaker,
    _place: OwnedSemaphorePermit,
}

/// The client's end of a connection, as axum passes it to requests.
#[derive(Debug, Clone)]
pub struct ClientPeer {
    /// The client's address.
    pub address: SocketAddr,
    /// The connection.
    pub connection: Arc<ClientConnection>,
}

impl Connected<Self> for ClientPeer {
    fn connect_info(peer: Self) -> Self {
        peer
    }
}

impl ListenerConnections {
    /// A table of `max` connections. One address may have half of them, unless it is this machine's
    /// own or a trusted one.
    pub fn new(max: usize, trusted: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self {
            of_address_max: (max / 2).max(1),
            trusted,
            places: Arc::new(Semaphore::new(max)),
            table: Mutex::default(),
            heads: AtomicUsize::new(0),
            began: Instant::now(),
        })
    }

    /// Waits for a place. If all places are taken, an idle connection is closed.
    pub(super) async fn place(&self) -> io::Result<OwnedSemaphorePermit> {
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Ok(place);
            }
            self.close_idle(None);
            let freed = timeout(RETRY, Arc::clone(&self.places).acquire_owned()).await;
            if let Ok(place) = freed {
                return place.map_err(io::Error::other);
            }
        }
    }

    /// Registers a connection. Returns `None` if its address already has too many connections and
    /// all of them are busy.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        place: OwnedSemaphorePermit,
    ) -> Option<Arc<ClientConnection>> {
        let address = network(address);
        let is_free = address.is_loopback() || self.trusted.iter().any(|it| it.contains(&address));
        let count = self
            .lock()
            .by_address
            .get(&address)
            .copied()
            .unwrap_or_default();
        if !is_free && count >= self.of_address_max && !self.close_idle(Some(address)) {
            return None;
        }
        let mut table = self.lock();
        *table.by_address.entry(address).or_default() += 1;
        let number = table.next;
        table.next += 1;
        let connection = Arc::new(ClientConnection {
            all: Arc::clone(self),
            number,
            address,
            open: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            unread: AtomicUsize::new(0),
            has_served: AtomicBool::new(false),
            moved_at: AtomicU64::new(self.now()),
            head: AtomicUsize::new(0),
            run: AtomicUsize::new(0),
            is_cut: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            _place: place,
        });
        table.connections.insert(number, Arc::clone(&connection));
        Some(connection)
    }

    /// Closes one idle connection, of the given address or of any. Connections that never had a
    /// request are closed first, then the one that has been idle the longest. Returns whether a
    /// connection was closed.
    pub(super) fn close_idle(&self, address: Option<IpAddr>) -> bool {
        let settled = self.now().saturating_sub(millis(SETTLING));
        let table = self.lock();
        let connections = table.connections.values();
        let idle = connections
            .filter(|it| address.is_none_or(|address| it.address == address))
            .filter_map(|it| Some((it.idle_since(settled)?, it)));
        let oldest = idle
            .min_by_key(|(since, it)| (it.has_served.load(Ordering::Relaxed), *since, it.number));
        match oldest {
            Some((_, connection)) => {
                connection.cut();
                true
            }
            None => false,
        }
    }

    /// Cuts connections whose clients do not read their responses. Never returns.
    pub async fn sweep(self: Arc<Self>) {
        loop {
            sleep(SWEEP).await;
            let late = self.now().saturating_sub(millis(UNREAD_MAX));
            let stuck = |it: &&Arc<ClientConnection>| {
                it.unread.load(Ordering::Relaxed) > 0 && it.moved_at.load(Ordering::Relaxed) < late
            };
            let stuck: Vec<_> = self
                .lock()
                .connections
                .values()
                .filter(stuck)
                .cloned()
                .collect();
            for connection in stuck {
                tracing::debug!(peer = %connection.address, "a client does not read its responses; its connection is closed");
                connection.cut();
            }
        }
    }

    /// The time in milliseconds. The clock starts at [`UNREAD_MAX`], so that subtracting it does
    /// not underflow.
    fn now(&self) -> u64 {
        millis(self.began.elapsed() + UNREAD_MAX)
    }

    /// Locks the table. It stays consistent even if a thread panicked while it held the lock.
    fn lock(&self) -> MutexGuard<'_, ConnectionTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The part of an address that a client cannot choose freely: the /64 prefix of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        other => other,
    }
}

impl ClientConnection {
    /// Since when the connection has been idle. `None` if it is busy or became idle only just now.
    fn idle_since(&self, settled: u64) -> Option<u64> {
        let is_busy = self.busy.load(Ordering::Acquire) > 0
            || self.unread.load(Ordering::Relaxed) > 0
            || self.is_cut();
        let since = self.moved_at.load(Ordering::Relaxed);
        let is_settled = since <= settled || !self.has_served.load(Ordering::Relaxed);
        (!is_busy && is_settled).then_some(since)
    }

    /// Records that data moved.
    pub fn moved(&self) {
        self.moved_at.store(self.all.now(), Ordering::Relaxed);
    }

    /// Records that the client has sent nothing more.
    pub(super) fn waits(&self) {
        self.run.store(0, Ordering::Relaxed);
    }

    /// Counts a request. Returns whether it is pipelined: the client sent it without waiting for
    /// the response before it.
    pub fn is_pipelined(&self) -> bool {
        self.run.fetch_add(1, Ordering::Relaxed) > 0
    }

    /// Cuts the connection. Its stream reads the end of the stream and refuses further writes.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// Whether the connection was cut.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    /// Counts bytes that were read. Returns `false` if all clients together have sent too many
    /// bytes of incomplete request heads and this client is one of the heavy ones.
    pub fn may_read(&self, bytes: usize) -> bool {
        if self.open.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let own = self.head.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.all.heads.fetch_add(bytes, Ordering::Relaxed) + bytes;
        all <= HEADS_BYTES_MAX || own <= HEAD_BYTES_FREE
    }

    /// Forgets the bytes of a request head that is now complete.
    fn head_is_read(&self) {
        let head = self.head.swap(0, Ordering::Relaxed);
        if head > 0 {
            self.all.heads.fetch_sub(head, Ordering::Relaxed);
        }
    }

    /// Counts the request as open until the guard is dropped.
    pub fn open(self: &Arc<Self>) -> OpenRequestGuard {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.head_is_read();
        OpenRequestGuard(Arc::clone(self))
    }

    /// Counts the request as in progress until the guard is dropped.
    pub fn busy(self: &Arc<Self>) -> BusyRequestGuard {
        self.busy.fetch_add(1, Ordering::AcqRel);
        self.has_served.store(true, Ordering::Relaxed);
        BusyRequestGuard(Arc::clone(self))
    }

    /// Counts the response as unread until the guard is dropped.
    pub fn unread(self: &Arc<Self>) -> UnreadResponseGuard {
        self.moved();
        self.unread.fetch_add(1, Ordering::Relaxed);
        UnreadResponseGuard(Arc::clone(self))
    }

    /// The stream was closed.
    pub(super) fn closed(&self) {
        self.head_is_read();
        let mut table = self.all.lock();
        table.connections.remove(&self.number);
        if let Some(count) = table.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                table.by_address.remove(&self.address);
            }
        }
    }
}

/// See [`ClientConnection::open`].
#[derive(Debug)]
pub struct OpenRequestGuard(Arc<ClientConnection>);

impl Drop for OpenRequestGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See [`ClientConnection::busy`].
#[derive(Debug)]
pub struct BusyRequestGuard(Arc<ClientConnection>);

impl Drop for BusyRequestGuard {
    fn drop(&mut self) {
        self.0.moved();
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// See [`ClientConnection::unread`].
#[derive(Debug)]
pub struct UnreadResponseGuard(Arc<ClientConnection>);

impl UnreadResponseGuard {
    /// Records that a part of the response was read.
    pub fn moved(&self) {
        self.0.moved();
    }
}

impl Drop for UnreadResponseGuard {
    fn drop(&mut self) {
        self.0.moved();
        self.0.unread.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTSIDE: &str = "192.0.2.1";

    async fn connect(
        all: &Arc<ListenerConnections>,
        address: &str,
    ) -> Option<Arc<ClientConnection>> {
        let place = timeout(Duration::from_secs(1), all.place()).await.ok()?;
        all.admit(address.parse().unwrap(), place.unwrap())
    }

    fn cut(connections: &[Arc<ClientConnection>]) -> Vec<bool> {
        connections.iter().map(|it| it.is_cut()).collect()
    }

    #[tokio::test]
    async fn the_connection_that_waits_longest_without_a_request_makes_room() {
        let all = ListenerConnections::new(3, Vec::new());
        let mut held = Vec::new();
        for address in ["127.0.0.1", "192.0.2.1", "192.0.2.2"] {
            held.push(connect(&all, address).await.unwrap());
        }
        // The first connection has had a request, and the second has one now.
        drop(held[0].busy());
        let busy = held[1].busy();
        assert!(!all.close_idle(Some(network(held[1].address))));
        assert!(all.close_idle(None));
        assert_eq!(cut(&held), [false, false, true]);
        assert!(
            !all.close_idle(None),
            "the first has only just been answered"
        );
        sleep(SETTLING * 2).await;
        assert!(all.close_idle(None));
        assert_eq!(cut(&held), [true, false, true]);
        assert!(!all.close_idle(None));
        drop(busy);
    }

    #[tokio::test]
    async fn one_address_has_half_of_all_and_this_machine_has_all() {
        let all = ListenerConnections::new(4, vec!["198.51.100.0/24".parse().unwrap()]);
        let mut held = vec![connect(&all, OUTSIDE).await.unwrap()];
        held.push(connect(&all, OUTSIDE).await.unwrap());
        let busy: Vec<_> = held.iter().map(ClientConnection::busy).collect();
        assert!(connect(&all, OUTSIDE).await.is_none());
        drop(busy);
        sleep(SETTLING * 2).await;
        held.push(connect(&all, OUTSIDE).await.unwrap());
        assert_eq!(
            cut(&held),
            [true, false, false],
            "its own oldest makes room"
        );
        for free in ["127.0.0.1", "198.51.100.7"] {
            let all = ListenerConnections::new(4, vec!["198.51.100.0/24".parse().unwrap()]);
            for _ in 0..4 {
                let one = connect(&all, free).await.unwrap();
                one.has_served.store(true, Ordering::Relaxed);
                held.push(one);
            }
        }
    }

    #[tokio::test]
    async fn heads_that_do_not_end_are_bounded_together() {
        let all = ListenerConnections::new(8, Vec::new());
        let greedy = connect(&all, OUTSIDE).await.unwrap();
        let modest = connect(&all, OUTSIDE).await.unwrap();
        assert!(greedy.may_read(HEADS_BYTES_MAX));
        assert!(!greedy.may_read(1));
        assert!(modest.may_read(1024), "it has sent little");
        let open = greedy.open();
        assert!(greedy.may_read(HEADS_BYTES_MAX), "its request has begun");
        drop(open);
        modest.closed();
        assert_eq!(all.heads.load(Ordering::Relaxed), 0);
    }
}
