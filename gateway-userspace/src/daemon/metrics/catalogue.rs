//! Every metric that there is: what is not in here cannot be exported.

use Kind::{Counter, Gauge};

/// How a metric's value moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, but for beginning anew at zero.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    /// The name in the text formats.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Counter => "counter",
            Gauge => "gauge",
        }
    }
}

/// A metric: a family of series that differ in the values of its labels.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name of its series, with the unit, and with `_total` for counters.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// The labels, in order.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

impl Metric {
    /// The name of the family in `OpenMetrics`, which counters have without their suffix.
    #[must_use]
    pub fn family(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }
}

/// Declares metrics, and the list of them.
macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            pub(super) const $constant: &Metric = &Metric {
                name: $name,
                kind: $kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// Every metric, in the order of the page.
        pub const METRICS: &[&Metric] = &[$($constant),*];
    };
}

metrics! {
    BUILD = Gauge "eigw_build_info" ["version", "abi"]
        "Version of the program, and layout of the maps that it uses; always 1";
    SCRAPE_SECONDS = Gauge "eigw_scrape_duration_seconds" []
        "Time that it took to read what this page tells";
    SCRAPE_SUCCESS = Gauge "eigw_scrape_success" ["gateway", "source"]
        "Whether a source of this page could be read; without it, the metrics that come from it are missing";

    ATTACHED = Gauge "eigw_gateway_attached" ["gateway"]
        "Whether the gateway is attached; without it, all that is read from the kernel is missing";
    ARMED = Gauge "eigw_gateway_armed" ["gateway"]
        "Whether verdicts are enforced; 0 means that everything passes, or that there is no valid configuration";
    UNCONFIRMED = Gauge "eigw_gateway_unconfirmed" ["gateway"]
        "Whether the operator still has to confirm the gateway, or did not do so in time";
    GENERATION = Gauge "eigw_policy_generation" ["gateway"]
        "Generation of the policy in force, which grows with every reload";
    RULES = Gauge "eigw_policy_rules" ["gateway"]
        "Rules of the policy in force";
    SUBNETS = Gauge "eigw_policy_subnets" ["gateway"]
        "Subnets of the policy in force";
    POLICY_LOADED = Gauge "eigw_policy_loaded_timestamp_seconds" ["gateway"]
        "When the policy in force was read, in seconds since 1970";
    RELOADS = Counter "eigw_reloads_total" ["gateway", "result"]
        "Reloads that this process was asked for";
    RELOAD_SUCCESS = Gauge "eigw_reload_last_success" ["gateway"]
        "Whether the last reload succeeded; 1 before the first";
    RELOAD_TIME = Gauge "eigw_reload_last_timestamp_seconds" ["gateway"]
        "When the last reload ended, in seconds since 1970; absent before the first";

    UPLINK = Gauge "eigw_uplink_info" ["gateway", "uplink", "ifindex", "hook", "egress"]
        "Where the programs of an uplink are attached, or none; always 1";
    UPLINK_UP = Gauge "eigw_uplink_up" ["gateway", "uplink"]
        "Whether the interface exists and is administratively up";
    UPLINK_PROGRAM = Gauge "eigw_uplink_program_attached" ["gateway", "uplink", "direction"]
        "Whether the program that judges packets of this direction is attached";

    VERDICT_PACKETS = Counter "eigw_verdict_packets_total" ["gateway", "direction", "verdict", "reason"]
        "Packets judged, as they are on the wire; every packet is counted once";
    VERDICT_BYTES = Counter "eigw_verdict_bytes_total" ["gateway", "direction", "verdict", "reason"]
        "Bytes judged, from the IP header on";
    RULE_PACKETS = Counter "eigw_rule_hits_total" ["gateway", "rule", "name"]
        "Packets that a rule decided, or would have as a shadow rule; rule is its number, or other for all beyond the first 256";
    RULE_BYTES = Counter "eigw_rule_hit_bytes_total" ["gateway", "rule", "name"]
        "Bytes of these packets, from the IP header on";

    FLOWS = Gauge "eigw_flows" ["gateway", "table", "state"]
        "Live flows, as the last pass of the sweeper met them";
    FLOWS_EXPIRED = Gauge "eigw_flow_table_expired" ["gateway", "table"]
        "Flows that still take a place although their time is over, as the last pass met them";
    CAPACITY = Gauge "eigw_flow_table_capacity" ["gateway", "table"]
        "Flows that a table has room for";
    FLOWS_CREATED = Counter "eigw_flows_created_total" ["gateway"]
        "Flows that inside opened";
    FLOWS_PROMOTED = Counter "eigw_flows_promoted_total" ["gateway"]
        "Flows that moved to the table of established flows, because both sides took part";
    FLOWS_ENDED = Counter "eigw_flows_ended_total" ["gateway", "reason"]
        "Flows that ended with a record";
    FLOWS_RECYCLED = Counter "eigw_flows_recycled_total" ["gateway"]
        "Flows that the kernel removed from the full table of new flows, without a record";
    PRESSURE = Counter "eigw_pressure_events_total" ["gateway", "event"]
        "Limits that flows met: of a table, or of an inside host";
    RECORDS_LOST = Counter "eigw_records_lost_total" ["gateway"]
        "Flows whose record found the ring full";

    SWEEPER_PASSES = Counter "eigw_sweeper_passes_total" ["gateway"]
        "Complete passes of the sweeper over the flow tables";
    SWEEPER_ENTRIES = Counter "eigw_sweeper_entries_total" ["gateway"]
        "Entries that the sweeper looked at";
    SWEEPER_RECLAIMED = Counter "eigw_sweeper_reclaimed_total" ["gateway"]
        "Flows that the sweeper reclaimed";
    SWEEPER_CPU = Counter "eigw_sweeper_cpu_seconds_total" ["gateway"]
        "CPU time of the sweeper's thread, with those who keep accounts of flows";
    SWEEPER_RECORDS = Counter "eigw_sweeper_records_total" ["gateway"]
        "Records of ended flows that were taken from the ring";
    SWEEPER_MISSING = Gauge "eigw_sweeper_records_missing" ["gateway"]
        "Serial numbers that are missing among these records";
    SWEEPER_WAITING = Gauge "eigw_sweeper_records_waiting" ["gateway"]
        "Records that waited when the ring was last looked at";
    SWEEPER_PASS_SECONDS = Gauge "eigw_sweeper_last_pass_duration_seconds" ["gateway"]
        "Time that the last complete pass took, with pauses";
    SWEEPER_PASS_TIME = Gauge "eigw_sweeper_last_pass_timestamp_seconds" ["gateway"]
        "When the last complete pass ended, in seconds since 1970";
    FILTER_FILL = Gauge "eigw_presence_filter_fill_ratio" ["gateway"]
        "Share of the presence filter's bits that were set when it was last made anew: so many of the packets without a flow reach the flow tables";

    LOG_LINES = Counter "eigw_flow_log_lines_total" ["gateway"]
        "Lines of the flow log that were written since the gateway has this daemon";
    LOG_BYTES = Counter "eigw_flow_log_bytes_total" ["gateway"]
        "Bytes of these lines";
    LOG_LOST = Counter "eigw_flow_log_lost_lines_total" ["gateway"]
        "Lines of the flow log that could not be written";
    LOG_MISSED = Counter "eigw_flow_log_missed_rejects_total" ["gateway"]
        "Dropped packets that are in no line, because there were more than the flow log takes";
    LOG_WINDOWS = Counter "eigw_flow_log_windows_total" ["gateway"]
        "Complete windows of the flow log";

    ACCOUNT_BYTES = Gauge "eigw_account_bytes" ["gateway", "by", "account", "direction"]
        "Bytes that flows carried since accounts are kept, by host, destination and rule: the largest, and all others as 'other'";
    COST = Gauge "eigw_cost" ["gateway", "by", "account", "currency"]
        "What these bytes cost by the prices of [cost]; absent without prices";
    COST_BYTES = Gauge "eigw_cost_bytes" ["gateway", "direction"]
        "Bytes of all flows since accounts are kept";

    OBSERVER_REPORTED = Gauge "eigw_observer_reports" ["gateway", "place", "outcome"]
        "What became of the reports to an observer that watches now: reported, limited or lost";
    PROGRAM_SECONDS = Counter "eigw_program_run_seconds_total" ["gateway", "program"]
        "Time that a program ran; only while the sysctl kernel.bpf_stats_enabled is on";
    PROGRAM_RUNS = Counter "eigw_program_runs_total" ["gateway", "program"]
        "Runs of a program; only while the sysctl kernel.bpf_stats_enabled is on";

    AWS_ACTIVE = Gauge "eigw_aws_active_connections" ["gateway"]
        "ActiveConnectionCount: live flows in the table of established flows whose connection is not closed";
    AWS_ATTEMPTS = Counter "eigw_aws_connection_attempt_count_total" ["gateway"]
        "ConnectionAttemptCount: flows that inside opened";
    AWS_ESTABLISHED = Counter "eigw_aws_connection_established_count_total" ["gateway"]
        "ConnectionEstablishedCount: flows that moved to the table of established flows";
    AWS_IDLE = Counter "eigw_aws_idle_timeout_count_total" ["gateway"]
        "IdleTimeoutCount: flows that ended because they were idle for too long";
    AWS_DROPS = Counter "eigw_aws_packets_drop_count_total" ["gateway"]
        "PacketsDropCount: packets dropped, of both directions";
    AWS_BYTES_IN_SOURCE = Counter "eigw_aws_bytes_in_from_source_total" ["gateway"]
        "BytesInFromSource: bytes that came from inside, dropped ones included";
    AWS_BYTES_OUT_DESTINATION = Counter "eigw_aws_bytes_out_to_destination_total" ["gateway"]
        "BytesOutToDestination: bytes that went outside";
    AWS_BYTES_IN_DESTINATION = Counter "eigw_aws_bytes_in_from_destination_total" ["gateway"]
        "BytesInFromDestination: bytes that came from outside, dropped ones included";
    AWS_BYTES_OUT_SOURCE = Counter "eigw_aws_bytes_out_to_source_total" ["gateway"]
        "BytesOutToSource: bytes that went inside";
    AWS_PACKETS_IN_SOURCE = Counter "eigw_aws_packets_in_from_source_total" ["gateway"]
        "PacketsInFromSource: packets that came from inside, dropped ones included";
    AWS_PACKETS_OUT_DESTINATION = Counter "eigw_aws_packets_out_to_destination_total" ["gateway"]
        "PacketsOutToDestination: packets that went outside";
    AWS_PACKETS_IN_DESTINATION = Counter "eigw_aws_packets_in_from_destination_total" ["gateway"]
        "PacketsInFromDestination: packets that came from outside, dropped ones included";
    AWS_PACKETS_OUT_SOURCE = Counter "eigw_aws_packets_out_to_source_total" ["gateway"]
        "PacketsOutToSource: packets that went inside";
    AWS_PEAK_BYTES = Gauge "eigw_aws_peak_bytes_per_second" ["gateway"]
        "PeakBytesPerSecond: the highest mean over ten seconds in the last minute, of both directions";
    AWS_PEAK_PACKETS = Gauge "eigw_aws_peak_packets_per_second" ["gateway"]
        "PeakPacketsPerSecond: the highest mean over ten seconds in the last minute, of both directions";

    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "CPU time of this process, in user and kernel mode";
    PROCESS_RSS = Gauge "process_resident_memory_bytes" []
        "Memory of this process that is resident";
    PROCESS_FDS = Gauge "process_open_fds" []
        "File descriptors that this process has open";
    PROCESS_START = Gauge "process_start_time_seconds" []
        "When this process began, in seconds since 1970";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut names = HashSet::new();
        for metric in METRICS {
            let Metric { name, kind, help, .. } = metric;
            assert!(names.insert(name), "{name} is there twice");
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            assert!(name.starts_with("eigw_") || name.starts_with("process_"), "{name}");
            assert!(!help.is_empty() && !help.ends_with('.'), "{name}: {help}");
        }
    }
}
