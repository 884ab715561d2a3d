//! Which requirements the gateway keeps, where and shown by which tests: `cargo xtask conformance`.
//!
//! A citation says that somebody meant to keep or to test the requirement; that the test passes is
//! what the test run says.

mod plain;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tests::requirements::report::Report;

/// Lists every requirement with the code and the tests that keep it, or why it is not kept. Exits
/// with 1 when a must or should is neither kept, refused nor open, or when the lists contradict
/// each other.
#[derive(Parser)]
#[command(name = "conformance")]
struct Args {
    /// Print one indented JSON document
    #[arg(long)]
    json: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let report = Report::of_workspace();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", plain::report(&report));
    }
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
