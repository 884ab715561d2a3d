//! The presence filter: keeping it complete, and making it anew so that it tells as much as it can.
//! See [`gateway_common::presence`].

mod sys;

use std::{
    os::fd::AsFd,
    path::Path,
    sync::atomic::{
        AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use aya::maps::{Array, IterableMap as _, MapData, MapError};
use gateway_common::{
    abi::name,
    presence::{BITMAP_WORDS, Bitmap, Control, Phase, SECRETS},
    tuple::FlowKey,
};
use sys::SharedWords;

use super::{
    DatapathError, GatewayName,
    bpffs::gateway_directory,
    live::typed,
    maps::{self, reading, writing},
    pin::GatewayDir,
    sys::wait_for_programs,
};
use crate::random;

/// Words of both bitmaps.
const WORDS: usize = Bitmap::BOTH.len() * BITMAP_WORDS as usize;

/// The presence filter of a gateway.
pub struct Presence {
    words: SharedWords,
    control: Array<MapData, Control>,
    /// Never changes.
    hash: Control,
}

/// A bitmap that is being made anew, of which whatever was in a table when it was begun, or came
/// later, has to be noted.
#[derive(Debug)]
pub struct Rebuilding(Bitmap);

/// The share of a bitmap's bits that so many are.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
pub fn fill_ratio(bits: u64) -> f64 {
    bits as f64 / (u64::from(BITMAP_WORDS) * u64::from(u64::BITS)) as f64
}

impl Presence {
    /// Opens the filter of an attached gateway.
    ///
    /// # Errors
    /// [`DatapathError::NotAttached`], [`DatapathError::Damaged`] or [`DatapathError::Map`].
    pub fn open(bpffs: &Path, name: &GatewayName) -> Result<Self, DatapathError> {
        let directory = gateway_directory(bpffs, name)?;
        Self::in_directory(name, &directory)
    }

    /// Opens the filter of the gateway in a directory.
    ///
    /// # Errors
    /// [`DatapathError::Damaged`] or [`DatapathError::Map`].
    pub(super) fn in_directory(
        name: &GatewayName,
        directory: &GatewayDir,
    ) -> Result<Self, DatapathError> {
        Self::of(
            &maps::open_data(name, directory, name::PRESENCE)?,
            maps::open_data(name, directory, name::PRESENCE_CONTROL)?,
        )
    }

    /// The filter that is made up of these maps.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub fn of(bitmaps: &MapData, control: MapData) -> Result<Self, DatapathError> {
        let control: Array<_, Control> = typed(name::PRESENCE_CONTROL, control)?;
        let words = SharedWords::of(bitmaps.fd().as_fd(), WORDS)
            .map_err(|source| reading(name::PRESENCE)(MapError::IoError(source)))?;
        let hash = control.get(&0, 0).map_err(reading(name::PRESENCE_CONTROL))?;
        Ok(Self { words, control, hash })
    }

    /// Chooses what the hash keeps secret, if that was not done before. Afterwards flows that are
    /// opened are noted under it, so no flow may have been opened yet.
    ///
    /// # Errors
    /// [`DatapathError::Syscall`] or [`DatapathError::Map`].
    pub fn choose_secret(&mut self) -> Result<(), DatapathError> {
        if self.hash.secret != [0; SECRETS] {
            return Ok(());
        }
        let secret = random::words()
            .map_err(|source| DatapathError::Syscall { action: "reading random bytes", source })?;
        self.hash = Control { secret, ..self.hash };
        self.control.set(0, self.hash, 0).map_err(writing(name::PRESENCE_CONTROL))
    }

    /// Notes a flow that is in a table, wherever it may be asked for.
    pub fn note(&self, key: &FlowKey) {
        for bitmap in Bitmap::BOTH {
            self.set(bitmap, key);
        }
    }

    /// Sets every bit, so that packets look into the tables whatever their flow is, until a bitmap was
    /// made anew.
    pub(super) fn admit_all(&self) {
        for word in &*self.words {
            word.store(u64::MAX, Relaxed);
        }
    }

    /// Forgets all flows. None may be in a table, and no packet under way.
    pub fn clear(&self) {
        for word in self.words.iter() {
            word.store(0, Relaxed);
        }
    }

    /// Begins to make a bitmap anew: from when this returns on, flows that are opened are noted in it
    /// as well, and those which were before can be read from the tables. One process may, and one
    /// thread of it.
    ///
    /// # Errors
    /// [`DatapathError::Map`] or [`DatapathError::Syscall`].
    pub fn begin(&mut self) -> Result<Rebuilding, DatapathError> {
        let control = self.control.get(&0, 0).map_err(reading(name::PRESENCE_CONTROL))?;
        let asked = control.phase.asked();
        let into = asked.other();
        // Nobody asks it any more, nor notes flows in it: not for whoever was interrupted either.
        self.enter(Phase::new(asked, false))?;
        for word in self.bitmap(into) {
            word.store(0, Relaxed);
        }
        self.enter(Phase::new(asked, true))?;
        Ok(Rebuilding(into))
    }

    /// Notes a flow that is in a table.
    pub fn note_in(&self, rebuilding: &Rebuilding, key: &FlowKey) {
        self.set(rebuilding.0, key);
    }

    /// Has packets ask the bitmap that was made, in which all flows of both tables were noted. Returns
    /// how many of its bits are set.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    #[expect(clippy::needless_pass_by_value, reason = "each is finished once")]
    pub fn finish(&mut self, rebuilding: Rebuilding) -> Result<u64, DatapathError> {
        let Rebuilding(into) = rebuilding;
        self.write(Phase::new(into, false))?;
        Ok(self.bitmap(into).iter().map(|word| u64::from(word.load(Relaxed).count_ones())).sum())
    }

    /// Enters a phase, and waits until no packet is under way that saw another one.
    fn enter(&mut self, phase: Phase) -> Result<(), DatapathError> {
        self.write(phase)?;
        let failed =
            |source| DatapathError::Syscall { action: "waiting for packets under way", source };
        wait_for_programs(self.control.map().fd().as_fd()).map_err(failed)
    }

    fn write(&mut self, phase: Phase) -> Result<(), DatapathError> {
        let control = Control { phase, ..self.hash };
        self.control.set(0, control, 0).map_err(writing(name::PRESENCE_CONTROL))
    }

    fn bitmap(&self, bitmap: Bitmap) -> &[AtomicU64] {
        let first = bitmap as usize * BITMAP_WORDS as usize;
        &self.words[first..first + BITMAP_WORDS as usize]
    }

    fn set(&self, bitmap: Bitmap, key: &FlowKey) {
        let bit = self.hash.bit(key);
        let word = &self.words[bit.index(bitmap) as usize];
        // Packets on other CPUs set bits of the same word.
        if word.load(Relaxed) & bit.mask == 0 {
            word.fetch_or(bit.mask, SeqCst);
        }
    }
}
