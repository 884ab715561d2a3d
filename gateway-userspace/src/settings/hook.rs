//! Names of the choices of an ingress hook, for the configuration, the command line and output.

use clap::{ValueEnum, builder::PossibleValue};

use crate::datapath::HookChoice;

/// The name of a choice.
#[must_use]
pub const fn hook_name(hook: HookChoice) -> &'static str {
    match hook {
        HookChoice::Auto => "auto",
        HookChoice::Xdp => "xdp",
        HookChoice::XdpGeneric => "xdp-generic",
        HookChoice::Tc => "tc",
    }
}

impl ValueEnum for HookChoice {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Xdp, Self::XdpGeneric, Self::Tc]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Auto => "native XDP where the driver has it, else TC",
            Self::Xdp => "native XDP only",
            Self::XdpGeneric => "generic XDP, which works with every driver and is slow",
            Self::Tc => "TC, which keeps the network card's receive offloads",
        };
        Some(PossibleValue::new(hook_name(*self)).help(help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_reads_back_by_its_name() {
        for choice in HookChoice::value_variants() {
            assert_eq!(HookChoice::from_str(hook_name(*choice), false), Ok(*choice));
        }
    }
}
