//! Attaching the programs of one gateway to its uplinks, step by step and undoable.

use std::{collections::HashMap, io, path::PathBuf};

use aya::programs::{ProgramError, SchedClassifier, Xdp};
use aya_obj::programs::XdpAttachType;
use gateway_common::abi::name;

use super::{
    DatapathError, HookChoice, TcChoice, TcMeans,
    attachment::{self, Attachment, classifier_name},
    meta::{Meta, MetaMap},
    pin::{self, GatewayDir},
    programs::Programs,
    undo::Undo,
    uplinks,
};
use crate::net::{
    interface::{Interface, XdpMode},
    tc::{self, Hook},
};

/// A gateway under construction, or under reconstruction.
pub(super) struct Work<'a> {
    /// Where its pins are.
    pub(super) directory: GatewayDir,
    /// The programs to attach.
    pub(super) programs: Programs,
    /// What `META` says.
    pub(super) meta: Meta,
    /// Where it says so.
    pub(super) meta_map: MetaMap,
    /// How TC programs are to be attached.
    pub(super) tc: TcChoice,
    /// What to tell the user.
    pub(super) notes: &'a mut Vec<String>,
    /// How to go back.
    pub(super) undo: &'a mut Undo,
    /// What is on the uplinks, by interface index.
    pub(super) attached: HashMap<u32, Vec<Attachment>>,
}

