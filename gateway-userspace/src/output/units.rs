//! Numbers as people read them.

use std::net::IpAddr;

const SEC_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SEC_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A span of time in its two greatest units, such as `2h3m`; below a minute as `1.2s` or `20ms`.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..SEC_MS => format!("{ms}ms"),
        SEC_MS..MINUTE_MS if ms % SEC_MS < 100 => format!("{}s", ms / SEC_MS),
        SEC_MS..MINUTE_MS => format!("{}.{}s", ms / SEC_MS, ms % SEC_MS / 100),
        MINUTE_MS..HOUR_MS => format!("{}m{}s", ms / MINUTE_MS, ms % MINUTE_MS / SEC_MS),
        HOUR_MS..DAY_MS => format!("{}h{}m", ms / HOUR_MS, ms % HOUR_MS / MINUTE_MS),
        DAY_MS.. => format!("{}d{}h", ms / DAY_MS, ms % DAY_MS / HOUR_MS),
    }
}

/// An amount of memory, such as `13.4 MiB`.
pub(super) fn memory(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if tenths < 10 * 1024 {
            break;
        }
        tenths /= 1024;
        unit = larger;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// A number in three digits, such as `1.5k`.
pub(crate) fn count(number: f64) -> String {
    let (number, unit) = scaled(number);
    if unit.is_empty() && (number >= 10.0 || number == 0.0) {
        return format!("{number:.0}");
    }
    format!("{number:.1}{unit}")
}

/// A rate, such as `12.0 Mbit/s`.
pub(crate) fn bits_per_sec(rate: f64) -> String {
    match scaled(rate) {
        (rate, "") => format!("{rate:.0} bit/s"),
        (rate, unit) => format!("{rate:.1} {unit}bit/s"),
    }
}

/// A number below a thousand, and the unit that makes it so.
fn scaled(number: f64) -> (f64, &'static str) {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    // What would be shown as a thousand of a unit is one of the next.
    const LIMIT: f64 = 999.95;
    let (mut number, mut unit) = (number, 0);
    while number >= LIMIT && unit + 1 < UNITS.len() {
        number /= 1000.0;
        unit += 1;
    }
    (number, UNITS[unit])
}

/// An address with its port as people write it; port 0 stands for none.
pub(crate) fn endpoint(address: IpAddr, port: u16) -> String {
    match (address, port) {
        (_, 0) => address.to_string(),
        (IpAddr::V4(_), _) => format!("{address}:{port}"),
        (IpAddr::V6(_), _) => format!("[{address}]:{port}"),
    }
}

/// An amount of money, to as many digits as tell anything; `-` for none.
pub(crate) fn money(amount: Option<f64>, currency: &str) -> String {
    let Some(amount) = amount else { return "-".to_owned() };
    let digits = if amount > 0.0 && amount < 0.01 { 6 } else { 2 };
    format!("{amount:.digits$} {currency}").trim_end().to_owned()
}

/// The word for `count` things.
pub(crate) fn plural<'w>(count: usize, one: &'w str, many: &'w str) -> &'w str {
    if count == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_two_units() {
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (30_000, "30s"),
            (1_234, "1.2s"),
            (59_999, "59.9s"),
            (60_000, "1m0s"),
            (7_439_980, "2h3m"),
            (432_000_000, "5d0h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn memory_shows_binary_units() {
        for (bytes, text) in [
            (0, "0.0 KiB"),
            (1_536, "1.5 KiB"),
            (1 << 20, "1.0 MiB"),
            (272_629_760, "260.0 MiB"),
            (3 << 40, "3.0 TiB"),
            (5 << 50, "5120.0 TiB"),
        ] {
            assert_eq!(memory(bytes), text);
        }
    }

    #[test]
    fn numbers_have_three_digits() {
        for (number, text) in [
            (0.0, "0"),
            (0.25, "0.2"),
            (9.5, "9.5"),
            (800.0, "800"),
            (999.97, "1.0k"),
            (1_509.5, "1.5k"),
            (999_960.0, "1.0M"),
            (5e15, "5000.0T"),
        ] {
            assert_eq!(count(number), text);
        }
        assert_eq!(bits_per_sec(0.0), "0 bit/s");
        assert_eq!(bits_per_sec(12e6), "12.0 Mbit/s");
    }

    #[test]
    fn money_has_the_digits_that_matter() {
        assert_eq!(money(None, "USD"), "-");
        assert_eq!(money(Some(0.0), "USD"), "0.00 USD");
        assert_eq!(money(Some(0.000_123), "EUR"), "0.000123 EUR");
        assert_eq!(money(Some(1234.567), ""), "1234.57");
    }

    #[test]
    fn endpoints_put_ipv6_in_brackets_and_hide_no_port() {
        let address = |text: &str| text.parse::<IpAddr>().expect("valid address");
        assert_eq!(endpoint(address("2a00:1::5"), 443), "[2a00:1::5]:443");
        assert_eq!(endpoint(address("192.0.2.1"), 443), "192.0.2.1:443");
        assert_eq!(endpoint(address("2a00:1::5"), 0), "2a00:1::5");
    }
}
