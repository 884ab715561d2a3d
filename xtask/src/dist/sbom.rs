//! The bill of materials: every library in the binary, as a `CycloneDX` 1.5 document.
//!
//! Written here rather than by a tool: the binary contains a second program, for another target and
//! from another compiler, which tools that start from one package leave out; and the same binary
//! has to give the same document.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};
use spdx::{Expression, ParseMode};

use super::{VERSION, tree};
use crate::{
    bpf_cargo::BpfToolchain,
    crates::{self, Crate},
    process::{capture, workspace},
};

/// The document's name in the packages.
pub(super) const FILE: &str = "eigw.cdx.json";
/// What the document calls the binary, and the BPF programs in it.
const BINARY: &str = "eigw";
const OBJECT: &str = "gateway.o";
const STANDARD_LIBRARY: &str = "rust-std";
/// Our crates: whose dependencies are whose.
const OF_BINARY: [&str; 2] = ["gateway-userspace", "gateway-common"];
const OF_OBJECT: [&str; 2] = ["gateway-ebpf", "gateway-common"];

/// The document about the binary.
///
/// # Errors
/// When cargo cannot tell the libraries, one has no licence or checksum, or the BPF object is not
/// the one in the binary.
pub(super) fn of(binary: &Path) -> Result<String> {
    let toolchain = BpfToolchain::read(workspace()).map_err(|error| anyhow!(error))?;
    let built = || BpfToolchain::binary_path(workspace(), "gateway");
    let object = env::var_os("EIGW_EBPF_OBJECT").map_or_else(built, PathBuf::from);
    describe(binary, &object, &toolchain)
}

fn describe(binary: &Path, object: &Path, toolchain: &BpfToolchain) -> Result<String> {
    ensure_contained(object, binary)?;
    let linked = crates::linked()?;
    let mut components = vec![object_component(object, toolchain)?, standard_library()?];
    for library in &linked {
        components.push(component(library)?);
    }
    let text = serde_json::to_string_pretty(&json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": timestamp()?,
            "component": {
                "type": "application",
                "bom-ref": BINARY,
                "name": BINARY,
                "version": VERSION,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "purl": format!("pkg:generic/{BINARY}@{VERSION}"),
                "hashes": hashes(&sha256(binary)?),
            },
        },
        "components": components,
        "dependencies": dependencies(&linked)?,
    }))?;
    Ok(text + "\n")
}

/// A library from crates.io.
fn component(library: &Crate) -> Result<Value> {
    let Crate { name, version, license, checksum, .. } = library;
    let license = license.as_deref().with_context(|| format!("{name} has no licence"))?;
    let checksum = checksum.as_deref().with_context(|| format!("{name} has no checksum"))?;
    Ok(json!({
        "type": "library",
        "bom-ref": purl(library),
        "name": name,
        "version": version,
        "scope": "required",
        "hashes": hashes(checksum),
        "licenses": [{ "expression": expression(license)? }],
        "purl": purl(library),
    }))
}

/// The BPF programs, with what compiled and linked them.
fn object_component(object: &Path, toolchain: &BpfToolchain) -> Result<Value> {
    Ok(json!({
        "type": "file",
        "bom-ref": OBJECT,
        "name": OBJECT,
        "version": VERSION,
        "description": "the eBPF programs, contained in the binary byte for byte",
        "licenses": [{ "expression": "MIT OR GPL-2.0-only" }],
        "hashes": hashes(&sha256(object)?),
        "properties": [
            { "name": "eigw:compiler", "value": toolchain.rustc_version },
            { "name": "eigw:linker", "value": toolchain.linker_version },
        ],
    }))
}

/// Rust's own library, which no manifest names.
fn standard_library() -> Result<Value> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = capture(Command::new(rustc).arg("--version").current_dir(workspace()))?;
    let version = printed.split_whitespace().nth(1).context("rustc tells no version")?;
    Ok(json!({
        "type": "library",
        "bom-ref": STANDARD_LIBRARY,
        "name": STANDARD_LIBRARY,
        "version": version,
        "scope": "required",
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
        "purl": format!("pkg:generic/{STANDARD_LIBRARY}@{version}"),
        "properties": [{ "name": "eigw:compiler", "value": printed }],
    }))
}

