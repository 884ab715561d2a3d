//! `[flow_log]`: where flow logs go, and how they look. Without it nobody learns whom inside talks to
//! (RFC6888-REQ-12).

use std::path::PathBuf;

use clap::ValueEnum;
use toml::de::DeValue;

use super::{
    problem::Problem,
    reader::{Located, TableReader, number_within},
    suggest::did_you_mean,
};
use crate::flow_log::Field;

/// The longest interval, in seconds: a day.
const INTERVAL_SECS_MAX: u32 = 24 * 60 * 60;
/// The smallest size at which a file is rotated, in bytes.
const MAX_SIZE_BYTES_MIN: u64 = 4096;
/// Rotated files that may be kept.
const KEEP_MAX: u32 = 1000;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPath {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FlowLogFormat {
    /// Those of AWS VPC flow logs.
    #[default]
    Vpc,
    /// JSON objects.
    Json,
}

/// What stands in fields that have no meaning outside AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constants {
    values: [(&'static str, Field, String); 8],
}

impl Default for Constants {
    fn default() -> Self {
        let value = |key, field| (key, field, "-".to_owned());
        Self {
            values: [
                value("account_id", Field::AccountId),
                value("vpc_id", Field::VpcId),
                value("subnet_id", Field::SubnetId),
                value("instance_id", Field::InstanceId),
                value("region", Field::Region),
                value("az_id", Field::AzId),
                value("sublocation_type", Field::SublocationType),
                value("sublocation_id", Field::SublocationId),
            ],
        }
    }
}

impl Constants {
    /// What stands in a field; `-` if nothing was set.
    #[must_use]
    pub fn get(&self, field: Field) -> &str {
        let mut values = self.values.iter();
        values.find(|(_, of, _)| *of == field).map_or("-", |(_, _, value)| value)
    }
}

/// Flow logs as the operator wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLogSettings {
    /// Where lines go.
    pub path: LogPath,
    /// How they look.
    pub format: FlowLogFormat,
    /// The fields of a line, if these are not the default ones.
    pub fields: Option<Vec<Field>>,
    /// How long a window is.
    pub interval_secs: u32,
    /// The size that a file does not exceed.
    pub max_size_bytes: u64,
    /// How many earlier files are kept.
    pub keep: u32,
    /// Whether dropped packets are logged.
    pub rejects: bool,
    /// What stands in fields that have no meaning outside AWS.
    pub constants: Constants,
    /// Where the log remembers what it has reported; the gateway has a directory in it.
    pub state_dir: PathBuf,
}

impl Default for FlowLogSettings {
    fn default() -> Self {
        Self {
            path: LogPath::Stdout,
            format: FlowLogFormat::default(),
            fields: None,
            interval_secs: 60,
            max_size_bytes: 100 << 20,
            keep: 10,
            rejects: true,
            constants: Constants::default(),
            state_dir: PathBuf::from("/run/eigw"),
        }
    }
}

/// Reads and judges the section that begins on `line`.
pub(super) fn read(line: usize, mut table: TableReader<'_, '_>) -> FlowLogSettings {
    let mut settings = FlowLogSettings::default();
    table.require(line, "path");
    if let Some(Located { line, value }) = table.string("path") {
        settings.path = if value == "-" {
            LogPath::Stdout
        } else {
            LogPath::File(absolute(&mut table, line, "path", value, " or \"-\""))
        };
    }
    if let Some(Located { line, value }) = table.string("state_dir") {
        settings.state_dir = absolute(&mut table, line, "state_dir", value, "");
    }
    set(&mut settings.format, table.choice("format"));
    set(&mut settings.interval_secs, table.number("interval", &(1..=INTERVAL_SECS_MAX), "seconds"));
    set(&mut settings.max_size_bytes, table.take("max_size", SIZE, size));
    set(&mut settings.keep, table.number("keep", &(0..=KEEP_MAX), "files"));
    set(&mut settings.rejects, table.boolean("rejects"));
    for (key, _, value) in &mut settings.constants.values {
        let expected = "a string without blanks";
        set(value, table.take(key, expected, |value| word(value).map(str::to_owned)));
    }
    settings.fields = fields(&mut table, settings.format);
    table.finish();
    settings
}

fn set<T>(place: &mut T, located: Option<Located<T>>) {
    if let Some(located) = located {
        *place = located.value;
    }
}

fn absolute(
    table: &mut TableReader<'_, '_>,
    line: usize,
    key: &str,
    value: String,
    or: &str,
) -> PathBuf {
    let path = PathBuf::from(value);
    if !path.is_absolute() {
        let message = format!(
            "'{key}' in [flow_log] must be an absolute path{or}, not \"{}\"; the daemon's \
             directory is not yours",
            path.display()
        );
        table.complain(line, message);
    }
    path
}

/// What `size` expects.
const SIZE: &str = "a size of at least 4096 bytes, as a number or a string like \"100MiB\"";

fn size(value: &DeValue<'_>) -> Option<u64> {
    let bytes = match value.as_str() {
        None => number_within(value, &(0..=u32::MAX)).map(u64::from),
        Some(text) => {
            let digits = text.trim_end_matches(|it: char| !it.is_ascii_digit());
            let unit: u64 = match text[digits.len()..].trim() {
                "" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                _ => return None,
            };
            digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit))
        }
    };
    bytes.filter(|bytes| *bytes >= MAX_SIZE_BYTES_MIN)
}

fn word<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    let is_word = |text: &&str| {
        !text.is_empty() && !text.contains(|it: char| it.is_whitespace() || it.is_control())
    };
    value.as_str().filter(is_word)
}

