//! Watches the bridge from threads of its own: how fast are `/health` and a healthy call, how much memory, time of
//! the processor, and disk does it take.

use std::{
    fs,
    io::{Error, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// No probe waits longer.
const PATIENCE: Duration = Duration::from_secs(6);

/// A request that is sent again and again.
#[derive(Clone)]
pub struct Request {
    /// Where to.
    pub to: SocketAddr,
    /// The whole request.
    pub text: String,
    /// Whether the connection is kept between two.
    pub is_kept: bool,
}

impl Request {
    /// Sends it over a connection, which is opened if there is none; the status.
    pub fn send(&self, connection: &mut Option<TcpStream>) -> Result<u16, Error> {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => TcpStream::connect_timeout(&self.to, PATIENCE)?,
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        stream.write_all(self.text.as_bytes())?;
        let status = answer(&mut stream)?;
        if self.is_kept {
            *connection = Some(stream);
        }
        Ok(status)
    }
}

/// Reads one answer with a length; its status.
fn answer(stream: &mut TcpStream) -> Result<u16, Error> {
    let (mut bytes, mut block) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut block)?;
        if count == 0 {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                "closed without an answer",
            ));
        }
        bytes.extend_from_slice(&block[..count]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let length: usize = length
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        if body.len() >= length {
            let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
            return status.ok_or_else(|| Error::new(ErrorKind::InvalidData, "no status"));
        }
    }
}

/// What a probe saw.
#[derive(Default)]
pub struct Times {
    /// How long each request took, those that could not be sent meanwhile included.
    all: Vec<Duration>,
    /// Answers other than 200, and connections that broke.
    pub wrong: Vec<String>,
}

impl Times {
    /// Counts a request. While a slow one was waited for, others were due: each would have waited too.
    fn add(&mut self, took: Duration, period: Duration) {
        let mut missing = took;
        self.all.push(took);
        while let Some(left) = missing.checked_sub(period)
            && left > period
        {
            self.all.push(left);
            missing = left;
        }
    }

    /// The 99th percentile.
    pub fn p99(&self) -> Duration {
        let mut sorted = self.all.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied().unwrap_or_default()
    }
}

/// Probes that run.
pub struct Probes {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    health: JoinHandle<Times>,
    calls: JoinHandle<Times>,
    memory: JoinHandle<()>,
}

/// What all of them saw.
pub struct Seen {
    /// Of `/health`.
    pub health: Times,
    /// Of healthy calls.
    pub calls: Times,
    /// Resident memory at its highest, in bytes.
    pub peak: u64,
}

impl Probes {
    /// Starts them.
    pub fn start(health: Request, call: Option<Request>, pid: u32, period: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let peak = Arc::new(AtomicU64::new(0));
        let ask = |request: Option<Request>| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || repeat(request.as_ref(), &stop, period))
        };
        let (health, calls) = (ask(Some(health)), ask(call));
        let memory = {
            let (stop, peak) = (Arc::clone(&stop), Arc::clone(&peak));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    peak.fetch_max(resident(pid), Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(4));
                }
            })
        };
        Self {
            stop,
            peak,
            health,
            calls,
            memory,
        }
    }

    /// Ends them, the requests under way included.
    pub fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let seen = Seen {
            health: self.health.join().unwrap(),
            calls: self.calls.join().unwrap(),
            peak: 0,
        };
        self.memory.join().unwrap();
        Seen {
            peak: self.peak.load(Ordering::Relaxed),
            ..seen
        }
    }
}

/// Sends a request until told to stop.
fn repeat(request: Option<&Request>, stop: &AtomicBool, period: Duration) -> Times {
    let mut times = Times::default();
    let Some(request) = request else { return times };
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        match request.send(&mut connection) {
            Ok(200) => {}
            Ok(status) => times.wrong.push(format!("status {status}")),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                times.wrong.push(format!("no answer within {PATIENCE:?}"));
            }
            Err(error) => times.wrong.push(error.to_string()),
        }
        times.add(began.elapsed(), period);
        thread::sleep(period.saturating_sub(began.elapsed()));
    }
    times
}

/// Resident memory of a process in bytes; 0 when it is gone.
pub fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|text| text.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// The processor time that a process has used, its children excluded.
pub fn processor(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// What the files of a folder and its folders take, in bytes.
pub fn disk(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => disk(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The processes whose command line has a text, with their command lines.
pub fn processes(text: &str) -> Vec<(u32, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter_map(|pid| {
            let path: PathBuf = format!("/proc/{pid}/cmdline").into();
            let line = fs::read_to_string(path).ok()?.replace('\0', " ");
            (pid != std::process::id() && line.contains(text)).then_some((pid, line))
        })
        .collect()
}
