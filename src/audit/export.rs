//! Exports records as CSV and JSON Lines, page by page: [`CallPages`] plans the queries, [`render`]
//! writes the output. There is no I/O here, so the command line and the admin API share it.

use serde_json::{Map, Value, json};

use super::when::readable;
use crate::{
    plain_text,
    store::{CallFilter, CallRecord, ChangeRecord},
};

/// The number of records per page. An export keeps one page in memory.
const PAGE: u32 = 1000;

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// Comma-separated, with a header line; for spreadsheets.
    Csv,
    /// One JSON object per line; for programs.
    JsonLines,
}

/// The pages of a query, one after another.
#[derive(Debug)]
pub struct CallPages {
    filter: CallFilter,
    /// How many records are still wanted.
    left: u64,
    is_over: bool,
}

impl CallPages {
    /// The pages of up to `limit` records that match a filter, newest first.
    pub fn new(filter: CallFilter, limit: u64) -> Self {
        Self {
            filter,
            left: limit,
            is_over: limit == 0,
        }
    }

    /// The next query for the store; `None` when all pages were read.
    pub fn next(&mut self) -> Option<&CallFilter> {
        if self.is_over {
            return None;
        }
        self.filter.limit = u32::try_from(self.left).unwrap_or(PAGE).min(PAGE);
        Some(&self.filter)
    }

    /// Notes the result of the query.
    pub fn read(&mut self, records: &[CallRecord]) {
        let count = records.len() as u64;
        self.left = self.left.saturating_sub(count);
        self.is_over = self.left == 0 || count < u64::from(self.filter.limit);
        if let Some(last) = records.last() {
            self.filter.before = Some((last.time, last.id.clone()));
        }
    }
}

/// A record that can be exported.
pub trait ExportRecord {
    /// The names of its fields, in order.
    const NAMES: &[&str];

    /// Its fields, in the same order as the names.
    fn fields(&self) -> Vec<Value>;
}

impl ExportRecord for CallRecord {
    const NAMES: &[&str] = &[
        "time",
        "request_id",
        "caller",
        "proof",
        "groups",
        "rule",
        "bridge",
        "tool",
        "outcome",
        "status",
        "duration_us",
        "request_bytes",
        "response_bytes",
        "peer",
        "workspace",
        "instance",
        "id",
        "arguments",
        "count",
    ];

    fn fields(&self) -> Vec<Value> {
        vec![
            json!(readable(self.time)),
            json!(self.request_id),
            json!(self.caller),
            json!(self.proof),
            json!(self.groups),
            json!(self.rule),
            json!(self.bridge),
            json!(self.tool),
            json!(self.outcome),
            json!(self.status),
            json!(self.duration_us),
            json!(self.request_bytes),
            json!(self.response_bytes),
            json!(self.peer),
            json!(self.workspace),
            json!(self.instance),
            json!(self.id),
            json!(self.arguments),
            json!(self.repeats.saturating_add(1)),
        ]
    }
}

impl ExportRecord for ChangeRecord {
    const NAMES: &[&str] = &[
        "time",
        "actor",
        "proof",
        "action",
        "target",
        "workspace",
        "id",
    ];

    fn fields(&self) -> Vec<Value> {
        vec![
            json!(readable(self.time)),
            json!(self.actor),
            json!(self.proof),
            json!(self.action),
            json!(self.target),
            json!(self.workspace),
            json!(self.id),
        ]
    }
}

/// The bytes of a page. The first CSV page has the header line, even if it is empty.
pub fn render<R: ExportRecord>(format: ExportFormat, records: &[R], is_first: bool) -> Vec<u8> {
    match format {
        ExportFormat::Csv => csv(records, is_first),
        ExportFormat::JsonLines => json_lines(records),
    }
}

/// A record as a JSON object.
pub fn object<R: ExportRecord>(record: &R) -> Value {
    let names = R::NAMES.iter().map(|name| (*name).to_owned());
    let fields: Map<_, _> = names.zip(record.fields()).collect();
    Value::Object(fields)
}

