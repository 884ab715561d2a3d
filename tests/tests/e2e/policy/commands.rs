//! `eigw reload`, `eigw rule` and `eigw subnet`.

use std::{
    collections::BTreeSet,
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tests::{
    address::FAMILIES,
    config::ConfigFile,
    eigw::{Hook, NAME},
    icmp, socket,
    topology::{INSIDE, Lab, OUTSIDE, UPLINK},
    wait::{self, PATIENCE},
};

use super::{rule, subnets};
use crate::stream::Stream;

/// Without `-c` the file of the attach counts, and later that of the last reload; what was not
/// attached with a file needs one.
#[test]
fn reload_takes_the_file_that_there_was() {
    let lab = Lab::new();
    lab.attach(Hook::Xdp);
    let complaint = lab.eigw(&["reload"]).failure(2);
    assert!(complaint.contains("without a configuration file"), "{complaint}");

    let first = ConfigFile::of_lab(&ssh("first"));
    lab.attach_file(Hook::Xdp, &first);
    first.write_of_lab(&[ssh("first"), ssh("second")].concat());
    let answer = lab.eigw_json(&["reload"]);
    assert_eq!((&answer["file"], &answer["rules"]), (&json!(first.path()), &json!(2)));
    assert_eq!(rule_names(&lab), ["first", "second"]);

    let other = ConfigFile::of_lab(&ssh("other"));
    lab.eigw(&["reload", "-c", other.path()]).success();
    assert_eq!(rule_names(&lab), ["other"]);
    other.write_of_lab(&ssh("changed"));
    let plain = lab.eigw(&["reload"]).success();
    assert!(plain.contains(NAME), "{plain}");
    assert_eq!(rule_names(&lab), ["changed"]);
}

/// A file that is wrong or missing, or a gateway that does not exist: the exit code says which, and
/// everything stays as it was, whatever the file says besides.
#[test]
fn a_reload_that_fails_changes_nothing() {
    let lab = Lab::new();
    let file = ConfigFile::of_lab(&ssh("ssh"));
    lab.attach_file(Hook::Xdp, &file);
    let server = socket::tcp_echo(&lab.inside, INSIDE.port(FAMILIES[1], 22));
    socket::tcp_exchange(&lab.outside, server.address(), b"hello", PATIENCE).expect("let in");
    let state = || {
        let status = lab.eigw_json(&["status"])[0].clone();
        let rules: Vec<_> = rules(&lab).into_iter().map(|row| row["hits"].clone()).collect();
        (status["policy"].clone(), rules, lab.flows().len(), lab.bpffs.entries())
    };
    let before = state();

    let unchanged = |complaint: String, parts: &[&str]| {
        for part in parts {
            assert!(complaint.contains(part), "{part:?} is not in {complaint}");
        }
        assert_eq!(state(), before);
    };
    let wrong = ConfigFile::of_lab(
        "[[rule]]\ndirection = \"in\"\naction = \"allow\"\nports = 22\n\
         [[rule]]\ndirection = \"sideways\"\naction = \"allow\"\n[martian]\n",
    );
    for command in
        [&["reload", "-c", wrong.path()][..], &["reload", "--dry-run", "-c", wrong.path()]]
    {
        let complaint = lab.eigw(command).failure(2);
        // All at once, each with its line.
        unchanged(complaint, &[":7:", ":9:", ":11:", "proto", "sideways", "martians"]);
    }
    let missing = lab.eigw(&["reload", "-c", "/nonexistent/wan.toml"]).failure(2);
    unchanged(missing, &["/nonexistent/wan.toml"]);
    file.write("[gateway]\nuplinks = [\n");
    unchanged(lab.eigw(&["reload"]).failure(2), &[file.path()]);
    fs::remove_file(file.path()).expect("the file is ours");
    unchanged(lab.eigw(&["reload"]).failure(2), &[file.path()]);

    let valid = ConfigFile::new("[gateway]\nuplinks = [\"uplink\"]\n");
    let nobody = lab.eigw(&["reload", "--name", "nobody", "-c", valid.path()]).failure(1);
    unchanged(nobody, &["nobody"]);
    let list = ConfigFile::of_lab("[prefix_list.a]\nfile = \"absent.txt\"\n");
    unchanged(lab.eigw(&["reload", "-c", list.path()]).failure(2), &["absent.txt"]);
    socket::tcp_exchange(&lab.outside, server.address(), b"hello", PATIENCE).expect("still open");
}

/// Two gateways: nothing is guessed, and the file's name chooses as well as `--name`.
#[test]
fn of_two_gateways_one_is_named() {
    let lab = Lab::new();
    lab.gateway.ip("link add spare type veth peer name spare2\nlink set spare up\n");
    let file = |name: &str, uplink: &str, rule: &str| {
        let text = format!("[gateway]\nuplinks = [\"{uplink}\"]\nname = \"{name}\"\n");
        ConfigFile::new(&format!("{text}{}", ssh(rule)))
    };
    let (one, two) = (file("one", UPLINK, "a"), file("two", "spare", "b"));
    for file in [&one, &two] {
        lab.eigw(&["attach", "-c", file.path()]).success();
    }
    for command in [&["reload"][..], &["rule"], &["subnet"]] {
        let complaint = lab.eigw(command).failure(1);
        assert!(complaint.contains("one") && complaint.contains("two"), "{complaint}");
    }
    let names = |gateway| {
        let rules = lab.eigw_json(&["rule", "show", "--name", gateway]);
        rules
            .as_array()
            .expect("an array")
            .iter()
            .map(|row| row["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!((names("one"), names("two")), (vec![json!("a")], vec![json!("b")]));
    lab.eigw(&["reload", "--name", "two"]).success();
    let changed = file("one", UPLINK, "c");
    lab.eigw(&["reload", "-c", changed.path()]).success();
    assert_eq!((names("one"), names("two")), (vec![json!("c")], vec![json!("b")]));
}

/// The preview lists the flows that end then, with the reason and the rule, and changes nothing.
#[test]
fn a_dry_run_lists_exactly_the_flows_that_end() {
    let lab = Lab::new();
    let publish = rule("in", "allow", "name = \"web\"\nproto = \"tcp\"\nports = 443");
    let file = ConfigFile::of_lab(&publish);
    lab.attach_file(Hook::Tc, &file);
    let mut expected = BTreeSet::new();
    let mut open = Vec::new();
    let ports = [7, 25, 80];
    for family in FAMILIES {
        for port in ports {
            let server = socket::tcp_echo(&lab.outside, OUTSIDE.port(family, port));
            let client = socket::connect(&lab.inside, server.address(), PATIENCE).expect("TCP");
            open.push((server, client, port == 25));
        }
        let server = socket::tcp_echo(&lab.inside, INSIDE.port(family, 443));
        let client = socket::connect(&lab.outside, server.address(), PATIENCE).expect("let in");
        open.push((server, client, true));
    }
    for (_, client, _) in &open {
        socket::exchange(client, b"before").expect("an echo");
    }
    let flows = lab.flows();
    for flow in &flows {
        if flow["remote_port"] == 25 {
            expected.insert((identity(flow), text("rule-denied"), Some(text("no-mail"))));
        } else if flow["local_port"] == 443 {
            expected.insert((identity(flow), text("no-flow"), None));
        }
    }
    assert_eq!((flows.len(), expected.len()), (8, 4));

    let mail = rule("out", "deny", "name = \"no-mail\"\nproto = \"tcp\"\nports = 25");
    file.write_of_lab(&mail);
    let generation = || lab.eigw_json(&["status"])[0]["policy"]["generation"].clone();
    let before = generation();
    let preview = lab.eigw_json(&["reload", "--dry-run"]);
    let listed: BTreeSet<_> = preview["flows"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|flow| {
            let rule = flow["rule"]["name"].as_str().map(text);
            (identity(flow), text(flow["reason"].as_str().expect("a reason")), rule)
        })
        .collect();
    assert_eq!(listed, expected);
    assert_eq!(generation(), before, "a dry run put something in force");
    let plain = lab.eigw(&["reload", "--dry-run"]).success();
    assert!(plain.contains("no-mail") && plain.contains("443"), "{plain}");
    for (_, client, _) in &open {
        socket::exchange(client, b"still").expect("nothing has changed");
    }

    let answer = lab.eigw_json(&["reload"]);
    assert_eq!(answer["flows_ended"], 4);
    for (_, client, ends) in &open {
        client.set_read_timeout(Some(super::BRIEFLY)).expect("a timeout");
        let echoed = socket::exchange(client, b"after");
        assert_eq!(echoed.is_err(), *ends, "{client:?}: {echoed:?}");
    }
}

/// Counts go on over reloads and attaches as long as the rule is there, and both commands show
/// them in both forms.
#[test]
fn hits_survive_reloads_and_attaches() {
    let lab = Lab::new();
    let dns = |from: &str| {
        rule("in", "allow", &format!("name = \"dns\"\nproto = \"udp\"\n{from}ports = 53"))
    };
    let unnamed = rule("in", "deny", "proto = \"tcp\"\nports = 25");
    let file = ConfigFile::of_lab(&[subnets("egress-only"), unnamed.clone(), dns("")].concat());
    lab.attach_file(Hook::Xdp, &file);
    let server = socket::udp_echo(&lab.inside, INSIDE.port(FAMILIES[0], 53));
    let ask = || {
        socket::udp_exchange(&lab.outside, server.address(), b"?", PATIENCE).expect("an answer");
        lab.expect_drops("rule-denied", 1, || {
            super::assert_unreachable(&lab.outside, INSIDE.port(FAMILIES[0], 25));
        });
    };
    assert_eq!(rules(&lab)[1]["last_hit_ms"], Value::Null);
    ask();
    let denied = rules(&lab)[0]["hits"].as_u64().expect("a number");
    assert!(denied >= 1);

    // The named rule changes and moves, the other one stays what it is.
    file.write_of_lab(&[subnets("internet"), dns("from = \"10.0.0.0/8\"\n"), unnamed].concat());
    for (round, command) in
        [["reload"].as_slice(), &["reload"], &["attach", "-c", file.path()]].into_iter().enumerate()
    {
        lab.eigw(command).success();
        let rows = rules(&lab);
        assert_eq!((&rows[0]["name"], &rows[0]["hits"]), (&json!("dns"), &json!(1 + round)));
        assert!(rows[1]["hits"].as_u64() >= Some(denied), "{rows:#?}");
        ask();
        let rows = rules(&lab);
        assert_eq!(rows[0]["hits"], 2 + round);
        assert_eq!((&rows[0]["number"], &rows[0]["ports"]), (&json!(1), &json!(["53"])));
        let ms = rows[0]["last_hit_ms"].as_u64().expect("it was hit");
        assert!(Duration::from_millis(ms) < PATIENCE, "{ms} ms");
    }
    let plain = lab.eigw(&["rule"]).success();
    assert!(plain.contains("dns") && plain.contains("10.0.0.0/8"), "{plain}");

    let outside = socket::udp_echo(&lab.outside, OUTSIDE.port(FAMILIES[1], 7));
    socket::udp_exchange(&lab.inside, outside.address(), b"?", PATIENCE).expect("an answer");
    let shown = lab.eigw_json(&["subnet", "show"]);
    let names: Vec<_> =
        shown.as_array().expect("an array").iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["v4", "v6", "(other)"]);
    assert!(shown[0]["dropped_packets"].as_u64() >= Some(4), "{shown:#}");
    let v6 = &shown[1];
    let row = [&v6["flows"], &v6["packets_out"], &v6["packets_in"], &v6["route"]];
    assert_eq!(row, [&json!(1), &json!(1), &json!(1), &json!("internet")]);
    let plain = lab.eigw(&["subnet"]).success();
    assert!(plain.contains("v6") && plain.contains("internet"), "{plain}");
}

/// A list's file is read again by each reload.
#[test]
fn a_changed_list_counts_from_the_next_reload() {
    let lab = Lab::new();
    let file = ConfigFile::of_lab(&format!(
        "[prefix_list.office]\nfile = \"office.txt\"\n{}",
        rule("in", "allow", "proto = \"udp\"\nports = 53\nfrom = \"@office\"")
    ));
    file.write_beside("office.txt", "# nobody yet\n192.0.2.0/24\n");
    lab.attach_file(Hook::Xdp, &file);
    for family in FAMILIES {
        let server = socket::udp_echo(&lab.inside, INSIDE.port(family, 53));
        let from = OUTSIDE.port(family, 0);
        let client = socket::udp_client_from(&lab.outside, from, server.address());
        let client = client.expect("a socket");
        lab.expect_drops("no-flow", 1, || client.send(b"?").expect("sent"));
        file.write_beside("office.txt", &format!("{}\n", OUTSIDE.ip(family)));
        lab.expect_drops("no-flow", 1, || client.send(b"?").expect("sent"));
        lab.eigw(&["reload"]).success();
        client.send(b"!").expect("sent");
        client.recv(&mut [0; 64]).expect("an answer");
        wait::until_true("the answer to be counted", || server.served() == 1);
    }
    file.write_beside("office.txt", "10.77.3.2\nnot-a-prefix\n");
    let complaint = lab.eigw(&["reload"]).failure(2);
    assert!(complaint.contains("office.txt") && complaint.contains("not-a-prefix"), "{complaint}");
}

/// Whatever moment a reload is killed in, one whole policy is in force, hits are not lost, flows
/// go on, and the next reload works.
#[test]
fn a_reload_killed_at_any_point_leaves_a_whole_policy() {
    let lab = Lab::new();
    // Large enough that there is time to be killed in.
    let policy = |name: &str, port: u16| {
        let mut text =
            rule("in", "allow", &format!("name = \"{name}\"\nproto = \"udp\"\nports = {port}"));
        for port in 10_000..11_000 {
            text.push_str(&rule("in", "deny", &format!("proto = \"tcp\"\nports = {port}")));
        }
        text + &rule("in", "allow", "name = \"hits\"\nproto = \"udp\"\nports = 53")
    };
    let (a, b) = (ConfigFile::of_lab(&policy("a", 1_001)), ConfigFile::of_lab(&policy("b", 1_002)));
    lab.attach_file(Hook::Xdp, &a);
    let _echo = socket::udp_echo(&lab.outside, OUTSIDE.port(FAMILIES[1], 7));
    let stream = Stream::start(&lab.inside, OUTSIDE.port(FAMILIES[1], 7));
    let dns = socket::udp_echo(&lab.inside, INSIDE.port(FAMILIES[0], 53));
    let mut asked = 0;
    // The quickest of some, so that the steps are not too large.
    let times = [&b, &a, &b].map(|file| {
        let begun = Instant::now();
        lab.eigw(&["reload", "-c", file.path()]).success();
        begun.elapsed()
    });
    let step = times.into_iter().min().expect("there are some") / 25;
    let (mut in_force, mut delay, mut killed, mut finished) = ("b", Duration::ZERO, 0, 0);
    // Later and later, until it is too late.
    while finished < 3 {
        let (file, new) = if in_force == "a" { (&b, "b") } else { (&a, "a") };
        let mut command = lab.eigw_command(&["reload", "-c", file.path()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut reload = command.spawn().expect("eigw starts");
        // The time is the input here: what is tested is being killed at this moment.
        thread::sleep(delay);
        reload.kill().expect("it is our child");
        let was_killed = !reload.wait().expect("it is our child").success();
        *(if was_killed { &mut killed } else { &mut finished }) += 1;
        let rows = rules(&lab);
        let named = rows[0]["name"].as_str().expect("a name").to_owned();
        assert!([in_force, new].contains(&named.as_str()), "{named} is in force");
        assert!(was_killed || named == new, "a reload that came to its end has an effect");
        in_force = if named == new { new } else { in_force };
        assert_eq!((rows.len(), &rows[1_001]["hits"]), (1_002, &json!(asked)), "after {delay:?}");
        is_in_force(&lab, in_force);
        socket::udp_exchange(&lab.outside, dns.address(), b"?", PATIENCE).expect("published");
        asked += 1;
        assert!(!stream.is_broken(), "after {delay:?}");
        delay += step;
    }
    println!("killed {killed} reloads, one each {step:.1?} later than the one before");
    assert!(killed >= 5, "only {killed} were killed");
    lab.eigw(&["reload", "-c", a.path()]).success();
    assert_eq!(rules(&lab)[1_001]["hits"], asked);
    is_in_force(&lab, "a");
    stream.progress();
    stream.finish();
    icmp::ping(&lab.inside, OUTSIDE.ip(FAMILIES[0])).expect("an echo reply");
}

/// Makes sure that packets meet the policy of this name and no other.
fn is_in_force(lab: &Lab, name: &str) {
    let at = |port| INSIDE.port(FAMILIES[0], port);
    let (open, closed) = if name == "a" { (1_001, 1_002) } else { (1_002, 1_001) };
    let send = |port| {
        let client = socket::udp_client(&lab.outside, at(port), PATIENCE).expect("a socket");
        client.send(b"?").expect("sent");
    };
    lab.expect_packets("in", "rule-allowed", 1, || send(open));
    lab.expect_drops("no-flow", 1, || send(closed));
    wait::until_true("the hit", || lab.hits(name) > 0);
}

/// What tells a flow from all others.
fn identity(flow: &Value) -> String {
    let fields = ["proto", "local", "local_port", "remote", "remote_port"];
    fields.map(|field| flow[field].to_string()).join(" ")
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn ssh(name: &str) -> String {
    rule("in", "allow", &format!("name = \"{name}\"\nproto = \"tcp\"\nports = 22"))
}

fn rules(lab: &Lab) -> Vec<Value> {
    lab.eigw_json(&["rule", "show"]).as_array().expect("an array").clone()
}

fn rule_names(lab: &Lab) -> Vec<Value> {
    rules(lab).into_iter().map(|row| row["name"].clone()).collect()
}
