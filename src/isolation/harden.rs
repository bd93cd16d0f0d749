//! Protects this process: no core dumps, and no access to its memory for other processes of the
//! same user.

/// The resource limits (soft values) that this process had at its start and then changed. `None`
/// means unlimited.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceLimits {
    /// The largest core dump, in bytes (`RLIMIT_CORE`).
    pub core: Option<u64>,
    /// Open files (`RLIMIT_NOFILE`).
    pub files: Option<u64>,
}

/// The limits before [`harden`]. Not set in programs that did not call it, for example tests.
#[cfg(target_os = "linux")]
static BEFORE: std::sync::OnceLock<ResourceLimits> = std::sync::OnceLock::new();

/// Disables core dumps and makes the process not dumpable (`PR_SET_DUMPABLE`, prctl(2)). From then
/// on `/proc/PID/environ`, `mem`, `fd`, `maps` and the links `cwd`, `root` and `exe` belong to
/// root, and `ptrace` and `process_vm_readv` are refused to other processes without
/// `CAP_SYS_PTRACE`. An executed program is dumpable again. Call this before a secret is read and
/// before limits are raised. The error says what could not be done.
#[cfg(target_os = "linux")]
pub fn harden() -> Result<(), String> {
    use rustix::process::{
        DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
    };
    let core = getrlimit(Resource::Core);
    let before = ResourceLimits {
        core: core.current,
        files: getrlimit(Resource::Nofile).current,
    };
    BEFORE.get_or_init(|| before);
    let none = Rlimit {
        current: Some(0),
        maximum: core.maximum,
    };
    let unprotected = |error: rustix::io::Errno| {
        format!(
            "other programs of this user can read the memory and environment of mcp-bridge: {error}"
        )
    };
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(unprotected)?;
    setrlimit(Resource::Core, none).map_err(|error| format!("core dumps stay enabled: {error}"))
}

/// Not supported on this system.
#[cfg(not(target_os = "linux"))]
pub fn harden() -> Result<(), String> {
    Ok(())
}

/// The limits before [`harden`].
#[cfg(target_os = "linux")]
pub(super) fn before() -> Option<ResourceLimits> {
    BEFORE.get().copied()
}
