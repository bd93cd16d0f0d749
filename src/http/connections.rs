//! [`Connections`]: how many there may be, and which of them is closed when one more comes.
//!
//! Opening a connection costs its client nothing, and each takes a file descriptor of ours. When all
//! are taken, the connection that has been idle for the longest makes room, so that connections that
//! wait without a request never keep a caller out.

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
use axum_server::{AddrListener, Address};
use futures::task::AtomicWaker;
use ipnet::IpNet;
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use super::watched::Watched;

/// How long a client may leave an answer unread, or take no byte of it, before it is cut.
pub const UNREAD_MAX: Duration = Duration::from_secs(30);

/// How often connections with unread answers are looked at.
const SWEEP: Duration = Duration::from_secs(5);

/// How often a full table is looked at for a connection that became idle.
const RETRY: Duration = Duration::from_millis(50);

/// An answer is on its way for a moment after its request has ended. So young an idle connection is
/// not closed.
const SETTLING: Duration = Duration::from_millis(100);

/// What all connections together may have sent of requests that have not begun, in bytes.
const HEADS_BYTES_MAX: usize = 32 << 20;

/// A connection that has sent less than this is not made to pay for the others, in bytes.
const HEAD_BYTES_FREE: usize = 16 << 10;

/// All connections of one listener.
#[derive(Debug)]
pub struct Connections {
    /// Connections of one address, unless it is trusted.
    of_address_max: usize,
    /// Proxies before us, behind which many clients have one address.
    trusted: Vec<IpNet>,
    places: Arc<Semaphore>,
    table: Mutex<Table>,
    /// Bytes of requests that have not begun.
    heads: AtomicUsize,
    /// Times are counted from here.
    began: Instant,
}

/// Who is connected.
#[derive(Debug, Default)]
struct Table {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection, as its requests and its stream know it.
#[derive(Debug)]
pub struct Connection {
    all: Arc<Connections>,
    number: u64,
    address: IpAddr,
    /// Requests whose body may still be read.
    open: AtomicUsize,
    /// Requests that are being answered.
    busy: AtomicUsize,
    /// Answers that are not wholly taken.
    unread: AtomicUsize,
    /// Whether there was ever a request.
    has_served: AtomicBool,
    /// When a request, or a part of an answer, moved last, in milliseconds.
    moved_at: AtomicU64,
    /// Bytes that came while no request was open.
    head: AtomicUsize,
    /// Requests since the client was last waited for.
    run: AtomicUsize,
    is_cut: AtomicBool,
    /// Woken when the connection is cut, and when its writes go on.
    pub(super) reader: AtomicWaker,
    _place: OwnedSemaphorePermit,
}

/// The other end of a connection: what axum tells requests of it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The connection.
    pub connection: Arc<Connection>,
}

impl Connected<Self> for Peer {
    fn connect_info(peer: Self) -> Self {
        peer
    }
}

impl Connections {
    /// So many, half of which one address may have, unless it is this machine's or a trusted one.
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