fn json_lines<R: ExportRecord>(records: &[R]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend_from_slice(object(record).to_string().as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

fn csv<R: ExportRecord>(records: &[R], is_first: bool) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory cannot fail, and all rows have the same number of cells, so no error is
    // possible.
    if is_first {
        writer.write_record(R::NAMES).ok();
    }
    for record in records {
        writer.write_record(record.fields().iter().map(cell)).ok();
    }
    writer.into_inner().unwrap_or_default()
}

/// A field as a CSV cell.
fn cell(field: &Value) -> String {
    match field {
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            harmless(&items.join("; "))
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => field.to_string(),
    }
}

/// A text that no spreadsheet runs as a formula. Spreadsheets treat text that begins with `=`, `+`,
/// `-`, `@` or a full-width form of these as a formula; a leading quote makes it text again (OWASP,
/// CSV Injection). Some programs also start a cell after `;`, `,`, a tab, or a line break within a
/// cell, and drop blanks and quotes before the text of a cell.
fn harmless(text: &str) -> String {
    let text = plain_text::lines(text);
    let mut harmless = String::with_capacity(text.len() + 1);
    let mut begins = true;
    for (at, character) in text.char_indices() {
        let is_first = at == 0;
        let runs = is_formula(character) && (is_first || !is_number(&text, at));
        if begins && runs || is_first && matches!(character, '\t' | '\r' | '\n') {
            harmless.push('\'');
        }
        begins = match character {
            // The quote that would precede it is the one at the start of the cell.
            '\t' | '\n' if is_first => false,
            ';' | ',' | '|' | '\t' | '\n' => true,
            '"' | '\'' => begins,
            blank if blank.is_whitespace() => begins,
            _ => false,
        };
        harmless.push(character);
    }
    harmless
}

/// Whether some spreadsheet treats this character as the start of a formula.
fn is_formula(character: char) -> bool {
    const FORMULA: &str =
        "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}\u{fe66}\u{fe62}\u{fe63}\u{fe6b}\u{2212}";
    FORMULA.contains(character)
}

/// Whether a number such as `-1.5` is at this position of a text.
fn is_number(text: &str, at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default();
    let end = rest.find([';', ',', '|', ' ', ']', '}', '\t', '\n']);
    let word = end.map_or(rest, |end| rest.get(..end).unwrap_or_default());
    word.bytes().all(|byte| b"+-.0123456789eE".contains(&byte)) && word.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(tool: &str) -> CallRecord {
        CallRecord {
            id: "a-1".to_owned(),
            time: 1_795_168_800_123_456,
            caller: Some("alice@example.com".to_owned()),
            groups: vec!["developers".to_owned(), "analysts".to_owned()],
            bridge: "github".to_owned(),
            tool: tool.to_owned(),
            outcome: "ok".to_owned(),
            status: 200,
            ..CallRecord::default()
        }
    }

    #[test]
    fn csv_quotes_and_runs_no_formula() {
        for (tool, expected) in [
            ("search", "search"),
            ("a,\"b\"\n", "\"a,\"\"b\"\"\n\""),
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            // For spreadsheets that split cells at other characters.
            ("x;=1+1", "x;'=1+1"),
            ("x; =1+1", "x; '=1+1"),
            ("x;\"=1", "\"x;\"\"'=1\""),
            ("x\t@SUM(A1)", "x\t'@SUM(A1)"),
            ("x,=1", "\"x,'=1\""),
            ("a\n+cmd", "\"a\n'+cmd\""),
            (" =1", " '=1"),
            ("\"=1", "\"\"\"'=1\""),
            ("\u{ff1d}1+1", "'\u{ff1d}1+1"),
            ("\u{ff0b}1", "'\u{ff0b}1"),
            ("\u{ff0d}1", "'\u{ff0d}1"),
            ("\u{ff20}SUM", "'\u{ff20}SUM"),
            ("x;\u{ff1d}1", "x;'\u{ff1d}1"),
            ("\r=1", "\\r=1"),
            ("\u{feff}=1", "\\ufeff=1"),
            ("\u{200b}=1\u{202e}", "\\u200b=1\\u202e"),
            // Text that is not a formula.
            ("a-b=c", "a-b=c"),
            ("a - b", "a - b"),
            ("x;-1.5", "x;-1.5"),
            ("x;-1+cmd", "x;'-1+cmd"),
            ("[1, -2]", "\"[1, -2]\""),
            ("größe", "größe"),
        ] {
            let bytes = render(ExportFormat::Csv, &[record(tool)], true);
            let text = String::from_utf8(bytes).unwrap();
            let (names, row) = text.split_once('\n').unwrap();
            assert!(names.starts_with("time,request_id,caller,"), "{names}");
            assert_eq!(
                row,
                format!(
                    "2026-11-20T10:00:00.123456Z,,alice@example.com,,developers; analysts,,github,{expected},ok,200,0,0,0,,,,a-1,,1\n"
                )
            );
        }
        assert_eq!(render::<CallRecord>(ExportFormat::Csv, &[], false), b"");
    }

    #[test]
    fn json_lines_are_whole_records() {
        let text = String::from_utf8(render(
            ExportFormat::JsonLines,
            &[record("=1"), record("b")],
            true,
        ));
        let text = text.unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["tool"], "=1");
        assert_eq!(lines[0]["groups"][1], "analysts");
        assert_eq!(lines[0]["time"], "2026-11-20T10:00:00.123456Z");
        assert_eq!(lines[0]["arguments"], Value::Null);
    }

    #[test]
    fn pages_end_with_the_limit_or_the_last_record() {
        let page = |count: u32| {
            (0..count)
                .map(|n| record(&n.to_string()))
                .collect::<Vec<_>>()
        };
        let mut pages = CallPages::new(CallFilter::default(), 1500);
        assert_eq!(pages.next().unwrap().limit, 1000);
        pages.read(&page(1000));
        let second = pages.next().unwrap();
        assert_eq!(second.limit, 500);
        assert_eq!(
            second.before,
            Some((1_795_168_800_123_456, "a-1".to_owned()))
        );
        pages.read(&page(500));
        assert_eq!(pages.next(), None);

        let mut pages = CallPages::new(CallFilter::default(), u64::MAX);
        pages.next();
        pages.read(&page(3));
        assert_eq!(pages.next(), None);
        assert_eq!(CallPages::new(CallFilter::default(), 0).next(), None);
    }
}
