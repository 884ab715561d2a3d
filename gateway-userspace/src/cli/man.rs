//! `eigw man`: manual pages, made from the grammar itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Result};
use crate::view::ManView;

/// Write a manual page for every command into a directory
#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// The directory, made if it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(args: &ManArgs) -> Result<ManView> {
    let directory = &args.directory;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    let mut grammar = Cli::command().disable_help_subcommand(true);
    grammar.build();
    let mut pages = Vec::new();
    write_pages(&grammar, directory, &mut pages)
        .with_context(|| format!("cannot write manual pages to {}", directory.display()))?;
    pages.sort();
    Ok(ManView { pages })
}

fn write_pages(
    command: &clap::Command,
    directory: &Path,
    pages: &mut Vec<PathBuf>,
) -> std::io::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write_pages(subcommand, directory, pages)?;
    }
    pages.push(Man::new(command.clone()).section("8").generate_to(directory)?);
    Ok(())
}
