//! What no crate in use wraps safely.

#![expect(
    unsafe_code,
    reason = "socket2 has no constructor for link-layer addresses, aya's rings give out bytes, and \
              what a child does before it becomes another program is up to us"
)]

use std::{
    io,
    mem::size_of,
    os::unix::process::CommandExt as _,
    process::{Child, Command},
    ptr,
};

use aya::Pod;
use gateway_common::{
    config::Config, flow::FlowEntry, observe::PacketRecord, record::FlowRecord, tuple::FlowKey,
};
use nix::sys::ptrace;
use socket2::{SockAddr, SockAddrStorage};

/// The address that binds a packet socket to one interface, for frames of every protocol.
///
/// # Panics
/// Never: an interface index fits the kernel's field.
#[must_use]
pub fn packet_address(interface_index: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    let link = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).expect("address families are small"),
        sll_protocol: u16::try_from(libc::ETH_P_ALL).expect("ethertypes have 16 bits").to_be(),
        sll_ifindex: i32::try_from(interface_index).expect("interface indices are positive"),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the storage is at least as large and as aligned as any socket address, and
    // `sockaddr_ll` is plain data.
    unsafe { ptr::from_mut(&mut storage).cast::<libc::sockaddr_ll>().write(link) };
    let len = u32::try_from(size_of::<libc::sockaddr_ll>()).expect("a few bytes");
    // SAFETY: the storage holds an initialized address of this family and length.
    unsafe { SockAddr::new(storage, len) }
}

/// The value that a program wrote into a ring.
///
/// # Panics
/// If it is not all there.
#[must_use]
pub fn value_in<T: Pod>(bytes: &[u8]) -> T {
    assert!(bytes.len() >= size_of::<T>(), "{} bytes of {}", bytes.len(), size_of::<T>());
    // SAFETY: there are enough bytes, of any alignment, and any bytes are a valid `Pod`.
    unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
}

/// A value as it is in memory.
#[must_use]
pub fn bytes_of<T: Shared>(value: &T) -> &[u8] {
    let start = ptr::from_ref(value).cast::<u8>();
    // SAFETY: the value is there for as long as the slice is, and all its bytes are initialized:
    // `Shared` types have no padding.
    unsafe { std::slice::from_raw_parts(start, size_of::<T>()) }
}

/// Types that `gateway_common::pod` asserts to be made of integers without padding.
pub trait Shared: Pod {}

impl Shared for Config {}
impl Shared for FlowEntry {}
impl Shared for FlowKey {}
impl Shared for FlowRecord {}
impl Shared for PacketRecord {}

/// A flow key as it is in memory, which is how programs take it.
#[must_use]
pub const fn bytes_of_key(key: &FlowKey) -> [u8; size_of::<FlowKey>()] {
    // SAFETY: `gateway_common::pod` asserts that the key is made of integers and has no padding,
    // so each of its bytes is initialized.
    unsafe { std::mem::transmute(*key) }
}

/// Starts a program that this thread traces: it stops before its first instruction.
///
/// # Errors
/// If it cannot be started or traced.
pub fn start_traced(command: &mut Command) -> io::Result<Child> {
    // SAFETY: between fork and exec the child makes this one system call and touches nothing else.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(io::Error::from)) };
    command.spawn()
}
