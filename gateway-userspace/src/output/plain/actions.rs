//! What was done, in a few lines.

use super::status::{policy, uplinks};
use crate::{
    output::units::{memory, plural},
    view::{AttachView, CheckView, DetachView, ManView, SettingsView},
};

pub(super) fn attach(view: &AttachView) -> String {
    let done = if view.updated { "updated" } else { "attached" };
    let mut text = format!("{done} gateway {}\n\n{}", view.name, uplinks(&view.uplinks));
    for note in &view.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    if !view.notes.is_empty() {
        text.push('\n');
    }
    text
}

pub(super) fn detach(view: &DetachView) -> String {
    if view.detached.is_empty() {
        return "no gateway is attached\n".to_owned();
    }
    view.detached.iter().map(|name| format!("detached {name}\n")).collect()
}

pub(super) fn check(view: &CheckView) -> String {
    let SettingsView { half_open_max, established_max, flow_memory_bytes, .. } = view.settings;
    let settings = &view.settings;
    let warnings: String = view
        .warnings
        .iter()
        .map(|warning| {
            format!("warning: {}:{}: {}\n", view.file.display(), warning.line, warning.message)
        })
        .collect();
    format!(
        "{}: ok\n{warnings}\ngateway:    {}\nuplinks:    {}\nhook:       {}\nprofile:    {}\n\
         flows:      half-open {half_open_max}, established {established_max} ({})\n{}",
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
    )
}

pub(super) fn man(view: &ManView) -> String {
    let count = view.pages.len();
    let pages: String = view.pages.iter().map(|page| format!("{}\n", page.display())).collect();
    format!("wrote {count} {}\n{pages}", plural(count, "page", "pages"))
}
