//! Our own process: no core dumps, and no look inside for other processes of our user.

/// The resource limits that we were started with and changed for ourselves: the soft values. `None` is
/// unlimited.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest core dump, in bytes (`RLIMIT_CORE`).
    pub core: Option<u64>,
    /// Open files (`RLIMIT_NOFILE`).
    pub files: Option<u64>,
}

/// What the process was before [`harden`]; not there in programs that did not call it, tests say.
#[cfg(target_os = "linux")]
static BEFORE: std::sync::OnceLock<Limits> = std::sync::OnceLock::new();

/// Switches core dumps off and makes the process not dumpable (`PR_SET_DUMPABLE`, prctl(2)): from then
/// on `/proc/PID/environ`, `mem`, `fd`, `maps` and the links `cwd`, `root` and `exe` belong to root, and
/// `ptrace` and `process_vm_readv` are refused to other processes without `CAP_SYS_PTRACE`. A program
/// that is executed is dumpable again. It must be called before a secret is read, and before limits
/// are raised. Gives what could not be done.
#[cfg(target_os = "linux")]
pub fn harden() -> Result<(), String> {
    use rustix::process::{
        DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
    };
    let core = getrlimit(Resource::Core);
    let before = Limits {
        core: core.current,
        files: getrlimit(Resource::Nofile).current,
    };
    BEFORE.get_or_init(|| before);
    let none = Rlimit {
        current: Some(0),
        maximum: core.maximum,
    };
    let unprotected = |error: rustix::io::Errno| {
        format!("other programs of this user can read our memory and environment: {error}")
    };
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(unprotected)?;
    setrlimit(Resource::Core, none).map_err(|error| format!("core dumps stay on: {error}"))
}

/// Nothing can be done here.
#[cfg(not(target_os = "linux"))]
pub fn harden() -> Result<(), String> {
    Ok(())
}

/// The limits that [`harden`] found.
#[cfg(target_os = "linux")]
pub(super) fn before() -> Option<Limits> {
    BEFORE.get().copied()
}
