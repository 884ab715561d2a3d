//! The one system interface that no crate in use wraps safely.

#![expect(unsafe_code, reason = "socket2 has no constructor for link-layer addresses")]

use std::{mem::size_of, ptr};

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
