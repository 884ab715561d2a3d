//! Every type that crosses the boundary between the kernel's maps and user space: its size, the
//! proof that it has no padding, and the promise to aya that any bytes are a valid value.

#![cfg_attr(feature = "user", expect(unsafe_code, reason = "aya's Pod is an unsafe promise"))]

use crate::{
    config::{Config, Prefix},
    counter::{Counter, Hits},
    endpoint::EndpointKey,
    flow::{
        FlowEntry, FlowHalf,
        window::{Granted, Sent},
    },
    fragment::{DatagramKey, PeerKey},
    host::{HostKey, Overflow, Span},
    limits::{
        MARTIAN_EXCEPTIONS_MAX, OBSERVED_REASON_WORDS, PASS_ETHERTYPES_MAX, PREFIX_LENGTHS_MAX,
        QUOTED_BYTES_MAX, RULE_AGGREGATE_WORDS, SNAP_BYTES_MAX,
    },
    observe::{PacketRecord, Watch, WatchCount},
    policy::{AddressClass, Class, Levels, PrefixKey, ProtocolClasses, Rule, Summary, Words},
    presence::{Control, Phase, SECRETS},
    record::FlowRecord,
    rejection::Unsolicited,
    seed::Seed,
    timeouts::{Ticks, TimeoutClass},
    tuple::{Address, FlowKey, VlanPath},
};

/// Declares a shared type: its fields' types must add up to its size, so no byte is padding, and
/// every field must be named, so none is forgotten in the sum.
macro_rules! shared {
    ($type:ident, $size:expr, { $( $field:ident : $of:ty ),+ $(,)? }) => {
        const _: () = {
            const fn every_field(value: $type) {
                let $type { $( $field ),+ } = value;
                $( let _: $of = $field; )+
            }
            _ = every_field;
            assert!(size_of::<$type>() == $size);
            assert!(0 $( + size_of::<$of>() )+ == $size);
        };

        // SAFETY: the type is `repr(C)`, made of integers only and without padding, as asserted
        // above, so every bit pattern is a valid value and every byte is initialized.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $type {}
    };
}

