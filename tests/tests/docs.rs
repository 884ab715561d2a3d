//! Documentation that is derived from the code stays what the code says.

use std::{fmt::Write as _, fs, path::Path};

use gateway_common::verdict::Reason;

/// Run with `UPDATE_DOCS=1` to write the file anew.
#[test]
fn reasons_are_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reasons.md");
    let expected = reasons_table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &expected).expect("docs/reasons.md is writable");
    }
    let found = fs::read_to_string(&path).expect("docs/reasons.md exists");
    assert_eq!(found, expected, "run this test with UPDATE_DOCS=1");
}

fn reasons_table() -> String {
    let mut text = String::from(
        "# Reasons\n\n\
         Every packet is counted under one of these, by direction. The names are those of `eigw stats show`.\n\n\
         | reason | verdict | what it means |\n|---|---|---|\n",
    );
    for reason in Reason::ALL {
        writeln!(
            text,
            "| `{}` | {} | {} |",
            reason.name(),
            reason.verdict().name(),
            reason.explanation()
        )
        .expect("writing to a string");
    }
    text
}
