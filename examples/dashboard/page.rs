//! The page: texts, figures and tables around the drawings. It loads nothing, and every text is escaped.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::{
    board::{Board, Chart, Kind},
    charts,
    numbers::{full, short},
};

/// How it looks: by day, by night, on paper, on a phone.
const STYLE: &str = include_str!("page.css");
/// Tells the window around us how high we are, so that nothing has to be scrolled. The only script.
const SCRIPT: &str = "const tell=()=>parent.postMessage({type:'iframe:height',height:document.documentElement.scrollHeight},'*');\
                      addEventListener('load',tell);addEventListener('resize',tell);";
/// Slices of a ring; what is smaller goes together.
const SLICES_MAX: usize = 8;

/// Writes the page.
pub fn render(board: &Board) -> String {
    let title = escape(&board.title);
    let subtitle = paragraph("subtitle", &board.subtitle);
    let cards: String = board.charts.iter().map(card).collect();
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\
         <header><h1>{title}</h1>{subtitle}</header><main>{cards}</main><script>{SCRIPT}</script></body></html>\n"
    )
}

/// One chart with its heading and legend.
fn card(chart: &Chart) -> String {
    let (class, drawing) = match chart.kind {
        Kind::Bar => ("chart", charts::bars(chart) + &legend(chart)),
        Kind::Line => ("chart", charts::lines(chart) + &legend(chart)),
        Kind::Pie => ("chart", pie(chart)),
        Kind::Numbers => ("wide", figures(chart)),
        Kind::Table if chart.series.len() > 3 => ("wide", table(chart)),
        Kind::Table => ("chart", table(chart)),
    };
    let unit = if matches!(chart.kind, Kind::Bar | Kind::Line | Kind::Table) {
        paragraph("unit", &chart.unit)
    } else {
        String::new()
    };
    let heading = match chart.title.as_str() {
        "" => String::new(),
        title => format!("<h2>{}</h2>", escape(title)),
    };
    let data = if matches!(chart.kind, Kind::Bar | Kind::Line) {
        format!(
            "<details><summary>Numbers</summary>{}</details>",
            table(chart)
        )
    } else {
        String::new()
    };
    format!("<section class=\"{class}\">{heading}{unit}{drawing}{data}</section>")
}

/// The names of the series, where they have names.
fn legend(chart: &Chart) -> String {
    let entries = joined(
        chart
            .series
            .iter()
            .enumerate()
            .filter(|(_, series)| !series.name.is_empty())
            .map(|(which, series)| {
                format!(
                    "<li><i class=\"k{which}\"></i>{}</li>",
                    escape(&series.name)
                )
            }),
    );
    if entries.is_empty() {
        return entries;
    }
    format!("<ul class=\"legend\">{entries}</ul>")
}

/// A ring, and beside it every slice with its number and share.
fn pie(chart: &Chart) -> String {
    let slices = slices(chart);
    let total: f64 = slices.iter().map(|(_, value)| value).sum();
    let entries = joined(slices
        .iter()
        .enumerate()
        .map(|(which, (label, value))| {
            let share = full((value / total * 1000.0).round() / 10.0);
            let (label, number) = (escape(label), full(*value));
            format!(
                "<li><i class=\"k{which}\"></i><span>{label}</span><b>{number}</b><small>{share} %</small></li>"
            )
        }));
    let ring = charts::ring(chart, &slices);
    format!("<div class=\"pie\">{ring}<ul class=\"shares\">{entries}</ul></div>")
}

/// The largest slices, and the rest as one.
fn slices(chart: &Chart) -> Vec<(String, f64)> {
    let values = chart.series.iter().flat_map(|series| &series.values);
    let mut slices: Vec<(String, f64)> = chart
        .labels
        .iter()
        .zip(values)
        .filter_map(|(label, value)| Some((label.clone(), value.filter(|value| *value > 0.0)?)))
        .collect();
    slices.sort_by(|one, other| other.1.total_cmp(&one.1));
    if slices.len() > SLICES_MAX {
        let rest = slices.split_off(SLICES_MAX - 1);
        let value = rest.iter().map(|(_, value)| value).sum();
        slices.push((format!("{} others", rest.len()), value));
    }
    slices
}

