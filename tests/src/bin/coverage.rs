//! Which requirements tests cite: `cargo run -p tests --bin coverage`.
//!
//! A citation says that somebody meant to test the requirement; that the test passes is what the
//! test run says.

use std::collections::BTreeSet;

use tests::{
    requirements::{Requirement, cited_by_rows, cited_in_comments, load},
    rows,
};

fn main() {
    let requirements = load();
    let by_rows = cited_by_rows();
    let in_comments = cited_in_comments();
    let all = rows::all();
    let steps: usize = all.iter().map(|row| row.steps.len()).sum();
    println!("{} rows of {steps} packets", all.len());

    let is_cited = |requirement: &&Requirement| {
        by_rows.contains(&requirement.id) || in_comments.contains(&requirement.id)
    };
    let (covered, open): (Vec<_>, Vec<_>) = requirements.iter().partition(is_cited);
    println!("\n{} of {} requirements are cited:", covered.len(), requirements.len());
    for requirement in covered {
        println!("  {}", citation(requirement, &by_rows, &in_comments));
    }
    let due: Vec<_> = open.into_iter().filter(|requirement| requirement.is_due()).collect();
    println!("\n{} that a release of the filter is measured by are not:", due.len());
    for Requirement { id, priority, title, .. } in due {
        println!("  {id}: {title} ({})", format!("{priority:?}").to_lowercase());
    }
}

/// A requirement and where it is cited.
fn citation(
    Requirement { id, title, .. }: &Requirement,
    by_rows: &BTreeSet<String>,
    in_comments: &BTreeSet<String>,
) -> String {
    let places = match (by_rows.contains(id), in_comments.contains(id)) {
        (true, true) => "rows, comments",
        (true, false) => "rows",
        _ => "comments",
    };
    format!("{id}: {title} [{places}]")
}
