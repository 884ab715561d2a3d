//! Entering the connections that are there into the flow tables, so that attaching cuts nothing.
//!
//! The policy in force is asked about each, as it would be about the flow's next packet after a
//! reload. What inside opened has to be allowed. What outside opened is entered as admitted where
//! the policy admits it, and is left out where a rule or a route forbids it. Where the policy just
//! has nothing that lets it in, as the default one, it is entered like a flow that inside opened:
//! that is what the gateway takes it for when inside's next packet picks it up, and what the next
//! reload will judge it as. Every flow carries the generation of the policy that it was asked of, so
//! its first packets are not judged again.

use aya::{TestRun, TestRunOptions, programs::SchedClassifier};
use gateway_common::{
    abi::name,
    flow::mark,
    policy::{Query, Ruling},
    seed::{Entered, Seed},
    tuple::Direction,
};

use super::{DatapathError, TableSizes, policy::NewPolicy, programs::Programs, sys};
use crate::{
    net::{interface::Interface, stack},
    policy::HostTables,
    seed::{self, Connection, Links, Survey},
};

/// At most one in so many places of the half-open table goes to connections for which there is no
/// room elsewhere: it has to have room for new flows, too.
const OVERFLOW_DIVISOR: u32 = 2;

/// Which connections were entered into the flow tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeded {
    /// Flows of the host's own sockets.
    pub sockets: u64,
    /// Flows that only connection tracking knew of.
    pub conntrack: u64,
    /// Connections on an uplink that could not be entered.
    pub skipped: u64,
    /// What was read and what was not there, in whole sentences.
    pub explanations: Vec<String>,
}

/// What is needed to enter connections.
pub(super) struct Seeding<'a> {
    /// The uplinks whose connections are to be entered.
    pub(super) uplinks: &'a [&'a Interface],
    /// The policy to ask.
    pub(super) policy: &'a NewPolicy,
    /// Its generation.
    pub(super) generation: u32,
    /// The sizes of the flow tables.
    pub(super) tables: TableSizes,
}

impl Seeding<'_> {
    /// Enters every connection that uses one of the uplinks; what the operator should know goes to
    /// `notes`.
    ///
    /// # Errors
    /// [`DatapathError::Seed`], [`DatapathError::Net`] or [`DatapathError::Program`].
    pub(super) fn run(
        &self,
        programs: &mut Programs,
        notes: &mut Vec<String>,
    ) -> Result<Seeded, DatapathError> {
        let indices: Vec<u32> = self.uplinks.iter().map(|uplink| uplink.index).collect();
        let links = Links::new(&stack::links()?, &indices);
        let mut sower = Sower {
            program: programs.classifier(name::SEED)?,
            policy: HostTables::new(self.policy.compiled()),
            generation: self.generation,
            overflow_left: self.tables.half_open_max / OVERFLOW_DIVISOR,
            tally: Tally::default(),
        };
        let sockets = seed::sockets(&links, |connection| sower.enter(&connection))?;
        let of_sockets = sower.tally.entered();
        let conntrack = seed::conntrack(&links, |connection| sower.enter(&connection))?;
        let tally = sower.tally;
        notes.extend(tally.notes());
        notes.extend(zone_note(&conntrack));
        Ok(Seeded {
            sockets: of_sockets,
            conntrack: tally.entered() - of_sockets,
            skipped: tally.skipped(),
            explanations: vec![
                explain(&sockets, "sockets"),
                explain(&conntrack, "tracked connections"),
            ],
        })
    }
}

/// Enters connections one by one.
struct Sower<'a> {
    program: &'a mut SchedClassifier,
    policy: HostTables<'a>,
    generation: u32,
    /// How many more may go to the half-open flows.
    overflow_left: u32,
    tally: Tally,
}

/// What became of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    established: u64,
    half_open: u64,
    forbidden: u64,
    no_room: u64,
}

