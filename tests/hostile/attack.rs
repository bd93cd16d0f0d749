//! One row: the attack, what was seen meanwhile, and whether all is as before afterwards.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::sleep};

use crate::{
    bounds::{Bounds, MIB},
    callers::{self, Aim},
    probe::{Probes, Seen, disk, processor, resident},
    rows::{Attack, Row, Victim},
    stage::{GOOD, Stage},
    verdict::Verdict,
};

/// Runs one row; `bridge` is that of the hostile server.
pub async fn run(stage: &mut Stage, row: &Row, bridge: &str, bounds: &Bounds) -> Verdict {
    let mut verdict = Verdict {
        idle: resident(stage.pid).min(stage.idle + Bounds::MEMORY),
        ..Verdict::default()
    };
    verdict.peak_max = verdict.idle + Bounds::MEMORY + row.memory;

    if row.disk.is_some() {
        // What the rows before wrote is on its way to the disk for a moment.
        sleep(Duration::from_secs(2)).await;
    }
    let victim = match row.victim {
        Victim::Nobody => None,
        Victim::Healthy => Some("healthy"),
        Victim::Same => Some(bridge),
    };
    let probes = Probes::start(
        stage.health(),
        victim.map(|bridge| stage.call(bridge, GOOD)),
        stage.pid,
        Bounds::PERIOD,
    );
    let (began, ticks, files) = (Instant::now(), processor(stage.pid), disk(stage.folder()));
    let tools = stage.tools(bridge).await;
    stage.switch(bridge, "go");
    if row.answer.is_some() {
        listed(stage, bridge, tools).await;
    }
    let callers = Callers::start(stage, row, bridge);
    sleep(bounds.attack).await;
    let spent = processor(stage.pid).saturating_sub(ticks).as_secs_f64();
    verdict.seconds = began.elapsed().as_secs_f64();
    verdict.cpu = (spent / verdict.seconds - stage.share).max(0.0) * 100.0;
    verdict.disk = disk(stage.folder()).saturating_sub(files);
    stage.switch(bridge, "over");
    verdict.answer = callers.and_then(|callers| callers.stop(row));
    let over = Instant::now();
    let seen = tokio::task::spawn_blocking(|| probes.stop()).await.unwrap();
    note(&seen, &mut verdict);
    recover(stage, row, bridge, bounds, over, &mut verdict).await;
    verdict.faults.extend(stage.odd_log());
    if row.is_stopped {
        stage.switch(bridge, "go");
        let _callers = Callers::start(stage, row, bridge);
        sleep(Duration::from_millis(300)).await;
        let (took, faults) = stage.end().await;
        verdict.stop = Some(took);
        verdict.faults.extend(faults);
    }
    judge(row, bounds, &mut verdict);
    verdict
}

/// Waits until the hostile tool is listed, or the bridge is too slow to say.
async fn listed(stage: &Stage, bridge: &str, before: Option<u64>) {
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until && before.is_some() && stage.tools(bridge).await == before {
        sleep(Duration::from_millis(30)).await;
    }
}

/// Takes over what the probes saw.
fn note(seen: &Seen, verdict: &mut Verdict) {
    verdict.peak = seen.peak;
    verdict.health = seen.health.p99();
    verdict.call = seen.calls.p99();
    for (what, times) in [("/health", &seen.health), ("healthy calls", &seen.calls)] {
        if let Some(first) = times.wrong.first() {
            let count = times.wrong.len();
            verdict
                .faults
                .push(format!("{count} of the {what} failed: {first}"));
        }
    }
}

/// Compares what was seen with the bounds.
fn judge(row: &Row, bounds: &Bounds, verdict: &mut Verdict) {
    let mut faults = Vec::new();
    let (peak, peak_max) = (verdict.peak / MIB, verdict.peak_max / MIB);
    if verdict.peak > verdict.peak_max {
        faults.push(format!("memory {peak} MiB > {peak_max}"));
    }
    for (what, seen, max) in [
        ("/health p99", verdict.health, bounds.health()),
        ("healthy call p99", verdict.call, bounds.call()),
    ] {
        if seen > max {
            faults.push(format!("{what} {seen:.0?} > {max:?}"));
        }
    }
    if let Some(max) = row.cpu {
        let restart = Bounds::RESTART.as_secs_f64() / verdict.seconds * 100.0;
        let max = (max + restart) * f64::from(bounds.factor);
        if verdict.cpu > max {
            faults.push(format!("cpu {:.0} % > {max:.0} %", verdict.cpu));
        }
    }
    if let Some(max) = row.disk
        && verdict.disk > max
    {
        let (seen, max) = (verdict.disk >> 10, max >> 10);
        faults.push(format!("disk {seen} KiB > {max} KiB"));
    }
    if let (Some(max), Some(seen)) = (row.answer, verdict.answer)
        && seen > max * bounds.factor
    {
        let max = max * bounds.factor;
        faults.push(format!(
            "an answer to the attacker after {seen:.1?} > {max:?}"
        ));
    }
    verdict.faults.splice(0..0, faults);
}

