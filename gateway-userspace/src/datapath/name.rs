//! Names of gateways.

use std::{fmt, str::FromStr};

use super::DatapathError;

/// The name of a gateway: 1 to 64 ASCII letters, digits, `_` and `-`. It is the name of a
/// directory of the BPF file system; what is under way there carries a `+`, which no gateway's
/// name has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayName(String);

impl GatewayName {
    /// The longest name, in bytes.
    pub const LEN_MAX: usize = 64;

    /// Checks a name.
    ///
    /// # Errors
    /// [`DatapathError::InvalidName`].
    pub fn new(name: impl Into<String>) -> Result<Self, DatapathError> {
        let name = name.into();
        if name.is_empty() || name.len() > Self::LEN_MAX || !name.bytes().all(is_allowed) {
            return Err(DatapathError::InvalidName { name });
        }
        Ok(Self(name))
    }

    /// The name of a gateway that was given none: that of its first uplink, with `_` for every
    /// character that a gateway's name cannot have.
    #[must_use]
    pub fn of_uplink(uplink: &str) -> Self {
        let name: String = uplink
            .chars()
            .take(Self::LEN_MAX)
            .map(|letter| match u8::try_from(letter) {
                Ok(byte) if is_allowed(byte) => letter,
                Ok(_) | Err(_) => '_',
            })
            .collect();
        Self(if name.is_empty() { "_".to_owned() } else { name })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GatewayName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for GatewayName {
    type Err = DatapathError;

    fn from_str(name: &str) -> Result<Self, DatapathError> {
        Self::new(name)
    }
}

const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_directory_names_that_bpffs_accepts() {
        for good in ["wan", "Wan-2_b", "0", "-", &"a".repeat(64)] {
            assert_eq!(GatewayName::new(good).expect(good).as_str(), good);
        }
        for bad in ["", ".", "..", "a.b", "a/b", "a+b", "a b", "wän", "a\0b", &"a".repeat(65)] {
            let error = GatewayName::new(bad).unwrap_err();
            assert!(matches!(error, DatapathError::InvalidName { .. }), "{bad:?}: {error}");
        }
    }

    #[test]
    fn every_uplink_gives_a_valid_name() {
        for (uplink, name) in
            [("eth0", "eth0"), ("eth0.100", "eth0_100"), ("wän@0", "w_n_0"), ("", "_")]
        {
            let derived = GatewayName::of_uplink(uplink);
            assert_eq!(derived.as_str(), name);
            assert_eq!(GatewayName::new(name).expect("valid"), derived);
        }
        assert_eq!(GatewayName::of_uplink(&"ä".repeat(99)).as_str().len(), 64);
    }
}
