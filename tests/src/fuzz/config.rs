//! Configuration files.

use std::path::Path;

use gateway_userspace::{
    policy::CompiledPolicy,
    settings::{Problem, Settings},
};

const MEMORY_BYTES: u64 = 1 << 30;
/// More rules take longer to compile than a fuzzer has time for.
const RULES_MAX: usize = 100;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Files that it names are not to be opened.
    if text.contains("file") || text.contains('\\') {
        return;
    }
    let read = Settings::parse(text, MEMORY_BYTES);
    assert_eq!(read, Settings::parse(text, MEMORY_BYTES), "the same text, the same settings");
    // The end of the text counts as a line, too.
    let lines = text.split('\n').count();
    match read {
        Err(problems) => {
            assert!(!problems.is_empty());
            check(&problems, lines);
        }
        Ok((settings, warnings)) => {
            check(&warnings, lines);
            check_settings(&settings);
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let example = include_str!("../../../dist/example.toml");
    let plain: String = example
        .lines()
        .filter(|line| !line.starts_with("# ") && !line.is_empty())
        .map(|line| line.trim_start_matches('#').to_owned() + "\n")
        .collect();
    let mut seeds: Vec<Vec<u8>> =
        plain.split("\n[").map(|part| format!("[{part}").into()).collect();
    seeds.push(plain.into());
    seeds.extend((1..20).map(|seed| super::policies::policy_of(seed, true).into()));
    for text in [
        "",
        "[gateway]\nuplinks = ['a', 'a']\nname = ''\nprofile = 'rfx'\n",
        "[timeouts]\ntcp_established = 0\nudp = '1'\nicmp = 99999999999999999999\n",
        "[flows]\nhalf_open_max = 'auto'\nestablished_max = -1\n[[rule]]\nports = ['9-1', 70000]\n",
        "[prefix_list.a]\nprefixes = ['::/0', '1.2.3.4/33', '1.2.3.4/8']\n[[subnet]]\nprefix = '::/0'\n",
        "[rfc6092]\nenabled = true\n[cost]\ndefault = '0.09'\n[metrics]\nlisten = ':::'\n",
    ] {
        seeds.push(text.into());
    }
    seeds
}

fn check(problems: &[Problem], lines: usize) {
    assert!(problems.is_sorted(), "{problems:?}");
    for problem in problems {
        assert!((1..=lines).contains(&problem.line), "{problem:?} of {lines} lines");
        assert!(!problem.message.is_empty());
        let shown = problem.at(Path::new("f"));
        assert_eq!(shown.lines().count(), 1, "one line of text: {shown:?}");
    }
}

/// What settings say, the packet path can be told.
fn check_settings(settings: &Settings) {
    for ticks_per_sec in [100, 1000] {
        let config = settings.to_config(ticks_per_sec, false);
        assert!(config.is_valid() && !config.is_standby());
        assert!(config.timeouts.iter().all(|timeout| timeout.0 > 0), "{config:?}");
    }
    let sizes = settings.table_sizes(MEMORY_BYTES);
    assert!(sizes.half_open_max > 0 && sizes.established_max > 0, "{sizes:?}");
    if settings.policy.rules.len() <= RULES_MAX {
        let compiled = CompiledPolicy::new(&settings.policy);
        assert_eq!(compiled.summary, settings.policy.summary());
    }
}
