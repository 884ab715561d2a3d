//! A page of metrics, in both text formats.

use std::{borrow::Cow, collections::HashMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

use super::catalogue::{Kind, METRICS, Metric};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// What Prometheus began with, and what everything understands.
    Text,
    /// The standard that came of it.
    OpenMetrics,
}

impl Format {
    /// What an HTTP answer says of it.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// A count.
    Count(u64),
    /// A measure.
    Measure(f64),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<bool> for Value {
    fn from(is_so: bool) -> Self {
        Self::Count(is_so.into())
    }
}

impl From<f64> for Value {
    fn from(measure: f64) -> Self {
        Self::Measure(measure)
    }
}

type Labels = Vec<(&'static str, String)>;

/// What is told at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Page(HashMap<&'static str, Vec<(Labels, Value)>>);

impl Page {
    /// Adds a series; `labels` are the values of the metric's labels, in their order.
    pub(super) fn add<const N: usize>(
        &mut self,
        metric: &'static Metric,
        labels: [&str; N],
        value: impl Into<Value>,
    ) {
        assert_eq!(metric.labels.len(), N, "{} has other labels", metric.name);
        let labels = metric.labels.iter().copied().zip(labels.map(str::to_owned)).collect();
        self.0.entry(metric.name).or_default().push((labels, value.into()));
    }

    /// The page as text.
    pub(super) fn text(self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Text => older(&text),
        })
    }

    /// The values of a metric with these labels among its own.
    #[cfg(test)]
    pub(super) fn values(&self, metric: &Metric, labels: &[(&str, &str)]) -> Vec<Value> {
        let has = |all: &Labels, (name, value): &(&str, &str)| {
            all.iter().any(|(its, is)| its == name && is == value)
        };
        let series = self.0.get(metric.name).into_iter().flatten();
        let wanted = series.filter(|(all, _)| labels.iter().all(|label| has(all, label)));
        wanted.map(|(_, value)| *value).collect()
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for metric in METRICS {
            let Some(series) = self.0.get(metric.name) else { continue };
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut family = encoder.encode_descriptor(metric.family(), metric.help, None, kind)?;
            for (labels, value) in series {
                if labels.is_empty() {
                    encode(&mut family, metric.kind, *value)?;
                } else {
                    encode(&mut family.encode_family(labels)?, metric.kind, *value)?;
                }
            }
        }
        Ok(())
    }
}

fn encode(encoder: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Count(count)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)
        }
        (Kind::Counter, Value::Measure(measure)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(&measure, None)
        }
        (Kind::Gauge, Value::Count(count)) => encoder.encode_gauge(&count),
        (Kind::Gauge, Value::Measure(measure)) => encoder.encode_gauge(&measure),
    }
}

/// The page in the older format, in which a counter's family has its suffix and nothing marks the
/// end.
fn older(text: &str) -> String {
    let suffixed: HashMap<&str, &str> = METRICS.iter().map(|it| (it.family(), it.name)).collect();
    let mut older = String::with_capacity(text.len());
    for line in text.lines().filter(|line| *line != "# EOF") {
        older.push_str(&older_line(line, &suffixed));
        older.push('\n');
    }
    older
}

fn older_line<'a>(line: &'a str, suffixed: &HashMap<&str, &str>) -> Cow<'a, str> {
    for head in ["# HELP ", "# TYPE "] {
        if let Some((family, rest)) = line.strip_prefix(head).and_then(|it| it.split_once(' ')) {
            let name = suffixed.get(family).copied().unwrap_or(family);
            return format!("{head}{name} {rest}").into();
        }
    }
    line.into()
}

#[cfg(test)]
mod tests {
    use super::{
        super::catalogue::{PROCESS_FDS, SCRAPE_SECONDS, VERDICT_PACKETS},
        *,
    };

    #[test]
    fn both_formats_say_the_same() {
        let text = |format| page().text(format).expect("writing to a string");
        let series = "{gateway=\"wan\",direction=\"in\",verdict=\"drop\",reason=\"no-flow\"} 7\n";
        assert_eq!(
            text(Format::OpenMetrics),
            format!(
                "# HELP eigw_scrape_duration_seconds {}\n\
                 # TYPE eigw_scrape_duration_seconds gauge\neigw_scrape_duration_seconds 0.5\n\
                 # HELP eigw_verdict_packets {}\n# TYPE eigw_verdict_packets counter\n\
                 eigw_verdict_packets_total{series}\
                 # HELP process_open_fds {}\n# TYPE process_open_fds gauge\nprocess_open_fds 9\n\
                 # EOF\n",
                SCRAPE_SECONDS.help, VERDICT_PACKETS.help, PROCESS_FDS.help
            )
        );
        let older = text(Format::OpenMetrics)
            .replace("HELP eigw_verdict_packets ", "HELP eigw_verdict_packets_total ")
            .replace("TYPE eigw_verdict_packets ", "TYPE eigw_verdict_packets_total ")
            .replace("# EOF\n", "");
        assert_eq!(text(Format::Text), older);
    }

    #[test]
    fn what_a_label_says_cannot_break_the_page() {
        let mut page = Page::default();
        page.add(VERDICT_PACKETS, ["a\"b\\c\nd", "in", "drop", "no-flow"], 1_u64);
        let text = page.text(Format::Text).expect("writing to a string");
        assert!(text.contains(r#"gateway="a\"b\\c\nd""#), "{text}");
    }

    fn page() -> Page {
        let mut page = Page::default();
        page.add(PROCESS_FDS, [], 9_u64);
        page.add(VERDICT_PACKETS, ["wan", "in", "drop", "no-flow"], 7_u64);
        page.add(SCRAPE_SECONDS, [], 0.5);
        page
    }
}
