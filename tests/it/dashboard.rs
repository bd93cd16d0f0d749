//! The unit tests of `examples/dashboard`, which cargo would not run by themselves. `tests/peers.rs` calls the
//! server behind the bridge.

#[path = "../../examples/dashboard/board.rs"]
mod board;
#[path = "../../examples/dashboard/charts.rs"]
mod charts;
#[path = "../../examples/dashboard/numbers.rs"]
mod numbers;
#[path = "../../examples/dashboard/page.rs"]
mod page;
#[path = "../../examples/dashboard/shapes.rs"]
mod shapes;
#[path = "../../examples/dashboard/specification.rs"]
mod specification;

use serde_json::{Value, json};

/// A page of one chart.
fn page(chart: &Value) -> String {
    let board = json!({ "title": "t", "charts": [chart] });
    page::render(&board::Board::read(board).unwrap())
}

#[test]
fn what_is_asked_for_is_drawn() {
    let labels = ["May", "June", "July"];
    for (kind, shape, times) in [
        ("bar", "<rect", 5),
        ("line", "<circle", 5),
        ("pie", "<circle", 3),
        ("numbers", "<em>", 2),
        ("table", "<tr>", 4),
    ] {
        let second = json!({ "name": "then", "values": [1, null, 3.5] });
        let mut series = vec![json!({ "name": "now", "values": [2, 4, 8] }), second];
        series.truncate(if kind == "pie" { 1 } else { 2 });
        let page = page(&json!({ "kind": kind, "labels": labels, "series": series }));
        assert_eq!(page.matches(shape).count(), times, "{kind}: {page}");
    }
    // Labels that are too long to stand side by side lie below each other.
    let long = [
        "a component with a name",
        "another one with a name",
        "a third",
    ];
    let series = [json!({ "values": [1, 2, 3] })];
    let lying = page(&json!({ "kind": "bar", "labels": long, "series": series }));
    assert!(lying.contains("viewBox=\"0 0 400 78\""), "{lying}");
    // A line is broken where there is no number.
    let series = [json!({ "values": [1, null, 3] })];
    let broken = page(&json!({ "kind": "line", "labels": labels, "series": series }));
    assert_eq!(broken.matches("<polyline").count(), 2, "{broken}");
}
