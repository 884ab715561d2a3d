//! Medians with their spread, and comparisons within rounds.

use std::fmt;

/// The median of a series with its extremes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of at least one finite value.
    ///
    /// # Panics
    /// Without any.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            panic!("a median of nothing");
        };
        let upper = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[upper - 1], sorted[upper])
        } else {
            sorted[upper]
        };
        Self { median, min, max }
    }

    /// Of the differences between two series, round by round.
    pub(crate) fn of_differences(values: &[f64], base: &[f64]) -> Self {
        Self::of(values.iter().zip(base).map(|(value, base)| value - base))
    }

    /// Of the ratios of two series, round by round.
    pub(crate) fn of_ratios(values: &[f64], base: &[f64]) -> Self {
        Self::of(values.iter().zip(base).map(|(value, base)| value / base))
    }
}

/// `median [min–max]`, with the precision of the format.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let Self { median, min, max } = self;
        if f.sign_plus() {
            write!(f, "{median:+.digits$} [{min:+.digits$} – {max:+.digits$}]")
        } else {
            write!(f, "{median:.digits$} [{min:.digits$} – {max:.digits$}]")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_series() {
        assert_eq!(Spread::of([9.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 9.0 });
        let even = Spread { median: 3.0, min: 1.0, max: 9.0 };
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]), even);
    }

    #[test]
    fn comparisons_are_taken_within_rounds() {
        // The second round was slow for both, so the medians alone would say +1.
        let (values, base) = ([12.0, 112.0, 13.0], [10.0, 110.0, 12.0]);
        let difference = Spread { median: 2.0, min: 1.0, max: 2.0 };
        assert_eq!(Spread::of_differences(&values, &base), difference);
        let ratio = Spread { median: 2.5, min: 2.0, max: 3.0 };
        assert_eq!(Spread::of_ratios(&[2.0, 30.0], &[1.0, 10.0]), ratio);
    }

    #[test]
    fn spreads_are_written_with_the_precision_asked_for() {
        let spread = Spread::of([1.0, 2.26, 3.0]);
        assert_eq!(format!("{spread:.1}"), "2.3 [1.0 – 3.0]");
        assert_eq!(format!("{spread:+.0}"), "+2 [+1 – +3]");
    }
}