impl Work<'_> {
    /// Finds out what is on an uplink already.
    ///
    /// # Errors
    /// [`DatapathError::Net`].
    pub(super) fn survey(&mut self, uplink: &Interface) -> Result<(), DatapathError> {
        let found = uplinks::attached(&self.directory, &self.meta, uplink)?;
        self.attached.insert(uplink.index, found);
        Ok(())
    }

    /// Puts the egress program on an uplink.
    ///
    /// # Errors
    /// What the last possible way of attaching it fails with.
    pub(super) fn place_egress(&mut self, uplink: &Interface) -> Result<Attachment, DatapathError> {
        self.place(uplink, &self.tc_candidates(Hook::Egress))
    }

    /// Puts the ingress program on an uplink.
    ///
    /// # Errors
    /// What the last possible way of attaching it fails with.
    pub(super) fn place_ingress(
        &mut self,
        uplink: &Interface,
        hook: HookChoice,
    ) -> Result<Attachment, DatapathError> {
        let tc_candidates = self.tc_candidates(Hook::Ingress);
        let candidates = match hook {
            HookChoice::Auto => [vec![Attachment::Xdp(XdpMode::Native)], tc_candidates].concat(),
            HookChoice::Xdp => vec![Attachment::Xdp(XdpMode::Native)],
            HookChoice::XdpGeneric => vec![Attachment::Xdp(XdpMode::Generic)],
            HookChoice::Tc => tc_candidates,
        };
        self.place(uplink, &candidates)
    }

    /// Removes what is on an uplink beside what was just placed. Not undone: it comes last.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`], [`DatapathError::Net`] or [`DatapathError::Map`].
    pub(super) fn retire(
        &mut self,
        uplink: &Interface,
        placed: &[Attachment],
    ) -> Result<(), DatapathError> {
        let attached = self.attached.get(&uplink.index).cloned().unwrap_or_default();
        for attachment in attached.into_iter().filter(|attachment| !placed.contains(attachment)) {
            if let Some(path) = self.directory.link(uplink.index, attachment) {
                pin::remove_link(&path)?;
            } else {
                attachment::remove_filter(uplink.index, attachment.hook())?;
            }
        }
        for hook in [Hook::Ingress, Hook::Egress] {
            let is_placed = placed.contains(&Attachment::Clsact(hook));
            self.meta.uplink_mut(uplink.index, &uplink.name).set_filter(hook, is_placed);
        }
        let record = self.meta.uplink_mut(uplink.index, &uplink.name);
        if record.clsact_added && !record.clsact_ingress && !record.clsact_egress {
            record.clsact_added = false;
            attachment::remove_clsact_if_unused(uplink.index)?;
        }
        self.meta_map.write(&self.meta)
    }

    /// Removes everything from the uplinks on record whose indices are not among `staying`, whether
    /// their interfaces still exist or not. Not undone: it comes last.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`], [`DatapathError::Net`] or [`DatapathError::Map`].
    pub(super) fn leave_all_but(&mut self, staying: &[u32]) -> Result<(), DatapathError> {
        let records = self.meta.uplinks.clone();
        for record in records {
            if staying.contains(&record.ifindex) {
                continue;
            }
            for attachment in Attachment::LINKS {
                if let Some(path) = self.directory.link(record.ifindex, attachment) {
                    pin::remove_link(&path)?;
                }
            }
            attachment::remove_all_filters(&record)?;
            self.meta.uplinks.retain(|uplink| uplink.ifindex != record.ifindex);
            self.meta_map.write(&self.meta)?;
        }
        Ok(())
    }

    /// Tries one way after the other until one works.
    fn place(
        &mut self,
        uplink: &Interface,
        candidates: &[Attachment],
    ) -> Result<Attachment, DatapathError> {
        let (&last, others) = candidates.split_last().expect("there is always a way to try");
        for &candidate in others {
            match self.put(uplink, candidate) {
                Ok(()) => return Ok(candidate),
                Err(error) => self.notes.extend(why_not(candidate, error)?),
            }
        }
        self.put(uplink, last)?;
        Ok(last)
    }

    /// Attaches a program, or replaces its predecessor where that is attached.
    fn put(&mut self, uplink: &Interface, attachment: Attachment) -> Result<(), DatapathError> {
        if self.is_attached(uplink, attachment) {
            return self.replace(uplink, attachment);
        }
        if let Attachment::Xdp(mode) = attachment {
            self.clear_other_xdp(uplink, mode)?;
        }
        self.attach(uplink, attachment)?;
        self.attached.entry(uplink.index).or_default().push(attachment);
        Ok(())
    }

    /// The kernel allows an interface only one XDP mode at a time. So that no packet goes
    /// unfiltered while the mode changes, the TC program stands in; meanwhile packets are judged
    /// and counted twice, which does no harm.
    fn clear_other_xdp(&mut self, uplink: &Interface, mode: XdpMode) -> Result<(), DatapathError> {
        let attached = self.attached.get(&uplink.index).cloned().unwrap_or_default();
        let other = attached.into_iter().find_map(|attachment| match attachment {
            Attachment::Xdp(other) if other != mode => Some(other),
            Attachment::Xdp(_) | Attachment::Tcx(_) | Attachment::Clsact(_) => None,
        });
        let Some(other) = other else { return Ok(()) };
        self.place(uplink, &self.tc_candidates(Hook::Ingress))?;
        let link = self.link_path(uplink, Attachment::Xdp(other));
        let (directory, uplink_again, link_again) =
            (self.directory.clone(), uplink.clone(), link.clone());
        self.undo.push(move || {
            pin::remove_link(&link_again)?;
            attachment::attach_xdp(&mut old_xdp(&directory)?, &uplink_again, other, &link_again)
        });
        pin::remove_link(&link)?;
        self.attached.entry(uplink.index).or_default().retain(|&it| it != Attachment::Xdp(other));
        Ok(())
    }

    fn attach(&mut self, uplink: &Interface, attachment: Attachment) -> Result<(), DatapathError> {
        match attachment {
            Attachment::Xdp(mode) => {
                let link = self.free_link_path(uplink, attachment)?;
                attachment::attach_xdp(self.programs.xdp()?, uplink, mode, &link)?;
                self.undo.push(move || pin::remove_link(&link));
            }
            Attachment::Tcx(hook) => {
                let link = self.free_link_path(uplink, attachment)?;
                let program = self.programs.classifier(classifier_name(hook))?;
                attachment::attach_tcx(program, uplink, hook, &link)?;
                self.undo.push(move || pin::remove_link(&link));
            }
            Attachment::Clsact(hook) => {
                self.ensure_clsact(uplink, hook)?;
                if attachment::our_filter(uplink.index, hook)?.is_some() {
                    // Were it ours, it would be on record and replaced.
                    let interface = uplink.name.clone();
                    return Err(DatapathError::ForeignFilter { interface, hook: hook.name() });
                }
                self.meta.uplink_mut(uplink.index, &uplink.name).set_filter(hook, true);
                self.meta_map.write(&self.meta)?;
                let program = self.programs.classifier(classifier_name(hook))?;
                attachment::attach_filter(program, uplink, hook)?;
                let index = uplink.index;
                self.undo.push(move || Ok(attachment::remove_filter(index, hook)?));
            }
        }
        Ok(())
    }

    fn replace(&mut self, uplink: &Interface, attachment: Attachment) -> Result<(), DatapathError> {
        let directory = self.directory.clone();
        match attachment {
            Attachment::Xdp(_) => {
                let link = self.link_path(uplink, attachment);
                attachment::replace_xdp(self.programs.xdp()?, &link)?;
                self.undo.push(move || attachment::replace_xdp(&mut old_xdp(&directory)?, &link));
            }
            Attachment::Tcx(hook) => {
                let link = self.link_path(uplink, attachment);
                let program = self.programs.classifier(classifier_name(hook))?;
                attachment::replace_tcx(program, hook, &link)?;
                self.undo.push(move || {
                    attachment::replace_tcx(&mut old_classifier(&directory, hook)?, hook, &link)
                });
            }
            Attachment::Clsact(hook) => {
                let program = self.programs.classifier(classifier_name(hook))?;
                attachment::replace_filter(program, uplink, hook)?;
                let uplink = uplink.clone();
                self.undo.push(move || {
                    let mut old = old_classifier(&directory, hook)?;
                    attachment::replace_filter(&mut old, &uplink, hook)
                });
            }
        }
        Ok(())
    }

    fn ensure_clsact(&mut self, uplink: &Interface, hook: Hook) -> Result<(), DatapathError> {
        match tc::ingress_qdisc(uplink.index)?.as_deref() {
            Some(tc::CLSACT) => Ok(()),
            Some(_) => Err(DatapathError::TcRefused {
                interface: uplink.name.clone(),
                hook: hook.name(),
                means: TcMeans::Clsact.name(),
                source: io::Error::other(format!(
                    "its ingress has another queueing discipline than clsact; remove that with \
                     `tc qdisc del dev {} ingress`",
                    uplink.name
                )),
            }),
            None => {
                self.meta.uplink_mut(uplink.index, &uplink.name).clsact_added = true;
                self.meta_map.write(&self.meta)?;
                let index = uplink.index;
                self.undo.push(move || Ok(attachment::remove_clsact_if_unused(index)?));
                attachment::add_clsact(uplink, hook)
            }
        }
    }

    /// Where the link is pinned; a dead link that is in the way goes.
    fn free_link_path(
        &self,
        uplink: &Interface,
        attachment: Attachment,
    ) -> Result<PathBuf, DatapathError> {
        let path = self.link_path(uplink, attachment);
        pin::remove_link(&path)?;
        Ok(path)
    }

    fn link_path(&self, uplink: &Interface, attachment: Attachment) -> PathBuf {
        self.directory.link(uplink.index, attachment).expect("the attachment is a link")
    }

    fn is_attached(&self, uplink: &Interface, attachment: Attachment) -> bool {
        self.attached.get(&uplink.index).is_some_and(|all| all.contains(&attachment))
    }

    fn tc_candidates(&self, hook: Hook) -> Vec<Attachment> {
        match self.tc {
            TcChoice::Auto => vec![Attachment::Tcx(hook), Attachment::Clsact(hook)],
            TcChoice::Tcx => vec![Attachment::Tcx(hook)],
            TcChoice::Clsact => vec![Attachment::Clsact(hook)],
        }
    }
}

