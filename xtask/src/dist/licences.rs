//! The licences of the libraries inside the binary, whose texts must come with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};

use crate::crates::{self, Crate};

/// How files with a licence or a notice begin, in capitals.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

const INTRODUCTION: &str = "\
eigw contains these libraries; their licences follow. Where one offers a choice, its MIT licence was
taken. It also contains Rust's standard library (MIT OR Apache-2.0, Copyright the Rust project's
contributors) and, when it is linked with musl, that (MIT, Copyright 2005-2020 Rich Felker, et al.).

";

/// The list of libraries with their licences, and the texts.
///
/// # Errors
/// When cargo cannot tell the libraries or a text cannot be read.
pub(super) fn of_libraries() -> Result<String> {
    let mut list = String::from(INTRODUCTION);
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Crate { name, version, license, manifest_path, .. } in crates::linked()? {
        let license = license.as_deref().unwrap_or("see below");
        writeln!(list, "  {name} {version}: {license}")?;
        let directory = Path::new(&manifest_path).parent().context("a manifest has a directory")?;
        for text in texts_in(directory)? {
            texts.entry(text).or_default().push(format!("{name} {version}"));
        }
    }
    for (text, libraries) in texts {
        let line = "-".repeat(80);
        writeln!(list, "\n{line}\n{}\n{line}\n\n{}", libraries.join(", "), text.trim_end())?;
    }
    Ok(list)
}

/// The texts in a package: its MIT licence where it has one, else all.
fn texts_in(directory: &Path) -> Result<BTreeSet<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            files.push((name, path));
        }
    }
    let has_mit = files.iter().any(|(name, _)| name.contains("MIT"));
    let wanted = files
        .into_iter()
        .filter(|(name, _)| !has_mit || name.contains("MIT") || name.starts_with("NOTICE"));
    wanted
        .map(|(_, path)| {
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_and_what_only_builds_or_tests_is_not() {
        let list = of_libraries().expect("cargo knows the libraries");
        for library in ["aya", "aya-ebpf", "clap", "tokio"] {
            assert!(list.contains(&format!("\n  {library} ")), "{library} in:\n{list}");
        }
        for other in ["proptest", "anstyle-wincon", "gateway-common", "syn", "xtask"] {
            assert!(!list.contains(&format!("\n  {other} ")), "{other} in:\n{list}");
        }
        assert!(list.contains("Permission is hereby granted"), "no MIT licence in:\n{list}");
    }
}
