use std::collections::BTreeSet;

use super::{
    Requirements,
    citations::{Citations, Place, Test, ids},
    report::{Report, Status},
};

#[test]
fn the_file_is_whole() {
    let requirements = Requirements::load();
    let ids: BTreeSet<_> = requirements.all().map(|requirement| &requirement.id).collect();
    let packets = (1..=153).map(|number| format!("E{number}"));
    let missing: Vec<_> = packets.filter(|id| !ids.contains(id)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn ids_are_found_between_words() {
    let line = "/// RFC6092-REC-10, E94; RFC7126-TS/SID/… (RFC5382-REQ-2/2a). RFC 791, E, End, E2E";
    let found: Vec<_> = ids(line).collect();
    assert_eq!(found, ["RFC6092-REC-10", "E94", "RFC7126-TS/SID/…", "RFC5382-REQ-2/2a"]);
}

/// A file with code and a unit test. Its first line is empty.
const SOURCE: &str = r"
//! E1
/// E2 in code.
fn code() {}
#[cfg(test)]
mod tests {
    /// E3
    #[test]
    fn below() {
        assert!(true); // E9 is no comment of a line of its own.
        // E4
        assert!(true);
    }
}
// E5
";

#[test]
fn comments_belong_to_code_or_to_the_test_they_stand_at() {
    let mut citations = Citations::default();
    citations.add_comments("some.rs", SOURCE, false);
    let place = |line| Place { file: "some.rs".into(), line };
    for (id, line) in [("E1", 2), ("E2", 3), ("E5", 15)] {
        let cited = citations.of(id);
        assert_eq!((cited.code, cited.tests), (vec![place(line)], vec![]), "{id}");
    }
    for (id, line) in [("E3", 7), ("E4", 11)] {
        let cited = citations.of(id);
        let test = Test { function: Some("below".into()), place: place(line) };
        assert_eq!((cited.code, cited.tests), (vec![], vec![test]), "{id}");
    }
    assert!(!citations.of("E9").is_tested());
}

#[test]
fn a_file_of_tests_may_speak_for_all_of_them() {
    for file in ["src/tests.rs", "src/tests/some.rs"] {
        let mut citations = Citations::default();
        citations.add_comments(file, "//! E1\n\nuse std::fs;\n", false);
        let place = Place { file: file.into(), line: 1 };
        assert_eq!(citations.of("E1").tests, [Test { function: None, place }]);
    }
}

#[test]
fn rows_are_grouped_by_file() {
    let mut citations = Citations::default();
    let text = "row(\n    &[\"E1\"],\n";
    for (file, title) in [("a.rs", "first"), ("a.rs", "second"), ("b.rs", "third")] {
        citations.add_row(file, text, "E1", title);
    }
    let groups = citations.of("E1").rows;
    let groups: Vec<_> = groups
        .iter()
        .map(|group| (group.place.file.as_str(), group.place.line, group.titles.len()))
        .collect();
    assert_eq!(groups, [("a.rs", 2, 2), ("b.rs", 2, 1)]);
}

/// Requirements of every status, in the order of [`Status::ALL`].
const FILE: &str = r#"
[[source]]
title = "All of them"
requirements = [
    ["E1", "F", "must", "kept"],
    ["E2", "FN", "extra", "kept, by nobody in particular"],
    ["E3", "F", "should", "kept in part"],
    ["E4", "F", "must", "refused"],
    ["E5", "F", "must", "open"],
    ["E6", "F", "must", "missing"],
    ["E7", "F", "should", "missing in code"],
    ["E8", "F", "extra", "not kept"],
    ["E9", "N", "must", "for another mode"],
]

[[refused]]
ids = ["E4"]
reason = "Nobody needs it."

[[refused_in_part]]
ids = ["E3"]
reason = "Half of it is enough."

[[open]]
ids = ["E5"]
reason = "Waits for the rest."
"#;

/// Both code and tests cite E1 and E3, tests alone cite E2 and E7.
fn citations() -> Citations {
    let mut citations = Citations::default();
    citations.add_comments("code.rs", "// E1, E3", false);
    citations.add_comments("test.rs", "// E1, E2, E3, E7", true);
    citations
}

fn report(file: &str, citations: &Citations) -> Report {
    Report::new(&toml::from_str(file).expect("a valid file"), citations)
}

#[test]
fn every_status_is_told_apart_and_counted() {
    let report = report(FILE, &citations());
    let entries = &report.sources[0].requirements;
    let statuses: Vec<_> = entries.iter().map(|entry| entry.status).collect();
    let expected = [
        Status::Kept,
        Status::Kept,
        Status::KeptInPart,
        Status::Refused,
        Status::Open,
        Status::Missing,
        Status::Missing,
        Status::ExtraNotKept,
        Status::NotApplicable,
    ];
    assert_eq!(statuses, expected);
    assert_eq!(report.totals.0, [2, 1, 1, 1, 2, 1, 1]);
    assert_eq!(report.totals, report.sources[0].totals);
    assert_eq!(entries[3].reason.as_deref(), Some("Nobody needs it."));
}

#[test]
fn a_must_without_code_and_test_is_a_problem() {
    let nobody = "and it is neither refused nor open";
    let mut citations = citations();
    assert_eq!(
        report(FILE, &citations).problems,
        [
            format!("E6 (must): neither code nor a test cites it, {nobody}"),
            format!("E7 (should): no code cites it, {nobody}"),
        ]
    );
    citations.add_comments("code.rs", "\n// E6, E7", false);
    assert_eq!(
        report(FILE, &citations).problems,
        [format!("E6 (must): no test cites it, {nobody}")]
    );
    citations.add_row("row.rs", "\"E6\"", "E6", "a row");
    assert_eq!(report(FILE, &citations).problems, Vec::<String>::new());
}

#[test]
fn what_is_not_kept_is_cited_by_nobody() {
    for (comment, is_test, problem) in [
        ("// E4", false, "E4 is refused, but more.rs:1 cites it"),
        ("// E4", true, "E4 is refused, but more.rs:1 cites it"),
        ("// E5", true, "E5 is open, but the test at more.rs:1 shows that it is kept"),
        ("// E9", false, "E9 does not apply, but more.rs:1 cites it"),
        ("// E10", true, "E10 is no requirement, but cited at more.rs:1"),
    ] {
        let mut citations = citations();
        citations.add_comments("more.rs", comment, is_test);
        assert_problem(&report(FILE, &citations), problem);
    }
    let mut citations = citations();
    citations.add_comments("more.rs", "// E5", false);
    let problems = report(FILE, &citations).problems;
    assert!(!problems.iter().any(|problem| problem.starts_with("E5")), "{problems:?}");
}

#[test]
fn reasons_are_for_requirements_that_have_one_to_give() {
    for (more, problem) in [
        ("[[open]]\nids = [\"E4\"]\nreason = \"Later.\"", "E4 is refused or open twice"),
        (
            "[[open]]\nids = [\"E9\"]\nreason = \"Later.\"",
            "E9 does not apply, so it needs no reason",
        ),
        (
            "[[open]]\nids = [\"E99\"]\nreason = \"No.\"",
            "E99 is refused or open, but no requirement",
        ),
        ("[[refused]]\nids = [\"E8\"]\nreason = \"\"", "E8: the reason is missing"),
        (
            "[[refused_in_part]]\nids = [\"E8\"]\nreason = \"Half.\"",
            "E8 is refused in part, but nobody keeps the rest",
        ),
        (
            "[[source]]\ntitle = \"Again\"\nrequirements = [[\"E1\", \"F\", \"must\", \"kept\"]]",
            "E1 is listed twice",
        ),
    ] {
        assert_problem(&report(&format!("{FILE}\n{more}\n"), &citations()), problem);
    }
}

fn assert_problem(report: &Report, expected: &str) {
    let problems = &report.problems;
    assert!(problems.iter().any(|problem| problem == expected), "{expected:?} in {problems:#?}");
}
