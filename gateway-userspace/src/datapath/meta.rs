//! What a gateway's pins cannot tell by themselves: the one value of the map `META`.

use std::path::Path;

use aya::maps::{Array, IterableMap, Map, MapData};
use gateway_common::limits::UPLINKS_MAX;

use super::{DatapathError, pin};
use crate::net::{netns::NetnsId, tc::Hook};

/// The map's name, and its pin's.
pub(super) const META: &str = "META";

/// The layout of this value itself. Detaching must understand every version's, so it is counted
/// apart from the layout of the other maps.
const LAYOUT: u64 = 1;

/// How the map stores the value: five words, then four per uplink.
///
/// ```text
/// layout  abi version  netns device  netns inode  uplinks used
/// ifindex  marks  name (2)
/// ```
pub(super) type Words = [u64; HEADER_WORDS + UPLINKS_MAX * RECORD_WORDS];

const HEADER_WORDS: usize = 5;
const RECORD_WORDS: usize = 4;
const NAME_BYTES: usize = 16;

/// What is known about a gateway beside its maps, programs and links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    /// The [`ABI_VERSION`](gateway_common::abi::ABI_VERSION) of the other maps.
    pub(super) abi_version: u32,
    /// The network namespace of the uplinks.
    pub(super) netns: NetnsId,
    /// The uplinks, at most [`UPLINKS_MAX`].
    pub(super) uplinks: Vec<UplinkRecord>,
}

/// What is known about one uplink. `clsact` filters have no pins, so what may be in the kernel
/// is noted here before it is made and struck out after it was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UplinkRecord {
    /// The interface's index when it was attached.
    pub(super) ifindex: u32,
    /// The interface's name when it was attached.
    pub(super) name: String,
    /// A `clsact` filter may be on the ingress hook.
    pub(super) clsact_ingress: bool,
    /// A `clsact` filter may be on the egress hook.
    pub(super) clsact_egress: bool,
    /// We may have added the `clsact` queueing discipline.
    pub(super) clsact_added: bool,
}

const MARK_CLSACT_INGRESS: u64 = 1;
const MARK_CLSACT_EGRESS: u64 = 1 << 1;
const MARK_CLSACT_ADDED: u64 = 1 << 2;

impl Meta {
    /// The record of an interface.
    pub(super) fn uplink(&self, ifindex: u32) -> Option<&UplinkRecord> {
        self.uplinks.iter().find(|uplink| uplink.ifindex == ifindex)
    }

    /// The record of an interface, made if there is none, to be changed.
    pub(super) fn uplink_mut(&mut self, ifindex: u32, name: &str) -> &mut UplinkRecord {
        let index = self.uplinks.iter().position(|uplink| uplink.ifindex == ifindex);
        let index = index.unwrap_or_else(|| {
            let name = name.to_owned();
            self.uplinks.push(UplinkRecord { ifindex, name, ..UplinkRecord::default() });
            self.uplinks.len() - 1
        });
        &mut self.uplinks[index]
    }

    pub(super) fn encode(&self) -> Words {
        let mut words: Words = [0; _];
        let (header, records) = words.split_at_mut(HEADER_WORDS);
        let used = self.uplinks.len().min(UPLINKS_MAX) as u64;
        header.copy_from_slice(&[
            LAYOUT,
            self.abi_version.into(),
            self.netns.device,
            self.netns.inode,
            used,
        ]);
        for (record, uplink) in records.as_chunks_mut().0.iter_mut().zip(&self.uplinks) {
            *record = uplink.encode();
        }
        words
    }

    /// Reads a value that anybody may have written.
    pub(super) fn decode(words: &Words) -> Result<Self, String> {
        let [layout, abi_version, device, inode, used, ..] = *words;
        if layout != LAYOUT {
            return Err(format!("has the unknown layout {layout}"));
        }
        let abi_version = u32::try_from(abi_version)
            .map_err(|_| format!("claims the impossible ABI version {abi_version}"))?;
        let used = usize::try_from(used)
            .ok()
            .filter(|&used| used <= UPLINKS_MAX)
            .ok_or_else(|| format!("claims {used} uplinks, more than a gateway can have"))?;
        let (records, _) = words[HEADER_WORDS..].as_chunks();
        let uplinks = records.iter().take(used).map(UplinkRecord::decode);
        Ok(Self {
            abi_version,
            netns: NetnsId { device, inode },
            uplinks: uplinks.collect::<Result<_, _>>()?,
        })
    }
}

impl UplinkRecord {
    /// Whether a `clsact` filter of ours may be on the hook.
    pub(super) const fn may_have_filter(&self, hook: Hook) -> bool {
        match hook {
            Hook::Ingress => self.clsact_ingress,
            Hook::Egress => self.clsact_egress,
        }
    }

    /// Notes whether a `clsact` filter of ours may be on the hook.
    pub(super) const fn set_filter(&mut self, hook: Hook, may_be_there: bool) {
        match hook {
            Hook::Ingress => self.clsact_ingress = may_be_there,
            Hook::Egress => self.clsact_egress = may_be_there,
        }
    }

