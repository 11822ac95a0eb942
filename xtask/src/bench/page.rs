//! What `node bench/page.mjs` measures: pages in a browser, start, memory, sizes, ingest.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::table::{Bound, Row};
use super::{Bench, Group, Measured};
use crate::prerequisites;
use crate::workspace::read;

#[derive(Deserialize)]
struct Page {
    rows: Vec<PageRow>,
}

#[derive(Deserialize)]
struct PageRow {
    name: String,
    value: f64,
    unit: String,
    /// At most this.
    goal: f64,
}

pub fn page(bench: &Bench<'_>) -> Result<Measured> {
    bench.say("pages in a browser");
    let chromium = prerequisites::chromium()?;
    prerequisites::node_packages(bench.root)?;
    let mut command = Command::new("node");
    command.current_dir(bench.root).env("STILLROOM_CHROMIUM", chromium);
    command.arg("bench/page.mjs").arg("--binary").arg(&bench.ours.binary);
    if bench.quick {
        command.arg("--quick");
    }
    // It says what it is doing.
    command.stderr(Stdio::inherit());
    Ok(Measured { rows: rows(&read(&mut command)?)?, notes: Vec::new() })
}

fn rows(text: &str) -> Result<Vec<Row>> {
    let page: Page = serde_json::from_str(text).context("bench/page.mjs should print its rows as JSON")?;
    let row = |row: PageRow| Row {
        ours: Some(row.value),
        bound: Bound::AtMost(row.goal),
        ..Row::new(Group::Page, row.name, &row.unit)
    };
    Ok(page.rows.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_rows_stand_under_upper_bounds() {
        let text = r#"{"rows": [{"name": "navigation to 200 curves", "value": 0.8, "unit": "s", "goal": 1.0}]}"#;
        let rows = rows(text).expect("rows");
        assert_eq!((rows[0].ours, rows[0].bound, rows[0].unit.as_str()), (Some(0.8), Bound::AtMost(1.0), "s"));
        assert!(super::rows("{}").is_err());
    }
}
