//! What was measured, as rows of one table.

use serde::Serialize;

use super::Group;

/// One thing measured.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub group: Group,
    pub name: String,
    /// Of `ours` and `peer`: "ms", "MB", ...; empty for a plain number.
    pub unit: String,
    /// What counts: the least of all rounds where there are several.
    pub ours: Option<f64>,
    pub peer: Option<f64>,
    pub bound: Bound,
    /// Our multiply-adds a second over those of a matrix product in the first cache, on the same threads.
    pub product_fraction: Option<f64>,
    /// The peer's over ours, of everything measured side by side: from these one sees how still the machine was.
    pub round_ratios: Vec<f64>,
}

/// A row as it is written down for programs.
#[derive(Serialize)]
pub struct Written<'a> {
    #[serde(flatten)]
    row: &'a Row,
    ratio: Option<f64>,
    verdict: Option<&'static str>,
}

/// What a row should come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Of [`Row::ratio`]: at least `floor`, and better `reach`.
    Ratio {
        floor: f64,
        reach: f64,
    },
    /// Of [`Row::ours`].
    AtMost(f64),
    /// Of [`Row::ours`]: neither less nor more.
    Within {
        least: f64,
        most: f64,
    },
    None,
}

impl Row {
    pub fn new(group: Group, name: impl Into<String>, unit: &str) -> Row {
        Row {
            group,
            name: name.into(),
            unit: unit.to_owned(),
            ours: None,
            peer: None,
            bound: Bound::None,
            product_fraction: None,
            round_ratios: Vec::new(),
        }
    }

    /// How many times as much the peer needs; `None` where ours alone is bounded, which is a share or has no peer.
    pub fn ratio(&self) -> Option<f64> {
        match self.bound {
            Bound::AtMost(_) | Bound::Within { .. } => None,
            Bound::Ratio { .. } | Bound::None => Some(self.peer? / self.ours?),
        }
    }

    pub fn written(&self) -> Written<'_> {
        Written { row: self, ratio: self.ratio(), verdict: self.verdict() }
    }

    /// How the row stands to its bound, in a word; `None` where it has none.
    fn verdict(&self) -> Option<&'static str> {
        match self.bound {
            Bound::None => None,
            Bound::Ratio { floor, reach } => Some(match self.ratio() {
                None => "not measured",
                Some(ratio) if ratio >= reach => "reached",
                Some(ratio) if ratio >= floor => "kept",
                Some(_) => "BELOW",
            }),
            Bound::AtMost(most) => Some(match self.ours {
                None => "not measured",
                Some(ours) if ours <= most => "kept",
                Some(_) => "ABOVE",
            }),
            Bound::Within { least, most } => Some(match self.ours {
                None => "not measured",
                Some(ours) if ours < least => "BELOW",
                Some(ours) if ours > most => "ABOVE",
                Some(_) => "kept",
            }),
        }
    }

    fn cells(&self) -> [String; 8] {
        let amount = |value: Option<f64>| value.map_or("-".into(), |value| with_unit(value, &self.unit));
        let ratio = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2}"));
        let (floor, reach) = match self.bound {
            Bound::Ratio { floor, reach } => (format!("{floor:.2}"), format!("{reach:.2}")),
            Bound::AtMost(most) => (format!("≤ {}", with_unit(most, &self.unit)), String::new()),
            Bound::Within { least, most } => (format!("{least:.2} to {most:.2}"), String::new()),
            Bound::None => (String::new(), String::new()),
        };
        [
            self.name.clone(),
            amount(self.ours),
            amount(self.peer),
            ratio(self.ratio()),
            floor,
            reach,
            self.verdict().unwrap_or_default().to_owned(),
            self.product_fraction.map_or(String::new(), |fraction| format!("{:.0} %", 100.0 * fraction)),
        ]
    }
}

const HEADINGS: [&str; 8] = ["", "ours", "peer", "ratio", "floor", "reach", "", "of product"];

