//! A job's steps: what came of each and how long it took, as a table at the end.

use std::{fmt::Write as _, time::Instant};

use anyhow::Result;

/// One row of the table.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) outcome: String,
    pub(crate) seconds: f32,
}

/// Runs one step, prints its error where it happened, and returns its row and result.
pub(crate) fn timed<T>(name: &str, run: impl FnOnce() -> Result<T>) -> (Step, Option<T>) {
    println!("==> {name}");
    let started = Instant::now();
    let result = run();
    if let Err(error) = &result {
        eprintln!("error: {error:#}");
    }
    let outcome = if result.is_ok() { "ok" } else { "failed" };
    let seconds = started.elapsed().as_secs_f32();
    (Step { name: name.to_owned(), outcome: outcome.to_owned(), seconds }, result.ok())
}

/// The table, with a heading.
pub(crate) fn table(steps: &[Step]) -> String {
    let width = |text: fn(&Step) -> &str, heading: &str| {
        steps.iter().map(|step| text(step).len()).chain([heading.len()]).max().unwrap_or(0)
    };
    let name_width = width(|step| &step.name, "step");
    let outcome_width = width(|step| &step.outcome, "outcome");
    let mut table = format!("{:<name_width$}  {:<outcome_width$}  seconds\n", "step", "outcome");
    for Step { name, outcome, seconds } in steps {
        writeln!(table, "{name:<name_width$}  {outcome:<outcome_width$}  {seconds:>7.1}")
            .expect("writing to a String cannot fail");
    }
    table
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn columns_are_aligned() {
        let row = |name: &str, seconds| Step { name: name.into(), outcome: "ok".into(), seconds };
        let expected = "step           outcome  seconds\n\
                        fmt            ok           0.4\n\
                        clippy (host)  ok          61.2\n";
        assert_eq!(table(&[row("fmt", 0.4), row("clippy (host)", 61.2)]), expected);
    }

    #[test]
    fn a_step_that_fails_says_so_in_its_row() {
        let (step, value) = timed::<()>("a step", || Err(anyhow!("an expected failure")));
        assert_eq!((step.outcome.as_str(), value), ("failed", None));
        let (step, value) = timed("a step", || Ok(7));
        assert_eq!((step.outcome.as_str(), value), ("ok", Some(7)));
    }
}
