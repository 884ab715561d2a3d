//! `eigw completions`: a script for the shell, made from the grammar itself.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use crate::view::TextView;

/// Print a completion script for a shell
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell to complete in
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> TextView {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "eigw", &mut script);
    TextView { text: String::from_utf8_lossy(&script).into_owned() }
}
