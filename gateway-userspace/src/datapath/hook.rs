//! Where on an uplink the programs sit.

/// Which hook to use for an uplink's ingress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HookChoice {
    /// Native XDP where the driver has it, else TC.
    #[default]
    Auto,
    /// Native XDP only.
    Xdp,
    /// Generic XDP, which works with every driver and is slow.
    XdpGeneric,
    /// TC, which keeps the network card's receive offloads.
    Tc,
}

/// By which of the kernel's two interfaces TC programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcChoice {
    /// TCX where the kernel has it (Linux 6.6), else `clsact`.
    #[default]
    Auto,
    /// TCX only.
    Tcx,
    /// Filters on the `clsact` queueing discipline.
    Clsact,
}

/// By which of the kernel's two interfaces a TC program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcMeans {
    /// TCX links.
    Tcx,
    /// A filter on the `clsact` queueing discipline.
    Clsact,
}

impl TcMeans {
    /// The name used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// The hook that an uplink's ingress uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngressHook {
    /// XDP in the driver.
    XdpNative,
    /// XDP in the network stack.
    XdpGeneric,
    /// TC.
    Tc(TcMeans),
}

impl IngressHook {
    /// The name used in output and metrics; how TC is attached is told by [`TcMeans::name`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::XdpNative => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc(_) => "tc",
        }
    }
}
