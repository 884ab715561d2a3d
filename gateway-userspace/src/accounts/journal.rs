//! What ended since the accounts were last written, one line for each flow.
//!
//! A line is written before the flow's record leaves the kernel's ring. Whoever is killed between
//! the two finds the record again, and knows it by its serial number.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Count, Label, Money, Posting};

/// Begins the first line, before the number of what was written last.
const HEADING: &str = "epoch ";

/// The journal that is being written.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Option<File>,
    line: String,
}

impl Journal {
    /// No journal yet, at `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, line: String::new() }
    }

    /// Begins anew, after accounts were written that hold all the old one has.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn begin(&mut self, epoch: u64) -> io::Result<()> {
        // Without a file nothing is written until this succeeds.
        self.file = None;
        let mut file = File::create(&self.path)?;
        file.write_all(format!("{HEADING}{epoch}\n").as_bytes())?;
        self.file = Some(file);
        Ok(())
    }

    /// Adds what a flow carried that ended with this serial number.
    ///
    /// # Errors
    /// The file system's; nothing more is written then.
    pub(super) fn add(&mut self, serial: u64, posting: &Posting) -> io::Result<()> {
        use std::fmt::Write as _;
        let Some(file) = &mut self.file else { return Ok(()) };
        let Posting { host, destination, rule, count } = posting;
        let Count { flows: _, bytes_out, packets_out, bytes_in, packets_in, cost: Money(cost) } =
            count;
        self.line.clear();
        let (destination, rule) = (destination.write(), rule.write());
        // Memory takes every line.
        let _ = writeln!(
            self.line,
            "{serial} {host} {destination} {rule} {bytes_out} {packets_out} {bytes_in} \
             {packets_in} {cost}"
        );
        // In one write, so that there is all of it or, if the space is used up, a last bad line.
        let written = file.write_all(self.line.as_bytes());
        if written.is_err() {
            self.file = None;
        }
        written
    }
}

/// Reads the journal that belongs to these accounts; of a line that was never finished nothing.
pub(super) fn read(path: &Path, epoch: u64) -> io::Result<Vec<(u64, Posting)>> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let found = lines.next().and_then(|line| line.strip_prefix(HEADING)?.parse().ok());
    if found != Some(epoch) {
        return Ok(Vec::new());
    }
    Ok(lines.map_while(parse).collect())
}

fn parse(line: &str) -> Option<(u64, Posting)> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    let serial = next()?.parse().ok()?;
    let (host, destination, rule) =
        (Label::read(next()?)?, Label::read(next()?)?, Label::read(next()?)?);
    let count = Count {
        flows: 0,
        bytes_out: next()?.parse().ok()?,
        packets_out: next()?.parse().ok()?,
        bytes_in: next()?.parse().ok()?,
        packets_in: next()?.parse().ok()?,
        cost: Money(next()?.parse().ok()?),
    };
    Some((serial, Posting { host, destination, rule, count }))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Destination, RuleLabel},
        *,
    };

    #[test]
    fn what_was_written_is_read_but_for_a_torn_line_and_another_epoch() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("journal");
        assert_eq!(read(&path, 7).expect("no journal is an empty one"), []);
        let mut journal = Journal::new(path.clone());
        journal.add(1, &posting(1)).expect("nobody asked for it yet");
        journal.begin(7).expect("the directory can be written");
        let expected: Vec<_> = (2..5).map(|serial| (serial, posting(serial))).collect();
        for (serial, posting) in &expected {
            journal.add(*serial, posting).expect("the directory can be written");
        }
        assert_eq!(read(&path, 7).expect("readable"), expected);
        assert_eq!(read(&path, 8).expect("readable"), []);
        let text = fs::read(&path).expect("readable");
        fs::write(&path, &text[..text.len() - 1]).expect("writable");
        assert_eq!(read(&path, 7).expect("readable"), expected[..2]);
        journal.begin(8).expect("writable");
        assert_eq!(read(&path, 8).expect("readable"), []);
    }

    fn posting(number: u64) -> Posting {
        let rule = RuleLabel(number.is_multiple_of(2).then(|| "ssh".into()));
        let destination = if number == 3 {
            Destination::Class("peering".into())
        } else {
            Destination::Network("2a00:9::/48".parse().expect("valid"))
        };
        let host = "10.77.1.2".parse().expect("valid");
        let cost = Money(u128::MAX / 3);
        let count =
            Count { bytes_out: number, packets_out: 1, bytes_in: 5, cost, ..Count::default() };
        Posting { host, destination, rule, count }
    }
}
