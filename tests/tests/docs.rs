//! Documentation that is derived from the code stays what the code says.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use gateway_common::verdict::Reason;
use gateway_userspace::why;

#[test]
fn reasons_are_documented() {
    assert_documented("reasons.md", &reasons_table());
}

#[test]
fn differences_are_documented() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_differential"));
    let output = command.args(["--docs", "print"]).output().expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    assert_documented("differences.md", &String::from_utf8(output.stdout).expect("text"));
}

/// RFC7857-2: every kind of segment in every state.
#[test]
fn tcp_states_are_documented() {
    assert_documented("tcp-states.md", &tests::transitions::page());
}

#[test]
fn metrics_are_documented() {
    assert_documented("metrics.md", &tests::metrics_page::page());
}

/// Run with `UPDATE_DOCS=1` to write the files anew.
fn assert_documented(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, expected).unwrap_or_else(|error| panic!("write docs/{file}: {error}"));
    }
    let found =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("read docs/{file}: {error}"));
    assert_eq!(found, expected, "run this test with UPDATE_DOCS=1");
}

fn reasons_table() -> String {
    let mut text = String::from(
        "# Reasons\n\n\
         Every packet is counted under one of these, by direction. The names are those of `eigw stats show`.\n\
         `eigw why` says of a packet which of these it would be, with the header fields that decided.\n\n\
         | reason | verdict | what it means | decided by |\n|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let name = reason.name();
        writeln!(
            text,
            "| <a id=\"{name}\"></a>`{name}` | {} | {} | {} |",
            reason.verdict().name(),
            reason.explanation(),
            deciding_fields(*reason),
        )
        .expect("writing to a string");
    }
    text
}

/// The header fields that decide, as `eigw why` names them but for the IP version.
fn deciding_fields(reason: Reason) -> String {
    let fields: Vec<_> =
        why::deciding(reason).iter().map(|field| format!("`{}`", field.name())).collect();
    if fields.is_empty() { "nothing in the packet".to_owned() } else { fields.join(", ") }
}
