//! Commands of the `bpf` system call that aya does not offer.

#![expect(unsafe_code, reason = "system calls take pointers and give out descriptors")]

use std::{
    ffi::{CString, c_long},
    fs, io, mem,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    time::Duration,
};

use aya::Pod;
use aya_obj::generated::{
    bpf_attr, bpf_cmd, bpf_link_info, bpf_link_type, bpf_map_type, bpf_prog_info,
};
use gateway_common::{seed::Seed, tuple::FlowKey};

/// What a file of the BPF file system stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PinKind {
    /// A map.
    Map,
    /// A program.
    Program,
    /// A link, which keeps a program attached.
    Link,
}

/// What the kernel knows about a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkState {
    /// To which kind of hook it belongs.
    pub(super) kind: LinkKind,
    /// The interface, or `None` once the interface is gone or the link was detached.
    pub(super) ifindex: Option<u32>,
    /// The program it runs.
    pub(super) program_id: u32,
}

/// Kinds of links that the gateway uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkKind {
    /// XDP in any mode.
    Xdp,
    /// TCX ingress or egress.
    Tcx,
    /// Anything else.
    Other,
}

/// Opens a pin.
///
/// # Errors
/// What the kernel says: the file does not exist, is no pin, or may not be opened.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed();
    attr.__bindgen_anon_4.pathname = path.as_ptr().addr() as u64;
    // SAFETY: BPF_OBJ_GET reads the string at `pathname`, which lives until the call returns.
    let fd = unsafe { bpf(bpf_cmd::BPF_OBJ_GET, &mut attr) }?;
    // SAFETY: BPF_OBJ_GET returned a new descriptor that nobody else has.
    Ok(unsafe { own(fd) })
}

/// What kind of object a descriptor from [`open_pin`] refers to; `None` for a kind that the
/// gateway does not use.
pub(super) fn kind(fd: BorrowedFd<'_>) -> Option<PinKind> {
    let target = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    match target.to_str()? {
        "anon_inode:bpf-map" => Some(PinKind::Map),
        "anon_inode:bpf-prog" => Some(PinKind::Program),
        "anon_inode:bpf_link" | "anon_inode:bpf-link" => Some(PinKind::Link),
        _ => None,
    }
}

/// What the kernel knows about a link.
///
/// # Errors
/// What the kernel says, for instance that this is no link.
pub(super) fn link_state(fd: BorrowedFd<'_>) -> io::Result<LinkState> {
    // SAFETY: the structure is made of integers, for which zero is valid.
    let mut info: bpf_link_info = unsafe { mem::zeroed() };
    let mut attr = zeroed();
    attr.info.bpf_fd = descriptor(fd);
    attr.info.info = (&raw mut info).addr() as u64;
    attr.info.info_len = size_u32::<bpf_link_info>();
    // SAFETY: the command writes at most `info_len` bytes to `info`, which outlives the call.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    let (kind, ifindex) = if info.type_ == bpf_link_type::BPF_LINK_TYPE_XDP as u32 {
        // SAFETY: for this type the kernel filled this field; any integer is valid.
        (LinkKind::Xdp, unsafe { info.__bindgen_anon_1.xdp.ifindex })
    } else if info.type_ == bpf_link_type::BPF_LINK_TYPE_TCX as u32 {
        // SAFETY: for this type the kernel filled this field; any integer is valid.
        (LinkKind::Tcx, unsafe { info.__bindgen_anon_1.tcx.ifindex })
    } else {
        (LinkKind::Other, 0)
    };
    Ok(LinkState {
        kind,
        ifindex: Some(ifindex).filter(|&index| index != 0),
        program_id: info.prog_id,
    })
}

/// How often a program ran and how long that took, as far as the kernel counted it.
///
/// # Errors
/// What the kernel says, for instance that this is no program.
pub(super) fn run_stats(fd: BorrowedFd<'_>) -> io::Result<(u64, Duration)> {
    // SAFETY: the structure is made of integers, for which zero is valid.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    let mut attr = zeroed();
    attr.info.bpf_fd = descriptor(fd);
    attr.info.info = (&raw mut info).addr() as u64;
    attr.info.info_len = size_u32::<bpf_prog_info>();
    // SAFETY: the command writes at most `info_len` bytes to `info`, which outlives the call. Its
    // fields that would be pointers to further room are zero, so nothing is written elsewhere.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok((info.run_cnt, Duration::from_nanos(info.run_time_ns)))
}