/// For a terminal: columns, the first to the left and numbers to the right.
pub fn text(rows: &[Row]) -> String {
    let lines: Vec<[String; 8]> =
        std::iter::once(HEADINGS.map(str::to_owned)).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |cells: &[String; 8]| {
        let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

/// The same for docs/performance.md.
pub fn markdown(rows: &[Row]) -> String {
    let line = |cells: &[String; 8]| format!("| {} |\n", cells.join(" | "));
    let rule = "|---|--:|--:|--:|--:|--:|---|--:|\n";
    let body: String = rows.iter().map(|row| line(&row.cells())).collect();
    line(&HEADINGS.map(str::to_owned)) + rule + &body
}

/// Three digits, and no fraction from a hundred on.
fn with_unit(value: f64, unit: &str) -> String {
    let number = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(ours: f64, peer: Option<f64>) -> Row {
        let bound = Bound::Ratio { floor: 1.5, reach: 1.9 };
        let measured = Row { ours: Some(ours), peer, bound, product_fraction: Some(0.714), ..row("step", "ms") };
        Row { round_ratios: vec![1.5], ..measured }
    }

    fn row(name: &str, unit: &str) -> Row {
        Row::new(Group::Steps, name, unit)
    }

    #[test]
    fn a_ratio_is_what_the_peer_needs_over_what_is_needed_here_and_stands_to_floor_and_reach() {
        assert_eq!(step(50.0, Some(100.0)).ratio(), Some(2.0));
        assert_eq!(step(50.0, Some(100.0)).verdict(), Some("reached"));
        assert_eq!(step(50.0, Some(75.0)).verdict(), Some("kept"));
        assert_eq!(step(50.0, Some(74.9)).verdict(), Some("BELOW"));
        assert_eq!(step(50.0, None).verdict(), Some("not measured"));
    }

    #[test]
    fn an_upper_bound_is_kept_or_not_whatever_the_peer_does() {
        let at = |ours| Row { ours, bound: Bound::AtMost(0.3), ..row("start", "s") }.verdict();
        assert_eq!([at(Some(0.3)), at(Some(0.31)), at(None)], [Some("kept"), Some("ABOVE"), Some("not measured")]);
        assert_eq!(row("size", "MB").verdict(), None);
    }

    #[test]
    fn an_estimate_is_neither_too_short_nor_too_long() {
        let at = |ours| Row { ours, bound: Bound::Within { least: 0.75, most: 1.25 }, ..row("estimate", "") };
        let verdicts = [Some(0.74), Some(0.75), Some(1.25), Some(1.26), None].map(|ours| at(ours).verdict());
        let expected = ["BELOW", "kept", "kept", "ABOVE", "not measured"].map(Some);
        assert_eq!(verdicts, expected);
        assert_eq!(at(Some(1.1)).cells()[4], "0.75 to 1.25");
        assert_eq!(Row { peer: Some(2.0), ..at(Some(1.0)) }.ratio(), None);
    }

    #[test]
    fn the_table_says_what_was_not_measured_and_marks_what_is_below() {
        let rows = [
            step(50.0, Some(70.0)),
            step(120.25, None),
            Row { ours: Some(0.25), peer: Some(0.3), bound: Bound::AtMost(0.333), ..row("share", "") },
        ];
        assert_eq!(
            text(&rows).lines().collect::<Vec<_>>(),
            [
                "          ours     peer  ratio    floor  reach                of product",
                "step   50.0 ms  70.0 ms   1.40     1.50   1.90         BELOW        71 %",
                "step    120 ms        -      -     1.50   1.90  not measured        71 %",
                "share    0.250    0.300      -  ≤ 0.333                 kept",
            ]
        );
        assert_eq!(
            markdown(&rows[..1]).lines().last(),
            Some("| step | 50.0 ms | 70.0 ms | 1.40 | 1.50 | 1.90 | BELOW | 71 % |")
        );
    }

    #[test]
    fn programs_read_the_ratio_and_the_verdict_beside_the_row() {
        let written = serde_json::to_value(step(50.0, Some(100.0)).written()).expect("JSON");
        assert_eq!((&written["name"], &written["ratio"]), (&"step".into(), &2.0.into()));
        assert_eq!(written["bound"]["ratio"]["floor"], 1.5);
        assert_eq!((&written["verdict"], &written["group"]), (&"reached".into(), &"steps".into()));
    }
}
