//! Configuration files, and policies put in force without starting a process for each.

use std::{fs, path::PathBuf};

use gateway_common::config::Config;
use gateway_userspace::{
    datapath::{self, Gateway, GatewayName, NewPolicy, PolicySource, ReloadOutcome, ReloadRequest},
    settings::{self, Settings},
};
use tempfile::TempDir;

use crate::{
    eigw::{Hook, NAME},
    topology::{Lab, UPLINK},
};

/// How the file of a lab's gateway begins: table `[gateway]`, to which keys may be added.
pub const GATEWAY_OF_LAB: &str = "[gateway]\nuplinks = [\"uplink\"]\nname = \"wan\"\n";

/// A configuration file in a directory of its own; both go away with this value.
#[derive(Debug)]
pub struct ConfigFile {
    directory: TempDir,
    path: PathBuf,
}

impl ConfigFile {
    /// A file that says this.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("wan.toml");
        let file = Self { directory, path };
        file.write(text);
        file
    }

    /// A file that says this behind [`GATEWAY_OF_LAB`].
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn of_lab(text: &str) -> Self {
        Self::new(&format!("{GATEWAY_OF_LAB}{text}"))
    }

    /// Replaces what the file says.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, text: &str) {
        fs::write(&self.path, text).expect("the file is ours");
    }

    /// Replaces what the file says behind [`GATEWAY_OF_LAB`].
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_of_lab(&self, text: &str) {
        self.write(&format!("{GATEWAY_OF_LAB}{text}"));
    }

    /// Writes another file beside it.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_beside(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).expect("the directory is ours");
    }

    /// Where it is.
    ///
    /// # Panics
    /// If temporary directories do not have paths of Unicode.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.to_str().expect("a path of Unicode")
    }
}

/// A configuration that is ready to be put in force.
#[derive(Debug)]
pub struct Prepared {
    settings: Settings,
    config: Config,
    policy: NewPolicy,
}

impl Prepared {
    /// What a file with [`GATEWAY_OF_LAB`] and this behind it amounts to.
    ///
    /// # Panics
    /// If the file would be wrong.
    #[must_use]
    pub fn of_lab(text: &str) -> Self {
        let text = format!("{GATEWAY_OF_LAB}{text}");
        let (settings, _) = Settings::parse(&text, memory_bytes())
            .unwrap_or_else(|problems| panic!("{problems:#?} in\n{text}"));
        let ticks_per_sec = settings::ticks_per_sec().expect("the kernel tells its tick");
        let config = settings.to_config(ticks_per_sec, false);
        let policy = NewPolicy::new(&settings.policy, PolicySource::default());
        Self { settings, config, policy }
    }
}

impl Lab {
    /// Protects the uplink in this hook as a file says.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn attach_file(&self, hook: Hook, file: &ConfigFile) {
        self.attach_with(hook, &["-c", file.path()]);
    }

    /// Protects the uplink in this hook; the file says this behind [`GATEWAY_OF_LAB`], and is gone
    /// afterwards.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn attach_policy(&self, hook: Hook, text: &str) {
        self.attach_file(hook, &ConfigFile::of_lab(text));
    }

    /// Puts another policy in force with a library call.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "most callers only want it in force")]
    pub fn reload(&self, prepared: &Prepared) -> ReloadOutcome {
        let Prepared { settings, config, policy } = prepared;
        let request = ReloadRequest {
            bpffs: self.bpffs.path(),
            name: &name(),
            tables: settings.table_sizes(memory_bytes()),
            hosts: settings.hosts,
            config,
            policy,
        };
        datapath::reload(&request).unwrap_or_else(|error| panic!("reload: {error}"))
    }

    /// The gateway on this lab's uplink, as a library user sees it.
    ///
    /// # Panics
    /// If it is not attached.
    #[must_use]
    #[track_caller]
    pub fn gateway_maps(&self) -> Gateway {
        Gateway::open(self.bpffs.path(), &name())
            .unwrap_or_else(|error| panic!("open the gateway on {UPLINK}: {error}"))
    }
}

fn name() -> GatewayName {
    GatewayName::new(NAME).expect("a valid name")
}

fn memory_bytes() -> u64 {
    settings::memory_bytes().expect("the kernel tells how much memory there is")
}
