//! Reads what `cargo test` prints: which binary runs, and how many of its tests passed.

use crate::steps::Step;

/// The tests of one binary, or of one crate's documentation.
#[derive(Debug, PartialEq)]
pub(crate) struct Suite {
    name: String,
    passed: u32,
    failed: u32,
    ignored: u32,
    seconds: f32,
    /// Whether the closing line came; a binary that crashed does not print it.
    finished: bool,
}

impl Suite {
    fn started(name: String) -> Self {
        Self { name, passed: 0, failed: 0, ignored: 0, seconds: 0.0, finished: false }
    }

    /// The suite as a row of the summary.
    pub(crate) fn step(&self) -> Step {
        let Self { passed, failed, ignored, seconds, .. } = *self;
        let outcome = if self.finished {
            let part = |number: u32, word| (number > 0).then(|| format!(", {number} {word}"));
            let failed = part(failed, "FAILED").unwrap_or_default();
            let ignored = part(ignored, "ignored").unwrap_or_default();
            format!("{passed} passed{failed}{ignored}")
        } else {
            "died".to_owned()
        };
        Step { name: self.name.clone(), outcome, seconds }
    }
}

/// Collects the suites, line by line.
#[derive(Default)]
pub(crate) struct Tally {
    suites: Vec<Suite>,
}

impl Tally {
    /// Takes the next line of the output.
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(name) = suite_name(line) {
            self.suites.push(Suite::started(name));
        } else if let Some(result) = line.strip_prefix("test result: ")
            && let Some(suite) = self.suites.last_mut()
        {
            suite.passed += count(result, "passed");
            suite.failed += count(result, "failed");
            suite.ignored += count(result, "ignored");
            suite.seconds += seconds(result).unwrap_or(0.0);
            suite.finished = true;
        }
    }

    /// The suites that have tests, or died before they could say so.
    pub(crate) fn suites(&self) -> impl Iterator<Item = &Suite> {
        self.suites
            .iter()
            .filter(|suite| !suite.finished || suite.passed + suite.failed + suite.ignored > 0)
    }

    /// How many tests passed and failed; a suite that died counts as one failure.
    pub(crate) fn total(&self) -> (u32, u32) {
        let died = |suite: &Suite| u32::from(!suite.finished);
        self.suites.iter().fold((0, 0), |(passed, failed), suite| {
            (passed + suite.passed, failed + suite.failed + died(suite))
        })
    }
}

/// How many tests a binary says have passed.
pub(crate) fn passed(output: &str) -> u32 {
    output
        .lines()
        .filter_map(|line| line.strip_prefix("test result: "))
        .map(|it| count(it, "passed"))
        .sum()
}

/// Reads cargo's announcement: `Running unittests src/lib.rs (target/debug/deps/x-0123)` or
/// `Running tests/cli.rs (...)` or `Doc-tests x`.
fn suite_name(line: &str) -> Option<String> {
    if let Some(package) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{package} (documentation)"));
    }
    let (source, binary) = line.strip_prefix("Running ")?.split_once(" (")?;
    let binary = binary.strip_suffix(')')?.rsplit('/').next()?;
    let name = binary.rsplit_once('-').map_or(binary, |(name, _hash)| name);
    Some(format!("{name} ({})", source.trim_start_matches("unittests ")))
}

/// Reads the number before `word` in `ok. 5 passed; 0 failed; 0 ignored; ...`.
fn count(result: &str, word: &str) -> u32 {
    result
        .split([';', '.'])
        .filter_map(|part| part.trim().strip_suffix(word))
        .find_map(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

fn seconds(result: &str) -> Option<f32> {
    result.split_once("finished in ")?.1.strip_suffix('s')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running unittests src/lib.rs (target/debug/deps/gateway_common-0123456789abcdef)

running 3 tests
test tuple::tests::mirror ... ok

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.25s

     Running tests/cli.rs (target/debug/deps/cli-0123456789abcdef)
test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 12.00s
error: test failed, to rerun pass `-p tests --test cli`
   Doc-tests gateway_common
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn results_are_summed_over_the_suites() {
        assert_eq!(tally(OUTPUT).total(), (6, 1));
    }

    #[test]
    fn rows_name_the_binary_and_its_source() {
        let rows: Vec<_> = tally(OUTPUT)
            .suites()
            .map(Suite::step)
            .map(|step| format!("{}: {} {:.2}", step.name, step.outcome, step.seconds))
            .collect();
        assert_eq!(
            rows,
            [
                "gateway_common (src/lib.rs): 2 passed, 1 ignored 0.25",
                "cli (tests/cli.rs): 4 passed, 1 FAILED 12.00",
            ]
        );
    }

    #[test]
    fn a_suite_that_dies_is_a_failure() {
        let output = "     Running tests/netns.rs (target/debug/deps/netns-0123)\nrunning 2 tests\n\
                      Running tests/cli.rs (target/debug/deps/cli-0123)\n\
                      test result: ok. 1 passed; 0 failed; finished in 0.10s\n";
        let tally = tally(output);
        assert_eq!(tally.total(), (1, 1));
        let outcomes: Vec<_> = tally.suites().map(|suite| suite.step().outcome).collect();
        assert_eq!(outcomes, ["died", "1 passed"]);
    }

    #[test]
    fn what_tests_print_is_not_taken_for_a_suite() {
        assert_eq!(suite_name("Running out of ideas"), None);
        assert_eq!(tally("test result: ok. 5 passed; 0 failed").total(), (0, 0));
    }

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.line(line));
        tally
    }
}
