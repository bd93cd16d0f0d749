//! Reads the audit trail and prints it. A user who can read the configuration is the operator and sees all
//! workspaces.

use std::{collections::BTreeMap, io, process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow};
use tokio::runtime::Runtime;

use super::{
    args::{AuditCommand, AuditFormat, FilterArgs},
    text,
};
use crate::{
    audit::{CallPages, ExportFormat, render},
    cli::{
        args::ConfigOptions,
        output::{fail, write},
        serve,
    },
    store::{CallFilter, CallRecord, ChangeFilter, Store},
};

/// The default limit of `query` for text.
const TEXT_LIMIT: u64 = 100;

/// The time between two queries of `tail --follow`.
const POLL: Duration = Duration::from_secs(1);

/// The longest delay with which the record of a call reaches the database after later ones, in microseconds.
const LATE: i64 = 5_000_000;

/// The longest time that `tail --follow` waits for a call to end, in microseconds.
const OPEN_MAX: i64 = 600_000_000;

/// The function that writes the output.
pub(super) type Out<'a> = &'a mut dyn FnMut(&str) -> io::Result<()>;

/// Runs a command of the audit trail.
pub fn main(start: &ConfigOptions, command: AuditCommand) -> ExitCode {
    let loaded = match (serve::plan(start).source)() {
        Ok(loaded) => loaded,
        Err(problems) => return serve::refuse(&problems),
    };
    let result = Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| {
            runtime.block_on(async {
                let database = loaded.config.database.as_ref().ok_or_else(|| {
                    anyhow!(
                        "this configuration has no database: the audit trail needs a bridges.toml, \
                         with the default database or one in `[database]`"
                    )
                })?;
                let store = Store::open(database)?;
                // Connects, and creates the tables if they are missing.
                store.migrate().await?;
                run(&store, command, &mut write).await
            })
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader (for example `head`) has closed the pipe: stop without an error.
        Err(error) if is_unread(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Whether the reader of the output has closed the pipe.
fn is_unread(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Runs a command on a store.
pub(super) async fn run(store: &Store, command: AuditCommand, out: Out<'_>) -> anyhow::Result<()> {
    match command {
        AuditCommand::Tail {
            lines,
            follow,
            filter,
        } => {
            let mut tail = AuditTail::begin(store, filter.into_filter(), lines, out).await?;
            if !follow {
                return Ok(());
            }
            loop {
                tokio::time::sleep(POLL).await;
                tail.look(store, out).await?;
            }
        }
        AuditCommand::Query {
            since,
            until,
            filter,
            limit,
            format,
        } => {
            let filter = CallFilter {
                since,
                until,
                ..filter.into_filter()
            };
            query(store, filter, limit, format, out).await
        }
        AuditCommand::Changes {
            since,
            until,
            actor,
            workspace,
            limit,
            format,
        } => {
            let filter = ChangeFilter {
                workspace,
                since,
                until,
                actor,
                limit,
            };
            changes(store, &filter, format, out).await
        }
    }
}

/// Prints calls page by page, so that an export of millions of calls uses the memory of one page.
async fn query(
    store: &Store,
    filter: CallFilter,
    limit: Option<u64>,
    look: AuditFormat,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let all = if look == AuditFormat::Text {
        TEXT_LIMIT
    } else {
        u64::MAX
    };
    let mut pages = CallPages::new(filter, limit.unwrap_or(all));
    let mut is_first = true;
    while let Some(filter) = pages.next() {
        let records = store.calls(filter).await?;
        match look.format() {
            Some(format) => out(&String::from_utf8_lossy(&render(
                format, &records, is_first,
            )))?,
            None if is_first && records.is_empty() => out("no calls\n")?,
            None => {
                if is_first {
                    out(&format!("{}\n", text::CALLS))?;
                }
                out(&lines(&records))?;
            }
        }
        pages.read(&records);
        is_first = false;
    }
    Ok(())
}

fn lines<'a>(records: impl IntoIterator<Item = &'a CallRecord>) -> String {
    let lines = records.into_iter().map(|record| text::call(record) + "\n");
    lines.collect()
}

/// Prints changes.
async fn changes(
    store: &Store,
    filter: &ChangeFilter,
    look: AuditFormat,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let records = store.changes(filter).await?;
    match look.format() {
        Some(format) => out(&String::from_utf8_lossy(&render(format, &records, true)))?,
        None if records.is_empty() => out("no changes\n")?,
        None => {
            let lines = records.iter().map(|record| text::change(record) + "\n");
            out(&format!("{}\n{}", text::CHANGES, lines.collect::<String>()))?;
        }
    }
    Ok(())
}

/// The state of `tail`: the newest calls of the trail.
#[derive(Debug)]
pub(super) struct AuditTail {
    filter: CallFilter,
    /// The calls of the window by start time and ID, and whether they were shown as ended.
    seen: BTreeMap<(i64, String), bool>,
    /// The start of the window, in microseconds since 1970.
    since: i64,
}

impl AuditTail {
    /// Prints the newest calls, oldest first.
    pub(super) async fn begin(
        store: &Store,
        filter: CallFilter,
        lines: u32,
        out: Out<'_>,
    ) -> anyhow::Result<Self> {
        let mut pages = CallPages::new(filter.clone(), lines.into());
        let mut records = Vec::new();
        while let Some(filter) = pages.next() {
            let page = store.calls(filter).await?;
            pages.read(&page);
            records.extend(page);
        }
        records.reverse();
        out(&format!("{}\n{}", text::CALLS, self::lines(&records)))?;
        let mut tail = Self {
            filter,
            seen: BTreeMap::new(),
            since: jiff::Timestamp::now().as_microsecond().saturating_sub(LATE),
        };
        if let Some(last) = records.last() {
            tail.since = last.time.saturating_sub(LATE);
        }
        for record in records {
            tail.note(&record);
        }
        tail.advance();
        Ok(tail)
    }

    /// Prints the calls that ended since the last query.
    pub(super) async fn look(&mut self, store: &Store, out: Out<'_>) -> anyhow::Result<()> {
        let filter = CallFilter {
            since: Some(self.since),
            ..self.filter.clone()
        };
        let mut pages = CallPages::new(filter, u64::MAX);
        let mut news = Vec::new();
        while let Some(filter) = pages.next() {
            let page = store.calls(filter).await?;
            pages.read(&page);
            for record in page {
                if self.note(&record) {
                    news.push(record);
                }
            }
        }
        news.reverse();
        out(&lines(&news))?;
        self.advance();
        Ok(())
    }

    /// Records a call. Returns true if it has ended and was not yet shown as ended.
    fn note(&mut self, record: &CallRecord) -> bool {
        let has_ended = record.outcome != "started";
        let before = self
            .seen
            .insert((record.time, record.id.clone()), has_ended);
        has_ended && before != Some(true)
    }

    /// Moves the start of the window to the oldest call that still runs, or to shortly before the newest call.
    fn advance(&mut self) {
        let Some(((newest, _), _)) = self.seen.last_key_value() else {
            return;
        };
        let open = self.seen.iter().find(|(_, has_ended)| !**has_ended);
        let oldest = open.map_or(i64::MAX, |((time, _), _)| *time);
        self.since = oldest
            .max(newest.saturating_sub(OPEN_MAX))
            .min(newest.saturating_sub(LATE))
            .max(self.since);
        self.seen = self.seen.split_off(&(self.since, String::new()));
    }
}

impl FilterArgs {
    /// Converts the arguments to a filter of the store.
    fn into_filter(self) -> CallFilter {
        CallFilter {
            workspace: self.workspace,
            caller: self.caller,
            bridge: self.bridge,
            tool: self.tool,
            outcome: self.outcome,
            request_id: self.request_id,
            ..CallFilter::default()
        }
    }
}

impl AuditFormat {
    /// Returns the export format, or `None` for text.
    fn format(self) -> Option<ExportFormat> {
        match self {
            Self::Text => None,
            Self::Csv => Some(ExportFormat::Csv),
            Self::Jsonl => Some(ExportFormat::JsonLines),
        }
    }
}
