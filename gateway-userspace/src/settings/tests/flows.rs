//! Timeouts and limits of flows.

use gateway_common::timeouts::TimeoutClass;

use super::{assert_problems, parse};
use crate::settings::{Profile, TimeoutsSecs};

#[test]
fn limits_of_hosts_fit_their_tables() {
    assert_problems(
        "[flows]\nhalf_open_max = 2048\nhalf_open_per_host = 2049\nestablished_per_host = 70000\n",
        &[
            "3: 'half_open_per_host' in [flows] is 2049, more than 'half_open_max', which is 2048",
            "4: 'established_per_host' in [flows] is 70000, more than 'established_max', which \
             comes to 65536 on this machine",
        ],
    );
    for fitting in [
        "half_open_max = 2048\nhalf_open_per_host = 2048",
        "half_open_per_host = 16384\nestablished_per_host = 65536",
        "half_open_per_host = 1\nestablished_per_host = 1",
        "established_max = 100000\nhalf_open_per_host = 25000\nestablished_per_host = 100000",
    ] {
        parse(&format!("[flows]\n{fitting}\n")).expect(fitting);
    }
}

/// The keys of the documentation's first version each stand for several states.
#[test]
fn group_keys_set_all_their_classes() {
    let (settings, warnings) =
        parse("[timeouts]\ntcp_half_open = 301\ntcp_closing = 302\n").expect("valid file");
    assert_eq!(warnings, []);
    let mut expected = TimeoutsSecs::of(Profile::Rfc);
    for class in [TimeoutClass::TcpSynSent, TimeoutClass::TcpSynReceived] {
        expected.set(class, 301);
    }
    for class in [
        TimeoutClass::TcpFinWait,
        TimeoutClass::TcpCloseWait,
        TimeoutClass::TcpLastAck,
        TimeoutClass::TcpClosed,
    ] {
        expected.set(class, 302);
    }
    assert_eq!(settings.timeouts_secs, expected);
}

#[test]
fn finer_keys_win_wherever_they_stand() {
    let lines =
        ["tcp_half_open = 301", "tcp_syn_received = 77", "tcp_closing = 302", "tcp_closed = 9"];
    let mut reversed = lines;
    reversed.reverse();
    for lines in [lines, reversed] {
        let text = format!("[gateway]\nprofile = 'linux'\n[timeouts]\n{}\n", lines.join("\n"));
        let (settings, _) = parse(&text).expect("valid file");
        let mut expected = TimeoutsSecs::of(Profile::Linux);
        for (class, secs) in [
            (TimeoutClass::TcpSynSent, 301),
            (TimeoutClass::TcpSynReceived, 77),
            (TimeoutClass::TcpFinWait, 302),
            (TimeoutClass::TcpCloseWait, 302),
            (TimeoutClass::TcpLastAck, 302),
            (TimeoutClass::TcpClosed, 9),
        ] {
            expected.set(class, secs);
        }
        assert_eq!(settings.timeouts_secs, expected, "{text}");
    }
}

/// A group's value does not count for classes that have their own.
#[test]
fn a_group_warns_once_and_only_of_what_it_sets() {
    let lines = |text: &str| -> Vec<usize> {
        let (_, warnings) = parse(text).expect("valid file");
        warnings.iter().map(|warning| warning.line).collect()
    };
    assert_eq!(lines("[timeouts]\ntcp_closing = 1\n"), [2]);
    assert_eq!(lines("[timeouts]\ntcp_closing = 1\ntcp_fin_wait = 2\n"), [2, 3]);
    let overridden = "[timeouts]\ntcp_half_open = 1\ntcp_syn_sent = 240\ntcp_syn_received = 240\n";
    assert_eq!(lines(overridden), [0; 0]);
}

#[test]
fn timeouts_below_the_floors_warn_under_profile_rfc() {
    let text = "[timeouts]\ntcp_established = 7439\nudp = 119\nicmp = 59\nother = 120\n\
                udp_dns = 1\ntcp_time_wait = 1\nsctp_half_open = 239\ntcp_half_open = 239\n\
                tcp_closed = 239\ndccp_half_open = 479\n";
    let (_, warnings) = parse(text).expect("valid file");
    let starts: Vec<_> = warnings
        .iter()
        .map(|warning| {
            let message = warning.message.split(';').next().unwrap_or_default();
            format!("{}: {message}", warning.line)
        })
        .collect();
    assert_eq!(
        starts,
        [
            "2: 'tcp_established' in [timeouts] is 7439 s, less than the 7440 s that RFC 6092 \
             REC-35 asks for",
            "3: 'udp' in [timeouts] is 119 s, less than the 120 s that RFC 6092 REC-14 asks for",
            "4: 'icmp' in [timeouts] is 59 s, less than the 60 s that RFC 5508 REQ-2 asks for",
            "8: 'sctp_half_open' in [timeouts] is 239 s, less than the 240 s that RFC 6092 \
             REC-40 asks for",
            "9: 'tcp_half_open' in [timeouts] is 239 s, less than the 240 s that RFC 6092 REC-35 \
             asks for",
            "10: 'tcp_closed' in [timeouts] is 239 s, less than the 240 s that RFC 7857 section \
             2.2 asks for",
            "11: 'dccp_half_open' in [timeouts] is 479 s, less than the 480 s that RFC 6092 \
             REC-44 asks for",
        ]
    );
}
