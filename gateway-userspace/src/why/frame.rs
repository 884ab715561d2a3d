//! Frames that people give.

use gateway_common::bytes::PacketBytes;

/// The Ethernet header that is put before a packet that came without one.
const MADE_UP: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// A frame as a hook would see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The bytes, from the Ethernet header on.
    pub bytes: Vec<u8>,
    /// Whether another host inside sent it.
    pub is_forwarded: bool,
    /// How many bytes at the front were made up, so that offsets are not counted from them.
    pub made_up_len: usize,
}

impl PacketBytes for Frame {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.as_slice().read(offset)
    }

    fn read_words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        self.bytes.as_slice().read_words(offset)
    }

    fn copy<const N: usize>(&self, offset: usize, len: usize, to: &mut [u8; N]) -> usize {
        self.bytes.as_slice().copy(offset, len, to)
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn segments(&self) -> u32 {
        1
    }

    fn offloaded_vlan(&self) -> Option<u16> {
        None
    }

    fn is_forwarded(&self) -> bool {
        self.is_forwarded
    }
}

impl Frame {
    /// An Ethernet frame.
    #[must_use]
    pub fn ethernet(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// An IP packet without an Ethernet header.
    ///
    /// # Errors
    /// It does not begin like one; the text is for people.
    pub fn ip(packet: &[u8]) -> Result<Self, String> {
        let ethertype: [u8; 2] = match packet.first().map(|first| first >> 4) {
            Some(4) => [0x08, 0x00],
            Some(6) => [0x86, 0xdd],
            Some(version) => {
                return Err(format!(
                    "the packet does not begin with an IP header: its version would be {version}; \
                     for an Ethernet frame leave --ip away"
                ));
            }
            None => return Err("the packet is empty".to_owned()),
        };
        let bytes = [&MADE_UP[..], &ethertype, packet].concat();
        Ok(Self { bytes, is_forwarded: false, made_up_len: MADE_UP.len() + ethertype.len() })
    }

    /// The bytes behind hexadecimal digits, which blanks, line ends, colons, dashes, dots and `0x`
    /// may stand between; of lines as tcpdump and Wireshark print them, what stands before the first
    /// colon or is the text beside it is left out.
    ///
    /// # Errors
    /// What is wrong with the digits, for people.
    pub fn digits(text: &str) -> Result<Vec<u8>, String> {
        let mut digits = String::new();
        for line in text.lines() {
            digits.push_str(&line_digits(line)?);
        }
        if digits.is_empty() {
            return Err("there are no hexadecimal digits".to_owned());
        }
        if !digits.len().is_multiple_of(2) {
            return Err(format!(
                "there are {} hexadecimal digits, an odd number; each byte has two",
                digits.len()
            ));
        }
        let byte = |pair: &[u8]| {
            let text = str::from_utf8(pair).map_err(|error| error.to_string())?;
            u8::from_str_radix(text, 16).map_err(|error| error.to_string())
        };
        digits.as_bytes().chunks_exact(2).map(byte).collect()
    }
}

/// The digits of a line.
fn line_digits(line: &str) -> Result<String, String> {
    let line = line.trim();
    // "0x0010:  4500 …" as of tcpdump -x and -xx; with -X the text follows two blanks.
    let body = match line.split_once(':') {
        Some((offset, rest))
            if offset.starts_with("0x") && rest.starts_with(char::is_whitespace) =>
        {
            let rest = rest.trim_start();
            rest.split_once("  ").map_or(rest, |(bytes, _)| bytes)
        }
        Some(_) | None => line,
    };
    let mut digits = String::new();
    for word in body.split(|letter: char| letter.is_whitespace() || ":-.,".contains(letter)) {
        let word = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
        if let Some(letter) = word.chars().find(|letter| !letter.is_ascii_hexdigit()) {
            return Err(format!("'{letter}' in '{word}' is no hexadecimal digit"));
        }
        digits.push_str(word);
    }
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_as_tools_print_them() {
        for text in [
            "4500001c",
            "45 00 00 1C",
            "45:00:00:1c",
            "0x45, 0x00, 0x00, 0x1c",
            "0x4500001c\n",
            "\t0x0000:  4500\n\t0x0002:  001c",
            "\t0x0000:  4500 001c  E...",
        ] {
            assert_eq!(Frame::digits(text), Ok(vec![0x45, 0, 0, 0x1c]), "{text:?}");
        }
        for (text, complaint) in
            [("", "no hexadecimal"), ("456", "odd number"), ("45 zz", "'z' in 'zz'")]
        {
            let error = Frame::digits(text).expect_err("refused");
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn packets_get_the_header_of_their_version() {
        let frame = Frame::ip(&[0x60, 0, 0, 0]).expect("IPv6");
        assert_eq!((frame.bytes.len(), frame.made_up_len), (18, 14));
        assert_eq!(frame.bytes[12..14], [0x86, 0xdd]);
        assert!(Frame::ip(&[0x20]).is_err() && Frame::ip(&[]).is_err());
    }
}
