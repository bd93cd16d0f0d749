//! Descriptions of a page that are not ours: those of chart libraries, of spreadsheets, of older dashboard services,
//! and plain words. Everything that can be shown is shown; what cannot is left out.
//!
//! The shapes that are read, in any nesting: `charts` (or `widgets`, `panels`, `components`, `items`, `sections`) with
//! one chart each; labels with `series`, `datasets`, `values` or `data`, where `data` may hold `labels` and `datasets`
//! itself (Chart.js); a table of `headers` and `rows`; a list of records, where the first texts are the labels and the
//! numbers are the series; pairs; and an object whose values are numbers.

use serde_json::{Map, Value, json};

use super::{
    board::{Board, CHARTS_MAX, LABELS_MAX, SERIES_MAX},
    shapes::{NUMBERS, first_text, number, of_list, of_object},
};

/// How deep a description is followed.
const DEPTH_MAX: usize = 8;
/// How many parts of a description are looked at.
const LOOKS_MAX: usize = 2_000;

/// What the parts of a page are called.
const PARTS: [&str; 10] = [
    "charts",
    "widgets",
    "panels",
    "components",
    "items",
    "sections",
    "visualizations",
    "elements",
    "kpis",
    "metrics",
];
/// What the labels of a chart are called.
const LABELS: [&str; 5] = ["labels", "categories", "x", "xAxis", "names"];
/// What a heading is called.
const TITLES: [&str; 5] = ["title", "name", "heading", "label", "header"];
/// What a line below the heading is called.
const SUBTITLES: [&str; 4] = ["subtitle", "description", "summary", "text"];

/// Reads the arguments of `create_dashboard`: ours, or a `specification`.
pub fn board(arguments: Value) -> Result<Board, String> {
    let Value::Object(mut arguments) = arguments else {
        return Board::read(arguments);
    };
    let told = ["specification", "spec", "config"]
        .iter()
        .find_map(|key| arguments.remove(*key));
    let Some(told) = told.filter(|it| !it.is_null()) else {
        return if arguments.get("charts").is_some_and(is_ours) {
            Board::read(Value::Object(arguments))
        } else {
            page(&Value::Object(arguments), "")
        };
    };
    let title = first_text(&arguments, &TITLES).unwrap_or_default();
    page(&told, &title)
}

/// Whether charts are described in our words; then what is wrong with them is told in our words too.
fn is_ours(charts: &Value) -> bool {
    let said = |chart: &Value| chart.get("kind").or_else(|| chart.get("series")).is_some();
    charts
        .as_array()
        .is_some_and(|charts| charts.iter().all(said))
}

/// Reads the arguments of `create_simple_dashboard`: ours, or a title and `data` of any shape.
pub fn simple(arguments: Value) -> Result<Board, String> {
    let is_ours = arguments.get("values").is_some_and(Value::is_array)
        && arguments.get("labels").is_some_and(Value::is_array);
    if is_ours {
        return Board::read_simple(arguments);
    }
    if !arguments.as_object().is_some_and(|it| {
        NUMBERS
            .iter()
            .chain(&PARTS)
            .chain(&["specification"])
            .any(|key| it.contains_key(*key))
    }) {
        return Board::read_simple(arguments);
    }
    board(arguments)
}

/// The page that a description tells of.
fn page(told: &Value, title: &str) -> Result<Board, String> {
    let parsed;
    let told = match told {
        Value::String(text) => {
            parsed = serde_json::from_str(text).unwrap_or_else(|_| words(text));
            &parsed
        }
        other => other,
    };
    let about = told.as_object();
    let own = about.and_then(|it| first_text(it, &TITLES));
    let subtitle = about
        .and_then(|it| first_text(it, &SUBTITLES))
        .unwrap_or_default();
    let title = if title.is_empty() {
        own.unwrap_or_else(|| "Dashboard".to_owned())
    } else {
        title.to_owned()
    };
    let mut charts = Vec::new();
    let mut looks = LOOKS_MAX;
    collect(told, "", DEPTH_MAX, &mut looks, &mut charts);
    if charts.is_empty() {
        return Err("nothing in it can be shown: give `charts`, each with `kind`, `labels` and `series` of numbers".to_owned());
    }
    Board::read(json!({ "title": title, "subtitle": subtitle, "charts": charts }))
}

