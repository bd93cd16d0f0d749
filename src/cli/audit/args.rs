//! The arguments of `audit` and their help texts.

use clap::{Args, Subcommand, ValueEnum, builder::PossibleValuesParser};
use jiff::Timestamp;

use crate::audit;

/// The commands of `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Show the newest calls. With --follow, also show each new call when it ends.
    #[command(after_help = "Examples:\n  \
        mcp-bridge audit tail                          the last 20 calls\n  \
        mcp-bridge audit tail -n 100 --bridge github   the last 100 calls of one bridge\n  \
        mcp-bridge audit tail --follow --outcome forbidden\n\n\
        A call appears a few seconds after it ends, when its record has reached the database.")]
    Tail {
        /// The number of calls to show.
        #[arg(
            short = 'n',
            long = "lines",
            value_name = "COUNT",
            default_value_t = 20
        )]
        lines: u32,
        /// Keep running and show each call when it ends. Press Ctrl-C to stop.
        #[arg(short, long)]
        follow: bool,
        /// The filter for calls.
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Find calls, newest first, and print them as text, CSV or JSON lines.
    #[command(after_help = "Examples:\n  \
        mcp-bridge audit query --since 1h --caller alice@example.com\n  \
        mcp-bridge audit query --since 2026-11-01 --until 2026-12-01 --format csv > november.csv\n  \
        mcp-bridge audit query --outcome forbidden --since 7days --format jsonl | jq .caller\n  \
        mcp-bridge audit query --request-id 0f5c2d7e9b1a4c63\n\n\
        Outcomes: `ok`, the code of an error (`forbidden`, `tool_error`, `timeout`, ...), `started` while a\n\
        call runs, `cancelled` when the caller disconnected, `interrupted` when mcp-bridge was killed,\n\
        `put_aside` for a record that the database rejected.")]
    Query {
        /// Only calls since this time: an age (90m, 2h, 7days) or a time (2026-11-20, 2026-11-20T10:00 UTC, 2026-11-20T10:00+01:00).
        #[arg(long, value_name = "TIME", value_parser = instant)]
        since: Option<i64>,
        /// Only calls before this time.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        until: Option<i64>,
        /// The filter for calls.
        #[command(flatten)]
        filter: FilterArgs,
        /// The most calls to print. The default is 100 as text, and all calls as CSV or JSON lines.
        #[arg(long, value_name = "COUNT")]
        limit: Option<u64>,
        /// The output format.
        #[arg(long, value_enum, default_value_t = AuditFormat::Text)]
        format: AuditFormat,
    },
    /// Show the changes that administrators made, newest first.
    Changes {
        /// Only changes since this time: an age (90m, 2h, 7days) or a time (2026-11-20, 2026-11-20T10:00 UTC).
        #[arg(long, value_name = "TIME", value_parser = instant)]
        since: Option<i64>,
        /// Only changes before this time.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        until: Option<i64>,
        /// Only changes of this administrator: an e-mail address, the name of a key, or `operator` for the command line.
        #[arg(long)]
        actor: Option<String>,
        /// Only changes in this workspace.
        #[arg(long)]
        workspace: Option<String>,
        /// The most changes to print.
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: u32,
        /// The output format.
        #[arg(long, value_enum, default_value_t = AuditFormat::Text)]
        format: AuditFormat,
    },
}

/// The filter for calls.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// Only calls of this caller: an e-mail address, the name of a key, or the ID of a user.
    #[arg(long)]
    pub caller: Option<String>,
    /// Only calls to this bridge.
    #[arg(long)]
    pub bridge: Option<String>,
    /// Only calls to this tool.
    #[arg(long)]
    pub tool: Option<String>,
    /// Only calls with this outcome: `ok`, or the code of an error.
    #[arg(long, value_parser = PossibleValuesParser::new(audit::OUTCOMES), hide_possible_values = true)]
    pub outcome: Option<String>,
    /// Only calls with this request ID, which the response has as `X-Request-Id`.
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Only calls in this workspace.
    #[arg(long)]
    pub workspace: Option<String>,
}

/// The output formats of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// One readable line for each record.
    Text,
    /// Comma-separated values, for spreadsheets.
    Csv,
    /// One JSON object on each line, for programs.
    Jsonl,
}

fn instant(text: &str) -> Result<i64, String> {
    audit::instant(text, Timestamp::now())
}
