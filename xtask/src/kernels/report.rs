//! What the kernels did, as tables that Markdown understands.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    selection::{REFUSED, WORKS},
    series::Expectation,
};

/// What happened on one kernel.
pub(super) struct Row {
    /// Its version, and the series if that is not part of it.
    pub(super) kernel: String,
    pub(super) expectation: Expectation,
    /// The number of tests that passed in each step, or why it failed; by its name.
    pub(super) steps: BTreeMap<&'static str, Result<u32, String>>,
    /// Since the start of the machine.
    pub(super) seconds: f32,
    /// Instructions that the verifier looked at, by program.
    pub(super) verified: BTreeMap<String, u64>,
}

impl Row {
    /// Whether the kernel did all that it should.
    pub(super) fn is_good(&self) -> bool {
        !self.steps.is_empty() && self.steps.values().all(Result::is_ok)
    }

    fn cell(&self, step: &str) -> String {
        match self.steps.get(step) {
            None => "-".to_owned(),
            Some(Ok(passed)) => format!("{passed} passed"),
            Some(Err(_)) => "FAILED".to_owned(),
        }
    }
}

/// Both tables.
pub(super) fn tables(rows: &[Row]) -> String {
    let steps: Vec<&str> = WORKS.iter().chain(&REFUSED).map(|selection| selection.name).collect();
    let heading = ["kernel"].into_iter().chain(steps.iter().copied()).chain(["seconds"]);
    let mut lines = vec![heading.map(str::to_owned).collect()];
    for row in rows {
        let mut line = vec![row.kernel.clone()];
        line.extend(steps.iter().map(|step| row.cell(step)));
        line.push(format!("{:.0}", row.seconds));
        lines.push(line);
    }
    let mut text = table(&lines);
    let works = || rows.iter().filter(|row| row.expectation == Expectation::Works);
    let programs: BTreeSet<&String> = works().flat_map(|row| row.verified.keys()).collect();
    if !programs.is_empty() {
        let mut lines = vec![vec!["verified instructions".to_owned()]];
        lines[0].extend(works().map(|row| row.kernel.clone()));
        for program in programs {
            let mut line = vec![program.clone()];
            line.extend(works().map(|row| {
                row.verified.get(program).map_or_else(|| "-".to_owned(), |&it| grouped(it))
            }));
            lines.push(line);
        }
        text = format!("{text}\n{}", table(&lines));
    }
    text
}

/// A table of which the first line is the heading; the first column is text, the others are numbers.
fn table(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.extend(["| ", &cells.collect::<Vec<_>>().join(" | "), " |\n"]);
        if number == 0 {
            let rules = widths.iter().enumerate().map(|(column, &width)| {
                let rule = "-".repeat(width.max(2) - 1);
                if column == 0 { format!("-{rule}") } else { format!("{rule}:") }
            });
            text.extend(["| ", &rules.collect::<Vec<_>>().join(" | "), " |\n"]);
        }
    }
    text
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_rows_and_programs_are_rows() {
        let works = Row {
            kernel: "6.1.192".to_owned(),
            expectation: Expectation::Works,
            steps: [
                ("loads", Ok(1)),
                ("rows", Ok(2)),
                ("hooks", Ok(2)),
                ("e2e", Err("exit code 101".to_owned())),
            ]
            .into(),
            seconds: 99.6,
            verified: [("clock".to_owned(), 1_234_567)].into(),
        };
        let refused = Row {
            kernel: "5.10.262".to_owned(),
            expectation: Expectation::Refused,
            steps: [("refusal", Ok(1))].into(),
            seconds: 20.0,
            verified: BTreeMap::new(),
        };
        assert!(!works.is_good() && refused.is_good());
        let expected = "\
| kernel   |    loads |     rows |    hooks |    e2e |  refusal | seconds |
| -------- | -------: | -------: | -------: | -----: | -------: | ------: |
| 5.10.262 |        - |        - |        - |      - | 1 passed |      20 |
| 6.1.192  | 1 passed | 2 passed | 2 passed | FAILED |        - |     100 |

| verified instructions |   6.1.192 |
| --------------------- | --------: |
| clock                 | 1,234,567 |
";
        assert_eq!(tables(&[refused, works]), expected);
    }

    #[test]
    fn a_kernel_on_which_nothing_ran_is_not_good() {
        let row = Row {
            kernel: "7.3.4".to_owned(),
            expectation: Expectation::Works,
            steps: BTreeMap::new(),
            seconds: 0.0,
            verified: BTreeMap::new(),
        };
        assert!(!row.is_good());
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
    }
}
