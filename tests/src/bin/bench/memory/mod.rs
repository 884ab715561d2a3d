//! What flows cost in kernel memory: the gateway's maps, and the kernel's connection tracking
//! beside them.

mod conntrack;
mod maps;

use anyhow::Result;
use gateway_common::{abi::name, limits::FLOW_MEMORY_BYTES};

use self::{
    conntrack::{Conntrack, Slab},
    maps::Footprint,
};
use crate::{
    object::{SIZES, SMALL_SIZES},
    report::{Column, Table},
};

/// Measures both and adds the tables.
///
/// # Errors
/// If the kernel does not tell.
pub(crate) fn run(tables: &mut Vec<Table>) -> Result<()> {
    eprintln!("memory: loading maps in two sizes");
    let footprints = [Footprint::of(SMALL_SIZES)?, Footprint::of(SIZES)?];
    eprintln!("memory: filling the connection tracking of a network namespace");
    let conntrack = Conntrack::measure()?;
    tables.push(maps::table(&footprints));
    tables.push(table(&footprints[1], &conntrack)?);
    Ok(())
}

/// One flow, in this gateway and in the kernel.
fn table(gateway: &Footprint, conntrack: &Conntrack) -> Result<Table> {
    let mut rows = gateway_rows(gateway)?;
    rows.extend(conntrack_rows(conntrack));
    Ok(Table {
        title: "Memory of one flow",
        notes: vec![
            "The gateway takes the memory of its tables when it is attached, whether or not there \
             are flows; connection tracking takes that of a flow when the flow begins, and that of \
             its hash table when its module is loaded."
                .into(),
            format!(
                "Connection tracking was measured in a network namespace with one nftables rule \
                 that asks for the state (`ct state new accept`): {} UDP datagrams to as many ports \
                 left over a veth, the sysctl nf_conntrack_count showed as many flows more, and \
                 every slab cache of /proc/slabinfo that grew by as many objects belongs to them; \
                 once without and once with net.netfilter.nf_conntrack_acct, which gives flows \
                 counters of packets and bytes as the gateway's have.",
                conntrack.flows
            ),
        ],
        columns: vec![
            Column::Words("what"),
            Column::Numbers("bytes per flow"),
            Column::Words("how this number came about"),
        ],
        rows,
        pictures: Vec::new(),
    })
}

fn gateway_rows(gateway: &Footprint) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    for name in [name::ESTABLISHED, name::HALF_OPEN] {
        let map = gateway.map(name)?;
        rows.push(vec![
            format!("eigw, {name}"),
            format!("{:.1}", map.bytes_per_entry()),
            format!("{} bytes of the map / {} entries", map.bytes, map.entries),
        ]);
    }
    rows.push(vec![
        "eigw, all maps".into(),
        format!("{:.1}", gateway.bytes_per_flow()),
        format!("{} bytes / {} flows in both tables", gateway.bytes(), gateway.flows()),
    ]);
    rows.push(vec![
        "eigw, as `auto` reckons".into(),
        format!("{FLOW_MEMORY_BYTES}.0"),
        "a constant in the source: element header, key, value, bucket".into(),
    ]);
    Ok(rows)
}

fn conntrack_rows(conntrack: &Conntrack) -> Vec<Vec<String>> {
    let Conntrack { plain, counting, buckets, flows_max, .. } = conntrack;
    let row =
        |what: &str, bytes: f64, how: String| vec![what.to_owned(), format!("{bytes:.1}"), how];
    let slabs = |what: &'static str, slabs: &[Slab]| {
        let row = |slab: &Slab| row(what, slab.bytes_per_flow(), slab.to_string());
        slabs.iter().map(row).collect::<Vec<_>>()
    };
    let share = conntrack.bucket_bytes_per_flow();
    let total = |slabs: &[Slab]| share + slabs.iter().map(Slab::bytes_per_flow).sum::<f64>();
    let mut rows = slabs("nf_conntrack, the flow", plain);
    rows.push(row(
        "nf_conntrack, its share of the hash table",
        share,
        format!("{buckets} buckets of a pointer / {flows_max} flows (nf_conntrack_max)"),
    ));
    rows.push(row("nf_conntrack, together", total(plain), "the rows above".into()));
    rows.extend(slabs("nf_conntrack with counters, the flow", counting));
    let how = "the rows above, and its share of the hash table".into();
    rows.push(row("nf_conntrack with counters, together", total(counting), how));
    rows
}
