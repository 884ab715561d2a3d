//! Tables with a column for each size of a policy.

use crate::{
    report::{Column, thousands},
    statistics::Spread,
};

/// The sizes of a study, and between which two of them costs are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) all: &'static [u32],
    /// The index of the size that the largest is compared with.
    base: usize,
    ratio: &'static str,
}

pub(super) const RULES: Sizes =
    Sizes { all: &[1, 10, 100, 1_000, 10_000], base: 1, ratio: "10,000 : 10" };
pub(super) const PREFIXES: Sizes =
    Sizes { all: &[1, 1_000, 100_000], base: 0, ratio: "100,000 : 1" };

impl Sizes {
    /// Columns of words, one for each size, and one for the ratio.
    pub(super) fn columns(self, words: &[&'static str]) -> Vec<Column> {
        let words = words.iter().map(|heading| Column::Words(heading));
        let sizes = self.all.iter().map(|size| Column::Numbers(heading(*size)));
        words.chain(sizes).chain([Column::Numbers(self.ratio)]).collect()
    }

    /// The cells behind the words: the median of each size, of whose rounds there may be none, and
    /// the ratio within rounds.
    pub(super) fn cells(self, series: &[&[f64]]) -> Vec<String> {
        let median = |ns: &&[f64]| match ns {
            [] => String::new(),
            ns => thousands(Spread::of(ns.iter().copied()).median),
        };
        let mut cells: Vec<_> = series.iter().map(median).collect();
        let (largest, base) = (series[self.all.len() - 1], series[self.base]);
        let is_there = !largest.is_empty() && !base.is_empty();
        cells.push(if is_there {
            format!("{:.2}", Spread::of_ratios(largest, base))
        } else {
            String::new()
        });
        cells
    }
}

/// How a size is written.
const fn heading(size: u32) -> &'static str {
    match size {
        1 => "1",
        10 => "10",
        100 => "100",
        1_000 => "1,000",
        10_000 => "10,000",
        100_000 => "100,000",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_size_is_compared_with_its_base() {
        let series: [&[f64]; 3] = [&[2.0, 4.0], &[7.0], &[3.0, 8.0]];
        assert_eq!(PREFIXES.cells(&series), ["3", "7", "6", "1.75 [1.50 – 2.00]"]);
        let missing: [&[f64]; 3] = [&[2.0], &[7.0], &[]];
        assert_eq!(PREFIXES.cells(&missing), ["2", "7", "", ""]);
    }

    #[test]
    fn every_size_has_a_heading() {
        for size in [RULES, PREFIXES].into_iter().flat_map(|sizes| sizes.all) {
            assert_eq!(heading(*size).replace(',', ""), size.to_string());
        }
    }
}
