//! Where accounts are kept between two runs of the daemon.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use jiff::{Timestamp, Unit};

use super::{
    Accounted, Books, Posting, Tariff,
    document::{Document, VERSION},
    journal::{self, Journal},
};
use crate::datapath::{DEFAULT_BPFFS, GatewayName};

/// Where daemons keep what they need to go on after a restart.
const RUNTIME_DIRECTORY: &str = "/run/eigw";
const FILE: &str = "accounts.json";
const JOURNAL: &str = "accounts.journal";
/// What a file is called that could not be read.
const DAMAGED: &str = "accounts.json.damaged";

/// The directory of a gateway's accounts.
#[must_use]
pub fn default_directory(bpffs: &Path, name: &GatewayName) -> PathBuf {
    root(bpffs).join(name.as_str())
}

/// The directory of all accounts of gateways in a BPF file system: `/run/eigw`, or one below it with
/// the path of a file system that is not the usual one.
#[must_use]
pub fn root(bpffs: &Path) -> PathBuf {
    let mut directory = PathBuf::from(RUNTIME_DIRECTORY);
    if bpffs != Path::new(DEFAULT_BPFFS) {
        // No gateway's name has this letter.
        directory.push(bpffs.to_string_lossy().replace('/', "+"));
    }
    directory
}

/// Reads the accounts in a directory; `None` if none were ever kept there.
///
/// # Errors
/// The file cannot be read, or is not one of this version's.
pub fn read(directory: &Path) -> anyhow::Result<Option<Document>> {
    let path = directory.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read accounts {}", path.display()));
        }
    };
    let parsed = serde_json::from_str::<Document>(&text);
    let document = parsed.with_context(|| format!("accounts {} are damaged", path.display()))?;
    if document.version != VERSION {
        bail!("accounts {} are of format {}, not {VERSION}", path.display(), document.version);
    }
    Ok(Some(document))
}

/// The accounts of ended flows, which outlast this process.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    instance: String,
    epoch: u64,
    since: String,
    journal: Journal,
    /// Ends that are in the accounts although their records may still be in the ring.
    known: HashSet<u64>,
    /// What ended flows carried.
    pub ended: Books,
    /// All accounts as they were last written.
    pub last: Option<Document>,
}

impl Store {
    /// Goes on with what is kept in `directory`, for the gateway that `instance` tells from earlier
    /// and later ones; also tells what kept it from doing so, after which it begins anew.
    #[must_use]
    pub fn open(directory: PathBuf, instance: String) -> (Self, Option<anyhow::Error>) {
        let mut store = Self {
            journal: Journal::new(directory.join(JOURNAL)),
            directory,
            instance,
            epoch: 0,
            since: now(),
            known: HashSet::new(),
            ended: Books::default(),
            last: None,
        };
        let problem = store.load().err();
        if problem.is_some() {
            let directory = &store.directory;
            // If that fails too, writing does, which is told.
            let _ = fs::rename(directory.join(FILE), directory.join(DAMAGED));
        }
        (store, problem)
    }

    fn load(&mut self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot make {}", self.directory.display()))?;
        let Some(document) = read(&self.directory)? else { return Ok(()) };
        let path = self.directory.join(JOURNAL);
        if document.instance == self.instance {
            let postings = journal::read(&path, document.epoch)
                .with_context(|| format!("cannot read {}", path.display()))?;
            self.ended = Books::from(&document.ended);
            for (serial, posting) in postings {
                self.known.insert(serial);
                self.ended.post(posting);
            }
        } else {
            // The flows went with their gateway, so what was last seen of them is all there is.
            self.ended = Books::from(&document.all).settled();
        }
        self.epoch = document.epoch;
        self.since.clone_from(&document.since);
        self.last = Some(document);
        Ok(())
    }

    /// Whether an end is in the accounts already. Asked before [`Self::note`].
    #[must_use]
    pub fn knows(&self, serial: u64) -> bool {
        self.known.contains(&serial)
    }

    /// Makes sure that an end is not forgotten, before its record goes. It is for the caller to
    /// post it to `ended`.
    ///
    /// # Errors
    /// The file system's, once; then nothing more is noted until the accounts are written.
    pub fn note(&mut self, serial: u64, posting: &Posting) -> io::Result<()> {
        self.journal.add(serial, posting)
    }

    /// Writes all accounts, of which `ended` has those of flows that ended.
    ///
    /// # Errors
    /// The file system's. What was written before remains.
    pub fn write(&mut self, all: &Books, tariff: &Tariff) -> anyhow::Result<()> {
        let document = Document {
            version: VERSION,
            instance: self.instance.clone(),
            epoch: self.epoch + 1,
            since: self.since.clone(),
            updated: now(),
            currency: tariff.currency().to_owned(),
            is_priced: tariff.is_priced(),
            all: Accounted::from(all),
            ended: Accounted::from(&self.ended),
        };
        let path = self.directory.join(FILE);
        let fresh = path.with_extension("json.new");
        let text = serde_json::to_string(&document).context("cannot write accounts")?;
        self.last = Some(document);
        fs::write(&fresh, text)
            .and_then(|()| fs::rename(&fresh, &path))
            .with_context(|| format!("cannot write accounts {}", path.display()))?;
        // From here on the old journal is one of another epoch, also if this is the end.
        self.epoch += 1;
        let begun = self.journal.begin(self.epoch);
        begun.with_context(|| format!("cannot write {}", self.directory.join(JOURNAL).display()))
    }
}