shared!(VlanPath, 4, { outer: u16, inner: u16 });
shared!(FlowKey, 44, {
    inside: Address, outside: Address, inside_port: u16, outside_port: u16,
    vlan: VlanPath, protocol: u8, family: u8, zero: u16,
});
shared!(FlowHalf, 56, {
    packets: u64, bytes: u64, seen: Ticks, reset: Ticks, sent: Sent, granted: Granted,
    marks: u32, announced: u32,
});
shared!(FlowEntry, 128, {
    outbound: FlowHalf, inbound: FlowHalf, created: Ticks, generation: u32, first: u32,
});
shared!(Seed, 60, {
    key: FlowKey, outbound_marks: u32, inbound_marks: u32, generation: u32, may_overflow: u32,
});
shared!(DatagramKey, 44, {
    source: Address, destination: Address, id: u32,
    vlan: VlanPath, protocol: u8, family: u8, zero: u16,
});
shared!(PeerKey, 40, {
    inside: Address, outside: Address, vlan: VlanPath, protocol: u8, family: u8, zero: u16,
});
shared!(HostKey, 20, { address: Address, vlan: VlanPath });
shared!(Overflow, 56, { created: Ticks, key: FlowKey, zero: u32 });
shared!(Counter, 16, { packets: u64, bytes: u64 });
shared!(Summary, 12, { rules: u32, subnets: u32, default_route: u8, zero: [u8; 3] });
shared!(AddressClass, 8, { class: u32, subnet: u16, route: u8, is_foreign: u8 });
shared!(Levels, 144, {
    root: AddressClass, count: u32, zero: u32, lens: [u8; PREFIX_LENGTHS_MAX],
});
shared!(PrefixKey, 20, { address: Address, len: u8, field: u8, zero: u16 });
shared!(EndpointKey, 24, {
    address: Address, port: u16, protocol: u8, family: u8, vlan: VlanPath,
});
shared!(Unsolicited, 176, { key: FlowKey, quoted_len: u32, quoted: [u8; QUOTED_BYTES_MAX] });
shared!(FlowRecord, 192, { serial: u64, at: Ticks, entry: FlowEntry, key: FlowKey, event: u32 });
shared!(Watch, 120, {
    cost: Span, credit: Span, reasons: [u64; OBSERVED_REASON_WORDS], wants: u32, directions: u32,
    protocol: u32, inside_port: u32, outside_port: u32, zero: u32, inside: Prefix, outside: Prefix,
});
shared!(WatchCount, 32, { paid: u64, reported: u64, limited: u64, lost: u64 });
shared!(PacketRecord, 352, {
    at: Ticks, counted_bytes: u64, key: FlowKey, reason: u32, direction: u32, ifindex: u32,
    rule: u32, subnet: u32, counted_packets: u32, frame_bytes: u32, offloaded_vlan: u32,
    snap_bytes: u32, snap: [u8; SNAP_BYTES_MAX],
});
shared!(Control, 104, { phase: Phase, zero: u32, secret: [u64; SECRETS] });
shared!(Hits, 24, { count: Counter, last: Ticks });
shared!(ProtocolClasses, 8, { all: u32, live: u32 });
shared!(Class, 40, { aggregate: Words, starts: [u32; RULE_AGGREGATE_WORDS], zero: u32 });
shared!(Rule, 4, { action: u8, log: u8, shadow: u8, zero: u8 });
shared!(Config, 768, {
    abi_version: u32, mode: u32, confirm_by: Ticks, timeouts: [Ticks; TimeoutClass::ALL.len()],
    opening_cost: Span, opening_credit: Span, overflow_slots: u32, established_per_host: u32,
    ticks_per_sec: u32, generation: u32, allow_ping: u32, allow_dhcp_client: u32,
    allow_redirects: u32, martians_enabled: u32, martian_exceptions_used: u32,
    martian_exceptions: [Prefix; MARTIAN_EXCEPTIONS_MAX],
    pass_ethertypes_used: u32, pass_ethertypes: [u16; PASS_ETHERTYPES_MAX],
    policy: Summary, policy_slot: u32, endpoint_independent: u32, delayed_reject: u32,
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{abi::ABI_VERSION, counter::FlowEvent, verdict::Reason};
    use core::mem::offset_of;

    /// The layout of the flow tables is what upgrades depend on: whoever moves a field meets
    /// this test, bumps the version and writes the migration.
    #[test]
    fn layout_changes_need_a_new_abi_version() {
        let layout = [
            offset_of!(FlowKey, outside),
            offset_of!(FlowKey, inside_port),
            offset_of!(FlowKey, vlan),
            offset_of!(FlowKey, protocol),
            offset_of!(FlowEntry, inbound),
            offset_of!(FlowEntry, created),
            offset_of!(FlowHalf, seen),
            offset_of!(FlowHalf, sent),
            offset_of!(FlowHalf, marks),
            offset_of!(Overflow, key),
            size_of::<FlowKey>(),
            size_of::<FlowEntry>(),
            size_of::<Config>(),
            Reason::COUNT,
            FlowEvent::ALL.len(),
            offset_of!(FlowRecord, entry),
            offset_of!(FlowRecord, key),
            offset_of!(FlowRecord, event),
            offset_of!(Watch, wants),
            offset_of!(Watch, inside),
            offset_of!(PacketRecord, key),
            offset_of!(PacketRecord, snap),
            offset_of!(Control, secret),
        ];
        let expected = [
            16, 32, 36, 40, 56, 112, 16, 32, 48, 8, 44, 128, 768, 62, 14, 16, 144, 188, 32, 56, 16,
            96, 8,
        ];
        assert_eq!((ABI_VERSION, layout), (5, expected));
    }
}
