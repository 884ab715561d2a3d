//! Which toolchain builds the BPF programs: the first candidate that compiles and links.

use std::path::{Path, PathBuf};

/// A way to get a compiler for BPF, in the order in which setup tries them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Candidate {
    /// The rustup toolchain that the user named.
    Named(String),
    /// The installed nightly, which has the sources of `core` already.
    Nightly,
    /// The nightly, after rustup fetched the sources of `core` (or all of it).
    NightlyFetched,
    /// The distribution's Rust, which has a `core` compiled for BPF.
    Debian,
}

impl Candidate {
    fn title(&self) -> String {
        match self {
            Self::Named(name) => format!("toolchain {name} (EIGW_BPF_TOOLCHAIN)"),
            Self::Nightly => "nightly with rust-src".to_owned(),
            Self::NightlyFetched => "nightly with rust-src fetched by rustup".to_owned(),
            Self::Debian => "Debian's rustc-web".to_owned(),
        }
    }
}

/// A compiler that could be had.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Compiler {
    /// The name that `rustup run` knows.
    pub(crate) toolchain: String,
    /// Whether `core` has to be compiled.
    pub(crate) build_std: bool,
    /// What `rustc --version` says.
    pub(crate) rustc_version: String,
    /// The major version of its LLVM: no older linker reads its bitcode.
    pub(crate) llvm_major: u32,
}

/// What selection asks of the machine; `Err` is always the reason, for the user to read.
pub(crate) trait Machine {
    /// Finds or installs the candidate.
    fn obtain(&mut self, candidate: &Candidate) -> Result<Compiler, String>;
    /// The linkers that are installed, the preferred one first.
    fn linkers(&mut self) -> Vec<PathBuf>;
    /// Compiles and links a small program.
    fn probe(&mut self, compiler: &Compiler, linker: &Path) -> Result<(), String>;
    /// Tells the user why something is not used.
    fn reject(&mut self, what: &str, reason: &str);
    /// Installs a linker that reads the compiler's bitcode.
    fn install_linker(&mut self, compiler: &Compiler) -> Result<PathBuf, String>;
}

/// The candidates to try: a toolchain that the user names is not replaced by another.
pub(crate) fn candidates(named: Option<&str>) -> Vec<Candidate> {
    match named {
        Some(name) => vec![Candidate::Named(name.to_owned())],
        None => vec![Candidate::Nightly, Candidate::NightlyFetched, Candidate::Debian],
    }
}

/// Returns the first candidate that passes the probe, with the linker it passed with.
///
/// # Errors
/// When none passes: one line per candidate, with the reason.
pub(crate) fn choose(
    machine: &mut impl Machine,
    candidates: &[Candidate],
) -> Result<(Compiler, PathBuf), Vec<String>> {
    let mut reasons = Vec::new();
    for candidate in candidates {
        let attempt = machine
            .obtain(candidate)
            .and_then(|compiler| pair(machine, &compiler).map(|linker| (compiler, linker)));
        match attempt {
            Ok(choice) => return Ok(choice),
            Err(reason) => {
                machine.reject(&candidate.title(), &reason);
                reasons.push(format!("{}: {reason}", candidate.title()));
            }
        }
    }
    Err(reasons)
}

