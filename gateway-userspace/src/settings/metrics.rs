//! `[metrics]`: where `eigw run` answers Prometheus.

use std::net::SocketAddr;

use toml::de::DeTable;

use super::{
    problem::Problem,
    reader::{Lines, Located, TableReader},
};

/// The most addresses to listen on.
pub const LISTEN_MAX: usize = 8;

/// Where metrics are to be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Addresses to listen on, without duplicates; port 0 lets the kernel choose one. Without any
    /// there are no metrics.
    pub listen: Vec<SocketAddr>,
}

/// The table as written.
#[derive(Debug, Default)]
pub(super) struct RawMetrics {
    listen: Vec<Located<String>>,
}

impl RawMetrics {
    /// Reads the table, which may be absent.
    pub(super) fn read(
        lines: &Lines,
        table: Option<&DeTable<'_>>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut table = TableReader::new(lines, "[metrics]", table, problems);
        let expected = "an address with a port like \"127.0.0.1:9477\"";
        let text = |value: &toml::de::DeValue<'_>| value.as_str().map(str::to_owned);
        let listen = table.one_or_more("listen", expected, text).unwrap_or_default();
        table.finish();
        Self { listen }
    }

    /// Judges the table.
    pub(super) fn validate(&self, problems: &mut Vec<Problem>) -> Metrics {
        let mut listen = Vec::new();
        for Located { line, value } in &self.listen {
            match address(value, &listen) {
                Ok(address) => listen.push(address),
                Err(why) => {
                    let message = format!("'listen' in [metrics]: {why}");
                    problems.push(Problem::new(*line, message));
                }
            }
        }
        Metrics { listen }
    }
}

/// Reads one address; `before` are those above it.
fn address(text: &str, before: &[SocketAddr]) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| {
        format!(
            "'{text}' is not an address with a port; write \"127.0.0.1:9477\" or \"[::1]:9477\""
        )
    })?;
    // Two ports that the kernel chooses are two ports.
    if address.port() != 0 && before.contains(&address) {
        return Err(format!("'{text}' is listed twice"));
    }
    if before.len() == LISTEN_MAX {
        return Err(format!("'{text}' is one too many: at most {LISTEN_MAX} are possible"));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn one_address_or_several() {
        assert_eq!(listen(""), Ok(Vec::new()));
        assert_eq!(listen("[metrics]\n"), Ok(Vec::new()));
        let both = ["127.0.0.1:9477", "[::1]:9477"].map(|it| it.parse().expect("valid"));
        assert_eq!(listen("metrics.listen = '127.0.0.1:9477'"), Ok(both[..1].to_vec()));
        let text = "metrics.listen = ['127.0.0.1:9477', '[::1]:9477']";
        assert_eq!(listen(text), Ok(both.to_vec()));
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_line() {
        let text =
            "[metrics]\nlisten = ['localhost:9477',\n'127.0.0.1',\n'[::1]:1',\n'[::1]:1',\n9]";
        let problems = listen(text).expect_err("four mistakes");
        let told: Vec<_> = problems.iter().map(|it| (it.line, it.message.as_str())).collect();
        let [host, port, twice, number] = told[..] else { panic!("{told:?}") };
        assert!(host.0 == 2 && host.1.contains("'localhost:9477' is not an address"), "{host:?}");
        assert!(port.0 == 3 && port.1.contains("'127.0.0.1' is not an address"), "{port:?}");
        assert!(twice.0 == 5 && twice.1.contains("listed twice"), "{twice:?}");
        assert!(number.0 == 6 && number.1.contains("must be an address"), "{number:?}");
    }

    fn listen(text: &str) -> Result<Vec<SocketAddr>, Vec<Problem>> {
        Settings::parse(text, 1 << 30).map(|(settings, _)| settings.metrics.listen)
    }
}
