//! The gateway's programs. A packet's walk starts here: each hook wraps its context, hands it to
//! `gateway_common`, counts the outcome and translates the verdict for the kernel.
//!
//! ```text
//! uplink NIC ─► ingress_xdp (or ingress_tc) ─► ingress::handle ─► report ─► XDP_PASS | XDP_DROP
//! uplink NIC ◄─ egress_tc ◄─ egress::handle ◄─ stack
//! ```

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod atomic;
mod bytes;
mod clock;
mod maps;
mod report;

use aya_ebpf::{
    bindings::{TC_ACT_OK, TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use gateway_common::{
    counter::FlowEvent,
    egress, gateway, ingress,
    limits::RECLAIMED_MAX,
    seed::{self, Seed},
    tuple::{Direction, FlowKey},
    verdict::Verdict,
};

use crate::{
    bytes::{SkbBytes, XdpBytes},
    maps::{Maps, Memory},
};

/// The uplink's ingress, before the kernel spends anything on the packet. With `frags`, frames may
/// be larger than a page (E14).
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
#[xdp(frags)]
fn ingress_xdp(context: XdpContext) -> u32 {
    let Some(Memory { workspace, .. }) = maps::memory() else { return xdp_action::XDP_DROP };
    let outcome = ingress::handle(&XdpBytes::new(&context), &Maps, workspace);
    maps::show_xdp(&context, &outcome);
    match report::count(&context, Direction::Inbound, &outcome) {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
    }
}

/// The uplink's ingress where XDP is not to be had: the same logic one layer up.
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
#[classifier]
fn ingress_tc(context: TcContext) -> i32 {
    let Some(Memory { workspace, header, .. }) = maps::memory() else { return TC_ACT_SHOT };
    let outcome = ingress::handle(&SkbBytes::new(&context, header), &Maps, workspace);
    maps::show_skb(&context, Direction::Inbound, &outcome);
    tc_action(report::count(&context, Direction::Inbound, &outcome))
}

/// The uplink's egress.
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
#[classifier]
fn egress_tc(context: TcContext) -> i32 {
    let Some(Memory { workspace, header, .. }) = maps::memory() else { return TC_ACT_SHOT };
    let outcome = egress::handle(&SkbBytes::new(&context, header), &Maps, workspace);
    maps::show_skb(&context, Direction::Outbound, &outcome);
    tc_action(report::count(&context, Direction::Outbound, &outcome))
}

/// Not attached anywhere: user space runs it to read the tick clock.
#[classifier]
fn clock(mut context: TcContext) -> i32 {
    clock::write_to(&mut context);
    TC_ACT_OK
}

/// Not attached anywhere: user space runs it to delete the flow whose key it passes as the packet.
/// Deletions happen here because the inside host's count of established flows goes with them.
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
#[classifier]
fn forget(context: TcContext) -> i32 {
    let Ok(key) = context.load::<FlowKey>(0) else { return 0 };
    maps::end_flow(&raw const key, FlowEvent::Deleted).cast_signed()
}

/// Not attached anywhere: user space runs it to remove flows whose time is over. It passes their
/// keys, one behind the other, as the packet.
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
#[classifier]
fn reclaim(context: TcContext) -> i32 {
    let mut reclaimed = 0;
    for index in 0..RECLAIMED_MAX {
        let Ok(key) = context.load::<FlowKey>(index * size_of::<FlowKey>()) else { break };
        reclaimed += maps::reclaim_flow(&raw const key).cast_signed();
    }
    reclaimed
}

/// Not attached anywhere: user space runs it to enter a flow that was there before the gateway. That
/// happens here because packets may open, move and count flows at the same time.
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
#[classifier]
fn seed(context: TcContext) -> i32 {
    let Ok(seed) = context.load::<Seed>(0) else { return 0 };
    let Some(config) = gateway::valid_config(&Maps) else { return 0 };
    seed::enter(&seed, config, &Maps) as i32
}

/// "Unspecified" lets the other programs on the hook, and then the stack, go on.
fn tc_action(verdict: Verdict) -> i32 {
    match verdict {
        Verdict::Pass => TC_ACT_UNSPEC,
        Verdict::Drop => TC_ACT_SHOT,
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel lets only GPL-compatible programs use the helpers this one needs.
#[expect(unsafe_code, reason = "the section and its contents are what the kernel looks for")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