/// Detaches a link at once. Merely removing its pin would leave that to a worker of the kernel,
/// so that the hook could stay occupied for a moment.
///
/// # Errors
/// What the kernel says.
pub(super) fn detach_link(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed();
    attr.link_detach.link_fd = descriptor(fd);
    // SAFETY: the command takes a descriptor and no pointers.
    unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr) }.map(drop)
}

/// Returns when every BPF program that runs now has finished, on whatever CPU.
///
/// The kernel promises that for one thing only: when an update of a map of maps returns, nobody
/// sees any more what it replaced. So this makes such a map and updates it. `inner` is any
/// array map.
///
/// # Errors
/// What the kernel says.
pub(super) fn wait_for_programs(inner: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed();
    attr.__bindgen_anon_1.map_type = bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS as u32;
    attr.__bindgen_anon_1.key_size = size_u32::<u32>();
    attr.__bindgen_anon_1.value_size = size_u32::<u32>();
    attr.__bindgen_anon_1.max_entries = 1;
    attr.__bindgen_anon_1.inner_map_fd = descriptor(inner);
    // SAFETY: the command takes no pointers here.
    let fd = unsafe { bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr) }?;
    // SAFETY: BPF_MAP_CREATE returned a new descriptor that nobody else has.
    let outer = unsafe { own(fd) };

    let slot: u32 = 0;
    let value: u32 = descriptor(inner);
    let mut attr = zeroed();
    attr.__bindgen_anon_2.map_fd = descriptor(outer.as_fd());
    attr.__bindgen_anon_2.key = (&raw const slot).addr() as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value = (&raw const value).addr() as u64;
    // SAFETY: the command reads a key and a value of four bytes each, as the map was made with;
    // both live until the call returns.
    unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// Removes the map at a place of a map of maps, and returns when no program uses it any more. That
/// there is none is no error.
///
/// # Errors
/// What the kernel says.
pub(super) fn remove_inner(outer: BorrowedFd<'_>, place: u32) -> io::Result<()> {
    let mut attr = zeroed();
    attr.__bindgen_anon_2.map_fd = descriptor(outer);
    attr.__bindgen_anon_2.key = (&raw const place).addr() as u64;
    // SAFETY: the command reads a key of four bytes, which those of arrays have; it lives until the
    // call returns.
    match unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) } {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        result => result.map(drop),
    }
}

/// Writes entries of a hash map or an array, all in one system call.
///
/// # Errors
/// What the kernel says. Some entries may have been written.
///
/// # Panics
/// There are not as many values as keys.
pub(super) fn write_all<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    keys: &[K],
    values: &[V],
) -> io::Result<()> {
    assert_eq!(keys.len(), values.len(), "a value for each key");
    if keys.is_empty() {
        return Ok(());
    }
    let mut attr = zeroed();
    attr.batch.keys = keys.as_ptr().addr() as u64;
    attr.batch.values = values.as_ptr().addr() as u64;
    attr.batch.count =
        u32::try_from(keys.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    attr.batch.map_fd = descriptor(map);
    // SAFETY: the command reads `count` keys and values of the sizes that the map was made with,
    // which are theirs; both live until the call returns.
    unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attr) }.map(drop)
}

/// Reads a whole hash map or array, many entries per system call.
///
/// # Errors
/// What the kernel says.
pub(super) fn read_all<K: Pod, V: Pod>(map: BorrowedFd<'_>) -> io::Result<Vec<(K, V)>> {
    let mut entries = Vec::new();
    let mut batches = Batches::new();
    while let Some((keys, values)) = batches.next(map)? {
        entries.extend(keys.iter().copied().zip(values.iter().copied()));
    }
    Ok(entries)
}

/// Reads a hash map or array a batch at a time, in as much memory as a batch takes.
///
/// Entries that come or go meanwhile may be among them or not; none is there twice, and reading
/// neither refreshes an entry of an LRU map nor evicts one.
pub(super) struct Batches<K, V> {
    position: Option<Position>,
    is_over: bool,
    keys: Vec<K>,
    values: Vec<V>,
}

impl<K: Pod, V: Pod> Batches<K, V> {
    /// At the beginning of whatever map comes.
    pub(super) fn new() -> Self {
        let (keys, values) = (Vec::with_capacity(BATCH_ENTRIES), Vec::with_capacity(BATCH_ENTRIES));
        Self { position: None, is_over: false, keys, values }
    }

    /// Whether the last batch was read.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Goes back to the beginning, of the same map or another one.
    pub(super) const fn rewind(&mut self) {
        (self.position, self.is_over) = (None, false);
    }

