//! What a flow costs the kernel's own connection tracking.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt, fs,
    net::{Ipv4Addr, UdpSocket},
    process::Command,
};

use ::tests::{netns::Netns, unique};
use anyhow::{Context as _, Result, ensure};
use nix::unistd::{SysconfVar, sysconf};

/// How many flows are opened each time. Enough to be seen among what else happens in the
/// kernel's allocator, and few enough for its smallest usual limit, twice.
const FLOWS: u16 = 20_000;
const FIRST_PORT: u16 = 10_000;

const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 9, 1);
/// Nobody has this address: the other end of the veth drops what arrives for it.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(10, 77, 9, 2);

const RULES: &str = "
table ip filter {
    chain output {
        type filter hook output priority filter; policy accept;
        ct state new accept
    }
}
";

/// What flows cost.
pub(super) struct Conntrack {
    /// How many were measured.
    pub(super) flows: u16,
    /// The slab caches that a flow has an object in.
    pub(super) plain: Vec<Slab>,
    /// The same for flows that count their packets and bytes.
    pub(super) counting: Vec<Slab>,
    /// The hash table's buckets.
    pub(super) buckets: u64,
    /// How many flows there may be.
    pub(super) flows_max: u64,
}

/// A slab cache that grew.
#[derive(Clone)]
pub(super) struct Slab {
    name: String,
    layout: Layout,
    /// Objects that were in use before, then afterwards.
    active: (u64, u64),
}

/// How a slab cache keeps its objects.
#[derive(Clone, Copy)]
struct Layout {
    object_bytes: u32,
    objects_per_slab: u32,
    slab_bytes: u32,
}

impl Conntrack {
    /// Opens flows in a network namespace and looks at the allocator.
    pub(super) fn measure() -> Result<Self> {
        let host = namespace()?;
        let accounting = "net/netfilter/nf_conntrack_acct";
        host.sysctl(&[(accounting, "0")]);
        let plain = grown(&host)?;
        host.sysctl(&[(accounting, "1")]);
        let counting = grown(&host)?;
        for slabs in [&plain, &counting] {
            let is_there = slabs.iter().any(|slab| slab.name == "nf_conntrack");
            ensure!(is_there, "flows took no memory of the slab cache nf_conntrack");
        }
        Ok(Self {
            flows: FLOWS,
            plain,
            counting,
            buckets: sysctl(&host, "nf_conntrack_buckets")?,
            flows_max: sysctl(&host, "nf_conntrack_max")?,
        })
    }

    /// What a flow has of the hash table when there are as many flows as there may be.
    #[expect(clippy::cast_precision_loss, reason = "tables have far fewer than 2^52 buckets")]
    pub(super) fn bucket_bytes_per_flow(&self) -> f64 {
        (self.buckets * size_of::<usize>() as u64) as f64 / self.flows_max as f64
    }
}

impl Slab {
    /// An object with what its slab wastes.
    pub(super) fn bytes_per_flow(&self) -> f64 {
        f64::from(self.layout.slab_bytes) / f64::from(self.layout.objects_per_slab)
    }
}

impl fmt::Display for Slab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, layout, active: (before, after) } = self;
        let Layout { object_bytes, objects_per_slab, slab_bytes } = layout;
        write!(
            f,
            "slab cache {name}: objects of {object_bytes} bytes, {objects_per_slab} in \
             {slab_bytes} bytes; {before} in use before, {after} after"
        )
    }
}

/// A host with one neighbour, which never answers.
fn namespace() -> Result<Netns> {
    let host = Netns::new(&unique::stem());
    host.ip(&format!(
        "link add here type veth peer name there\n\
         link set here up\n\
         link set there up\n\
         address add {HERE}/24 dev here\n\
         neighbour add {NOWHERE} lladdr 02:77:00:00:00:99 dev here nud permanent\n"
    ));
    let output = host.output(Command::new("nft").arg(RULES)).context("starting nft (nftables)")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft refused the rules: {complaint}");
    Ok(host)
}

/// The slab caches in which every one of many new flows has an object.
fn grown(host: &Netns) -> Result<Vec<Slab>> {
    let flows_before = sysctl(host, "nf_conntrack_count")?;
    let before = slabs()?;
    open_flows(host)?;
    let after = slabs()?;
    let flows = sysctl(host, "nf_conntrack_count")?.saturating_sub(flows_before);
    ensure!(flows == u64::from(FLOWS), "{flows} flows are tracked, not {FLOWS}");
    let grown = after.into_iter().filter_map(|(name, (layout, after))| {
        let (_, before) = *before.get(&name)?;
        // The allocator counts free objects of the slab in hand as used, and others allocate too.
        let is_one_each = after.saturating_sub(before) * 10 >= u64::from(FLOWS) * 9;
        is_one_each.then_some(Slab { name, layout, active: (before, after) })
    });
    let mut grown: Vec<_> = grown.collect();
    grown.sort_by_key(|slab| Reverse(slab.layout.object_bytes));
    Ok(grown)
}

/// Sends datagrams to so many ports, from a port that the kernel has not used before.
fn open_flows(host: &Netns) -> Result<()> {
    host.run(|| {
        let socket = UdpSocket::bind((HERE, 0)).context("binding a UDP socket")?;
        for port in FIRST_PORT..FIRST_PORT + FLOWS {
            socket.send_to(&[0], (NOWHERE, port)).with_context(|| format!("sending to {port}"))?;
        }
        Ok(())
    })
}

fn sysctl(host: &Netns, name: &str) -> Result<u64> {
    let path = format!("/proc/sys/net/netfilter/{name}");
    let text = host.run(|| fs::read_to_string(&path)).with_context(|| format!("reading {path}"))?;
    text.trim().parse().with_context(|| format!("{path} is {text}"))
}

/// All slab caches, with how many of their objects are in use.
fn slabs() -> Result<HashMap<String, (Layout, u64)>> {
    let text = fs::read_to_string("/proc/slabinfo").context("reading /proc/slabinfo")?;
    let page_bytes = sysconf(SysconfVar::PAGE_SIZE)?.context("the page size is not known")?;
    let page_bytes = u32::try_from(page_bytes)?;
    // Two lines of headings come first.
    text.lines().skip(2).map(|line| slab(line, page_bytes)).collect()
}

/// `name active_objs num_objs objsize objperslab pagesperslab : …`
fn slab(line: &str, page_bytes: u32) -> Result<(String, (Layout, u64))> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [name, active, _, object_bytes, objects_per_slab, pages_per_slab, ..] = fields[..] else {
        anyhow::bail!("/proc/slabinfo has a line of another kind: {line}");
    };
    let layout = Layout {
        object_bytes: object_bytes.parse()?,
        objects_per_slab: objects_per_slab.parse()?,
        slab_bytes: pages_per_slab.parse::<u32>()? * page_bytes,
    };
    Ok((name.to_owned(), (layout, active.parse()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_wastes_what_its_objects_leave() {
        let line = "nf_conntrack 176 240 320 12 1 : tunables 0 0 0 : slabdata 15 15 0";
        let (name, (layout, active)) = slab(line, 4096).expect("a line of slabinfo");
        assert_eq!((name.as_str(), active, layout.object_bytes), ("nf_conntrack", 176, 320));
        let slab = Slab { name, layout, active: (0, active) };
        assert!((slab.bytes_per_flow() - 341.3).abs() < 0.1, "{}", slab.bytes_per_flow());
    }
}