/// Decides whether a failed way leads to the next one, and what to say about it. What another
/// way cannot cure, or what would be hidden by taking it, remains an error.
fn why_not(candidate: Attachment, error: DatapathError) -> Result<Option<String>, DatapathError> {
    let (DatapathError::XdpRefused { interface, source, .. }
    | DatapathError::TcRefused { interface, source, .. }) = &error
    else {
        return Err(error);
    };
    let errno = source.raw_os_error();
    match (candidate, errno) {
        (_, None | Some(libc::EPERM | libc::EACCES | libc::ENODEV)) => Err(error),
        (Attachment::Xdp(mode), Some(_)) => Ok(Some(format!(
            "interface {interface} refused {} XDP ({source}); TC is used instead",
            mode.name()
        ))),
        // What kernels before 6.6 say, where the older way is the ordinary one.
        (Attachment::Tcx(_), Some(libc::EINVAL | libc::EOPNOTSUPP)) => Ok(None),
        (Attachment::Tcx(_) | Attachment::Clsact(_), Some(_)) => Err(error),
    }
}

/// The XDP program that was attached before; its pin is replaced last.
fn old_xdp(directory: &GatewayDir) -> Result<Xdp, DatapathError> {
    Xdp::from_pin(directory.program(name::INGRESS_XDP), XdpAttachType::Interface)
        .map_err(opening_old(name::INGRESS_XDP))
}

/// The TC program that was attached before; its pin is replaced last.
fn old_classifier(directory: &GatewayDir, hook: Hook) -> Result<SchedClassifier, DatapathError> {
    let name = classifier_name(hook);
    SchedClassifier::from_pin(directory.program(name)).map_err(opening_old(name))
}

fn opening_old(program: &'static str) -> impl FnOnce(ProgramError) -> DatapathError {
    move |source| DatapathError::Program { action: "opening the earlier", program, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_way_cures_leads_to_it() {
        let xdp = |errno| DatapathError::XdpRefused {
            interface: "up0".to_owned(),
            mode: "native",
            source: io::Error::from_raw_os_error(errno),
        };
        let tc = |errno| DatapathError::TcRefused {
            interface: "up0".to_owned(),
            hook: "egress",
            means: "tcx",
            source: io::Error::from_raw_os_error(errno),
        };
        let native = Attachment::Xdp(XdpMode::Native);
        let tcx = Attachment::Tcx(Hook::Egress);
        for errno in [libc::EOPNOTSUPP, libc::EINVAL, libc::ERANGE, libc::ENOMEM] {
            let note = why_not(native, xdp(errno)).expect("TC may work").expect("worth a note");
            assert!(note.contains("up0 refused native XDP") && note.contains("TC"), "{note}");
        }
        assert!(why_not(tcx, tc(libc::EINVAL)).expect("an older kernel").is_none());
        for error in [
            why_not(native, xdp(libc::EPERM)),
            why_not(native, xdp(libc::ENODEV)),
            why_not(tcx, tc(libc::ENOMEM)),
            why_not(
                native,
                DatapathError::ForeignXdp { interface: "up0".to_owned(), program: "7".to_owned() },
            ),
        ] {
            error.unwrap_err();
        }
    }
}
