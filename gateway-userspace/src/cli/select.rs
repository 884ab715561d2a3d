//! Which gateway a command is about.

use super::{Context, Failure, Result};
use crate::datapath::{self, Gateway, GatewayName};

/// Opens the named gateway, or the only one.
pub(super) fn open(context: &Context, name: Option<&GatewayName>) -> Result<Gateway> {
    Ok(Gateway::open(&context.bpffs, &self::name(context, name)?)?)
}

/// The given name, or that of the only gateway.
pub(super) fn name(context: &Context, given: Option<&GatewayName>) -> Result<GatewayName> {
    given.map_or_else(|| only(datapath::list(&context.bpffs)?), |name| Ok(name.clone()))
}

/// The only gateway of a list.
fn only(mut attached: Vec<GatewayName>) -> Result<GatewayName> {
    match (attached.pop(), attached.is_empty()) {
        (Some(name), true) => Ok(name),
        (None, _) => Err(Failure::operation(
            "no gateway is attached; attach one with 'eigw attach --uplink IF'",
        )),
        (Some(last), false) => {
            attached.push(last);
            let names: Vec<_> = attached.iter().map(GatewayName::as_str).collect();
            Err(Failure::operation(format!(
                "several gateways are attached; choose one of them with --name: {}",
                names.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_gateway_is_the_default_and_nothing_is_guessed() {
        let name = |text: &str| GatewayName::new(text).expect("valid name");
        assert_eq!(only(vec![name("wan")]).expect("one"), name("wan"));
        let message = |attached| match only(attached) {
            Err(Failure::Operation(error)) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(message(vec![]).starts_with("no gateway is attached; "));
        assert!(message(vec![name("a"), name("b")]).ends_with("--name: a, b"));
    }
}