/// Large figures, compared with the second series where there is one.
fn figures(chart: &Chart) -> String {
    let unit = escape(&chart.unit);
    let of = |which: usize, at: usize| *chart.series.get(which)?.values.get(at)?;
    let tiles = joined(chart.labels.iter().enumerate().map(|(at, label)| {
        let label = escape(label);
        let number = of(0, at).map_or_else(
            || "–".to_owned(),
            |value| match value.abs() {
                size if size >= 1e6 => short(value),
                _ => full(value),
            },
        );
        let before = chart.series.get(1).map_or("", |series| &series.name);
        let change = match (of(0, at), of(1, at)) {
            (Some(now), Some(then)) => change(now, then, before),
            _ => String::new(),
        };
        format!("<div><span>{label}</span><b>{number}<small>{unit}</small></b>{change}</div>")
    }));
    format!("<div class=\"figures\">{tiles}</div>")
}

/// `▲ 12 % on last year`
fn change(now: f64, then: f64, before: &str) -> String {
    let sign = match now.total_cmp(&then) {
        std::cmp::Ordering::Greater => "▲",
        std::cmp::Ordering::Less => "▼",
        std::cmp::Ordering::Equal => "=",
    };
    let by = if then == 0.0 {
        full((now - then).abs())
    } else {
        let percent = ((now - then) / then.abs() * 1000.0).round() / 10.0;
        format!("{} %", full(percent.abs()))
    };
    let before = if before.is_empty() {
        String::new()
    } else {
        format!(" on {}", escape(before))
    };
    format!("<em>{sign} {by}{before}</em>")
}

/// Labels down, series across.
fn table(chart: &Chart) -> String {
    let has_names = chart.series.iter().any(|series| !series.name.is_empty());
    let names = joined(
        chart
            .series
            .iter()
            .map(|series| format!("<th scope=\"col\">{}</th>", escape(&series.name))),
    );
    let head = if has_names {
        format!("<thead><tr><td></td>{names}</tr></thead>")
    } else {
        String::new()
    };
    let rows = joined(chart.labels.iter().enumerate().map(|(at, label)| {
        let cells = joined(
            chart
                .series
                .iter()
                .map(|series| series.values.get(at).copied().flatten())
                .map(|value| {
                    let number = value.map_or_else(|| "–".to_owned(), full);
                    format!("<td>{number}</td>")
                }),
        );
        format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", escape(label))
    }));
    format!("<div class=\"table\"><table>{head}<tbody>{rows}</tbody></table></div>")
}

/// Pieces, one after the other.
fn joined(pieces: impl Iterator<Item = String>) -> String {
    pieces.collect()
}

fn paragraph(class: &str, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("<p class=\"{class}\">{}</p>", escape(text))
}

/// A text within HTML, in an attribute too.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Neither HTML nor SVG takes them.
            control if control.is_control() => escaped.push(' '),
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_text_is_escaped_and_nothing_is_loaded() {
        let evil = "</title></svg><script>alert(1)</script><img src=x onerror='a'>\"&\u{1}";
        let charts: Vec<_> = ["bar", "line", "pie", "numbers", "table"]
            .iter()
            .map(|kind| {
                json!({ "kind": kind, "title": evil, "unit": evil, "labels": [evil, evil],
                        "series": [{ "name": evil, "values": [1, 2] }] })
            })
            .collect();
        let board = json!({ "title": evil, "subtitle": evil, "charts": charts });
        let page = render(&Board::read(board).unwrap());
        assert_eq!(page.matches("<script>").count(), 1, "{page}");
        assert!(!page.contains("<img") && !page.contains("alert(1)</script>"));
        for (what, times) in [
            ("http:", 0),
            ("https:", 0),
            ("url(", 0),
            ("@import", 0),
            ("src=\"", 0),
        ] {
            assert_eq!(page.matches(what).count(), times, "{what}");
        }
    }

    #[test]
    fn small_slices_go_together() {
        let labels: Vec<_> = (0..20).map(|at| format!("part {at}")).collect();
        let values: Vec<_> = (0..20).map(f64::from).collect();
        let board = json!({ "title": "t", "kind": "pie", "labels": labels, "values": values });
        let board = Board::read_simple(board).unwrap();
        let slices = slices(&board.charts[0]);
        assert_eq!(slices.len(), SLICES_MAX);
        assert_eq!(slices[0], ("part 19".to_owned(), 19.0));
        assert_eq!(slices[7], ("12 others".to_owned(), 78.0));
    }
}
