//! The gateway between real hosts: veth pairs, the kernel's own stacks, the real `eigw`.
//!
//! Every test makes a lab of its own (see `tests::topology`), so they run side by side. What a
//! test says about traffic it says for each ingress hook.

mod cli;
mod configuration;
mod confirm;
mod conflicts;
mod daemon;
mod doctor;
mod flows;
mod fragments;
mod lifecycle;
mod link;
mod lockout;
mod machine;
mod offloads;
mod path;
mod policy;
mod reload;
mod seed;
mod several;
mod stream;
mod top;
mod traffic;
mod unsolicited;
mod upgrade;
mod vlan;
mod watch;
mod why;

/// Runs a test once in every ingress hook: the function takes the hook.
macro_rules! in_every_hook {
    ($test:ident) => {
        mod $test {
            use tests::eigw::Hook;

            #[test]
            fn xdp() {
                super::$test(Hook::Xdp);
            }

            #[test]
            fn xdp_generic() {
                super::$test(Hook::XdpGeneric);
            }

            #[test]
            fn tc() {
                super::$test(Hook::Tc);
            }
        }
    };
}
pub(crate) use in_every_hook;
