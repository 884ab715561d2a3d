//! The rules about differences, by what they are about.

pub(crate) mod checksum;
pub(crate) mod icmp;
pub(crate) mod memory;
pub(crate) mod opening;
pub(crate) mod reset;
pub(crate) mod window;

use crate::{compare::Case, expected::Expected};

/// Whether only `eigw` let a segment from outside pass, as it should, and `when` holds for it.
fn eigw_passes(case: &Case<'_>, when: impl Fn(&Expected) -> bool) -> bool {
    case.passed_eigw_only() && Expected::of(case).is_some_and(|it| when(&it))
}

/// Whether only `eigw` dropped a segment from outside, as it should, and `when` holds for it.
fn eigw_drops(case: &Case<'_>, when: impl Fn(&Expected) -> bool) -> bool {
    case.passed_reference_only() && Expected::of(case).is_some_and(|it| when(&it))
}
