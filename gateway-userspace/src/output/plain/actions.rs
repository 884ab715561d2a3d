//! What was done, in a few lines.

use super::{ruleset::ruleset, status::policy};
use crate::{
    output::{
        table::{numbers, render, words},
        units::{duration, memory, plural},
    },
    view::{AttachView, CheckView, ConfirmView, DetachView, ManView, SeededView, SettingsView},
};

pub(super) fn attach(view: &AttachView) -> String {
    let done = if view.created { "attached" } else { "updated" };
    let columns = [words("UPLINK"), numbers("IFINDEX"), words("HOOK"), words("EGRESS")];
    let rows = view.uplinks.iter().map(|uplink| {
        [
            uplink.name.clone(),
            uplink.ifindex.to_string(),
            uplink.hook.to_owned(),
            uplink.egress.to_owned(),
        ]
    });
    format!(
        "{done} gateway {}\n\n{}{}{}",
        view.name,
        render(columns, rows),
        view.seeded.as_ref().map(seeded).unwrap_or_default(),
        notes(&view.notes)
    )
}

fn seeded(view: &SeededView) -> String {
    let SeededView { sockets, conntrack, skipped } = *view;
    let flows = sockets + conntrack;
    let what = if flows == 1 { "connection" } else { "connections" };
    let but = if skipped == 0 { String::new() } else { format!("; {skipped} skipped") };
    format!("\nseeded {flows} {what}: {sockets} of sockets, {conntrack} of conntrack{but}\n")
}

pub(super) fn detach(view: &DetachView) -> String {
    let done = if view.detached.is_empty() {
        "no gateway is attached\n".to_owned()
    } else {
        format!("detached {}\n", view.detached.join(", "))
    };
    done + &notes(&view.notes)
}

pub(super) fn confirm(view: &ConfirmView) -> String {
    let ConfirmView { name, left_ms } = view;
    format!("confirmed gateway {name}, with {} left\n", duration(*left_ms))
}

pub(super) fn check(view: &CheckView) -> String {
    let SettingsView { half_open_max, established_max, flow_memory_bytes, .. } = view.settings;
    let settings = &view.settings;
    let warnings = lines(view.warnings.iter().map(|warning| {
        format!("warning: {}:{}: {}", view.file.display(), warning.line, warning.message)
    }));
    format!(
        "{}: ok\n{warnings}\ngateway:    {}\nuplinks:    {}\nhook:       {}\nprofile:    {}\n\
         flows:      half-open {half_open_max}, established {established_max} ({})\n{}{}",
        view.file.display(),
        settings.name.as_deref().unwrap_or("(the first uplink)"),
        if settings.uplinks.is_empty() {
            "none; attach needs --uplink".to_owned()
        } else {
            settings.uplinks.join(", ")
        },
        settings.hook,
        settings.profile,
        memory(flow_memory_bytes),
        policy(&settings.policy),
        ruleset(&settings.ruleset),
    )
}

pub(super) fn man(view: &ManView) -> String {
    let count = view.pages.len();
    let pages = lines(view.pages.iter().map(|page| page.display().to_string()));
    format!("wrote {count} {}\n{pages}", plural(count, "page", "pages"))
}

pub(super) fn notes(notes: &[String]) -> String {
    lines(notes.iter().map(|note| format!("note: {note}")))
}

/// Each text on a line of its own.
fn lines(texts: impl Iterator<Item = String>) -> String {
    texts.map(|text| text + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::AttachedUplinkView;

    #[test]
    fn attaching_says_what_sits_where() {
        let mut view = AttachView {
            name: "wan".to_owned(),
            created: true,
            uplinks: vec![AttachedUplinkView {
                name: "eth0".to_owned(),
                ifindex: 2,
                created: true,
                hook: "xdp",
                egress: "tcx",
            }],
            seeded: None,
            confirm_secs: None,
            notes: Vec::new(),
        };
        let expected = "\
attached gateway wan

UPLINK  IFINDEX  HOOK  EGRESS
eth0          2  xdp   tcx
";
        assert_eq!(attach(&view), expected);
        view.created = false;
        view.notes.push("interface eth0 is down".to_owned());
        let updated = expected.replace("attached", "updated") + "note: interface eth0 is down\n";
        assert_eq!(attach(&view), updated);
        view.notes.clear();
        for (seeded, line) in [
            ((3, 0, 0), "seeded 3 connections: 3 of sockets, 0 of conntrack"),
            ((0, 1, 2), "seeded 1 connection: 0 of sockets, 1 of conntrack; 2 skipped"),
        ] {
            let (sockets, conntrack, skipped) = seeded;
            view.seeded = Some(SeededView { sockets, conntrack, skipped });
            assert!(attach(&view).ends_with(&format!("tcx\n\n{line}\n")), "{}", attach(&view));
        }
    }

    #[test]
    fn detaching_names_what_is_gone() {
        let view = |detached: &[&str], notes: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
            detach(&DetachView { detached: owned(detached), notes: owned(notes) })
        };
        assert_eq!(view(&["lan", "wan"], &[]), "detached lan, wan\n");
        assert_eq!(view(&[], &["tidied up"]), "no gateway is attached\nnote: tidied up\n");
    }
}