    fn encode(&self) -> [u64; RECORD_WORDS] {
        let mut marks = 0;
        for (is_set, mark) in [
            (self.clsact_ingress, MARK_CLSACT_INGRESS),
            (self.clsact_egress, MARK_CLSACT_EGRESS),
            (self.clsact_added, MARK_CLSACT_ADDED),
        ] {
            marks |= if is_set { mark } else { 0 };
        }
        let mut name = [0; NAME_BYTES];
        for (byte, letter) in name.iter_mut().zip(self.name.bytes()) {
            *byte = letter;
        }
        let mut words = [self.ifindex.into(), marks, 0, 0];
        for (word, &bytes) in words[2..].iter_mut().zip(name.as_chunks().0) {
            *word = u64::from_ne_bytes(bytes);
        }
        words
    }

    fn decode(words: &[u64; RECORD_WORDS]) -> Result<Self, String> {
        let [ifindex, marks, ref name @ ..] = *words;
        let name = name.iter().flat_map(|word| word.to_ne_bytes());
        let name: Vec<u8> = name.take_while(|&byte| byte != 0).collect();
        let has = |mark: u64| marks & mark != 0;
        Ok(Self {
            ifindex: u32::try_from(ifindex)
                .map_err(|_| format!("claims the impossible interface #{ifindex}"))?,
            name: String::from_utf8_lossy(&name).into_owned(),
            clsact_ingress: has(MARK_CLSACT_INGRESS),
            clsact_egress: has(MARK_CLSACT_EGRESS),
            clsact_added: has(MARK_CLSACT_ADDED),
        })
    }
}

/// The map that holds the value.
pub(super) struct MetaMap(Array<MapData, Words>);

impl MetaMap {
    /// Makes the map and pins it in `directory`.
    ///
    /// # Errors
    /// [`DatapathError::Map`] or [`DatapathError::Pin`].
    pub(super) fn create(directory: &Path, meta: &Meta) -> Result<Self, DatapathError> {
        let map = Array::create(1, 0).map_err(|source| DatapathError::Map {
            action: "creating",
            map: META,
            source,
        })?;
        let mut map = Self(map);
        map.write(meta)?;
        let path = directory.join(META);
        match map.0.map().pin(&path) {
            Ok(()) => Ok(map),
            Err(source) => Err(DatapathError::Pin { path, source }),
        }
    }

    /// Opens the map in `directory`.
    ///
    /// # Errors
    /// What is wrong with the pin, for people.
    pub(super) fn open(directory: &Path) -> Result<Self, String> {
        let data = pin::open_map(&directory.join(META))?;
        let map = Map::from_map_data(data).and_then(Array::try_from);
        map.map(Self).map_err(|error| format!("is another kind of map: {error}"))
    }

    /// Reads the value.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(super) fn read(&self) -> Result<Meta, String> {
        let words = self.0.get(&0, 0).map_err(|error| format!("cannot be read: {error}"))?;
        Meta::decode(&words)
    }

    /// Writes the value.
    ///
    /// # Errors
    /// [`DatapathError::Map`].
    pub(super) fn write(&mut self, meta: &Meta) -> Result<(), DatapathError> {
        self.0.set(0, meta.encode(), 0).map_err(|source| DatapathError::Map {
            action: "writing",
            map: META,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Where a value says how many uplinks it has.
    const USED: usize = 4;

    fn example() -> Meta {
        let uplink = |ifindex: usize| UplinkRecord {
            ifindex: u32::try_from(ifindex).expect("small"),
            name: format!("uplink{ifindex}-long"),
            clsact_ingress: ifindex.is_multiple_of(2),
            clsact_egress: true,
            clsact_added: ifindex.is_multiple_of(3),
        };
        Meta {
            abi_version: 9,
            netns: NetnsId { device: 4, inode: 0x1_f000_0123 },
            uplinks: (1..=UPLINKS_MAX).map(uplink).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let meta = example();
        assert_eq!(Meta::decode(&meta.encode()), Ok(meta.clone()));
        let empty = Meta { uplinks: Vec::new(), ..meta };
        assert_eq!(Meta::decode(&empty.encode()), Ok(empty));
    }

    #[test]
    fn foreign_values_are_refused() {
        let refusal = |word: usize, value: u64| {
            let mut words = example().encode();
            words[word] = value;
            Meta::decode(&words).unwrap_err()
        };
        assert!(refusal(0, 2).contains("layout 2"));
        assert!(refusal(1, 1 << 32).contains("ABI version 4294967296"));
        assert!(refusal(USED, 17).contains("17 uplinks"));
        assert!(refusal(HEADER_WORDS, u64::MAX).contains("interface #18446744073709551615"));
    }

    proptest! {
        #[test]
        fn hostile_values_do_no_harm(
            random in prop::collection::vec(any::<u64>(), size_of::<Words>() / 8),
            used in 0..=UPLINKS_MAX as u64 + 1,
            plausible_indices in any::<bool>(),
        ) {
            let mut words: Words = [0; _];
            words.copy_from_slice(&random);
            words[0] = LAYOUT;
            words[1] &= 0xff;
            words[USED] = used;
            if plausible_indices {
                for record in words[HEADER_WORDS..].as_chunks_mut::<RECORD_WORDS>().0 {
                    record[0] &= 0xffff;
                }
            }
            let decoded = Meta::decode(&words);
            if plausible_indices {
                prop_assert_eq!(decoded.is_ok(), used <= UPLINKS_MAX as u64);
            }
            for uplink in decoded.into_iter().flat_map(|meta| meta.uplinks) {
                // A byte that is no UTF-8 grows to three.
                prop_assert!(uplink.name.len() <= 3 * NAME_BYTES);
            }
        }
    }
}