impl Sower<'_> {
    fn enter(&mut self, connection: &Connection) -> Result<(), DatapathError> {
        let Some(marks) = policy_marks(&self.policy, connection) else {
            self.tally.forbidden += 1;
            return Ok(());
        };
        let mut seed = Seed::new(connection.key, connection.stage, marks, self.generation);
        seed.may_overflow = u32::from(self.overflow_left > 0);
        if !seed.is_confirmed() && seed.may_overflow == 0 {
            self.tally.no_room += 1;
            return Ok(());
        }
        match self.sow(&seed)? {
            Entered::Established => self.tally.established += 1,
            Entered::HalfOpen => {
                self.overflow_left = self.overflow_left.saturating_sub(1);
                self.tally.half_open += 1;
            }
            Entered::Known => {}
            Entered::NoRoom => self.tally.no_room += 1,
        }
        Ok(())
    }

    /// Has the program in the kernel enter a flow: packets may open and move the same one at the
    /// same moment, and its host's share goes with it.
    fn sow(&mut self, seed: &Seed) -> Result<Entered, DatapathError> {
        let failed =
            |source| DatapathError::Program { action: "running", program: name::SEED, source };
        let bytes = sys::bytes_of_seed(seed);
        let options = TestRunOptions { data_in: Some(&bytes), ..TestRunOptions::default() };
        let answer = self.program.test_run(options).map_err(failed)?.return_value;
        // Without a configuration nothing is entered; but there is one before this begins.
        Ok(Entered::of(answer).unwrap_or(Entered::NoRoom))
    }
}

/// The marks by which the policy knows a connection; `None` if it forbids the connection.
fn policy_marks(policy: &HostTables<'_>, connection: &Connection) -> Option<u32> {
    let Connection { key, opened, is_forwarded, .. } = connection;
    let forwarded = if *is_forwarded { mark::FORWARDED } else { 0 };
    let admitted = mark::ADMITTED | forwarded;
    match opened {
        Direction::Outbound => {
            let allowed = policy.decide(&Query::of_flow(key, forwarded)).ruling.allows();
            allowed.then_some(forwarded)
        }
        Direction::Inbound => match policy.decide(&Query::of_flow(key, admitted)).ruling {
            Ruling::RuleAllowed | Ruling::RouteAllowed => Some(admitted),
            Ruling::Unsolicited => Some(forwarded),
            Ruling::NoPolicy
            | Ruling::RuleDenied
            | Ruling::RouteBlocked
            | Ruling::EgressSpoof
            | Ruling::IngressSpoof
            | Ruling::InsideDestination => None,
        },
    }
}

impl Tally {
    const fn entered(&self) -> u64 {
        self.established + self.half_open
    }

    const fn skipped(&self) -> u64 {
        self.forbidden + self.no_room
    }

    fn notes(&self) -> Vec<String> {
        let all = self.entered() + self.skipped();
        let mut notes = Vec::new();
        if self.no_room > 0 {
            notes.push(format!(
                "{} of {all} connections could not be seeded because the flow tables have no more \
                 room for their hosts ('established_max', 'established_per_host'); each goes on \
                 when inside sends its next packet",
                self.no_room
            ));
        }
        if self.forbidden > 0 {
            notes.push(format!(
                "{} of {all} connections were not seeded because the policy forbids them",
                self.forbidden
            ));
        }
        notes
    }
}

fn zone_note(conntrack: &Survey) -> Option<String> {
    (conntrack.zoned > 0).then(|| {
        format!(
            "{} tracked connections were not seeded because they are in connection tracking zones \
             other than the default one",
            conntrack.zoned
        )
    })
}

fn explain(survey: &Survey, what: &str) -> String {
    match survey {
        Survey { missing: Some(missing), .. } => format!("no {what} are seeded: {missing}"),
        Survey { entries, unreadable: 0, .. } => format!("{entries} {what} were listed"),
        Survey { entries, unreadable, .. } => {
            format!("{entries} {what} were listed, of which {unreadable} could not be understood")
        }
    }
}

#[cfg(test)]
mod tests;