    /// Waits for a place; an idle connection is closed for it.
    async fn place(&self) -> io::Result<OwnedSemaphorePermit> {
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

    /// Takes in a connection. `None`: its address has too many already, and all of them are busy.
    fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        place: OwnedSemaphorePermit,
    ) -> Option<Arc<Connection>> {
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
        let connection = Arc::new(Connection {
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

    /// Closes one idle connection, of an address or of any: one that never had a request before one
    /// that had, and of those the one that has been idle for the longest. Whether there was one.
    fn close_idle(&self, address: Option<IpAddr>) -> bool {
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

    /// Cuts connections whose clients leave answers unread; never ends.
    pub async fn sweep(self: Arc<Self>) {
        loop {
            sleep(SWEEP).await;
            let late = self.now().saturating_sub(millis(UNREAD_MAX));
            let stuck = |it: &&Arc<Connection>| {
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
                tracing::debug!(peer = %connection.address, "a client leaves its answers unread; its connection is closed");
                connection.cut();
            }
        }
    }

    /// Milliseconds since a moment before the start.
    fn now(&self) -> u64 {
        millis(self.began.elapsed() + UNREAD_MAX)
    }

    /// A thread that panicked in here left nothing half done.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The part of an address that its holder cannot choose: IPv6 counts by /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        other => other,
    }
}

impl Connection {
    /// Since when it has been idle; `None` while it is busy or only just became idle.
    fn idle_since(&self, settled: u64) -> Option<u64> {
        let is_busy = self.busy.load(Ordering::Acquire) > 0
            || self.unread.load(Ordering::Relaxed) > 0
            || self.is_cut();
        let since = self.moved_at.load(Ordering::Relaxed);
        let is_settled = since <= settled || !self.has_served.load(Ordering::Relaxed);
        (!is_busy && is_settled).then_some(since)
    }

    /// Notes that something moves.
    pub fn moved(&self) {
        self.moved_at.store(self.all.now(), Ordering::Relaxed);
    }

    /// Notes that the client has sent nothing more.
    pub(super) fn waits(&self) {
        self.run.store(0, Ordering::Relaxed);
    }

    /// Notes a request. Whether it came together with one before it: the client did not wait for the answer.
    pub fn is_pipelined(&self) -> bool {
        self.run.fetch_add(1, Ordering::Relaxed) > 0
    }

    /// Ends the connection: its stream reads the end, and writes no more.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// Whether it was ended.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    /// Notes bytes that were read. `false`: all clients together have sent too much of requests that
    /// have not begun, and this one is among those who did.
    pub fn may_read(&self, bytes: usize) -> bool {
        if self.open.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let own = self.head.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.all.heads.fetch_add(bytes, Ordering::Relaxed) + bytes;
        all <= HEADS_BYTES_MAX || own <= HEAD_BYTES_FREE
    }

    /// Forgets what was sent of a request that has now begun.
    fn head_is_read(&self) {
        let head = self.head.swap(0, Ordering::Relaxed);
        if head > 0 {
            self.all.heads.fetch_sub(head, Ordering::Relaxed);
        }
    }

    /// A request came, until the guard is dropped.
    pub fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.head_is_read();
        Open(Arc::clone(self))
    }

    /// A request is being answered, until the guard is dropped.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        self.has_served.store(true, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// An answer is to be taken, until the guard is dropped.
    pub fn unread(self: &Arc<Self>) -> Unread {
        self.moved();
        self.unread.fetch_add(1, Ordering::Relaxed);
        Unread(Arc::clone(self))
    }

    /// The stream is gone.
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

/// See [`Connection::open`].
#[derive(Debug)]
pub struct Open(Arc<Connection>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See [`Connection::busy`].
#[derive(Debug)]
pub struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.moved();
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// See [`Connection::unread`].
#[derive(Debug)]
pub struct Unread(Arc<Connection>);

impl Unread {
    /// Notes that a part was taken.
    pub fn moved(&self) {
        self.0.moved();
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.0.moved();
        self.0.unread.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes connections in, within the bounds.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// The bounds.
    pub connections: Arc<Connections>,
}

impl Address for Peer {
    type Stream = Watched;
    type Listener = Listener;
}

impl AddrListener<Watched, Peer> for Listener {
    async fn bind_to(peer: Peer) -> io::Result<Self> {
        Ok(Self {
            socket: TcpListener::bind(peer.address).await?,
            connections: Arc::clone(&peer.connection.all),
        })
    }

    /// The next connection. Those that wait for a place wait in the kernel.
    async fn accept_stream(&self) -> io::Result<(Watched, Peer)> {
        loop {
            let place = self.connections.place().await?;
            let (stream, address) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Most likely descriptors ran out, of which this gives one back.
                    self.connections.close_idle(None);
                    return Err(error);
                }
            };
            // A call is a few small packets: none of them should wait for another.
            stream.set_nodelay(true).ok();
            let Some(connection) = self.connections.admit(address.ip(), place) else {
                tracing::debug!(peer = %address, "an address has too many connections; one more is closed");
                continue;
            };
            let peer = Peer {
                address,
                connection: Arc::clone(&connection),
            };
            return Ok((Watched::new(stream, connection), peer));
        }
    }

    fn get_local_addr(&self) -> io::Result<Peer> {
        // Only connections are peers. The address is known since `bind`.
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTSIDE: &str = "192.0.2.1";

    async fn connect(all: &Arc<Connections>, address: &str) -> Option<Arc<Connection>> {
        let place = timeout(Duration::from_secs(1), all.place()).await.ok()?;
        all.admit(address.parse().unwrap(), place.unwrap())
    }

    fn cut(connections: &[Arc<Connection>]) -> Vec<bool> {
        connections.iter().map(|it| it.is_cut()).collect()
    }

    #[tokio::test]
    async fn the_connection_that_waits_longest_without_a_request_makes_room() {
        let all = Connections::new(3, Vec::new());
        let mut held = Vec::new();
        for address in ["127.0.0.1", "192.0.2.1", "192.0.2.2"] {
            held.push(connect(&all, address).await.unwrap());
        }
        // The first has had a request, the second has one.
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
        let all = Connections::new(4, vec!["198.51.100.0/24".parse().unwrap()]);
        let mut held = vec![connect(&all, OUTSIDE).await.unwrap()];
        held.push(connect(&all, OUTSIDE).await.unwrap());
        let busy: Vec<_> = held.iter().map(Connection::busy).collect();
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
            let all = Connections::new(4, vec!["198.51.100.0/24".parse().unwrap()]);
            for _ in 0..4 {
                let one = connect(&all, free).await.unwrap();
                one.has_served.store(true, Ordering::Relaxed);
                held.push(one);
            }
        }
    }

    #[tokio::test]
    async fn heads_that_do_not_end_are_bounded_together() {
        let all = Connections::new(8, Vec::new());
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