/// Who uses whom.
fn dependencies(linked: &[Crate]) -> Result<Vec<Value>> {
    let all = crates::all()?;
    let used_by = |crates: &[&Crate]| -> Vec<&Crate> {
        let is_used = |it: &&Crate| crates.iter().any(|by| by.uses.contains(&it.identity()));
        linked.iter().filter(is_used).collect()
    };
    let ours = |names: &[&str]| -> Vec<&Crate> {
        let crates: Vec<&Crate> = all.iter().filter(|it| names.contains(&&*it.name)).collect();
        used_by(&crates)
    };
    let mut of_binary = vec![OBJECT.to_owned(), STANDARD_LIBRARY.to_owned()];
    of_binary.extend(ours(&OF_BINARY).into_iter().map(purl));
    let of_object: Vec<String> =
        ours(&OF_OBJECT).into_iter().filter(|it| it.in_object).map(purl).collect();
    let mut graph = vec![
        json!({ "ref": BINARY, "dependsOn": of_binary }),
        json!({ "ref": OBJECT, "dependsOn": of_object }),
        json!({ "ref": STANDARD_LIBRARY, "dependsOn": [] }),
    ];
    graph.extend(linked.iter().map(|it| {
        let uses: Vec<String> = used_by(&[it]).into_iter().map(purl).collect();
        json!({ "ref": purl(it), "dependsOn": uses })
    }));
    Ok(graph)
}

fn purl(library: &Crate) -> String {
    format!("pkg:cargo/{}@{}", library.name, library.version)
}

fn hashes(sha256: &str) -> Value {
    json!([{ "alg": "SHA-256", "content": sha256 }])
}

/// A licence as SPDX writes it today; older manifests separate alternatives by a slash.
fn expression(license: &str) -> Result<String> {
    let canonical = Expression::canonicalize(license)
        .with_context(|| format!("reading the licence {license:?}"))?
        .unwrap_or_else(|| license.to_owned());
    Expression::parse_mode(&canonical, ParseMode::STRICT)
        .with_context(|| format!("reading the licence {canonical:?}"))?;
    Ok(canonical)
}

/// The binary must have every byte of the BPF object.
fn ensure_contained(object: &Path, binary: &Path) -> Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
    let (bytes, all) = (read(object)?, read(binary)?);
    ensure!(
        !bytes.is_empty() && all.windows(bytes.len()).any(|window| window == bytes),
        "{} does not contain the eBPF object {}: build both again",
        binary.display(),
        object.display()
    );
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let printed = capture(Command::new("sha256sum").arg("--").arg(path))?;
    let sum = printed.split_whitespace().next();
    sum.map(str::to_owned).with_context(|| format!("sha256sum printed {printed:?}"))
}

fn timestamp() -> Result<String> {
    let date = format!("--date=@{}", tree::epoch()?.as_secs());
    capture(Command::new("date").args(["--utc", "+%Y-%m-%dT%H:%M:%SZ", &date]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_written_as_spdx_does() {
        assert_eq!(expression("MIT/Apache-2.0").expect("valid"), "MIT OR Apache-2.0");
        assert_eq!(expression("MIT OR Apache-2.0").expect("valid"), "MIT OR Apache-2.0");
        assert!(expression("do what you like").is_err());
    }

    #[test]
    fn a_binary_is_described_with_the_object_in_it_and_no_other() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let [binary, object] = ["binary", "object"].map(|name| directory.path().join(name));
        fs::write(&binary, "before object after").expect("written");
        fs::write(&object, "object").expect("written");
        let toolchain = BpfToolchain {
            toolchain: "some".to_owned(),
            build_std: false,
            linker: PathBuf::new(),
            rustc_version: "rustc 1".to_owned(),
            linker_version: "bpf-linker 2".to_owned(),
        };
        let text = describe(&binary, &object, &toolchain).expect("described");
        let bill: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(bill["metadata"]["component"]["version"], VERSION);
        let components = bill["components"].as_array().expect("components");
        assert_eq!(components[0]["properties"][1]["value"], "bpf-linker 2");
        let aya = components.iter().find(|it| it["name"] == "aya").expect("aya is linked");
        assert_eq!(aya["licenses"][0]["expression"], "MIT OR Apache-2.0", "{aya}");
        assert_eq!(describe(&binary, &object, &toolchain).expect("described"), text);
        fs::write(&object, "another").expect("written");
        describe(&binary, &object, &toolchain).unwrap_err();
    }

    #[test]
    fn every_dependency_is_a_component_and_the_object_has_its_own() {
        let linked = crates::linked().expect("cargo knows the crates");
        let graph = dependencies(&linked).expect("cargo knows who uses whom");
        let of = |name: &str| {
            let entry = graph.iter().find(|entry| entry["ref"] == name).expect("an entry");
            entry["dependsOn"].to_string()
        };
        assert!(
            of(OBJECT).contains("pkg:cargo/aya-ebpf@") && !of(OBJECT).contains("pkg:cargo/aya@")
        );
        assert!(
            of(BINARY).contains("pkg:cargo/aya@") && !of(BINARY).contains("pkg:cargo/aya-ebpf@")
        );
        assert!(!of(BINARY).contains("proptest"));
    }
}
