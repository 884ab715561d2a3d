//! Flow logs: the journal, and lines by any format. The first byte chooses.

use gateway_common::{config::Config, timeouts::Ticks};
use gateway_userspace::{
    flow_log::{Field, fuzzing},
    settings::{FlowLogFormat, FlowLogSettings, Settings},
};

use super::{pinned::take, stories::STORIES};
use crate::{model::Model, rows::check::TICKS_PER_SEC};

pub(super) fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match kind & 3 {
        0 => fuzzing::check_journal(data),
        1 => fuzzing::check_entries(data),
        2 => check_lines(data),
        _ => check_format(data),
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        // A start, lines, an attempt, what came of it, and a mark, as postcard writes them.
        [&[1, 1, 1, b'b'][..], &[7; 16]].concat(),
        vec![1, 2, 1, 7, 1, 2, 3, 4, 1, 9, 1, 5, 9, 3, b'a', b'b', b'\n'],
        vec![1, 2, 0, 0, 0, 3, b'a', b'b', b'\n', 3, 0, 1, 2, 3, 0, 5, 2],
        vec![1, 2, 0, 0, 0, 3, b'a', b'b', b'\n', 4, 3, 2, b'h', b'\n', 6, 9, 0, 1, 0, 0],
        vec![0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
    ];
    let formats = [
        "format = 'json'\n",
        "fields = ['version', '${srcaddr}', 'dstaddr', 'packets', 'start', 'end', 'state']\n",
        "fields = ['pkt-srcaddr', 'tcp-flags', 'traffic-path', 'reason', 'rule', 'end-reason']\n",
        "account_id = '123'\ninterval = 1\nkeep = 0\nmax_size = '4k'\n",
        "fields = []\n",
        "fields = ['version', 'version', 'src']\nregion = 'a b'\n",
    ];
    seeds.extend(formats.map(|format| [&[3], format.as_bytes()].concat()));
    for story in STORIES.iter().step_by(97).take(8) {
        let mut model = Model::new(&Config::new(TICKS_PER_SEC), 64, 64);
        for travelling in story {
            _ = model.run(travelling.direction, &travelling.frame);
        }
        for ((_, key), entry) in model.state().flows.iter().take(1) {
            let bytes = [&[2, 5][..], &super::pinned::bytes(key), &super::pinned::bytes(entry)];
            seeds.push(bytes.concat());
        }
    }
    seeds
}

/// Whatever is in a flow's entry, in any format.
fn check_lines(data: &[u8]) {
    let Some((&format, mut data)) = data.split_first() else { return };
    let all = Field::ALL.to_vec();
    let settings = FlowLogSettings {
        format: if format & 1 == 0 { FlowLogFormat::Json } else { FlowLogFormat::Vpc },
        fields: (format & 3 == 3).then_some(all),
        ..FlowLogSettings::default()
    };
    let (key, entries) = (take(&mut data), [take(&mut data), take(&mut data)]);
    let at = Ticks(take(&mut data));
    let config = Config { ticks_per_sec: take(&mut data), ..Config::new(TICKS_PER_SEC) };
    fuzzing::check_lines(&settings, &key, &entries, at, &config);
}

/// What an operator asks for is refused, or every line has it.
fn check_format(data: &[u8]) {
    let Ok(format) = std::str::from_utf8(data) else { return };
    let text = format!("[flow_log]\npath = '-'\n{format}");
    if format.contains("file") || format.contains('[') && !format.contains("fields") {
        return;
    }
    let Ok((settings, _)) = Settings::parse(&text, 1 << 30) else { return };
    let Some(log) = settings.flow_log else { return };
    let story = &STORIES[format.len() % STORIES.len()];
    let config = Config::new(TICKS_PER_SEC);
    let mut model = Model::new(&config, 64, 64);
    for travelling in story {
        _ = model.run(travelling.direction, &travelling.frame);
    }
    for ((_, key), entry) in model.state().flows {
        fuzzing::check_lines(&log, &key, &[entry, entry], model.now(), &config);
    }
}
