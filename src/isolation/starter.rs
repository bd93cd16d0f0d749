//! Starts programs from one thread that lives as long as this process.
//!
//! The kernel sends the parent-death signal when the *thread* that started a program ends
//! (prctl(2)), and the threads of the runtime may end long before the process.

use std::io;

use tokio::process::{Child, Command};

/// A running program.
#[derive(Debug)]
pub struct RunningProgram {
    /// The process, which leads its own process group.
    pub child: Child,
    /// Keep it until the process group has ended.
    pub registration: ProgramRegistration,
}

/// Registers a running program. When it is dropped, processes that have left the program's group
/// are ended.
#[derive(Debug)]
pub struct ProgramRegistration(
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "is always `None`")
    )]
    Option<u64>,
);

#[cfg(target_os = "linux")]
pub(super) use linux::OURSELVES;
#[cfg(target_os = "linux")]
pub use linux::{command, spawn};

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        path::Path,
        sync::{OnceLock, mpsc},
        thread,
    };

    use tokio::{runtime::Handle, sync::oneshot};

    use super::{
        super::{cleaner::MARK, cleaning::CleanerHandle, harden, stage},
        Child, Command, ProgramRegistration, RunningProgram, io,
    };

    /// The running binary, even after an upgrade has replaced the file.
    pub const OURSELVES: &str = "/proc/self/exe";
    /// The thread needs little stack.
    const STACK_BYTES: usize = 128 << 10;

    /// A request to the thread.
    enum StarterRequest {
        /// Start a program.
        Start {
            command: Box<Command>,
            /// The runtime that handles its pipes.
            runtime: Handle,
            reply: oneshot::Sender<io::Result<RunningProgram>>,
        },
        /// A program has ended.
        Ended(u64),
    }

    /// Sends requests to the thread.
    static STARTER: OnceLock<mpsc::Sender<StarterRequest>> = OnceLock::new();

    /// A command that runs a program through the stage. If [`harden()`](super::super::harden()) was
    /// not called in this process, or without `/proc`, it runs the program directly.
    pub fn command(program: &str, args: &[String]) -> Command {
        let Some(limits) = harden::before().filter(|_| Path::new(OURSELVES).exists()) else {
            let mut command = Command::new(program);
            command.args(args);
            return command;
        };
        let mut command = Command::new(OURSELVES);
        let order = stage::order(std::process::id(), limits);
        command.arg0("mcp-bridge");
        command.args([stage::WORD, &order, program]).args(args);
        command
    }

    /// Starts a command that [`command`] created. It must ask for its own process group.
    pub async fn spawn(mut command: Command) -> io::Result<RunningProgram> {
        if harden::before().is_none() || !Path::new(OURSELVES).exists() {
            let child = command.spawn()?;
            let registration = ProgramRegistration(None);
            return Ok(RunningProgram {
                child,
                registration,
            });
        }
        let (reply, answer) = oneshot::channel();
        let order = StarterRequest::Start {
            command: Box::new(command),
            runtime: Handle::current(),
            reply,
        };
        let gone = || io::Error::other("the thread that starts programs has ended");
        starter()?.send(order).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// The thread, which is started with the first program.
    fn starter() -> io::Result<&'static mpsc::Sender<StarterRequest>> {
        if let Some(starter) = STARTER.get() {
            return Ok(starter);
        }
        let (sender, orders) = mpsc::channel();
        let run = format!("{:016x}", rand::random::<u64>());
        thread::Builder::new()
            .name("starter".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || work(&orders, &run))?;
        // If two threads are started at the same time, one gets no sender and ends before it starts
        // anything.
        Ok(STARTER.get_or_init(|| sender))
    }

    fn work(orders: &mpsc::Receiver<StarterRequest>, run: &str) {
        let mut cleaning = CleanerHandle::new(run.to_owned());
        let mut number = 0;
        for order in orders {
            match order {
                StarterRequest::Start {
                    mut command,
                    runtime,
                    reply,
                } => {
                    number += 1;
                    command.env(MARK, format!("{run}.{number}"));
                    let _in_runtime = runtime.enter();
                    let started = command.spawn().map(|child| {
                        note(&mut cleaning, number, &child);
                        let registration = ProgramRegistration(Some(number));
                        RunningProgram {
                            child,
                            registration,
                        }
                    });
                    // If no task waits for it, dropping the reply kills the child.
                    drop(reply.send(started));
                }
                StarterRequest::Ended(number) => cleaning.remove(number),
            }
        }
    }

    /// The child leads a process group with its own ID.
    fn note(cleaning: &mut CleanerHandle, number: u64, child: &Child) {
        if let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()) {
            cleaning.add(number, group);
        }
    }

    impl Drop for ProgramRegistration {
        fn drop(&mut self) {
            if let (Some(number), Some(starter)) = (self.0, STARTER.get()) {
                // The thread ends only with the process.
                let _sent = starter.send(StarterRequest::Ended(number)).is_ok();
            }
        }
    }
}

/// A command that runs a program.
#[cfg(not(target_os = "linux"))]
pub fn command(program: &str, args: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Starts a command that [`command`] created.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unused_async, reason = "as on Linux")]
pub async fn spawn(mut command: Command) -> io::Result<RunningProgram> {
    let child = command.spawn()?;
    let registration = ProgramRegistration(None);
    Ok(RunningProgram {
        child,
        registration,
    })
}
