//! What a gateway's pins cannot tell by themselves: the one value of the map `META`.

use std::path::Path;

use aya::maps::{Array, Map, MapData};
use aya_obj::generated::bpf_map_type;
use gateway_common::limits::UPLINKS_MAX;

use super::{DatapathError, pin};
use crate::net::{netns::NetnsId, tc::Hook};

/// The map's name, and its pin's.
pub(super) const META: &str = "META";

/// The layout of this value itself. Detaching must understand every version's, so it is counted
/// apart from the layout of the other maps.
const LAYOUT: u32 = 1;

/// How the map stores the value: eight words, then seven per uplink.
///
/// ```text
/// layout  abi version  netns device (2)  netns inode (2)  uplinks used  0
/// ifindex  ingress hook  marks  name (4)
/// ```
type Words = [u32; HEADER_WORDS + UPLINKS_MAX * RECORD_WORDS];

const HEADER_WORDS: usize = 8;
const RECORD_WORDS: usize = 7;
const NAME_WORDS: usize = 4;

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
    /// The code of the ingress hook in use, 0 while there is none.
    pub(super) ingress: u32,
    /// A `clsact` filter may be on the ingress hook.
    pub(super) clsact_ingress: bool,
    /// A `clsact` filter may be on the egress hook.
    pub(super) clsact_egress: bool,
    /// We may have added the `clsact` queueing discipline.
    pub(super) clsact_added: bool,
}

const MARK_CLSACT_INGRESS: u32 = 1;
const MARK_CLSACT_EGRESS: u32 = 1 << 1;
const MARK_CLSACT_ADDED: u32 = 1 << 2;

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

    fn encode(&self) -> Words {
        let mut words: Words = [0; _];
        let [device_low, device_high] = halves(self.netns.device);
        let [inode_low, inode_high] = halves(self.netns.inode);
        let used = self.uplinks.len().min(UPLINKS_MAX) as u32;
        words[..HEADER_WORDS].copy_from_slice(&[
            LAYOUT,
            self.abi_version,
            device_low,
            device_high,
            inode_low,
            inode_high,
            used,
            0,
        ]);
        for (record, uplink) in
            words[HEADER_WORDS..].chunks_exact_mut(RECORD_WORDS).zip(&self.uplinks)
        {
            record.copy_from_slice(&uplink.encode());
        }
        words
    }

    /// Reads a value that anybody may have written.
    fn decode(words: &Words) -> Result<Self, String> {
        let [layout, abi_version, device_low, device_high, inode_low, inode_high, used, ..] =
            *words;
        if layout != LAYOUT {
            return Err(format!("has the unknown layout {layout}"));
        }
        if used as usize > UPLINKS_MAX {
            return Err(format!("claims {used} uplinks, more than a gateway can have"));
        }
        let records = words[HEADER_WORDS..].chunks_exact(RECORD_WORDS);
        Ok(Self {
            abi_version,
            netns: NetnsId {
                device: joined(device_low, device_high),
                inode: joined(inode_low, inode_high),
            },
            uplinks: records.take(used as usize).map(UplinkRecord::decode).collect(),
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

    fn encode(&self) -> [u32; RECORD_WORDS] {
        let mut marks = 0;
        for (is_set, mark) in [
            (self.clsact_ingress, MARK_CLSACT_INGRESS),
            (self.clsact_egress, MARK_CLSACT_EGRESS),
            (self.clsact_added, MARK_CLSACT_ADDED),
        ] {
            marks |= if is_set { mark } else { 0 };
        }
        let mut name = [0; NAME_WORDS * 4];
        for (byte, letter) in name.iter_mut().zip(self.name.bytes()) {
            *byte = letter;
        }
        let mut words = [self.ifindex, self.ingress, marks, 0, 0, 0, 0];
        for (word, bytes) in words[RECORD_WORDS - NAME_WORDS..].iter_mut().zip(name.as_chunks().0) {
            *word = u32::from_ne_bytes(*bytes);
        }
        words
    }

    fn decode(words: &[u32]) -> Self {
        let (fields, name) = words.split_at(RECORD_WORDS - NAME_WORDS);
        let name: Vec<u8> = name
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .take_while(|&byte| byte != 0)
            .collect();
        let has = |mark: u32| fields[2] & mark != 0;
        Self {
            ifindex: fields[0],
            name: String::from_utf8_lossy(&name).into_owned(),
            ingress: fields[1],
            clsact_ingress: has(MARK_CLSACT_INGRESS),
            clsact_egress: has(MARK_CLSACT_EGRESS),
            clsact_added: has(MARK_CLSACT_ADDED),
        }
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
        let failed = |source| DatapathError::Map { action: "creating", map: META, source };
        let shape = aya_obj::Map::new_from_params(
            bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
            size_of::<u32>() as u32,
            size_of::<Words>() as u32,
            1,
            0,
        );
        let data = MapData::create(shape, META, None).map_err(failed)?;
        let path = directory.join(META);
        data.pin(&path).map_err(|source| DatapathError::Pin { path, source })?;
        let mut map = Self(Map::from_map_data(data).and_then(Array::try_from).map_err(failed)?);
        map.write(meta)?;
        Ok(map)
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
        self.0
            .set(0, meta.encode(), 0)
            .map_err(|source| DatapathError::Map { action: "writing", map: META, source })
    }
}

const fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

const fn joined(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> Meta {
        let uplink = |ifindex: u32| UplinkRecord {
            ifindex,
            name: format!("uplink{ifindex}-long"),
            ingress: 4,
            clsact_ingress: ifindex % 2 == 0,
            clsact_egress: true,
            clsact_added: ifindex % 3 == 0,
        };
        Meta {
            abi_version: 9,
            netns: NetnsId { device: 4, inode: 0x1_f000_0123 },
            uplinks: (1..=UPLINKS_MAX as u32).map(uplink).collect(),
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
        let mut words = example().encode();
        words[6] = UPLINKS_MAX as u32 + 1;
        assert!(Meta::decode(&words).unwrap_err().contains("17 uplinks"));
        words[0] = 2;
        assert!(Meta::decode(&words).unwrap_err().contains("layout 2"));
    }

    proptest! {
        #[test]
        fn hostile_values_do_no_harm(
            random in prop::collection::vec(any::<u32>(), size_of::<Words>() / 4),
            used in 0..=UPLINKS_MAX as u32 + 1,
        ) {
            let mut words: Words = [0; _];
            words.copy_from_slice(&random);
            words[0] = LAYOUT;
            words[6] = used;
            let decoded = Meta::decode(&words);
            prop_assert_eq!(decoded.is_ok(), used as usize <= UPLINKS_MAX);
            for uplink in decoded.into_iter().flat_map(|meta| meta.uplinks) {
                // Invalid UTF-8 grows to three bytes per byte, never more.
                prop_assert!(uplink.name.len() <= 3 * NAME_WORDS * 4);
            }
        }
    }
}