/// Words with numbers in them: a line `Revenue: 1,200` is a figure, everything else the line below the heading.
fn words(text: &str) -> Value {
    let mut figures = Map::new();
    let mut rest = Vec::new();
    for line in text.lines().flat_map(|line| line.split(';')) {
        let pair = line
            .rsplit_once([':', '='])
            .and_then(|(name, value)| Some((name.trim(), number(&json!(value.trim()))?)));
        match pair {
            Some((name, value)) if !name.is_empty() => {
                drop(figures.insert(name.to_owned(), json!(value)));
            }
            _ => rest.push(line.trim()),
        }
    }
    if figures.is_empty() {
        // There is nothing to draw, so the words themselves are what is shown.
        return json!({ "title": "Dashboard", "description": text, "charts": [
            { "kind": "table", "labels": rest.iter().filter(|it| !it.is_empty()).take(LABELS_MAX).collect::<Vec<_>>(), "series": [{ "values": [] }] }
        ] });
    }
    json!({ "description": rest.join(" ").trim(), "kind": "numbers", "data": figures })
}

/// Adds the charts of a description, in their order.
fn collect(told: &Value, name: &str, depth: usize, looks: &mut usize, charts: &mut Vec<Value>) {
    if depth == 0 || *looks == 0 || charts.len() >= CHARTS_MAX {
        return;
    }
    *looks -= 1;
    let Some(table) = told.as_object() else {
        charts.extend(chart(told, &Map::new(), name));
        return;
    };
    let parts: Vec<(&str, &Value)> = PARTS
        .iter()
        .filter_map(|key| Some((*key, table.get(*key)?)))
        .collect();
    let before = charts.len();
    for (_, part) in &parts {
        match part {
            Value::Array(items) => {
                let figures = figures(items);
                if let Some(figures) = figures {
                    charts.push(figures);
                } else {
                    for item in items {
                        collect(item, "", depth - 1, looks, charts);
                    }
                }
            }
            Value::Object(items) if items.values().all(|item| number(item).is_some()) => {
                charts.extend(chart(
                    part,
                    &Map::from_iter([("kind".to_owned(), json!("numbers"))]),
                    "",
                ));
            }
            Value::Object(items) => {
                for (name, item) in items {
                    collect(item, name, depth - 1, looks, charts);
                }
            }
            _ => {}
        }
    }
    if charts.len() > before {
        return;
    }
    let numbers = NUMBERS
        .iter()
        .find_map(|key| table.get(*key).filter(|it| !it.is_null()));
    if let Some(numbers) = numbers {
        charts.extend(chart(numbers, table, name));
        if charts.len() > before {
            return;
        }
        // Chart.js: `{type, data: {labels, datasets}}`.
        collect(numbers, name, depth - 1, looks, charts);
        if charts.len() > before {
            about(&mut charts[before], table, name);
            return;
        }
    }
    if let Some(figures) = figures(std::slice::from_ref(told)) {
        charts.push(figures);
        return;
    }
    charts.extend(chart(told, table, name));
    if charts.len() == before {
        for (name, item) in table
            .iter()
            .filter(|(_, item)| item.is_object() || item.is_array())
        {
            collect(item, name, depth - 1, looks, charts);
        }
    }
}

/// One chart of `numbers`, described by `table`.
fn chart(numbers: &Value, table: &Map<String, Value>, name: &str) -> Option<Value> {
    let labels = LABELS.iter().find_map(|key| {
        table
            .get(*key)?
            .as_array()
            .or_else(|| table.get(*key)?.get("data")?.as_array())
    });
    let headers = ["headers", "columns", "fields"]
        .iter()
        .find_map(|key| table.get(*key)?.as_array());
    let (labels, series) = match numbers {
        Value::Object(values) => of_object(values)?,
        Value::Array(values) => of_list(values, labels, headers)?,
        _ => return None,
    };
    if labels.is_empty() || series.is_empty() {
        return None;
    }
    let labels: Vec<String> = labels.into_iter().take(LABELS_MAX).collect();
    let series: Vec<Value> = series
        .into_iter()
        .take(SERIES_MAX)
        .map(|(name, mut values)| {
            values.resize(labels.len(), None);
            json!({ "name": name, "values": values })
        })
        .collect();
    let mut chart = json!({ "kind": "bar", "labels": labels, "series": series });
    about(&mut chart, table, name);
    Some(chart)
}

