//! What is to be shown, checked: nothing after this has to doubt a number.

use serde::Deserialize;
use serde_json::Value;

/// Charts on a page.
pub const CHARTS_MAX: usize = 24;
/// Labels of a chart.
pub const LABELS_MAX: usize = 200;
/// Series of a chart.
pub const SERIES_MAX: usize = 8;
/// Characters of a text; more are cut.
const TEXT_MAX: usize = 300;

/// A page.
#[derive(Debug, Deserialize)]
pub struct Board {
    /// The heading.
    pub title: String,
    /// The line below it; may be empty.
    #[serde(default)]
    pub subtitle: String,
    /// At least one.
    pub charts: Vec<Chart>,
}

/// One of its pieces.
#[derive(Debug, Deserialize)]
pub struct Chart {
    /// How it is drawn.
    pub kind: Kind,
    /// The heading; may be empty.
    #[serde(default)]
    pub title: String,
    /// What the numbers count; may be empty.
    #[serde(default)]
    pub unit: String,
    /// At least one.
    pub labels: Vec<String>,
    /// At least one, each with as many values as there are labels.
    pub series: Vec<Series>,
}

/// A list of numbers.
#[derive(Debug, Deserialize)]
pub struct Series {
    /// What the legend says; may be empty.
    #[serde(default)]
    pub name: String,
    /// Finite numbers, or nothing.
    pub values: Vec<Option<f64>>,
}

/// How a chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Bars.
    #[default]
    Bar,
    /// Lines.
    Line,
    /// A ring.
    Pie,
    /// Large figures.
    #[serde(alias = "kpi")]
    Numbers,
    /// A table.
    Table,
}

/// The arguments of `create_simple_dashboard`.
#[derive(Debug, Deserialize)]
struct Simple {
    title: String,
    #[serde(default)]
    kind: Kind,
    labels: Vec<String>,
    values: Vec<Option<f64>>,
    #[serde(default)]
    unit: String,
}

impl Board {
    /// Reads the arguments of `create_dashboard`. The error is a sentence that a model can act on.
    pub fn read(arguments: Value) -> Result<Self, String> {
        let board: Self = serde_json::from_value(arguments).map_err(|error| error.to_string())?;
        board.checked()
    }

    /// Reads the arguments of `create_simple_dashboard`.
    pub fn read_simple(arguments: Value) -> Result<Self, String> {
        let simple: Simple =
            serde_json::from_value(arguments).map_err(|error| error.to_string())?;
        let chart = Chart {
            kind: simple.kind,
            title: String::new(),
            unit: simple.unit,
            labels: simple.labels,
            series: vec![Series {
                name: String::new(),
                values: simple.values,
            }],
        };
        let board = Self {
            title: simple.title,
            subtitle: String::new(),
            charts: vec![chart],
        };
        board.checked()
    }

    fn checked(mut self) -> Result<Self, String> {
        between("charts", self.charts.len(), CHARTS_MAX)?;
        cut(&mut self.title);
        cut(&mut self.subtitle);
        for (at, chart) in self.charts.iter_mut().enumerate() {
            chart
                .check()
                .map_err(|problem| format!("charts[{at}]: {problem}"))?;
        }
        Ok(self)
    }
}

impl Chart {
    fn check(&mut self) -> Result<(), String> {
        between("labels", self.labels.len(), LABELS_MAX)?;
        between("series", self.series.len(), SERIES_MAX)?;
        cut(&mut self.title);
        cut(&mut self.unit);
        self.labels.iter_mut().for_each(cut);
        for (at, series) in self.series.iter_mut().enumerate() {
            cut(&mut series.name);
            let (values, labels) = (series.values.len(), self.labels.len());
            if values != labels {
                return Err(format!(
                    "series[{at}] has {values} values for {labels} labels"
                ));
            }
        }
        if self.kind == Kind::Pie {
            self.check_pie()?;
        }
        Ok(())
    }

    /// Parts of a whole: one series, nothing below zero, something above.
    fn check_pie(&self) -> Result<(), String> {
        let [only] = &self.series[..] else {
            return Err("a pie has one series".to_owned());
        };
        let mut values = only.values.iter().flatten();
        if values.any(|value| *value < 0.0) {
            return Err("a pie cannot have a number below zero; use `bar`".to_owned());
        }
        if only.values.iter().flatten().sum::<f64>() <= 0.0 {
            return Err("a pie of zeros shows nothing; use `table`".to_owned());
        }
        Ok(())
    }
}

/// One to `most` of something.
fn between(what: &str, count: usize, most: usize) -> Result<(), String> {
    if (1..=most).contains(&count) {
        return Ok(());
    }
    Err(format!("`{what}` has {count} items, and 1 to {most} fit"))
}

fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(TEXT_MAX) {
        text.truncate(at);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chart(kind: &str, values: Value) -> Result<Board, String> {
        let chart = json!({ "kind": kind, "labels": ["a", "b"], "series": [{ "values": values }] });
        Board::read(json!({ "title": "t", "charts": [chart] }))
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(chart("kpi", json!([1, null])).is_ok());
        for (kind, values, problem) in [
            (
                "bar",
                json!([1]),
                "charts[0]: series[0] has 1 values for 2 labels",
            ),
            (
                "pie",
                json!([1, -1]),
                "charts[0]: a pie cannot have a number below zero",
            ),
            ("pie", json!([0, null]), "charts[0]: a pie of zeros"),
            ("cake", json!([1, 1]), "unknown variant `cake`"),
            ("bar", json!(["x", 1]), "invalid type: string \"x\""),
        ] {
            let found = chart(kind, values).unwrap_err();
            assert!(found.contains(problem), "{found}");
        }
        let none = Board::read(json!({ "title": "t", "charts": [] })).unwrap_err();
        assert_eq!(none, "`charts` has 0 items, and 1 to 24 fit");
        let bare = Board::read_simple(json!({ "title": "t", "labels": ["a"] })).unwrap_err();
        assert!(bare.contains("missing field `values`"), "{bare}");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let title = "ü".repeat(1000);
        let board = json!({ "title": title, "labels": ["a"], "values": [1] });
        let board = Board::read_simple(board).unwrap();
        assert_eq!(board.title.chars().count(), TEXT_MAX + 1);
    }
}
