//! Every requirement of `docs/requirements.toml` is kept by code and tests, refused or open.

use tests::requirements::report::Report;

#[test]
fn requirements_and_citations_agree() {
    let problems = Report::of_workspace().problems;
    assert!(
        problems.is_empty(),
        "{} problems, see `cargo xtask conformance`:\n{}",
        problems.len(),
        problems.join("\n")
    );
}