/// Adds what a description says of a chart: its kind, heading and unit.
fn about(chart: &mut Value, table: &Map<String, Value>, name: &str) {
    let told = ["kind", "type", "chart_type", "chartType", "chart"]
        .iter()
        .find_map(|key| table.get(*key)?.as_str());
    if let Some(kind) = told {
        chart["kind"] = json!(kind_of(kind, chart));
    }
    if let Some(title) =
        first_text(table, &TITLES).or_else(|| (!name.is_empty()).then(|| name.to_owned()))
    {
        chart["title"] = json!(title);
    }
    if let Some(unit) = table.get("unit").and_then(Value::as_str) {
        chart["unit"] = json!(unit);
    }
}

/// Our word for a kind of chart; a pie of what no pie can show becomes bars.
fn kind_of(told: &str, chart: &Value) -> &'static str {
    let told = told.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| told.contains(word));
    let values = || {
        chart["series"][0]["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
    };
    if has(&["pie", "donut", "doughnut", "ring"]) {
        let is_whole = chart["series"].as_array().is_some_and(|it| it.len() == 1)
            && values().all(|it| it >= 0.0)
            && values().sum::<f64>() > 0.0;
        return if is_whole { "pie" } else { "bar" };
    }
    match () {
        () if has(&["line", "area", "trend", "time"]) => "line",
        () if has(&["number", "kpi", "metric", "stat", "figure", "gauge", "card"]) => "numbers",
        () if has(&["table", "grid", "list"]) => "table",
        () => "bar",
    }
}

