//! Capture files in pcapng format, which Wireshark and others read.

use std::{
    borrow::Cow,
    collections::HashMap,
    fs::File,
    io::{self, IsTerminal, Write},
    path::Path,
    time::Duration,
};

use gateway_common::limits::SNAP_BYTES_MAX;
use jiff::Timestamp;
use pcap_file::{
    DataLink, Endianness, PcapError,
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
            interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption},
            section_header::{SectionHeaderBlock, SectionHeaderOption},
        },
    },
};

/// The longest frame in a file; of longer ones there is the beginning.
#[expect(clippy::cast_possible_truncation, reason = "it is a few hundred bytes")]
const SNAP_BYTES: u32 = SNAP_BYTES_MAX as u32;
/// Times are in nanoseconds: ten to the power of minus this.
const TIME_RESOLUTION: u8 = 9;
/// Where a VLAN tag stands in an Ethernet frame.
const TAG_OFFSET: usize = 12;
/// Bytes of a VLAN tag.
const TAG_BYTES: u32 = 4;
/// The ethertype of a VLAN tag.
const TAG_ETHERTYPE: [u8; 2] = [0x81, 0x00];

/// A packet for a capture file.
#[derive(Clone, Copy, Debug)]
pub struct CapturedPacket<'a> {
    /// The uplink's index.
    pub ifindex: u32,
    /// The uplink's name.
    pub uplink: &'a str,
    /// When it was judged.
    pub time: Timestamp,
    /// Whether it came from outside.
    pub is_inbound: bool,
    /// The beginning of the frame.
    pub frame: &'a [u8],
    /// The length of the whole frame.
    pub frame_bytes: u32,
    /// The VLAN tag that is not among the frame's bytes.
    pub offloaded_vlan: Option<u16>,
    /// What to say about it.
    pub comment: &'a str,
}

/// A capture file. Whenever it was flushed, it can be read as far as it goes.
pub struct CaptureFile {
    target: Target,
    /// Collects blocks until they are flushed.
    blocks: PcapNgWriter<Vec<u8>>,
    /// The interfaces' numbers in the file, by their index.
    interfaces: HashMap<u32, u32>,
    last: Timestamp,
}

enum Target {
    File { file: File, whole_bytes: u64 },
    Stdout(io::Stdout),
}

impl CaptureFile {
    /// Whether the file at `path`, where `-` is standard output, is a terminal.
    #[must_use]
    pub fn is_terminal(path: &Path) -> bool {
        is_stdout(path) && io::stdout().is_terminal()
    }

    /// Begins a file at `path` and overwrites what is there; `-` is standard output.
    ///
    /// # Errors
    /// The file cannot be made or written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        let target = if is_stdout(path) {
            Target::Stdout(io::stdout())
        } else {
            Target::File { file: File::create(path)?, whole_bytes: 0 }
        };
        let application = concat!("eigw ", env!("CARGO_PKG_VERSION"));
        let header = SectionHeaderBlock {
            // The crate writes the two halves of a time in the right order only so.
            endianness: Endianness::Big,
            options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed(application))],
            ..SectionHeaderBlock::default()
        };
        let blocks = PcapNgWriter::with_section_header(Vec::new(), header).map_err(plain_error)?;
        let interfaces = HashMap::new();
        let mut this = Self { target, blocks, interfaces, last: Timestamp::UNIX_EPOCH };
        this.flush()?;
        Ok(this)
    }

    /// Describes an uplink, and returns its number in the file.
    ///
    /// # Errors
    /// Blocks cannot be written.
    pub fn add_interface(&mut self, ifindex: u32, name: &str) -> io::Result<u32> {
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: SNAP_BYTES,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                InterfaceDescriptionOption::IfDescription(format!("ifindex {ifindex}").into()),
                InterfaceDescriptionOption::IfTsResol(TIME_RESOLUTION),
            ],
        };
        self.blocks.write_pcapng_block(interface).map_err(plain_error)?;
        let number = u32::try_from(self.interfaces.len()).map_err(io::Error::other)?;
        self.interfaces.insert(ifindex, number);
        Ok(number)
    }

    /// Adds a packet, which [`Self::flush`] writes.
    ///
    /// # Errors
    /// Blocks cannot be written.
    pub fn write(&mut self, packet: &CapturedPacket<'_>) -> io::Result<()> {
        const INBOUND: u32 = 1;
        const OUTBOUND: u32 = 2;
        let interface_id = match self.interfaces.get(&packet.ifindex) {
            Some(&number) => number,
            None => self.add_interface(packet.ifindex, packet.uplink)?,
        };
        let tag = packet
            .offloaded_vlan
            .map_or_else(Vec::new, |tag| [TAG_ETHERTYPE, tag.to_be_bytes()].concat());
        let (addresses, rest) = packet.frame.split_at(TAG_OFFSET.min(packet.frame.len()));
        let mut data = [addresses, &tag, rest].concat();
        data.truncate(SNAP_BYTES_MAX);
        let tag_bytes = if tag.is_empty() { 0 } else { TAG_BYTES };
        self.last = self.last.max(packet.time);
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: since_epoch(packet.time),
            original_len: packet.frame_bytes.saturating_add(tag_bytes),
            data: data.into(),
            options: vec![
                EnhancedPacketOption::Comment(Cow::Borrowed(packet.comment)),
                EnhancedPacketOption::Flags(if packet.is_inbound { INBOUND } else { OUTBOUND }),
            ],
        };
        self.blocks.write_pcapng_block(block).map(drop).map_err(plain_error)
    }

    /// Writes out what there is. If that fails, what was written before can still be read.
    ///
    /// # Errors
    /// The file cannot be written to.
    pub fn flush(&mut self) -> io::Result<()> {
        let blocks = self.blocks.get_mut();
        match &mut self.target {
            Target::Stdout(stdout) => {
                stdout.write_all(blocks)?;
                stdout.flush()?;
            }
            Target::File { file, whole_bytes } => {
                if let Err(error) = file.write_all(blocks) {
                    // Devices cannot be cut; the first error is the one that matters.
                    drop(file.set_len(*whole_bytes));
                    return Err(error);
                }
                *whole_bytes += blocks.len() as u64;
            }
        }
        blocks.clear();
        Ok(())
    }

    /// Ends the file with how many packets there were for it, and how many of them are missing.
    /// Nobody counts them by uplink, so with several the first one stands for all.
    ///
    /// # Errors
    /// The file cannot be written to.
    pub fn finish(&mut self, packets: u64, missing: u64) -> io::Result<()> {
        if !self.interfaces.is_empty() {
            let time = since_epoch(self.last.max(Timestamp::now()));
            let statistics = InterfaceStatisticsBlock {
                interface_id: 0,
                timestamp: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
                options: vec![
                    InterfaceStatisticsOption::Comment(Cow::Borrowed("of all interfaces")),
                    InterfaceStatisticsOption::IsbFilterAccept(packets),
                    InterfaceStatisticsOption::IsbIfDrop(missing),
                ],
            };
            self.blocks.write_pcapng_block(statistics).map_err(plain_error)?;
        }
        self.flush()
    }
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

