//! `[flow_log]`: where flow logs go, and how they look.

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