fn now() -> String {
    let now = Timestamp::now();
    // There is no moment that cannot be rounded but the last one there is.
    now.round(Unit::Second).unwrap_or(now).to_string()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Count, Destination, Money, RuleLabel},
        *,
    };

    #[test]
    fn what_ended_is_counted_once_wherever_the_process_was_killed() {
        let home = tempfile::tempdir().expect("a directory");
        let open = || {
            let (store, problem) = Store::open(home.path().join("wan"), "1".to_owned());
            assert!(problem.is_none(), "{problem:?}");
            store
        };
        let mut store = open();
        store.write(&Books::default(), &Tariff::default()).expect("writable");
        end(&mut store, 0);
        end(&mut store, 1);
        // Killed before the accounts are written, and before record 1 is gone.
        let mut store = open();
        assert_eq!(store.ended.total.bytes_out, 200);
        assert!(store.knows(1) && !store.knows(2));
        end(&mut store, 1);
        end(&mut store, 2);
        assert_eq!(store.ended.total.bytes_out, 300);
        let since = store.since.clone();
        let all = store.ended.clone();
        store.write(&all, &Tariff::default()).expect("writable");
        let journal = fs::read(home.path().join("wan").join(JOURNAL)).expect("readable");
        // Killed after the accounts were written, and before the journal began anew.
        fs::write(home.path().join("wan").join(JOURNAL), "epoch 1\n0 10.0.0.1 a * 7 7 7 7 7\n")
            .expect("writable");
        let store = open();
        assert_eq!(store.ended, all);
        assert_eq!((store.since, journal), (since, b"epoch 2\n".to_vec()));
    }

    #[test]
    fn ends_are_kept_that_came_before_the_first_pass_of_a_process() {
        let home = tempfile::tempdir().expect("a directory");
        let open = || Store::open(home.path().to_owned(), "1".to_owned()).0;
        let mut store = open();
        store.write(&Books::default(), &Tariff::default()).expect("writable");
        let mut store = open();
        let ended = store.ended.clone();
        store.write(&ended, &Tariff::default()).expect("writable");
        end(&mut store, 5);
        assert_eq!(open().ended.total.bytes_out, 100);
    }

    #[test]
    fn another_gateway_of_the_name_goes_on_from_what_was_last_seen() {
        let home = tempfile::tempdir().expect("a directory");
        let (mut store, _) = Store::open(home.path().to_owned(), "1".to_owned());
        end(&mut store, 0);
        let mut all = store.ended.clone();
        let mut live = posting();
        live.count.flows = 1;
        all.post(live);
        store.write(&all, &Tariff::default()).expect("writable");
        let (store, _) = Store::open(home.path().to_owned(), "2".to_owned());
        assert_eq!((store.ended.total.bytes_out, store.ended.total.flows), (200, 0));
        assert!(!store.knows(0), "serial numbers begin anew");
    }

    #[test]
    fn damaged_accounts_are_set_aside() {
        let home = tempfile::tempdir().expect("a directory");
        fs::write(home.path().join(FILE), "{").expect("writable");
        let (store, problem) = Store::open(home.path().to_owned(), "1".to_owned());
        assert!(format!("{:#}", problem.expect("told")).contains("are damaged"));
        assert_eq!(store.ended, Books::default());
        assert!(home.path().join(DAMAGED).exists() && !home.path().join(FILE).exists());
    }

    #[test]
    fn every_gateway_has_a_directory_of_its_own() {
        let name = GatewayName::new("wan").expect("valid");
        let of = |bpffs: &str| default_directory(Path::new(bpffs), &name);
        assert_eq!(of(DEFAULT_BPFFS), Path::new("/run/eigw/wan"));
        assert_eq!(of("/tmp/bpf"), Path::new("/run/eigw/+tmp+bpf/wan"));
    }

    /// Has a flow end, unless that is known.
    fn end(store: &mut Store, serial: u64) {
        if !store.knows(serial) {
            store.note(serial, &posting()).expect("writable");
            store.ended.post(posting());
        }
    }

    fn posting() -> Posting {
        Posting {
            host: "10.77.1.2".parse().expect("valid"),
            destination: Destination::Class("peering".into()),
            rule: RuleLabel::default(),
            count: Count { bytes_out: 100, packets_out: 1, cost: Money(9), ..Count::default() },
        }
    }
}