fn since_epoch(time: Timestamp) -> Duration {
    time.duration_since(Timestamp::UNIX_EPOCH).unsigned_abs()
}

fn plain_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        PcapError::IncompleteBuffer
        | PcapError::InvalidField(_)
        | PcapError::Utf8Error(_)
        | PcapError::FromUtf8Error(_)
        | PcapError::InvalidInterfaceId(_) => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;

    #[test]
    fn what_was_flushed_is_read_back() {
        let (directory, path) = target();
        let mut file = CaptureFile::create(&path).expect("a temporary file");
        file.add_interface(7, "eth0").expect("memory");
        let frame = [0x5a; 60];
        let packet = packet(&frame);
        file.write(&packet).expect("memory");
        file.write(&CapturedPacket { ifindex: 9, uplink: "eth1", is_inbound: false, ..packet })
            .expect("memory");
        file.flush().expect("room");
        file.finish(5, 3).expect("room");
        let [first, second] = &packets(&path)[..] else { panic!("there are two packets") };
        assert_eq!((first.interface_id, second.interface_id), (0, 1));
        assert_eq!(first.timestamp, Duration::new(1_763_812_800, 4_000_000));
        assert_eq!((first.data.as_ref(), first.original_len), (&frame[..], 1_514));
        let options = |flags| {
            vec![
                EnhancedPacketOption::Comment("drop no-flow".into()),
                EnhancedPacketOption::Flags(flags),
            ]
        };
        assert_eq!((&first.options, &second.options), (&options(1), &options(2)));
        drop(directory);
    }

    #[test]
    fn a_tag_that_was_taken_off_is_put_back_and_nothing_gets_too_long() {
        let (directory, path) = target();
        let mut file = CaptureFile::create(&path).expect("a temporary file");
        let frame = [0x5a; SNAP_BYTES_MAX];
        let tagged = CapturedPacket { offloaded_vlan: Some(100), ..packet(&frame) };
        file.write(&tagged).expect("memory");
        file.write(&CapturedPacket { frame: &frame[..5], ..tagged }).expect("memory");
        file.flush().expect("room");
        let [whole, stump] = &packets(&path)[..] else { panic!("there are two packets") };
        assert_eq!(whole.data[10..18], [0x5a, 0x5a, 0x81, 0, 0, 100, 0x5a, 0x5a]);
        assert_eq!((whole.data.len(), whole.original_len), (SNAP_BYTES_MAX, 1_518));
        assert_eq!(stump.data.len(), 9);
        drop(directory);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let error = CaptureFile::create(Path::new("/dev/full")).err().expect("it is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    fn packet(frame: &[u8]) -> CapturedPacket<'_> {
        CapturedPacket {
            ifindex: 7,
            uplink: "eth0",
            time: "2025-11-22T12:00:00.004Z".parse().expect("a time"),
            is_inbound: true,
            frame,
            frame_bytes: 1_514,
            offloaded_vlan: None,
            comment: "drop no-flow",
        }
    }

    fn target() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("drops.pcapng");
        (directory, path)
    }

    fn packets(path: &Path) -> Vec<EnhancedPacketBlock<'static>> {
        let mut reader = PcapNgReader::new(File::open(path).expect("it is there")).expect("pcapng");
        let mut packets = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.expect("a whole block").into_owned() {
                packets.push(packet);
            }
        }
        packets
    }
}
