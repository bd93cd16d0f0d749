//! The shapes in which numbers come: series, records, rows, columns, pairs. Each becomes labels and series.

use serde_json::{Map, Value};

use super::board::{LABELS_MAX, SERIES_MAX};

/// What the numbers of a chart are called.
pub const NUMBERS: [&str; 8] = [
    "data", "values", "series", "datasets", "rows", "records", "points", "y",
];
/// Labels, and series by name.
pub type Parts = (Vec<String>, Vec<(String, Vec<Option<f64>>)>);

/// `{"May": 3, "June": 5}`, or `{"May": {"a": 1}, …}`, or columns `{"month": [...], "sales": [...]}`.
pub fn of_object(values: &Map<String, Value>) -> Option<Parts> {
    if values.values().any(Value::is_array) {
        let columns: Vec<(&String, &Vec<Value>)> = values
            .iter()
            .filter_map(|(key, it)| Some((key, it.as_array()?)))
            .collect();
        let (texts, numbers): (Vec<_>, Vec<_>) = columns
            .into_iter()
            .partition(|(_, it)| it.iter().any(|it| number(it).is_none() && !it.is_null()));
        let longest = numbers.iter().map(|(_, it)| it.len()).max()?;
        let labels = match texts
            .iter()
            .find(|(_, it)| it.iter().all(|it| !it.is_object() && !it.is_array()))
        {
            Some((_, labels)) => labels.iter().map(text).collect(),
            None => (1..=longest).map(|at| at.to_string()).collect(),
        };
        let series = numbers
            .iter()
            .map(|(name, it)| ((*name).clone(), it.iter().map(number).collect()));
        return Some((labels, series.collect()));
    }
    let pairs: Vec<(&String, f64)> = values
        .iter()
        .filter_map(|(key, it)| Some((key, number(it)?)))
        .collect();
    if !pairs.is_empty() {
        let labels = pairs.iter().map(|(key, _)| (*key).clone()).collect();
        return Some((
            labels,
            vec![(
                String::new(),
                pairs.iter().map(|(_, it)| Some(*it)).collect(),
            )],
        ));
    }
    let records: Vec<(&String, &Map<String, Value>)> = values
        .iter()
        .filter_map(|(key, it)| Some((key, it.as_object()?)))
        .collect();
    if let [_] = records[..] {
        // A name and what is below it: not a table of one row.
        return None;
    }
    let names = numeric_keys(records.iter().map(|(_, it)| *it));
    let labels = records.iter().map(|(key, _)| (*key).clone()).collect();
    let series = names.into_iter().map(|name| {
        let values = records
            .iter()
            .map(|(_, it)| it.get(&name).and_then(number))
            .collect();
        (name, values)
    });
    Some((labels, series.collect()))
}

/// A list of numbers, of series, of records, or of rows.
pub fn of_list(
    values: &[Value],
    labels: Option<&Vec<Value>>,
    headers: Option<&Vec<Value>>,
) -> Option<Parts> {
    let told = |length: usize| match labels {
        Some(labels) => labels.iter().map(text).collect(),
        None => (1..=length).map(|at| at.to_string()).collect::<Vec<_>>(),
    };
    if values.iter().any(|it| number(it).is_some())
        && values.iter().all(|it| number(it).is_some() || it.is_null())
    {
        return Some((
            told(values.len()),
            vec![(String::new(), values.iter().map(number).collect())],
        ));
    }
    let records: Vec<&Map<String, Value>> = values.iter().filter_map(Value::as_object).collect();
    let of_series = |it: &Map<String, Value>| {
        NUMBERS
            .iter()
            .find_map(|key| it.get(*key)?.as_array().cloned())
    };
    if !records.is_empty()
        && records.iter().all(|it| {
            of_series(it).is_some_and(|it| it.iter().all(|it| number(it).is_some() || it.is_null()))
        })
    {
        let series: Vec<_> = records
            .iter()
            .map(|it| {
                let numbers = of_series(it).unwrap_or_default();
                (
                    first_text(it, &["name", "label", "title"]).unwrap_or_default(),
                    numbers.iter().map(number).collect::<Vec<_>>(),
                )
            })
            .collect();
        let longest = series.iter().map(|(_, it)| it.len()).max()?;
        return Some((told(longest), series));
    }
    if !records.is_empty() {
        let names = numeric_keys(records.iter().copied());
        let label = |(at, it): (usize, &&Map<String, Value>)| {
            let own = it
                .iter()
                .find(|(key, it)| !names.contains(key) && it.is_string());
            own.map_or_else(|| (at + 1).to_string(), |(_, it)| text(it))
        };
        let labels = records.iter().enumerate().map(label).collect();
        let series = names.iter().map(|name| {
            (
                name.clone(),
                records
                    .iter()
                    .map(|it| it.get(name).and_then(number))
                    .collect(),
            )
        });
        return Some((labels, series.collect()));
    }
    let rows: Vec<&Vec<Value>> = values.iter().filter_map(Value::as_array).collect();
    of_rows(&rows, headers)
}

/// Rows of a table: the first column without numbers has the labels. Without headers a first row of texts has the names.
fn of_rows(rows: &[&Vec<Value>], headers: Option<&Vec<Value>>) -> Option<Parts> {
    let is_head = |row: &Vec<Value>| row.iter().all(|it| it.is_string() && number(it).is_none());
    let (names, rows): (Option<&Vec<Value>>, &[&Vec<Value>]) = match (headers, rows) {
        (None, [head, rest @ ..]) if is_head(head) && !rest.is_empty() => (Some(head), rest),
        _ => (headers, rows),
    };
    let width = rows.iter().map(|row| row.len()).max()?;
    let is_numeric = |column: &usize| {
        rows.iter()
            .any(|row| row.get(*column).and_then(number).is_some())
    };
    let label = (0..width).find(|column| !is_numeric(column));
    let label = label.or_else(|| (width > 1).then_some(0));
    let labels = rows.iter().enumerate().map(|(at, row)| {
        label
            .and_then(|it| row.get(it))
            .map_or_else(|| (at + 1).to_string(), text)
    });
    let series = (0..width)
        .filter(|it| Some(*it) != label && is_numeric(it))
        .map(|column| {
            let name = names
                .and_then(|it| it.get(column))
                .map(text)
                .unwrap_or_default();
            (
                name,
                rows.iter()
                    .map(|row| row.get(column).and_then(number))
                    .collect(),
            )
        });
    Some((labels.collect(), series.collect()))
}

/// The keys of records under which there are numbers, in their order.
fn numeric_keys<'a>(records: impl Iterator<Item = &'a Map<String, Value>>) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for record in records.take(LABELS_MAX) {
        for (key, value) in record {
            if keys.len() < SERIES_MAX && number(value).is_some() && !keys.contains(key) {
                keys.push(key.clone());
            }
        }
    }
    keys
}

/// A number, also one within a text: `1,200`, `$ 3.5`, `12 %`.
pub fn number(value: &Value) -> Option<f64> {
    let found = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let bare: String = text
                .chars()
                .filter(|it| !it.is_whitespace() && !",$€£%'_".contains(*it))
                .collect();
            let is_plain = bare
                .chars()
                .all(|it| it.is_ascii_digit() || "+-.eE".contains(it));
            if is_plain { bare.parse().ok() } else { None }
        }
        _ => None,
    };
    found.filter(|it| it.is_finite())
}

/// A value as a label.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The first of these keys that holds a text.
pub fn first_text(table: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| {
        table
            .get(*key)?
            .as_str()
            .filter(|it| !it.trim().is_empty())
            .map(str::to_owned)
    })
}
