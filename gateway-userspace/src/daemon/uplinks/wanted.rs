//! The uplinks that a gateway shall have, whether they are there or not.

use tracing::{info, warn};

use crate::{
    datapath::{GatewayName, UplinkStatus},
    view::AttachedUplinkView,
};

/// An uplink that the gateway shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its name in the file or on the command line.
    pub(super) configured: String,
    /// The name that it had last.
    pub(super) name: String,
    /// The interface that it is now; `None` while there is none.
    pub(super) ifindex: Option<u32>,
    /// Whether that is up.
    pub(super) up: bool,
}

impl Wanted {
    pub(super) fn named(name: &str) -> Self {
        Self { configured: name.to_owned(), name: name.to_owned(), ifindex: None, up: true }
    }

    /// The names by which to look for it, the likeliest first.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let other = Some(self.name.as_str()).filter(|&name| name != self.configured);
        std::iter::once(self.configured.as_str()).chain(other)
    }
}

/// What became of the uplinks since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Names of uplinks without a program that they had.
    pub(super) robbed: Vec<String>,
    /// Names of uplinks that are gone.
    pub(super) gone: Vec<String>,
    /// Whether an uplink has another name.
    pub(super) are_renamed: bool,
}

/// All uplinks that a gateway shall have.
#[derive(Debug, Default)]
pub(super) struct WantedList(pub(super) Vec<Wanted>);

impl WantedList {
    pub(super) fn of(names: &[String]) -> Self {
        Self(names.iter().map(|name| Wanted::named(name)).collect())
    }

    /// Notes to which interfaces the gateway was attached.
    pub(super) fn bind(&mut self, uplinks: &[AttachedUplinkView]) {
        for uplink in uplinks {
            self.bind_one(&uplink.name, uplink.ifindex);
        }
    }

    /// Notes to which interface of that name the gateway was attached.
    pub(super) fn bind_one(&mut self, name: &str, ifindex: u32) {
        let is_it = |wanted: &Wanted| wanted.names().any(|known| known == name);
        let position = self.0.iter().position(is_it).unwrap_or_else(|| {
            self.0.push(Wanted::named(name));
            self.0.len() - 1
        });
        let wanted = &mut self.0[position];
        name.clone_into(&mut wanted.name);
        wanted.ifindex = Some(ifindex);
        wanted.up = true;
    }

    /// Takes over what the gateway has on record now.
    pub(super) fn compare(&mut self, gateway: &GatewayName, records: &[UplinkStatus]) -> Changes {
        self.0.retain(|wanted| {
            let is_on_record = |ifindex| records.iter().any(|record| record.ifindex == ifindex);
            let stays = wanted.ifindex.is_none_or(is_on_record);
            if !stays {
                let uplink = &wanted.name;
                info!(%gateway, %uplink, "somebody took the uplink from the gateway");
            }
            stays
        });
        let mut changes = Changes::default();
        for record in records {
            let known = self.0.iter_mut().find(|it| it.ifindex == Some(record.ifindex));
            match known {
                Some(wanted) if record.present => update(gateway, wanted, record, &mut changes),
                Some(wanted) => {
                    wanted.ifindex = None;
                    changes.gone.push(wanted.name.clone());
                }
                None if record.present && is_whole(record) => {
                    self.bind_one(&record.name, record.ifindex);
                    let (uplink, ifindex) = (&record.name, record.ifindex);
                    info!(%gateway, %uplink, ifindex, "the gateway protects this uplink, too");
                }
                // The remains of an uplink that is gone or was and is back, or one that somebody is
                // just about to attach.
                None => {}
            }
        }
        changes
    }

    /// What to show to people.
    pub(super) fn status(&self, gateway: &GatewayName) -> String {
        let names = |is_one: fn(&Wanted) -> bool| {
            let names: Vec<_> =
                self.0.iter().filter(|it| is_one(it)).map(|it| it.name.as_str()).collect();
            names.join(", ")
        };
        let there = names(|wanted| wanted.ifindex.is_some());
        let down = names(|wanted| wanted.ifindex.is_some() && !wanted.up);
        let absent = names(|wanted| wanted.ifindex.is_none());
        let mut parts = vec![format!("gateway {gateway}")];
        if !there.is_empty() {
            parts.push(format!("protects {there}"));
        }
        if !down.is_empty() {
            parts.push(format!("({down} down)"));
        }
        if !absent.is_empty() {
            let and = if there.is_empty() { "" } else { "and " };
            parts.push(format!("{and}waits for {absent}"));
        }
        parts.join(" ")
    }
}