/// A list of `{name, value}` is one chart of figures.
fn figures(items: &[Value]) -> Option<Value> {
    let pairs: Option<Vec<(String, f64)>> = items
        .iter()
        .map(|item| {
            let item = item.as_object()?;
            let value = ["value", "number", "amount", "count"]
                .iter()
                .find_map(|key| number(item.get(*key)?))?;
            Some((first_text(item, &TITLES)?, value))
        })
        .collect();
    let pairs = pairs.filter(|it| !it.is_empty())?;
    let labels: Vec<_> = pairs
        .iter()
        .take(LABELS_MAX)
        .map(|(label, _)| label)
        .collect();
    let values: Vec<_> = pairs
        .iter()
        .take(LABELS_MAX)
        .map(|(_, value)| value)
        .collect();
    Some(json!({ "kind": "numbers", "labels": labels, "series": [{ "values": values }] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is drawn: kind, labels, series.
    fn drawn(board: &Board) -> Vec<String> {
        board
            .charts
            .iter()
            .map(|it| {
                let series: Vec<_> = it
                    .series
                    .iter()
                    .map(|it| (it.name.as_str(), it.values.clone()))
                    .collect();
                format!("{:?} {:?} {:?} {series:?}", it.kind, it.title, it.labels)
            })
            .collect()
    }

    #[test]
    fn every_shape_of_a_specification_is_drawn() {
        let bars = r#"Bar "" ["May", "June"] [("", [Some(3.0), Some(5.0)])]"#;
        let named = r#"Bar "" ["May", "June"] [("sales", [Some(3.0), Some(5.0)])]"#;
        for (specification, expected) in [
            (
                json!({ "title": "T", "charts": [{ "kind": "bar", "labels": ["May", "June"], "series": [{ "values": [3, 5] }] }] }),
                bars,
            ),
            (json!("{\"data\": {\"May\": 3, \"June\": 5}}"), bars),
            (
                json!({ "labels": ["May", "June"], "values": [3, "5"] }),
                bars,
            ),
            (
                json!({ "labels": ["May", "June"], "datasets": [{ "label": "sales", "data": [3, 5] }] }),
                named,
            ),
            (
                json!({ "type": "line", "data": { "labels": ["May", "June"], "datasets": [{ "label": "sales", "data": [3, 5] }] } }),
                r#"Line "" ["May", "June"] [("sales", [Some(3.0), Some(5.0)])]"#,
            ),
            (
                json!({ "data": [{ "month": "May", "sales": 3 }, { "month": "June", "sales": 5 }] }),
                named,
            ),
            (
                json!([{ "month": "May", "sales": 3 }, { "month": "June", "sales": 5 }]),
                named,
            ),
            (
                json!({ "headers": ["month", "sales"], "rows": [["May", 3], ["June", 5]] }),
                named,
            ),
            (json!([["month", "sales"], ["May", 3], ["June", 5]]), named),
            (
                json!({ "data": { "month": ["May", "June"], "sales": [3, 5] } }),
                named,
            ),
            (
                json!({ "widgets": [{ "type": "pie", "title": "P", "data": { "a": 1, "b": -1 } }] }),
                r#"Bar "P" ["a", "b"] [("", [Some(1.0), Some(-1.0)])]"#,
            ),
            (
                json!({ "panels": [{ "chart_type": "doughnut", "labels": ["a"], "values": [1] }] }),
                r#"Pie "" ["a"] [("", [Some(1.0)])]"#,
            ),
            (
                json!({ "metrics": [{ "name": "Revenue", "value": "$1,200" }] }),
                r#"Numbers "" ["Revenue"] [("", [Some(1200.0)])]"#,
            ),
            (
                json!({ "metrics": { "Revenue": 1200 } }),
                r#"Numbers "" ["Revenue"] [("", [Some(1200.0)])]"#,
            ),
            (
                json!({ "sales": { "May": 3, "June": 5 } }),
                r#"Bar "sales" ["May", "June"] [("", [Some(3.0), Some(5.0)])]"#,
            ),
            (
                json!("Sales of the year\nRevenue: 1,200"),
                r#"Numbers "" ["Revenue"] [("", [Some(1200.0)])]"#,
            ),
            (
                json!("A dashboard of sales"),
                r#"Table "" ["A dashboard of sales"] [("", [None])]"#,
            ),
        ] {
            let board = board(json!({ "specification": specification }))
                .unwrap_or_else(|error| panic!("{specification}: {error}"));
            assert_eq!(drawn(&board), [expected], "{specification}");
        }
    }

    #[test]
    fn what_is_said_beside_a_specification_is_read_too() {
        let foreign = json!({ "title": "t", "charts": [{ "type": "bar", "data": { "a": 1 } }] });
        assert_eq!(board(foreign).unwrap().charts[0].labels, ["a"]);
        let own = json!({ "title": "t", "charts": [{ "kind": "pie", "labels": ["a"], "series": [{ "values": [-1] }] }] });
        assert!(board(own).unwrap_err().contains("below zero"));
        let titled =
            json!({ "title": "t", "specification": { "title": "other", "data": { "a": 1 } } });
        assert_eq!(board(titled).unwrap().title, "t");
    }

    #[test]
    fn a_simple_dashboard_takes_data_of_any_shape() {
        for arguments in [
            json!({ "title": "t", "data": { "a": 1 } }),
            json!({ "title": "t", "data": [{ "name": "a", "value": 1 }] }),
            json!({ "title": "t", "labels": ["a"], "values": [1] }),
            json!({ "title": "t", "labels": ["a"], "data": [1], "chart_type": "bar" }),
            json!({ "title": "t", "headers": ["n", "v"], "data": [["a", 1]] }),
        ] {
            let board = simple(arguments.clone()).unwrap();
            assert_eq!(board.title, "t");
            assert_eq!(board.charts[0].labels, ["a"], "{arguments}");
            assert_eq!(board.charts[0].series[0].values, [Some(1.0)], "{arguments}");
        }
    }

    #[test]
    fn what_cannot_be_shown_is_refused_with_a_sentence() {
        for arguments in [
            json!({ "specification": {} }),
            json!({ "specification": { "a": "b" } }),
            json!({}),
        ] {
            let found = board(arguments).unwrap_err();
            assert!(found.contains("give `charts`"), "{found}");
        }
        let deep = (0..200).fold(json!({ "a": 1 }), |inner, _| json!({ "charts": [inner] }));
        assert!(board(json!({ "specification": deep })).is_err());
        let wide: Vec<_> = (0..500).map(|at| json!({ "data": { "a": at } })).collect();
        assert_eq!(
            board(json!({ "specification": { "charts": wide } }))
                .unwrap()
                .charts
                .len(),
            CHARTS_MAX
        );
    }
}
