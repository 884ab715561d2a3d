//! `eigw doctor`: what to expect of this machine and its interfaces.

use clap::Args;

use super::{Context, Failure, Result, values};
use crate::{
    datapath,
    doctor::{InterfaceFacts, MachineFacts, judge_interface, judge_machine},
    net::{NetError, interface, links},
    output::{self, Output},
    view::{DoctorView, InterfaceFindingsView, View},
};

/// Say what to expect of this machine and its interfaces, and what to do about it
///
/// Changes nothing. Fails if a check finds a problem, which is what would make 'attach' fail.
#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// Only this interface, instead of all but the loopback device
    #[arg(value_name = "IF", value_parser = values::interface)]
    interface: Option<String>,
}

pub(super) fn run<W: std::io::Write>(
    context: &Context,
    args: &DoctorArgs,
    output: &mut Output<W>,
) -> Result<()> {
    let view = examine(context, args)?;
    let problems = view.problems;
    output.print(&View::Doctor(view))?;
    if problems == 0 {
        return Ok(());
    }
    let checks = output::plural(problems, "check", "checks");
    Err(Failure::operation(format!("{problems} {checks} found a problem; see above what to do")))
}

fn examine(context: &Context, args: &DoctorArgs) -> Result<DoctorView> {
    let wanted = args.interface.as_deref();
    let links = links::all()?;
    if let Some(name) = wanted
        && !links.iter().any(|link| link.interface.name == name)
    {
        return Err(NetError::InterfaceMissing { name: name.to_owned() }.into());
    }
    let owners = datapath::owners(&context.bpffs);
    let mut interfaces = Vec::new();
    for link in &links {
        let interface = &link.interface;
        let is_asked_for = match wanted {
            Some(name) => interface.name == name,
            None => !interface.is_loopback(),
        };
        if !is_asked_for {
            continue;
        }
        match InterfaceFacts::gather(link, &links, &owners, wanted.is_some()) {
            Ok(facts) => interfaces.push(InterfaceFindingsView {
                name: interface.name.clone(),
                checks: judge_interface(&facts),
            }),
            // It went away meanwhile.
            Err(_) if interface::by_index(interface.index).is_err() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(DoctorView::new(judge_machine(&MachineFacts::gather(&context.bpffs)), interfaces))
}