/// Finds or installs the linker that goes with the compiler.
fn pair(machine: &mut impl Machine, compiler: &Compiler) -> Result<PathBuf, String> {
    let mut reasons = Vec::new();
    for linker in machine.linkers() {
        match machine.probe(compiler, &linker) {
            Ok(()) => return Ok(linker),
            Err(reason) => {
                machine.reject(&linker.display().to_string(), &reason);
                reasons.push(reason);
            }
        }
    }
    let installed = machine.install_linker(compiler).and_then(|linker| {
        machine.probe(compiler, &linker)?;
        Ok(linker)
    });
    installed.map_err(|reason| {
        reasons.push(reason);
        reasons.join("; ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD_LINKER: &str = "/bin/old-linker";
    const NEW_LINKER: &str = "/bin/new-linker";

    #[test]
    fn what_is_installed_and_links_is_taken_without_installing() {
        let mut machine = Fake::with(&[(Candidate::Nightly, 22)]).linker(OLD_LINKER, 22);
        let (compiler, linker) = choose(&mut machine, &candidates(None)).expect("nightly links");
        assert_eq!((compiler.llvm_major, linker), (22, OLD_LINKER.into()));
        assert_eq!(machine.log, ["obtain Nightly", "probe 22 /bin/old-linker"]);
    }

    #[test]
    fn a_missing_linker_is_installed_and_probed() {
        let mut machine = Fake::with(&[(Candidate::Nightly, 22)]).installable(22);
        let (_, linker) = choose(&mut machine, &candidates(None)).expect("a linker can be had");
        assert_eq!(linker, Path::new(NEW_LINKER));
        assert_eq!(machine.log, ["obtain Nightly", "install for 22", "probe 22 /bin/new-linker"]);
    }

    #[test]
    fn a_linker_older_than_the_compiler_is_replaced() {
        let mut machine =
            Fake::with(&[(Candidate::Nightly, 23)]).linker(OLD_LINKER, 22).installable(23);
        let (_, linker) = choose(&mut machine, &candidates(None)).expect("a newer linker exists");
        assert_eq!(linker, Path::new(NEW_LINKER));
    }

    #[test]
    fn a_compiler_that_no_linker_can_follow_gives_way_to_the_next() {
        let mut machine =
            Fake::with(&[(Candidate::Nightly, 24), (Candidate::Debian, 22)]).linker(OLD_LINKER, 22);
        let (compiler, linker) = choose(&mut machine, &candidates(None)).expect("Debian's links");
        assert_eq!((compiler.llvm_major, linker), (22, OLD_LINKER.into()));
    }

    #[test]
    fn a_refused_download_gives_way_to_the_packages() {
        let mut machine = Fake::with(&[(Candidate::Debian, 22)]).linker(OLD_LINKER, 22);
        choose(&mut machine, &candidates(None)).expect("Debian's links");
        assert_eq!(
            machine.log,
            [
                "obtain Nightly",
                "reject nightly with rust-src",
                "obtain NightlyFetched",
                "reject nightly with rust-src fetched by rustup",
                "obtain Debian",
                "probe 22 /bin/old-linker",
            ]
        );
    }

    #[test]
    fn the_users_choice_is_never_replaced() {
        let mut machine = Fake::with(&[(Candidate::Nightly, 22)]).linker(OLD_LINKER, 22);
        let reasons = choose(&mut machine, &candidates(Some("mine"))).expect_err("no such name");
        assert_eq!(reasons, ["toolchain mine (EIGW_BPF_TOOLCHAIN): not to be had"]);
    }

    #[test]
    fn when_nothing_works_every_reason_is_told() {
        let mut machine = Fake::with(&[(Candidate::Debian, 24)]).linker(OLD_LINKER, 22);
        let reasons = choose(&mut machine, &candidates(None)).expect_err("nothing links LLVM 24");
        assert_eq!(
            reasons,
            [
                "nightly with rust-src: not to be had",
                "nightly with rust-src fetched by rustup: not to be had",
                "Debian's rustc-web: /bin/old-linker is older than LLVM 24; no linker to install",
            ]
        );
    }

    /// A machine on which a linker links compilers up to its own LLVM version.
    #[derive(Default)]
    struct Fake {
        compilers: Vec<(Candidate, u32)>,
        linkers: Vec<(PathBuf, u32)>,
        installable_major: u32,
        log: Vec<String>,
    }

    impl Fake {
        fn with(compilers: &[(Candidate, u32)]) -> Self {
            Self { compilers: compilers.to_vec(), ..Self::default() }
        }

        fn linker(mut self, path: &str, llvm_major: u32) -> Self {
            self.linkers.push((path.into(), llvm_major));
            self
        }

        fn installable(mut self, llvm_major: u32) -> Self {
            self.installable_major = llvm_major;
            self
        }
    }

    impl Machine for Fake {
        fn obtain(&mut self, candidate: &Candidate) -> Result<Compiler, String> {
            self.log.push(format!("obtain {candidate:?}"));
            let (_, llvm_major) = self
                .compilers
                .iter()
                .find(|(known, _)| known == candidate)
                .ok_or("not to be had")?;
            Ok(Compiler {
                toolchain: format!("{candidate:?}"),
                build_std: false,
                rustc_version: String::new(),
                llvm_major: *llvm_major,
            })
        }

        fn linkers(&mut self) -> Vec<PathBuf> {
            self.linkers.iter().map(|(path, _)| path.clone()).collect()
        }

        fn probe(&mut self, compiler: &Compiler, linker: &Path) -> Result<(), String> {
            let llvm_major = compiler.llvm_major;
            self.log.push(format!("probe {llvm_major} {}", linker.display()));
            let links = self
                .linkers
                .iter()
                .any(|(path, linker_major)| path == linker && *linker_major >= llvm_major);
            let error = || format!("{} is older than LLVM {llvm_major}", linker.display());
            links.then_some(()).ok_or_else(error)
        }

        fn reject(&mut self, what: &str, _reason: &str) {
            self.log.push(format!("reject {what}"));
        }

        fn install_linker(&mut self, compiler: &Compiler) -> Result<PathBuf, String> {
            self.log.push(format!("install for {}", compiler.llvm_major));
            if self.installable_major < compiler.llvm_major {
                return Err("no linker to install".to_owned());
            }
            self.linkers.push((NEW_LINKER.into(), self.installable_major));
            Ok(NEW_LINKER.into())
        }
    }
}
