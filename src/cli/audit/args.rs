//! What `audit` takes.

use clap::{Args, Subcommand, ValueEnum, builder::PossibleValuesParser};
use jiff::Timestamp;

use crate::audit;

/// What to do with the audit trail.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Show the newest calls, and with --follow each call as it ends.
    #[command(after_help = "Examples:\n  \
        mcp-bridge audit tail                          the last 20 calls\n  \
        mcp-bridge audit tail -n 100 --bridge github   the last 100 of one bridge\n  \
        mcp-bridge audit tail --follow --outcome forbidden\n\n\
        A call shows some seconds after it ended, when it has reached the database.")]
    Tail {
        /// How many calls.
        #[arg(
            short = 'n',
            long = "lines",
            value_name = "COUNT",
            default_value_t = 20
        )]
        lines: u32,
        /// Go on with each call that ends, until interrupted.
        #[arg(short, long)]
        follow: bool,
        /// Which calls.
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Find calls, the newest first; export them as CSV or JSON lines.
    #[command(after_help = "Examples:\n  \
        mcp-bridge audit query --since 1h --caller alice@example.com\n  \
        mcp-bridge audit query --since 2026-11-01 --until 2026-12-01 --format csv > november.csv\n  \
        mcp-bridge audit query --outcome forbidden --since 7days --format jsonl | jq .caller\n  \
        mcp-bridge audit query --request-id 0f5c2d7e9b1a4c63\n\n\
        Outcomes: `ok`, the code of an error (`forbidden`, `tool_error`, `timeout`, ...), `started` while a\n\
        call runs, `cancelled` when its caller went away, `interrupted` when the bridge was killed,\n\
        `put_aside` for a record that the database refused.")]
    Query {
        /// From then on: an age (90m, 2h, 7days) or a time (2026-11-20, 2026-11-20T10:00 UTC, 2026-11-20T10:00+01:00).
        #[arg(long, value_name = "TIME", value_parser = instant)]
        since: Option<i64>,
        /// Before then.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        until: Option<i64>,
        /// Which calls.
        #[command(flatten)]
        filter: FilterArgs,
        /// How many at most. Default: 100 as text, all of them as CSV or JSON lines.
        #[arg(long, value_name = "COUNT")]
        limit: Option<u64>,
        /// How they look.
        #[arg(long, value_enum, default_value_t = Look::Text)]
        format: Look,
    },
    /// Show what administrators changed, the newest first.
    Changes {
        /// From then on: an age (90m, 2h, 7days) or a time (2026-11-20, 2026-11-20T10:00 UTC).
        #[arg(long, value_name = "TIME", value_parser = instant)]
        since: Option<i64>,
        /// Before then.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        until: Option<i64>,
        /// By this administrator: an e-mail, the name of a key, `operator` for the command line.
        #[arg(long)]
        actor: Option<String>,
        /// Of this workspace.
        #[arg(long)]
        workspace: Option<String>,
        /// How many at most.
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: u32,
        /// How they look.
        #[arg(long, value_enum, default_value_t = Look::Text)]
        format: Look,
    },
}

/// Which calls.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// Of this caller: an e-mail, the name of a key, the id of a user.
    #[arg(long)]
    pub caller: Option<String>,
    /// To this bridge.
    #[arg(long)]
    pub bridge: Option<String>,
    /// To this tool.
    #[arg(long)]
    pub tool: Option<String>,
    /// With this outcome: `ok`, or the code of an error.
    #[arg(long, value_parser = PossibleValuesParser::new(audit::OUTCOMES), hide_possible_values = true)]
    pub outcome: Option<String>,
    /// With this request id, the `X-Request-Id` of the answer.
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Of this workspace.
    #[arg(long)]
    pub workspace: Option<String>,
}

/// How records look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Look {
    /// A line for people.
    Text,
    /// Comma separated, for spreadsheets.
    Csv,
    /// A JSON object a line, for programs.
    Jsonl,
}

fn instant(text: &str) -> Result<i64, String> {
    audit::instant(text, Timestamp::now())
}