    /// The next keys and as many values; `None` at the end. The last ones before may be none.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn next(&mut self, map: BorrowedFd<'_>) -> io::Result<Option<(&[K], &[V])>> {
        if self.is_over {
            return Ok(None);
        }
        loop {
            self.keys.clear();
            self.values.clear();
            match next_batch(map, &mut self.position, &mut self.keys, &mut self.values) {
                Ok(more) => {
                    self.is_over = !more;
                    return Ok(Some((&self.keys, &self.values)));
                }
                // One bucket of the hash has more entries than there is room for.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    self.keys = Vec::with_capacity(self.keys.capacity() * 2);
                    self.values = Vec::with_capacity(self.keys.capacity());
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Entries that are read in one go.
pub(super) const BATCH_ENTRIES: usize = 4096;

/// Where a hash map's batches have come to: the number of a bucket. The kernel takes and gives
/// four bytes; hostile map types could write a whole key, for which there is room.
type Position = [u8; 64];

/// Fills the spare room of `keys` and `values`, which are empty, and tells whether more follows.
fn next_batch<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    position: &mut Option<Position>,
    keys: &mut Vec<K>,
    values: &mut Vec<V>,
) -> io::Result<bool> {
    let room = keys.capacity().min(values.capacity());
    let mut next: Position = [0; 64];
    let mut attr = zeroed();
    attr.batch.in_batch = position.as_ref().map_or(0, |bytes| bytes.as_ptr().addr() as u64);
    attr.batch.out_batch = next.as_mut_ptr().addr() as u64;
    attr.batch.keys = keys.spare_capacity_mut().as_mut_ptr().addr() as u64;
    attr.batch.values = values.spare_capacity_mut().as_mut_ptr().addr() as u64;
    attr.batch.count = u32::try_from(room).unwrap_or(u32::MAX);
    attr.batch.map_fd = descriptor(map);
    // SAFETY: the command writes at most `count` keys and values of the sizes that the map was
    // checked to have, for which there is room, and a position; all outlive the call.
    let result = unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) };
    let more = match result {
        Ok(_) => true,
        // The last batch comes with this error.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => false,
        Err(error) => return Err(error),
    };
    // SAFETY: the kernel stored how many entries it wrote; any integer is valid.
    let written = room.min(unsafe { attr.batch.count } as usize);
    // SAFETY: the kernel wrote that many keys, and any bytes are a valid `Pod`.
    unsafe { keys.set_len(written) };
    // SAFETY: the kernel wrote that many values, and any bytes are a valid `Pod`.
    unsafe { values.set_len(written) };
    *position = Some(next);
    Ok(more)
}

/// The value at the beginning of what a program wrote, if it is all there.
pub(super) fn value_in<T: Pod>(bytes: &[u8]) -> Option<T> {
    // SAFETY: there are enough bytes, of any alignment, and any bytes are a valid `Pod`.
    (bytes.len() >= size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// A flow key as it is in memory, which is how programs and maps take it.
pub(super) const fn bytes_of_key(key: &FlowKey) -> [u8; size_of::<FlowKey>()] {
    // SAFETY: `gateway_common::pod` asserts that the key is made of integers and has no padding,
    // so each of its bytes is initialized.
    unsafe { mem::transmute(*key) }
}

/// A flow to enter as it is in memory, which is how the program takes it.
pub(super) const fn bytes_of_seed(seed: &Seed) -> [u8; size_of::<Seed>()] {
    // SAFETY: `gateway_common::pod` asserts that the seed is made of integers and has no padding,
    // so each of its bytes is initialized.
    unsafe { mem::transmute(*seed) }
}

/// The kernel demands zero in everything that a command does not use.
fn zeroed() -> bpf_attr {
    // SAFETY: the union is made of integers, for which zero is valid.
    unsafe { mem::zeroed() }
}

fn descriptor(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

#[expect(clippy::cast_possible_truncation, reason = "no type here is that large")]
const fn size_u32<T>() -> u32 {
    size_of::<T>() as u32
}

/// # Safety
/// Pointers in `attr` must be valid for what `command` does with them.
unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<c_long> {
    // SAFETY: the attributes are as long as said; the rest is the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<bpf_attr>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// # Safety
/// `fd` must be a new descriptor that nobody else owns.
unsafe fn own(fd: c_long) -> OwnedFd {
    let fd = RawFd::try_from(fd).expect("descriptors are small");
    // SAFETY: the caller's promise.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