/// The list of fields, in one string or an array of them.
fn fields(table: &mut TableReader<'_, '_>, format: FlowLogFormat) -> Option<Vec<Field>> {
    let expected = "the names of fields as AWS has them, like \"version srcaddr dstaddr\"";
    let text = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
    let texts = table.one_or_more("fields", expected, text)?;
    let mut problems = Vec::new();
    if let Some(first) = texts.first()
        && format == FlowLogFormat::Json
    {
        let message = "'fields' in [flow_log] is for format = \"vpc\"; JSON lines have all fields";
        problems.push(Problem::new(first.line, message));
    }
    let mut fields = Vec::new();
    for Located { line, value } in &texts {
        for name in value.split_whitespace() {
            match Field::parse(name) {
                Some(field) if fields.contains(&field) => {
                    let message = format!("'fields' in [flow_log] has '{name}' twice");
                    problems.push(Problem::new(*line, message));
                }
                Some(field) => fields.push(field),
                None => {
                    let names = Field::ALL.iter().map(|field| field.name());
                    let message = format!(
                        "'fields' in [flow_log]: there is no field '{name}'{}",
                        did_you_mean(name, names)
                    );
                    problems.push(Problem::new(*line, message));
                }
            }
        }
        if value.split_whitespace().next().is_none() {
            problems.push(Problem::new(*line, "'fields' in [flow_log] names no field"));
        }
    }
    for Problem { line, message } in problems {
        table.complain(line, message);
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn every_key_is_taken() {
        let log = read(
            "path = '/var/log/flows'\nformat = 'vpc'\ninterval = 5\nmax_size = '2 MiB'\nkeep = 3\n\
             rejects = false\naccount_id = '123456789010'\nregion = 'home'\n\
             fields = 'version ${srcaddr} reason'\nstate_dir = '/var/lib/eigw'\n",
        );
        let log = log.expect("it is valid").expect("it is there");
        assert_eq!(log.path, LogPath::File(PathBuf::from("/var/log/flows")));
        assert_eq!((log.format, log.interval_secs), (FlowLogFormat::Vpc, 5));
        assert_eq!((log.max_size_bytes, log.keep, log.rejects), (2 << 20, 3, false));
        let constants = [Field::AccountId, Field::Region, Field::VpcId];
        assert_eq!(constants.map(|field| log.constants.get(field)), ["123456789010", "home", "-"]);
        assert_eq!(log.fields, Some(vec![Field::Version, Field::SrcAddr, Field::Reason]));
        assert_eq!(log.state_dir, PathBuf::from("/var/lib/eigw"));
    }

    #[test]
    fn little_is_needed_and_none_is_no_log() {
        let log = read("path = '-'\nfields = ['version', 'bytes']\n").expect("it is valid");
        let fields = Some(vec![Field::Version, Field::Bytes]);
        assert_eq!(log, Some(FlowLogSettings { fields, ..FlowLogSettings::default() }));
        let (settings, _) = Settings::parse("", 1 << 30).expect("it is valid");
        assert_eq!(settings.flow_log, None);
    }

    #[test]
    fn what_is_wrong_has_its_line_and_advice() {
        for (text, expected) in [
            ("interval = 60", "1: 'path' is missing in [flow_log]"),
            (
                "path = 'flows.log'",
                "2: 'path' in [flow_log] must be an absolute path or \"-\", not \"flows.log\"; the \
                 daemon's directory is not yours",
            ),
            (
                "path = '-'\nformat = 'jsn'",
                "3: 'format' in [flow_log] must be one of \"vpc\", \"json\", not \"jsn\"; did you \
                 mean 'json'?",
            ),
            (
                "path = '-'\nfields = 'version scraddr'",
                "3: 'fields' in [flow_log]: there is no field 'scraddr'; did you mean 'srcaddr'?",
            ),
            ("path = '-'\nfields = 'end end'", "3: 'fields' in [flow_log] has 'end' twice"),
            ("path = '-'\nfields = ''", "3: 'fields' in [flow_log] names no field"),
            (
                "path = '-'\nformat = 'json'\nfields = 'end'",
                "4: 'fields' in [flow_log] is for format = \"vpc\"; JSON lines have all fields",
            ),
            (
                "path = '-'\ninterval = 0",
                "3: 'interval' in [flow_log] must be a whole number of seconds from 1 to 86400, not \
                 the number 0",
            ),
            (
                "path = '-'\nmax_size = '10MB'",
                "3: 'max_size' in [flow_log] must be a size of at least 4096 bytes, as a number or \
                 a string like \"100MiB\", not the string \"10MB\"",
            ),
            (
                "path = '-'\naccount_id = 'a b'",
                "3: 'account_id' in [flow_log] must be a string without blanks, not the string \
                 \"a b\"",
            ),
            (
                "path = '-'\nintervall = 1",
                "3: unknown key 'intervall' in [flow_log]; did you mean 'interval'?",
            ),
        ] {
            let problems = read(text).expect_err("it is wrong");
            let found: Vec<_> =
                problems.iter().map(|it| format!("{}: {}", it.line, it.message)).collect();
            assert_eq!(found, [expected], "{text}");
        }
    }

    fn read(text: &str) -> Result<Option<FlowLogSettings>, Vec<Problem>> {
        let parsed = Settings::parse(&format!("[flow_log]\n{text}"), 1 << 30);
        parsed.map(|(settings, _)| settings.flow_log)
    }
}
