use super::*;
use crate::settings::Settings;

const PUBLISHED: &str = "[[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'\nports = 22\n";

#[test]
fn whoever_can_log_in_again_is_not_locked_out() {
    for text in [
        PUBLISHED.to_owned(),
        format!("{PUBLISHED}from = ['10.9.0.0/16']\nto = ['10.1.0.1']\n"),
        "gateway.default_route = 'internet'".to_owned(),
        "[[subnet]]\nname = 'dmz'\nprefix = '10.1.0.0/24'\nroute = 'internet'\n".to_owned(),
    ] {
        assert_eq!(lockout("10.9.0.9", &text).map(|(lockout, _)| lockout.cause), None, "{text}");
    }
}

#[test]
fn every_cause_is_named_with_its_remedy() {
    let subnet = |prefix: &str, route: &str| {
        format!("[[subnet]]\nname = 'lan'\nprefix = '{prefix}'\nroute = '{route}'\n")
    };
    let denied = PUBLISHED.replace("allow", "deny");
    for (client, text, ends, why, remedy) in [
        ("10.9.0.9", String::new(), false, "no rule lets it in (no-flow)", "publish the port in"),
        (
            "10.9.0.9",
            format!("{PUBLISHED}from = ['10.8.0.0/16']\n"),
            false,
            "no rule lets it in (no-flow)",
            "from = [\"10.9.0.9\"]",
        ),
        (
            "10.9.0.9",
            denied.clone(),
            false,
            "rule 1 denies it (rule-denied)",
            "publish the port before rule 1 of",
        ),
        (
            "10.9.0.9",
            format!("{PUBLISHED}from = ['10.8.0.0/16']\n{denied}name = 'no-ssh'\n{PUBLISHED}"),
            false,
            "rule 2 'no-ssh' denies it (rule-denied)",
            "before rule 2 'no-ssh' of",
        ),
        (
            "10.9.0.9",
            subnet("10.1.0.0/16", "blocked"),
            true,
            "subnet 'lan' is blocked (route-blocked)",
            "choose another route in the configuration file, where subnet 'lan' is blocked",
        ),
        (
            "10.9.0.9",
            "gateway.default_route = 'blocked'".to_owned(),
            true,
            "the default route is blocked (route-blocked)",
            "choose another route",
        ),
        (
            "10.9.0.9",
            subnet("10.0.0.0/8", "internet"),
            true,
            "a subnet holds the client's address (ingress-spoof)",
            "narrow the subnet",
        ),
        (
            "192.0.2.9",
            PUBLISHED.to_owned(),
            true,
            "it is refused as martian-source (",
            "'except' in [martians]",
        ),
    ] {
        let (lockout, policy) = lockout(client, &text).expect("nobody can log in");
        let said = lockout.refusal(&policy);
        let consequence = if ends { "session ends at once" } else { "itself may go on" };
        let both = [why, remedy, consequence, "--confirm 60", "--force", "nothing was changed"];
        for part in [&format!("from {client} to 10.1.0.1 port 22 over uplink eth0")[..]]
            .into_iter()
            .chain(both)
        {
            assert!(said.contains(part), "{part} is missing with\n{text}\nin: {said}");
        }
    }
}

#[test]
fn the_rule_that_is_shown_lets_the_client_in() {
    for client in ["10.9.0.9", "10.9.0.10"] {
        let (before, policy) = lockout(client, "").expect("nobody can log in");
        let said = before.refusal(&policy);
        let rule = said.split("\n\n").nth(1).expect("a rule stands by itself");
        assert!(lockout(client, rule).is_none(), "{said}");
    }
}

/// What becomes of a session of a client with this host when the configuration comes into force.
fn lockout(client: &str, text: &str) -> Option<(Lockout, Policy)> {
    let (settings, _) = Settings::parse(text, 1 << 30).expect("valid file");
    let session = SshSession {
        client: format!("{client}:50000").parse().expect("an endpoint"),
        zone: None,
        server: "10.1.0.1:22".parse().expect("an endpoint"),
    };
    let (config, compiled) =
        (settings.to_config(250, false), CompiledPolicy::new(&settings.policy));
    let cause = cause(&session, &config, &compiled)?;
    let ends = !goes_on(&session, &config, &compiled);
    Some((Lockout { session, uplink: "eth0".to_owned(), cause, ends }, settings.policy))
}
