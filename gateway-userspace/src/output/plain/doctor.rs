//! What the doctor found, a table for the machine and one for each interface.

use crate::{
    doctor::Finding,
    output::{
        table::{render, words},
        units::plural,
    },
    view::DoctorView,
};

pub(super) fn doctor(view: &DoctorView) -> String {
    let DoctorView { machine, interfaces, problems, warnings } = view;
    let mut text = format!("machine\n\n{}", findings(machine));
    for interface in interfaces {
        text += &["\ninterface ", &interface.name, "\n\n", &findings(&interface.checks)].concat();
    }
    let (problems, warnings) = (
        format!("{problems} {}", plural(*problems, "problem", "problems")),
        format!("{warnings} {}", plural(*warnings, "warning", "warnings")),
    );
    text + "\n" + &problems + ", " + &warnings + "\n"
}

fn findings(findings: &[Finding]) -> String {
    let rows = findings.iter().flat_map(|finding| {
        let Finding { check, verdict, found, advice } = finding;
        let row = [(*check).to_owned(), verdict.name().to_owned(), found.clone()];
        let advice = advice.as_ref();
        let remedy = advice.map(|it| [String::new(), String::new(), format!("what to do: {it}")]);
        [Some(row), remedy].into_iter().flatten()
    });
    render([words("CHECK"), words("VERDICT"), words("FOUND")], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::Severity, view::InterfaceFindingsView};

    #[test]
    fn each_finding_is_a_line_and_its_remedy_follows() {
        let finding = |check, verdict, found: &str, advice: Option<&str>| Finding {
            check,
            verdict,
            found: found.to_owned(),
            advice: advice.map(str::to_owned),
        };
        let checks = vec![
            finding("state", Severity::Warning, "down", Some("ip link set eth0 up")),
            finding("mtu", Severity::Ok, "1500 bytes", None),
        ];
        let view = DoctorView::new(
            vec![finding("kernel", Severity::Problem, "5.10 is too old", Some("boot another"))],
            vec![InterfaceFindingsView { name: "eth0".to_owned(), checks }],
        );
        let expected = "\
machine

CHECK   VERDICT  FOUND
kernel  problem  5.10 is too old
                 what to do: boot another

interface eth0

CHECK  VERDICT  FOUND
state  warning  down
                what to do: ip link set eth0 up
mtu    ok       1500 bytes

1 problem, 1 warning
";
        assert_eq!(doctor(&view), expected);
    }
}
