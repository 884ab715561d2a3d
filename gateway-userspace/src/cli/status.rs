//! `eigw status`: the gateways and what they protect.

use clap::Args;
use gateway_common::{config::Config, counter::FlowEvent, policy::Route};

use super::{Context, Failure, Result, ms, tables, values};
use crate::{
    datapath::{self, Gateway, GatewayName, IngressHook, Unconfirmed, UplinkStatus},
    view::{
        AttachmentView, EventsView, GatewayView, LoadedPolicyView, PolicyView, PressureView,
        StatusElement, StatusView, UnconfirmedView, UnreadableView, UplinkView,
    },
};

/// Show the gateways, their uplinks and their policy
#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// Only this gateway, which must be attached
    #[arg(long, value_name = "NAME", value_parser = values::gateway_name)]
    name: Option<GatewayName>,
}

pub(super) fn run(context: &Context, args: &StatusArgs) -> Result<StatusView> {
    if let Some(name) = &args.name {
        let gateway = gateway(context, name)?;
        return Ok(StatusView { gateways: vec![StatusElement::Readable(Box::new(gateway))] });
    }
    let gateways = datapath::list(&context.bpffs)?
        .into_iter()
        .map(|name| element(name.as_str(), gateway(context, &name)))
        .collect();
    Ok(StatusView { gateways })
}

/// One unreadable gateway must not hide the others.
fn element(name: &str, gateway: Result<GatewayView>) -> StatusElement {
    let error = match gateway {
        Ok(view) => return StatusElement::Readable(Box::new(view)),
        Err(Failure::Usage(error) | Failure::Operation(error)) => format!("{error:#}"),
        Err(Failure::ReaderGone) => String::new(),
    };
    StatusElement::Unreadable(UnreadableView { name: name.to_owned(), error })
}

fn gateway(context: &Context, name: &GatewayName) -> Result<GatewayView> {
    let gateway = Gateway::open(&context.bpffs, name)?;
    let config = gateway.config()?;
    let unconfirmed = unconfirmed(&gateway, &config)?;
    let stands_by = config.is_standby() || unconfirmed.is_some_and(|it| it.overdue);
    let mode = match (config.is_valid(), stands_by) {
        (false, _) => "unknown",
        (true, true) => "standby",
        (true, false) => "armed",
    };
    let events = gateway.flow_events()?;
    Ok(GatewayView {
        name: name.to_string(),
        mode,
        unconfirmed,
        abi_version: config.abi_version,
        daemon: datapath::has_daemon(&context.bpffs, name),
        uplinks: gateway.uplinks()?.iter().map(uplink).collect(),
        flows: tables::flow_tables(&gateway)?,
        pressure: pressure(&gateway, &events)?,
        events: EventsView(events),
        loaded: loaded(&gateway, &config),
        policy: PolicyView::from(&config),
    })
}

fn unconfirmed(gateway: &Gateway, config: &Config) -> Result<Option<UnconfirmedView>> {
    let unconfirmed = Unconfirmed::of(config, gateway.now()?);
    Ok(unconfirmed.map(|Unconfirmed { left, .. }| UnconfirmedView {
        left_ms: ms(left),
        overdue: left.is_zero(),
    }))
}

/// Which policy is in force. That its text cannot be read must not hide the rest.
fn loaded(gateway: &Gateway, config: &Config) -> LoadedPolicyView {
    let source = gateway.policy().ok().map(|policy| policy.source);
    LoadedPolicyView {
        generation: config.generation,
        rules: config.policy.rules,
        subnets: config.policy.subnets,
        default_route: Route::decode(config.policy.default_route).name(),
        loaded_unix_secs: source.as_ref().map(|source| source.loaded_unix_secs),
        file: source.and_then(|source| source.file),
    }
}

/// The limits that flows met, with the hosts that meet them still.
fn pressure(gateway: &Gateway, events: &[(FlowEvent, u64)]) -> Result<Vec<PressureView>> {
    let mut pressure = Vec::new();
    for &(event, count) in events.iter().filter(|(_, count)| *count > 0) {
        let hosts = match event {
            FlowEvent::HostShareFull => gateway.hosts_at_share()?,
            FlowEvent::HostOverflow => gateway.hosts_beyond_allowance()?,
            FlowEvent::Created
            | FlowEvent::Promoted
            | FlowEvent::EstablishedFull
            | FlowEvent::HostRecycled
            | FlowEvent::Changed
            | FlowEvent::Expired
            | FlowEvent::Closed
            | FlowEvent::Reset
            | FlowEvent::Deleted
            | FlowEvent::Revoked
            | FlowEvent::Replaced
            | FlowEvent::RecordLost => Vec::new(),
        };
        pressure.extend(PressureView::new(event, count, &hosts));
    }
    Ok(pressure)
}

fn uplink(status: &UplinkStatus) -> UplinkView {
    UplinkView {
        name: status.name.clone(),
        ifindex: status.ifindex,
        present: status.present,
        up: status.up,
        hook: status.ingress.map(|program| program.hook.name()),
        ingress: status.ingress.map(|program| AttachmentView {
            program_id: program.program_id,
            attachment: ingress_attachment(program.hook),
        }),
        egress: status.egress.map(|program| AttachmentView {
            program_id: program.program_id,
            attachment: program.hook.name(),
        }),
    }
}

const fn ingress_attachment(hook: IngressHook) -> &'static str {
    match hook {
        IngressHook::XdpNative | IngressHook::XdpGeneric => "xdp",
        IngressHook::Tc(means) => means.name(),
    }
}
