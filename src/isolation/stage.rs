//! The stage between fork and exec: this binary, started as `mcp-bridge __child LIMITS PROGRAM
//! ARGS…`, prepares its process and then executes the program.

/// The first stderr line of a stage that could not execute the program, followed by the error
/// number. Output of a program normally does not start with a control character.
const NOT_STARTED: &str = "\u{1}mcp-bridge: not started: ";

/// The system's error number (errno) if this stderr line says that the program could not be
/// executed.
pub fn not_started(line: &[u8]) -> Option<i32> {
    let number = line.strip_prefix(NOT_STARTED.as_bytes())?;
    str::from_utf8(number).ok()?.trim_end().parse().ok()
}

#[cfg(target_os = "linux")]
pub(super) use linux::{WORD, order, run};

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        ffi::{OsStr, OsString},
        io::{self, Write as _},
        os::unix::process::CommandExt as _,
        process::{Command, ExitCode},
    };

    use rustix::process::{Resource, Rlimit, Signal, getppid, getrlimit, setrlimit};

    use super::{super::harden::ResourceLimits, NOT_STARTED};

    /// The argument that selects the stage.
    pub const WORD: &str = "__child";
    /// The text for an unlimited resource.
    const UNLIMITED: &str = "-";

    /// What the stage does before it executes the program.
    #[derive(Debug, PartialEq, Eq)]
    struct StageInstructions {
        /// The process that started the stage.
        parent: i32,
        /// The soft limits to restore for the program.
        limits: ResourceLimits,
    }

    /// The argument after [`WORD`]: `PARENT:CORE:FILES`.
    pub fn order(parent: u32, limits: ResourceLimits) -> String {
        let text = |limit: Option<u64>| limit.map_or(UNLIMITED.to_owned(), |it| it.to_string());
        format!("{parent}:{}:{}", text(limits.core), text(limits.files))
    }

    /// Parses the text of [`order`].
    fn parse(text: &OsStr) -> Option<StageInstructions> {
        let mut parts = text.to_str()?.split(':');
        let parent = parts.next()?.parse().ok()?;
        let mut limit = || match parts.next()? {
            UNLIMITED => Some(None),
            number => number.parse().ok().map(Some),
        };
        let (core, files) = (limit()?, limit()?);
        parts.next().is_none().then_some(StageInstructions {
            parent,
            limits: ResourceLimits { core, files },
        })
    }

    /// Executes the program. Returns an exit code only if that failed: 127 if the program does not
    /// exist, 126 for any other reason, as shells do.
    pub fn run(words: &[OsString]) -> ExitCode {
        let Some(([order, program], args)) = words.split_first_chunk() else {
            return ExitCode::from(2);
        };
        let Some(order) = parse(order) else {
            return ExitCode::from(2);
        };
        let error = match prepare(&order) {
            Ok(()) => Command::new(program).args(args).exec(),
            Err(error) => error,
        };
        let number = error.raw_os_error().unwrap_or(0);
        // If stderr is closed, only the exit code shows the failure.
        let _told = writeln!(io::stderr(), "{NOT_STARTED}{number}").is_ok();
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        ExitCode::from(if is_missing { 127 } else { 126 })
    }

    fn prepare(order: &StageInstructions) -> io::Result<()> {
        // Do this after any change of the user, which clears the setting; exec keeps it (prctl(2)).
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // A parent that died before that line sends no signal anymore.
        if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(order.parent) {
            return Err(io::Error::other("mcp-bridge has ended"));
        }
        for (resource, soft) in [
            (Resource::Core, order.limits.core),
            (Resource::Nofile, order.limits.files),
        ] {
            let now = getrlimit(resource);
            if now.current != soft {
                let limit = Rlimit {
                    current: soft,
                    maximum: now.maximum,
                };
                setrlimit(resource, limit)?;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_order_is_read_as_it_was_written() {
            for (core, files) in [(None, Some(1024)), (Some(0), None), (Some(7), Some(8))] {
                let limits = ResourceLimits { core, files };
                let text = order(42, limits);
                assert_eq!(
                    parse(OsStr::new(&text)),
                    Some(StageInstructions { parent: 42, limits }),
                    "{text}"
                );
            }
            for bad in ["", "1", "1:2", "1:2:3:4", "x:-:-", "1:x:-", "-:-"] {
                assert_eq!(parse(OsStr::new(bad)), None, "{bad}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_of_the_stage_says_that_the_program_was_not_started() {
        for (line, number) in [
            ("\u{1}mcp-bridge: not started: 2", Some(2)),
            ("\u{1}mcp-bridge: not started: 13\n", Some(13)),
            ("mcp-bridge: not started: 2", None),
            ("\u{1}mcp-bridge: not started: ", None),
            ("\u{1}mcp-bridge: not started: x", None),
            ("", None),
        ] {
            assert_eq!(not_started(line.as_bytes()), number, "{line:?}");
        }
    }
}
