//! The commands that are disturbed, and what may be left of them.

use std::fmt;

use super::site::State;

/// How a gateway sits on its uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// XDP for what comes in, TCX for what goes out.
    Xdp,
    /// TCX both ways.
    Tcx,
    /// `clsact` filters both ways, as on kernels without TCX.
    Clsact,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Xdp, Self::Tcx, Self::Clsact];

    /// The hook on the command line.
    #[must_use]
    pub const fn hook(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tcx | Self::Clsact => "tc",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xdp => "xdp",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        })
    }
}

/// A change of the gateway by one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// `eigw attach` where nothing is attached.
    Attach,
    /// `eigw attach` where the gateway is attached: programs are replaced in place.
    Again,
    /// `eigw reload`.
    Reload,
    /// `eigw confirm`.
    Confirm,
    /// What the daemon does about an uplink that lacks a program.
    Repair,
    /// `eigw detach`.
    Detach,
}

impl Job {
    /// Every job.
    pub const ALL: [Self; 6] =
        [Self::Attach, Self::Again, Self::Reload, Self::Confirm, Self::Repair, Self::Detach];

    /// Whether it does the same whatever the hooks are.
    #[must_use]
    pub const fn leaves_hooks_alone(self) -> bool {
        matches!(self, Self::Reload | Self::Confirm)
    }

    /// The state in which it finds the gateway.
    #[must_use]
    pub const fn start(self) -> State {
        match self {
            Self::Attach => State::Nothing,
            Self::Again | Self::Reload | Self::Confirm | Self::Detach => State::Armed,
            Self::Repair => State::Lacking,
        }
    }

    /// The state in which it leaves the gateway.
    #[must_use]
    pub const fn goal(self) -> State {
        match self {
            Self::Attach | Self::Again | Self::Reload | Self::Confirm | Self::Repair => {
                State::Armed
            }
            Self::Detach => State::Nothing,
        }
    }

    /// The states in which it may leave the gateway when it is killed.
    #[must_use]
    pub const fn when_killed(self) -> &'static [State] {
        match self {
            Self::Attach | Self::Detach => &[State::Nothing, State::Standby, State::Armed],
            Self::Again | Self::Reload | Self::Confirm => &[State::Armed],
            Self::Repair => &[State::Lacking, State::Armed],
        }
    }

    /// The states in which it may leave the gateway when it fails.
    #[must_use]
    pub const fn when_failed(self) -> &'static [State] {
        match self {
            Self::Attach => &[State::Nothing],
            // Whoever detaches wants the network back; half of that is better than nothing.
            Self::Detach => &[State::Nothing, State::Standby, State::Armed],
            Self::Again | Self::Reload | Self::Confirm => &[State::Armed],
            Self::Repair => &[State::Lacking],
        }
    }

    /// What a repetition may complain of because the first time did it all.
    #[must_use]
    pub const fn done_already(self) -> Option<&'static str> {
        match self {
            Self::Confirm => Some("does not wait to be confirmed"),
            Self::Detach => Some("no gateway named"),
            Self::Attach | Self::Again | Self::Reload | Self::Repair => None,
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attach => "attach",
            Self::Again => "attach again",
            Self::Reload => "reload",
            Self::Confirm => "confirm",
            Self::Repair => "repair",
            Self::Detach => "detach",
        })
    }
}