/// Waits until everything is as before the attack.
async fn recover(
    stage: &Stage,
    row: &Row,
    bridge: &str,
    bounds: &Bounds,
    over: Instant,
    verdict: &mut Verdict,
) {
    loop {
        let missing = missing(stage, row, bridge, bounds, verdict).await;
        verdict.after = over.elapsed();
        if missing.is_empty() {
            return;
        }
        if verdict.after > Bounds::RECOVERY {
            let within = Bounds::RECOVERY;
            verdict
                .faults
                .push(format!("not as before after {within:?}: {missing}"));
            return;
        }
        sleep(Duration::from_millis(30)).await;
    }
}

/// What is not yet as before; empty when all is.
async fn missing(
    stage: &Stage,
    row: &Row,
    bridge: &str,
    bounds: &Bounds,
    verdict: &mut Verdict,
) -> String {
    for (what, request, max) in [
        ("/health", stage.health(), bounds.health()),
        ("a healthy call", stage.call("healthy", GOOD), bounds.call()),
    ] {
        let began = Instant::now();
        let sent = tokio::task::spawn_blocking(move || request.send(&mut None));
        match sent.await.unwrap() {
            Ok(200) if began.elapsed() <= max => {}
            Ok(status) => return format!("{what}: status {status} after {:.0?}", began.elapsed()),
            Err(error) => return format!("{what}: no answer ({error})"),
        }
    }
    let now = resident(stage.pid);
    verdict.peak = verdict.peak.max(now);
    if now > verdict.idle + Bounds::MEMORY {
        return format!("memory is still {} MiB", now / MIB);
    }
    let Some(server) = stage.status(bridge).await else {
        return "/servers does not answer".to_owned();
    };
    let text = |key: &str| server[key].as_str().unwrap_or_default().to_owned();
    let (status, reason) = (text("status"), text("reason"));
    let short: String = reason.chars().take(90).collect();
    verdict.status = [&status, " ", &short].concat();
    if reason.chars().any(crate::stage::is_odd) {
        return format!("the reason has control characters: {short:?}");
    }
    match status.as_str() {
        "ready" => String::new(),
        "backing_off" | "failed" if !reason.is_empty() && !row.is_kept => String::new(),
        _ => format!("the attacked bridge is `{status}` {short}"),
    }
}

/// Hostile callers that run.
struct Callers {
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
    slowest: Arc<Mutex<Duration>>,
    waiting: Arc<Mutex<Vec<Option<Instant>>>>,
}

impl Callers {
    /// Starts those of a row, in a thread that leaves the processor to others.
    fn start(stage: &Stage, row: &Row, bridge: &str) -> Option<Self> {
        let caller = match row.attack {
            Attack::Caller(caller) => caller,
            Attack::Stdio(_) | Attack::Http(..) if row.calls > 0 => callers::attack_calls,
            Attack::Stdio(_) | Attack::Http(..) => return None,
        };
        let arguments = stage.switch_of(bridge).with_extension("arguments");
        let aim = Aim::new(stage.address, row.source, bridge, arguments, row.calls);
        let (stop, mut stopped) = watch::channel(false);
        let (slowest, waiting) = (Arc::clone(&aim.slowest), Arc::clone(&aim.waiting));
        let thread = thread::spawn(move || {
            // So that the attacker is not itself what makes the others slow.
            let priority = rustix::process::getpriority_process(None).unwrap();
            rustix::process::setpriority_process(None, priority + 10).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = caller(aim) => {}
                    _ = stopped.changed() => {}
                }
            });
        });
        Some(Self {
            stop,
            thread: Some(thread),
            slowest,
            waiting,
        })
    }

    /// Ends them; the slowest answer they got, or waited for until now.
    fn stop(mut self, row: &Row) -> Option<Duration> {
        let waiting = self.waiting.lock().unwrap().clone();
        let waiting = waiting.iter().flatten().map(Instant::elapsed).max();
        let slowest = *self.slowest.lock().unwrap();
        self.end();
        row.answer.map(|_| slowest.max(waiting.unwrap_or_default()))
    }

    fn end(&mut self) {
        self.stop.send(true).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.end();
    }
}