fn is_whole(record: &UplinkStatus) -> bool {
    record.ingress.is_some() && record.egress.is_some()
}

/// Takes over the state of an interface that is there.
fn update(
    gateway: &GatewayName,
    wanted: &mut Wanted,
    record: &UplinkStatus,
    changes: &mut Changes,
) {
    let (ifindex, uplink) = (record.ifindex, &record.name);
    if wanted.name != record.name {
        let old = &wanted.name;
        warn!(
            %gateway, %uplink, ifindex,
            "the uplink was {old} before and stays protected; a file that names {old} should be \
             changed"
        );
        wanted.name.clone_from(&record.name);
        changes.are_renamed = true;
    }
    if wanted.up != record.up {
        wanted.up = record.up;
        if record.up {
            info!(%gateway, %uplink, ifindex, "the uplink is up");
        } else {
            warn!(%gateway, %uplink, ifindex, "the uplink is down");
        }
    }
    if !is_whole(record) {
        changes.robbed.push(record.name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::{AttachedProgram, IngressHook, TcMeans};

    #[test]
    fn an_uplink_is_followed_by_its_index() {
        let (wan, mut wanted) = (GatewayName::of_uplink("wan"), list(&["a", "b"]));
        assert_eq!(wanted.status(&wan), "gateway wan waits for a, b");
        wanted.bind_one("a", 7);
        assert_eq!(wanted.status(&wan), "gateway wan protects a and waits for b");
        assert_eq!(wanted.compare(&wan, &[record("a", 7)]), Changes::default());

        let renamed = wanted.compare(&wan, &[record("c", 7)]);
        assert_eq!(renamed, Changes { are_renamed: true, ..Changes::default() });
        assert_eq!(wanted.0[0].names().collect::<Vec<_>>(), ["a", "c"]);
        let down = UplinkStatus { up: false, ..record("c", 7) };
        wanted.compare(&wan, &[down]);
        assert_eq!(wanted.status(&wan), "gateway wan protects c (c down) and waits for b");

        let gone = UplinkStatus { present: false, ..record("c", 7) };
        let changes = wanted.compare(&wan, std::slice::from_ref(&gone));
        assert_eq!(changes.gone, ["c"]);
        assert_eq!(wanted.compare(&wan, &[gone]), Changes::default(), "told once");
        assert_eq!(wanted.0[0].ifindex, None);
    }

    #[test]
    fn what_others_attach_and_release_is_taken_over() {
        let (wan, mut wanted) = (GatewayName::of_uplink("wan"), list(&["a"]));
        wanted.bind_one("a", 7);
        assert_eq!(wanted.compare(&wan, &[record("b", 8)]), Changes::default());
        assert_eq!(wanted.status(&wan), "gateway wan protects b");
        let robbed = UplinkStatus { egress: None, ..record("b", 8) };
        assert_eq!(wanted.compare(&wan, &[robbed]).robbed, ["b"]);
        let half = UplinkStatus { ingress: None, ..record("c", 9) };
        assert_eq!(wanted.compare(&wan, &[record("b", 8), half]), Changes::default());
        assert_eq!(wanted.status(&wan), "gateway wan protects b");
    }

    fn list(names: &[&str]) -> WantedList {
        WantedList(names.iter().map(|name| Wanted::named(name)).collect())
    }

    fn record(name: &str, ifindex: u32) -> UplinkStatus {
        UplinkStatus {
            ifindex,
            name: name.to_owned(),
            present: true,
            up: true,
            ingress: Some(AttachedProgram { hook: IngressHook::XdpNative, program_id: 1 }),
            egress: Some(AttachedProgram { hook: TcMeans::Tcx, program_id: 2 }),
        }
    }
}
