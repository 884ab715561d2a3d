//! `docs/metrics.md`, made of the metrics that there are.

use std::fmt::Write as _;

use gateway_userspace::daemon::METRICS;

/// What stands before the table.
const HEAD: &str = "\
# Metrics

`eigw run` answers Prometheus when its file says where:

```toml
[metrics]
listen = \"127.0.0.1:9477\"      # or several: [\"127.0.0.1:9477\", \"[::1]:9477\"]
```

Pages are at `/metrics`, in the text format or, for those who ask for it, in OpenMetrics. The addresses are those of the network
namespace that `--netns` enters. Port 0 lets the kernel choose; the log has the port. An address that cannot be listened on is logged
and tried again, and touches nothing else; a reload changes addresses at once. There is no encryption and no password: listen where
only those come who may know. Clients get ten seconds for one request and sixteen connections for each address.

A page costs no pass over the flow tables. Counters, configuration and uplinks are read from the kernel when the page is asked for; how
many flows are in which state is what the sweeper met in its last pass, whose time is there as well. Counters of the kernel begin at
zero when a gateway is attached, those of the sweeper when the process begins or the gateway is attached anew, as Prometheus expects of counters.
Series that depend on something are missing without it, and the explanation says on what; a source that could not be read has
`eigw_scrape_success` 0 instead of series.

[`dist/prometheus/eigw.rules.yml`](../dist/prometheus/eigw.rules.yml) has alerts, for a job that is called `eigw`, and
[`dist/grafana/eigw.json`](../dist/grafana/eigw.json) a dashboard.

";

/// What stands behind it.
const AWS: &str = "
## Those of an AWS NAT gateway

Whoever comes from CloudWatch finds its metrics under `eigw_aws_`. They are made of the others, and mean this here. CloudWatch gives
sums over a minute; here `increase(…[1m])` does. Names end as Prometheus wants it.

| CloudWatch | here | what is counted |
|---|---|---|
| ActiveConnectionCount | `eigw_aws_active_connections` | live flows in the table of established flows, of every protocol, but for connections that are closed or reset; AWS counts TCP only |
| ConnectionAttemptCount | `eigw_aws_connection_attempt_count_total` | flows that inside opened, of every protocol, whether or not anybody answers; flows seeded at attaching are none |
| ConnectionEstablishedCount | `eigw_aws_connection_established_count_total` | flows that outside answered and inside went on with (in TCP: whose handshake is complete), counted when they move to the table of established flows. A lookup of one question and one answer is an attempt and never established; nor is a flow that finds that table or its host's share full, which `eigw_pressure_events_total` tells |
| ErrorPortAllocation | none | nothing is translated, so there are no ports to run out of |
| IdleTimeoutCount | `eigw_aws_idle_timeout_count_total` | flows that ended because they were idle for longer than their timeout, counted when they are reclaimed |
| PacketsDropCount | `eigw_aws_packets_drop_count_total` | packets dropped in both directions, unsolicited ones from outside included |
| BytesInFromSource, PacketsInFromSource | `eigw_aws_bytes_in_from_source_total`, `eigw_aws_packets_in_from_source_total` | what inside sent to the uplink, dropped or not |
| BytesOutToDestination, PacketsOutToDestination | `eigw_aws_bytes_out_to_destination_total`, `eigw_aws_packets_out_to_destination_total` | of that, what passed |
| BytesInFromDestination, PacketsInFromDestination | `eigw_aws_bytes_in_from_destination_total`, `eigw_aws_packets_in_from_destination_total` | what came in on the uplink, dropped or not |
| BytesOutToSource, PacketsOutToSource | `eigw_aws_bytes_out_to_source_total`, `eigw_aws_packets_out_to_source_total` | of that, what passed |
| PeakBytesPerSecond, PeakPacketsPerSecond | `eigw_aws_peak_bytes_per_second`, `eigw_aws_peak_packets_per_second` | the highest of the last six means over ten seconds of what came from both sides; absent for the first ten seconds |

What came minus what passed is what was dropped. AWS advises to look into drops of more than 0.01 % of the traffic. The alert
`EigwPacketsDropped` does so without the reason `no-flow`: on an uplink with public addresses unsolicited packets are the weather.
`EigwAttemptsUnanswered` wants ten times more attempts than established flows, since lookups of names alone make up for a few.

## Rules

`eigw_rule_hits_total` has a series for each of the first 256 rules, and one with `rule=\"other\"` for all further ones. The number is the
rule's place in the file. A rule without a name that changes its place continues in another series; give rules names to tell them apart.
";

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| metric | type | labels | what it tells |\n|---|---|---|---|\n");
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (metric.name, metric.kind.name(), metric.help);
        // Writing to a string does not fail.
        _ = writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    page.push_str(AWS);
    page
}
